//! Contexts and sources that are repositories.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::{Builds, done};
use crate::need_programs;

/// A server of repositories, gone with the test.
struct Daemon {
    child: Child,
    url: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs git in the test's repository.
#[track_caller]
fn git(it: &Builds, words: &[&str]) -> String {
    let mut command = it.program("git");
    command.args(["-C", "repos/app", "-c", "user.name=me", "-c", "user.email=me@here"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_COMMITTER_DATE", "1600000000 +0000");
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with two commits, the first with a tag, and who serves it.
fn served() -> Option<(Builds, Daemon)> {
    let it = Builds::new()?;
    let hook = "#!/bin/sh\ntouch /tmp/a-hook-has-run\n";
    it.file("repos/app/Dockerfile", "FROM bb\nCOPY . /c\n");
    it.file("repos/app/sub/Dockerfile", "FROM bb\nCOPY . /s\n");
    it.file("repos/app/sub/one", "1");
    it.file("repos/app/post-checkout", hook);
    git(&it, &["init", "-q", "-b", "main"]);
    git(&it, &["add", "."]);
    git(&it, &["commit", "-q", "-m", "one"]);
    git(&it, &["tag", "v1"]);
    it.file("repos/app/sub/two", "2");
    git(&it, &["add", "."]);
    git(&it, &["commit", "-q", "-m", "two"]);
    let port = testkit::free_port();
    let base = format!("--base-path={}", it.path("repos").display());
    // Not by `git daemon`, which starts it as a process of its own that would outlive the test.
    let folder = it.program("git").arg("--exec-path").output().unwrap();
    let program = format!("{}/git-daemon", String::from_utf8(folder.stdout).unwrap().trim());
    let mut command = it.program(&program);
    command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1", &base]);
    command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let daemon = Daemon { child, url: format!("git://127.0.0.1:{port}/app") };
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((it, daemon));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the daemon does not come up");
}

#[test]
fn a_repository_is_a_context() {
    need_programs!("git");
    let Some((it, daemon)) = served() else { return };
    let build =
        |place: &str| it.run(&format!("build --progress plain --network none -t t {place}"));
    let url = &daemon.url;
    build(url).works();
    assert_eq!(
        it.shows("cd /c; find . -type f | sort"),
        "./Dockerfile\n./post-checkout\n./sub/Dockerfile\n./sub/one\n./sub/two"
    );
    assert_eq!(it.shows("stat -c %a /c/sub/one /c/sub"), "644\n755");
    let id = it.id();
    let again = build(url);
    again.works();
    assert_eq!((it.id(), done(&again.err)), (id, Vec::<String>::new()));
    build(&format!("{url}#v1:sub")).works();
    assert_eq!(it.shows("ls /s"), "Dockerfile\none");
    let commit = git(&it, &["rev-parse", "HEAD"]);
    build(&format!("{url}?ref={commit}&subdir=sub")).works();
    assert_eq!(it.shows("ls /s"), "Dockerfile\none\ntwo");
    build(&format!("{url}?branch=main&keep-git-dir=1")).works();
    assert_eq!(it.shows("test -d /c/.git; echo $?"), "0");
    build(&format!("{url}?tag=v1&checksum={commit}")).complains(1, "expected checksum to match");
    build(&format!("{url}#nothing")).complains(1, "failed to fetch remote git://127.0.0.1");
    build(&format!("{url}#main:none")).complains(1, "none is no folder in it");
    let left = std::fs::read_dir(it.root().join("build/fetched")).unwrap().count();
    assert_eq!(left, 0, "what was fetched goes with the build");
}

#[test]
fn repositories_are_added_and_named() {
    need_programs!("git");
    let Some((it, daemon)) = served() else { return };
    let url = &daemon.url;
    let commit = git(&it, &["rev-parse", "v1"]);
    let dockerfile = format!(
        "FROM bb\nADD {url}#v1 /v1\nADD --keep-git-dir {url} /kept/\nADD --checksum={commit} {url}?tag=v1 /sum\n\
         COPY --from=more sub/two /two\n"
    );
    it.builds(&dockerfile, &format!("--build-context more={url}"));
    assert_eq!(
        it.shows("cat /v1/sub/one /two; ls -A /v1; test -e /kept/.git/HEAD; echo $?"),
        "12Dockerfile\npost-checkout\nsub\n0"
    );
    let run = it.build(&format!("FROM bb\nADD --checksum=0000000 {url} /x\n"), "");
    run.complains(1, "expected checksum to match 0000000");
    // Without the program nothing else fails.
    let run = it.run("build --network none ssh://nobody@127.0.0.1:1/x");
    run.complains(1, "failed to fetch remote");
}

#[test]
fn times_are_those_of_commits_where_that_is_asked_for() {
    need_programs!("git");
    let Some((it, daemon)) = served() else { return };
    let url = &daemon.url;
    let build = |options: &str| it.run(&format!("build --network none -t t {options}"));
    let time = |path: &str| it.shows(&format!("stat -c %Y {path}"));
    build(url).works();
    assert_ne!(time("/c/sub/one"), "1600000000");
    let commit = git(&it, &["rev-parse", "HEAD"]);
    build(&format!("{url}?mtime=commit&commit={commit}&fetch-by-commit=true")).works();
    assert_eq!(time("/c/sub/one /c/sub"), "1600000000\n1600000000");
    build(&format!("{url}?fetch-by-commit=true")).complains(1, "needs commit or checksum");
    it.builds(&format!("FROM bb\nADD {url}?mtime=commit /x\nADD {url}?mtime=checkout /y\n"), "");
    assert_eq!(time("/x/sub/one"), "1600000000");
    assert_ne!(time("/y/sub/one"), "1600000000");
    let made = "inspect -f '{{.Created}}' t";
    build(&format!("--build-arg SOURCE_DATE_EPOCH=context {url}")).works();
    assert_eq!(it.ok(made), "2020-09-13T12:26:40Z");
    assert_eq!(time("/c/sub/one"), "1600000000");
    // A command sees the number; a folder has no such time, and then nothing is said.
    let file = "FROM bb\nARG SOURCE_DATE_EPOCH\nRUN echo ${SOURCE_DATE_EPOCH-unset} > /epoch\n";
    let line = "build --network none -t t --build-arg SOURCE_DATE_EPOCH=context -f -";
    it.run_with(&format!("{line} {url}"), file.as_bytes()).works();
    assert_eq!(it.shows("cat /epoch"), "1600000000");
    it.builds(file, "--build-arg SOURCE_DATE_EPOCH=context");
    assert_eq!(it.shows("cat /epoch"), "unset");
    it.put("Dockerfile", &format!("ARG SOURCE_DATE_EPOCH=context\n{file}"));
    let mut command = it.command("build --network none -t t ctx");
    // The environment would say more than the file.
    assert!(command.env("SOURCE_DATE_EPOCH", "").output().unwrap().status.success());
    assert_eq!(it.shows("cat /epoch"), "unset");
    let run = it.build("FROM bb AS base\nFROM base\n", "--build-arg SOURCE_DATE_EPOCH=base");
    run.complains(1, "it is a number of seconds since 1970, or `context`");
    it.build("FROM bb\n", "--build-arg SOURCE_DATE_EPOCH=noon").complains(1, "EPOCH: noon");
    let build = |options: &str| {
        it.put("Dockerfile", "ARG SOURCE_DATE_EPOCH=1500000000\nFROM bb\nCOPY Dockerfile /d\n");
        let mut command = it.command(&format!("build --network none -t t {options} ctx"));
        // The environment would say more than the file.
        let output = command.env("SOURCE_DATE_EPOCH", "").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    build("");
    assert_eq!(time("/d"), "1500000000");
    assert_eq!(it.ok(made), "2017-07-14T02:40:00Z");
    build("--build-arg SOURCE_DATE_EPOCH=1400000000");
    assert_eq!(time("/d"), "1400000000");
}

#[test]
fn a_bake_is_read_from_a_repository() {
    need_programs!("git");
    let Some((it, daemon)) = served() else { return };
    let hcl = "target default {\n tags = [\"t\"]\n context = \"sub\"\n}\n\
               target here {\n tags = [\"t\"]\n context = BAKE_CMD_CONTEXT\n}\n\
               target keys {\n inherits = [\"default\"]\n secret = [\"id=x,src=/etc/passwd\"]\n}\n";
    it.file("repos/app/docker-bake.hcl", hcl);
    git(&it, &["add", "."]);
    git(&it, &["commit", "-q", "-m", "bake"]);
    it.file("Dockerfile", "FROM bb\nLABEL of=here\n");
    let url = &daemon.url;
    it.run(&format!("buildx bake {url}")).works();
    assert_eq!(it.shows("cat /s/one /s/two"), "12");
    it.run(&format!("buildx bake {url}#main here")).works();
    assert_eq!(it.ok("inspect -f '{{.Config.Labels.of}}' t"), "here");
    let shown = it.ok(&format!("buildx bake --print {url} default"));
    assert!(shown.contains("\"context\": \"sub\""), "{shown}");
    let run = it.run(&format!("buildx bake {url} keys"));
    run.complains(1, "Pass \"--allow=fs.read=/etc/passwd\" to grant requested privileges.");
    it.run(&format!("buildx bake {url} --allow fs.read=/etc/passwd keys")).works();
    it.run(&format!("buildx bake {url}#v1")).complains(1, "couldn't find a bake definition");
}
