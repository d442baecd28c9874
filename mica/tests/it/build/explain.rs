//! `--explain` names the cause, and nothing else.

use super::Builds;

/// The reasons that were told.
fn reasons(progress: &str) -> Vec<String> {
    let told = progress.lines().filter_map(|line| line.split_once(" not cached: "));
    told.map(|(_, reason)| reason.to_owned()).collect()
}

#[test]
fn the_cause_is_named() {
    let Some(it) = Builds::new() else { return };
    it.put("src/a", "a");
    it.put("src/b", "b");
    let file = "FROM bb\nARG V=1\nENV E=1\nCOPY src /src\nRUN echo $V > /v; cat /src/a > /made\n";
    assert_eq!(reasons(&it.builds(file, "--explain"))[0], "nothing like it was built before");
    let check = |options: &str, file: &str, wanted: &[&str]| {
        assert_eq!(reasons(&it.builds(file, &format!("--explain {options}"))), wanted);
    };
    check("", file, &[]);
    check("--build-arg V=2", file, &["argument V changed from \"1\" to \"2\""]);
    check("", &file.replace("ENV E=1", "ENV E=2"), &["variable E changed from \"1\" to \"2\""]);
    it.put("src/a", "changed");
    check("", file, &["file src/a changed", "what it stands on changed"]);
    it.put("src/c", "new");
    check("", file, &["file src/c was added", "what it stands on changed"]);
    std::fs::remove_file(it.path("ctx/src/b")).unwrap();
    check("", file, &["file src/b was deleted", "what it stands on changed"]);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(it.path("ctx/src/c"), private).unwrap();
    check("", file, &["the mode of src/c changed from 0644 to 0600", "what it stands on changed"]);
    let other = file.replace("cat /src/a", "cat /src/c");
    let told = reasons(&it.builds(&other, "--explain"));
    assert!(told.len() == 1 && told[0].starts_with("the instruction changed from"), "{told:?}");
    check(
        "--no-cache",
        "FROM bb\nRUN echo $V > /v\n",
        &["it was asked not to use what is remembered"],
    );
}

#[test]
fn a_miss_can_be_a_failure() {
    let Some(it) = Builds::new() else { return };
    let file =
        "FROM bb AS a\nRUN echo 1 > /a\nFROM bb AS b\nRUN echo 2 > /b\nCOPY --from=a /a /a\n";
    let run = it.build(file, "--fail-on-miss");
    run.complains(1, "is not remembered: nothing like it was built before");
    it.builds(file, "");
    it.builds(file, "--fail-on-miss");
    let other = file.replace("echo 2", "echo 3");
    it.builds(&other, "--fail-on-miss=a");
    it.build(&other.replace("echo 3", "echo 4"), "--fail-on-miss=b")
        .complains(1, "is not remembered");
}
