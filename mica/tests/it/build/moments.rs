//! Builds looked into: a shell at a step, what a failed step left, a build done twice.

use std::fs;

use super::Builds;
use crate::containers::support::eventually;

const FAILING: &str = "FROM bb\nENV WHO=me\nWORKDIR /w\nRUN echo one > one\nRUN echo two > two; rm one; mkdir d; echo log > d/log; exit 3\nRUN never\n";

/// What a script prints in the shell at a moment of the last build.
#[track_caller]
fn at(it: &Builds, moment: &str, script: &str) -> String {
    let line = format!("build --network none --shell-at '{moment}' ctx");
    let run = it.run_with(&line, format!("{script}\n").as_bytes());
    assert_eq!(run.code, 0, "{run}");
    run.out.trim_end().to_owned()
}

#[test]
fn a_shell_opens_before_and_after_steps() {
    let Some(it) = Builds::new() else { return };
    it.build(FAILING, "").complains(1, "exit code: 3");
    assert_eq!(at(&it, "@fail", "pwd; echo $WHO; ls; cat d/log"), "/w\nme\nd\ntwo\nlog");
    assert_eq!(at(&it, "before:@fail", "ls"), "one");
    assert_eq!(at(&it, "echo one", "ls"), "one");
    assert_eq!(
        at(&it, "before:WORKDIR", "ls -d /w 2>&1 || pwd"),
        "ls: /w: No such file or directory\n/"
    );
    // By the number that was shown, and with the shell's own exit code.
    let run = it.run("build history logs");
    let line = run.out.lines().chain(run.err.lines()).find(|line| line.contains("RUN echo one"));
    let number = line.unwrap().split([' ', '#']).nth(1).unwrap();
    assert_eq!(at(&it, number, "ls"), "one");
    let run = it.run_with("build --network none --shell-at @fail ctx", b"exit 7\n");
    assert_eq!(run.code, 7, "{run}");
    // It was only looked at: no image is left, no container, and the next build goes on from there.
    assert_eq!(it.ok("images -aq").lines().count(), 1);
    eventually("the container goes", || it.ok("ps -aq").is_empty());
    let progress = it.builds(&FAILING.replace("exit 3", "true").replace("RUN never\n", ""), "");
    assert_eq!(super::done(&progress).len(), 1, "{progress}");
    let run = it.run("build --shell-at @fail ctx");
    run.complains(1, "no step of the last build failed");
    it.run("build --shell-at RUN ctx").complains(1, "\"RUN\" means several steps: ");
    it.run("build --shell-at 99 ctx").complains(1, "the last build has no step \"99\"");
    fs::create_dir(it.path("other")).unwrap();
    it.run("build --shell-at 1 other").complains(1, "no record found for");
}

#[test]
fn what_a_failed_step_wrote_is_taken_out() {
    let Some(it) = Builds::new() else { return };
    it.build(FAILING, "--output-on-failure out").complains(1, "exit code: 3");
    assert_eq!(fs::read_to_string(it.path("out/w/d/log")).unwrap(), "log\n");
    assert_eq!(fs::read_to_string(it.path("out/w/two")).unwrap(), "two\n");
    assert!(!it.path("out/w/one").exists() && !it.path("out/bin").exists());
    // A failure that ran nothing left nothing; a build that is done has its own ways out.
    let run = it.build("FROM bb\nCOPY nothing /\n", "--output-on-failure none");
    run.complains(1, "no command failed that could have left files");
    it.builds("FROM bb\nRUN true\n", "--output-on-failure none");
    assert!(!it.path("none").exists());
}

#[test]
fn two_builds_that_differ_are_told_apart() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "content");
    let same = "FROM bb\nCOPY f /f\nRUN date > /dev/null; echo same > /same\n";
    let run = it.build(same, "--verify");
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run}");
    // Nothing was remembered in between, and the image is there.
    assert_eq!(super::done(&run.err).len(), 4, "{run}");
    assert_eq!(it.shows("cat /same"), "same");
    let random = "RUN head -c 9 /dev/urandom | base64 > /random; echo same > /same";
    let modes = "RUN chmod 6$((RANDOM % 8))$((RANDOM % 8)) /random; touch /$RANDOM$RANDOM";
    let run = it.build(&format!("FROM bb\n{random}\n{modes}\n"), "--verify");
    run.complains(1, "ERROR: the second build differs from the first in ");
    let random = format!("/random: content (linux/amd64, by RUN /bin/sh -c {})", &random[4..]);
    assert!(run.out.contains(&random) || !cfg!(target_arch = "x86_64"), "{run}");
    assert_eq!(run.out.matches(": only in the ").count(), 2, "{run}");
    assert!(!run.out.contains("/same:"), "{run}");
    let run = it.run_with("build --verify -", b"FROM bb\n");
    run.complains(1, "--verify reads what it builds twice");
}
