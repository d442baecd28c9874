//! What checks find is told at the end of a build.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::Builds;

#[test]
fn what_checks_find_is_told_at_the_end() {
    let Some(it) = Builds::new() else { return };
    let told = it.builds("FROM bb\nCMD echo hi\n", "");
    let found = " - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended \
                 behavior related to OS signals (line 2)\n";
    let wanted = format!("\n 1 warning found (use docker --debug to expand):\n{found}");
    assert!(told.ends_with(&wanted), "{told}");
    let file = "FROM bb\nWORKDIR x\nCMD echo hi\n";
    let told = it.builds(file, "--debug");
    assert!(told.contains("\n 2 warnings found:\n - WorkdirRelativePath"), "{told}");
    assert!(told.contains("   2 | >>> WORKDIR x"), "{told}");
    // Nothing is told of what is skipped, and nothing where nobody watches.
    let told = it.builds("# check=skip=JSONArgsRecommended\nFROM bb\nCMD echo hi\n", "");
    assert!(!told.contains("warning"), "{told}");
    it.put("Dockerfile", file);
    let run = it.run("build -q --network none ctx");
    assert!(run.code == 0 && run.err.is_empty(), "{run}");
    let raw = it.run("build --progress rawjson --network none ctx").err;
    let documents = raw.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let short = documents.filter_map(|one| one["warnings"][0]["short"].as_str().map(str::to_owned));
    let short: Vec<String> = short
        .map(|text| String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap())
        .collect();
    assert!(short.len() == 2 && short[0].starts_with("WorkdirRelativePath: "), "{short:?}");
    // They are told before what failed.
    let run = it.build("FROM bb\nCMD echo hi\nRUN exit 3\n", "");
    assert!(run.code == 1 && run.err.contains(&format!("{wanted}------\n")), "{run}");
}

#[test]
fn ports_of_the_host_are_no_reason_to_fail() {
    let Some(it) = Builds::new() else { return };
    let told = it.builds("FROM bb\nEXPOSE 80:81 8000-8001:9000-9001/udp\n", "");
    assert!(told.contains(" - ExposeInvalidFormat: "), "{told}");
    let ports = it.ok("inspect -f '{{json .Config.ExposedPorts}}' t");
    assert_eq!(ports, r#"{"81/tcp":{},"9000/udp":{},"9001/udp":{}}"#);
}

#[test]
fn a_base_that_cannot_be_read_is_no_reason_to_fail_where_nobody_needs_it() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM bb\nLABEL a=b\n", "");
    it.ok("tag t broken");
    let id = it.id();
    let config = it.root().join("blobs/sha256").join(id.strip_prefix("sha256:").unwrap());
    std::fs::write(config, "{").unwrap();
    it.builds("FROM broken AS unused\nRUN true\nFROM bb\nRUN echo ran > /ran\n", "");
    assert_eq!(it.shows("cat /ran"), "ran");
}

#[test]
fn only_so_many_findings_are_told() {
    let Some(it) = Builds::new() else { return };
    let file = format!("FROM bb AS unused\n{}FROM bb\nRUN true\n", "MAINTAINER me\n".repeat(1500));
    let told = it.builds(&file, "");
    assert!(told.contains("[Warning] 500 more findings of checks are not told"), "{told}");
    assert!(told.contains("\n 1000 warnings found"), "{told}");
}

#[test]
fn a_frontend_that_is_not_run_is_told_of() {
    let Some(it) = Builds::new() else { return };
    let words = "the frontend example.com/other:1 is not run";
    let file = "FROM bb\nCMD [\"true\"]\n";
    assert!(it.builds(&format!("# syntax=example.com/other:1\n{file}"), "").contains(words));
    let told = it.builds(file, "--build-arg BUILDKIT_SYNTAX=example.com/other:1");
    assert!(told.contains(words) && !told.contains("not consumed"), "{told}");
    for own in ["docker/dockerfile:1", "mirror.example.com:5000/docker/dockerfile:1.7-labs"] {
        let told = it.builds(&format!("# syntax={own}\n{file}"), "");
        assert!(!told.contains("is not run"), "{told}");
    }
}
