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
