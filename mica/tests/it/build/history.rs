//! `buildx history`: what is kept of builds.

use super::Builds;

#[test]
fn builds_are_remembered_with_what_they_told() {
    let Some(it) = Builds::new() else { return };
    let file = "FROM bb AS one\nRUN echo hello there\nFROM bb\nCOPY --from=one /bin/busybox /b\n";
    let told = it.builds(file, "--build-arg UNUSED=1");
    it.build("FROM bb\nRUN exit 7\n", "").complains(1, "exit code: 7");

    let rows = it.ok("buildx history ls --format {{.Name}}|{{.Status}}|{{.NumCachedSteps}}");
    assert_eq!(rows, "ctx|Error|0\nctx|Completed|0");
    assert_eq!(it.ok("builder history ls --filter status=error --format {{.Status}}"), "Error");
    let table = it.ok("build history ls");
    assert!(table.starts_with("BUILD ID "), "{table}");

    let logs = it.run("buildx history logs ^1");
    assert_eq!((logs.code, logs.err.as_str()), (0, told.as_str()), "it tells the same again");
    assert!(it.run("buildx history logs").err.contains("exit code: 7"));
    let document: serde_json::Value =
        serde_json::from_str(&it.ok("buildx history inspect --format json ^1")).unwrap();
    assert_eq!(document["arguments"]["UNUSED"], "1");
    let image = it.ok("images -q --no-trunc t");
    assert_eq!(document["outcome"]["completed"]["images"], serde_json::json!([image]));
    let words = it.ok("buildx history inspect ^1");
    assert!(words.contains("Build Steps:    4/4 (0% cached)"), "{words}");
    assert!(words.contains("done") && words.contains("] RUN echo hello there"), "{words}");
    let failed = it.ok("buildx history inspect ^0");
    assert!(
        failed.contains("Status:         Error") && failed.contains("exit code: 7"),
        "{failed}"
    );

    it.run("buildx history inspect nothing").complains(1, "no record found for \"nothing\"");
    let id = it.ok("buildx history ls --format {{.Ref}}");
    let id = id.lines().next().unwrap();
    it.ok(&format!("buildx history export -o record.tar {}", &id[..20]));
    let mut tar = std::process::Command::new("tar");
    let listed = tar.args(["-tf", "record.tar"]).current_dir(it.work()).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("build.json") && listed.contains("news"), "{listed}");
    assert_eq!(it.ok(&format!("buildx history rm {id}")), id);
    it.ok("buildx history rm --all");
    assert_eq!(it.ok("buildx history ls --format {{.Ref}}"), "");
    it.run("buildx history rm").complains(1, "--all");
    // What builds remember is not in what was told of them.
    assert!(it.builds(file, "").contains("CACHED"));
    assert!(it.ok("system check").ends_with("all is well"));
}

#[test]
fn no_more_than_fifty_are_kept() {
    let Some(it) = Builds::new() else { return };
    for number in 0..53 {
        it.builds(&format!("FROM scratch\nLABEL number={number}\n"), "");
    }
    let rows = it.ok("buildx history ls --format {{.Ref}}");
    assert_eq!(rows.lines().count(), 50);
    assert!(rows.lines().is_sorted_by(|newer, older| newer > older));
}
