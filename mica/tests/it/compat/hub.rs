//! `mica registry serve` with the clients that people have: mica itself, skopeo, podman.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::Layer;

use super::peers::{Peer, Server, digest_in, must_have, rich};
use crate::need_peers;
use crate::support::Mica;

/// A registry of one test, gone when the test is.
pub(super) struct Hub {
    child: Server,
    pub(super) host: String,
}

/// The command that serves the registry in the test's folder.
pub(super) fn command(mica: &Mica, listen: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mica"));
    command.args(["registry", "serve", "--listen", listen]).args(flags);
    if flags.contains(&"--store") {
        command.env("MICA_ROOT", mica.root()).env("MICA_RUN_ROOT", mica.root().join("../run"));
    } else if !flags.contains(&"--root") {
        command.arg("--root").arg(mica.path("hub"));
    }
    command.current_dir(mica.work());
    command
}

impl Hub {
    /// One in the test's folder, with these flags.
    pub(super) fn start(mica: &Mica, flags: &[&str]) -> Hub {
        Hub::spawn(mica, command(mica, "127.0.0.1:0", flags))
    }

    /// One by this command.
    pub(super) fn spawn(mica: &Mica, mut command: Command) -> Hub {
        let log = File::options().create(true).append(true).open(mica.path("hub.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().rsplit("//").next().unwrap().to_owned();
        assert!(line.starts_with("serving "), "{line}");
        Hub { child: Server(child), host }
    }

    pub(super) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// Ends it as nobody should.
    pub(super) fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Ends it as a service manager does.
    fn terminate(mut self) {
        let id = Pid::from_raw(self.child.0.id().try_into().unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        let status = self.child.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn mica_pushes_to_mica_and_pulls_again() {
    testkit::need_root!();
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("me/rich:1.0");
    let image = rich(&[&name]);
    mica.load(&image);
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    let again = mica.ok(&format!("push {name}"));
    assert!(again.contains(": Layer already exists\n") && again.contains(&digest), "{again}");
    mica.ok(&format!("tag {name} {}", hub.name("you/copy")));
    let copied = mica.ok(&format!("push {}", hub.name("you/copy")));
    assert!(copied.contains(": Mounted from me/rich\n"), "{copied}");
    mica.ok(&format!("rmi -f {}", image.id()));
    // A registry that was killed has everything that it acknowledged.
    drop(hub);
    let hub = Hub::start(&mica, &["--read-only"]);
    let name = hub.name("me/rich:1.0");
    let pulled = mica.ok(&format!("pull {name}"));
    assert!(pulled.contains(&digest), "{pulled}");
    must_have(&mica, &name, &image, "pulled");
    // Nothing is new, and yet it is the registry that says whether this may be pushed.
    mica.run(&format!("push {}", hub.name("me/rich:1.0"))).complains(1, "unsupported");
    mica.ok(&format!("tag {name} {}", hub.name("me/other:2")));
    mica.run(&format!("push {}", hub.name("me/other:2"))).complains(1, "unsupported");
    hub.terminate();
    mica.must_be_whole();
    let log = fs::read_to_string(mica.path("hub.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let put = lines.iter().find(|line| line["path"] == json!("/v2/me/rich/manifests/1.0"));
    assert!(put.is_some_and(|line| line["peer"].is_string() && line["seconds"].is_f64()), "{log}");
    // What is there already takes two requests, and the last of them asks whether it may be pushed.
    let of_name = |line: &&Value| line["path"] == json!("/v2/me/rich/manifests/1.0");
    let first = lines.iter().skip_while(|line| !of_name(line)).take_while(of_name);
    let methods: Vec<&Value> = first.map(|line| &line["method"]).collect();
    assert_eq!(methods, [&json!("PUT"), &json!("HEAD"), &json!("PUT")], "{log}");
}

#[test]
fn skopeo_and_podman_push_and_pull() {
    need_peers!("skopeo", "podman");
    let mica = Mica::on_disk();
    let (skopeo, podman) = (Peer::new(&mica, "skopeo"), Peer::new(&mica, "podman"));
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("rich:1.0");
    let image = rich(&[&name]);
    mica.load(&image);
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    let shown = skopeo.json(&format!("inspect --tls-verify=false docker://{name}"));
    assert_eq!((&shown["Digest"], &shown["RepoTags"]), (&json!(digest), &json!(["1.0"])));
    let policy = "--signature-policy policy.json";
    podman.ok(&format!("pull -q --tls-verify=false {policy} {name}"));
    let in_podman = &podman.json(&format!("image inspect {name}"))[0];
    assert_eq!(in_podman["Digest"], json!(digest));
    let from_podman = hub.name("podman/it:1");
    podman.ok(&format!("push -q --tls-verify=false {policy} {name} {from_podman}"));
    let from_skopeo = hub.name("skopeo:1");
    let copy = "--policy policy.json copy --quiet --src-tls-verify=false --dest-tls-verify=false";
    skopeo.ok(&format!(
        "{copy} --format oci --dest-compress-format zstd docker://{name} docker://{from_skopeo}"
    ));
    skopeo.ok(&format!("{copy} --format v2s2 docker://{name} docker://{}", hub.name("v2s2:1")));
    mica.ok(&format!("rmi -f {}", image.id()));
    for name in [&from_podman, &from_skopeo] {
        let theirs = skopeo.json(&format!("inspect --tls-verify=false docker://{name}"));
        let pulled = mica.ok(&format!("pull {name}"));
        assert!(pulled.contains(theirs["Digest"].as_str().unwrap()), "{pulled}");
        let back = mica.ok(&format!("push {name}"));
        assert_eq!(json!(digest_in(back.lines().last().unwrap())), theirs["Digest"], "{name}");
    }
    must_have(&mica, &from_podman, &image, "from podman");
    mica.ok(&format!("rmi -f {}", image.id()));
    mica.ok(&format!("pull {}", hub.name("v2s2:1")));
    must_have(&mica, &hub.name("v2s2:1"), &image, "docker's form");
    // The same image in OCI's form and in docker's: each name goes back as it came.
    mica.ok(&format!("pull {from_skopeo}"));
    for name in [&hub.name("v2s2:1"), &from_skopeo, &hub.name("v2s2:1")] {
        let digest = mica.ok(&format!("remote digest {name}"));
        let back = mica.ok(&format!("push {name}"));
        assert_eq!(digest_in(back.lines().last().unwrap()), digest, "{name}");
    }
    skopeo.ok(&format!("delete --tls-verify=false docker://{from_skopeo}"));
    mica.run(&format!("pull {from_skopeo}")).complains(1, "manifest unknown");
    let search = mica.ok(&format!("search {}/ri", hub.host));
    assert!(search.contains("rich"), "{search}");
}

/// What a registry has written down, when it has written all: a line comes after its answer.
pub(super) fn settled_log(mica: &Mica) -> String {
    let read = || fs::read_to_string(mica.path("hub.log")).unwrap();
    let mut log = read();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = read();
        if now == log {
            return log;
        }
        log = now;
    }
}

#[test]
fn garbage_is_collected_beside_the_server() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &["--collect-every", "0"]);
    let name = hub.name("app:1");
    for text in ["one", "two"] {
        mica.file("fs.tar", Layer::new().file("text", text.repeat(1000)).tar());
        mica.ok(&format!("import fs.tar {name}"));
        mica.ok(&format!("push -q {name}"));
    }
    let gc = format!("registry gc --root {}", mica.path("hub").display());
    let nothing = "Deleted 0 manifests, 0 blobs (0B), 0 abandoned uploads";
    assert_eq!(mica.ok(&gc), nothing);
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(mica.ok(&format!("{gc} --grace 0")), nothing);
    let taken = mica.ok(&format!("{gc} --grace 0 --untagged"));
    assert!(taken.starts_with("Deleted 1 manifests, 3 blobs ("), "{taken}");
    mica.ok(&format!("rmi -f {name}"));
    mica.ok(&format!("pull -q {name}"));
    mica.run("registry gc --grace -1s").complains(1, "--grace cannot be negative");
}

#[test]
fn mistakes_are_told() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    mica.run(&format!("registry serve --root {} --listen {}", mica.path("x").display(), hub.host))
        .complains(1, "cannot listen on");
    let bucket = "registry serve --root s3://bucket/images";
    mica.run(&format!("{bucket} --storage-option nope=1")).complains(1, "has no option `nope`");
    mica.run(&format!("{bucket} --storage-option secret_access_key=x"))
        .complains(1, "read from the environment alone");
    mica.run("registry serve --store --root x").complains(1, "exclude each other");
    mica.run("registry serve --root /proc/x").complains(1, "error: cannot write /proc/x");
}

/// How many requests of the log were answered for a path.
fn asked(log: &std::path::Path, path: &str) -> usize {
    let log = fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains(&format!("\"path\":\"{path}\""))).count()
}

#[test]
fn a_registry_keeps_what_another_one_has() {
    testkit::need_root!();
    let (mica, cache) = (Mica::on_disk(), Mica::on_disk());
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("me/rich:1.0");
    let image = rich(&[&name]);
    mica.load(&image);
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    let near = Hub::start(&cache, &["--cache-of", &hub.host, "--cache-fresh", "0s"]);
    let there = near.name("me/rich:1.0");
    assert_eq!(mica.ok(&format!("remote digest {there}")), digest);
    // Several at once, and still each blob comes once.
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (cache, there) = (&cache, &there);
            scope.spawn(move || cache.ok(&format!("remote cp -q {there} oci:copy{number}")));
        }
    });
    let pulled = cache.ok(&format!("pull {there}"));
    assert!(pulled.contains(&digest), "{pulled}");
    must_have(&cache, &there, &image, "through the cache");
    let manifest = cache.json(&format!("manifest inspect {there}"));
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let path = format!("/v2/me/rich/blobs/{layer}");
    let log = settled_log(&mica);
    let gets = log.lines().filter(|line| line.contains(&path) && line.contains("\"GET\""));
    assert_eq!(gets.count(), 1, "{log}");
    assert!(asked(&cache.path("hub.log"), &path) >= 5);
    // A tag follows, and what nobody has is unknown.
    mica.import(&name);
    let newer = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    assert_eq!(cache.ok(&format!("remote digest {there}")), newer);
    assert_eq!(cache.ok(&format!("remote ls {}", near.name("me/rich"))), "1.0");
    cache
        .run(&format!("remote digest {}", near.name("me/rich:2")))
        .complains(1, "no such manifest");
    cache.run(&format!("push {there}")).complains(1, "unsupported");
    // A list of referrers of one kind says that it is that.
    let mut stream = std::net::TcpStream::connect(&near.host).unwrap();
    let path = format!("/v2/me/rich/referrers/{digest}?artifactType=application/x");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(answer.contains("OCI-Filters-Applied: artifactType\r\n"), "{answer}");
    // What was here stays when the other one is gone; what was not is an error that says so.
    let by_digest = near.name(&format!("me/rich@{digest}"));
    cache.ok(&format!("remote cp -q {by_digest} oci:before"));
    drop(hub);
    cache.ok(&format!("remote cp -q {by_digest} oci:after"));
    assert_eq!(cache.ok(&format!("remote digest {there}")), newer);
    let mut stream = std::net::TcpStream::connect(&near.host).unwrap();
    stream.write_all(b"GET /v2/me/other/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 502 Bad Gateway\r\n");
}

#[test]
fn a_store_is_shown_to_others() {
    need_peers!("skopeo");
    let (mica, other) = (Mica::on_disk(), Mica::on_disk());
    let image = rich(&["rich:1.0", "quay.io/me/app:2"]);
    mica.load(&image);
    mica.file("fs.tar", Layer::new().file("plain", "x".repeat(1000)).tar());
    mica.ok("import fs.tar plain");
    let hub = Hub::start(&mica, &["--store"]);
    let rich = hub.name("rich:1.0");
    other.ok(&format!("pull {rich}"));
    must_have(&other, &rich, &image, "out of a store");
    other.ok(&format!("pull -q {}", hub.name("library/plain")));
    assert_eq!(other.ok(&format!("remote ls {}/", hub.host)), "me/app\nplain\nrich");
    assert_eq!(other.ok(&format!("remote ls {}", hub.name("me/app"))), "2");
    let skopeo = Peer::new(&other, "skopeo");
    let shown =
        skopeo.json(&format!("inspect --tls-verify=false docker://{}", hub.name("me/app:2")));
    let digest = other.ok(&format!("remote digest {rich}"));
    assert_eq!(shown["Digest"], json!(digest));
    other.ok(&format!("remote cp -q {} oci:copy", hub.name(&format!("rich@{digest}"))));
    // What comes meanwhile is there at once; nothing can be put there.
    mica.ok("tag rich:1.0 rich:1.1");
    assert_eq!(other.ok(&format!("remote ls {}", hub.name("rich"))), "1.0\n1.1");
    other.ok(&format!("tag {rich} {}", hub.name("rich:2")));
    other.run(&format!("push {}", hub.name("rich:2"))).complains(1, "unsupported");
    other.run(&format!("pull {}", hub.name("rich:9"))).complains(1, "manifest unknown");
    assert!(!mica.path("hub").exists(), "no registry was made");
}

#[test]
fn a_pull_says_once_what_came_and_warns_of_other_platforms() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    for (tag, platform) in [("1", "linux/arm64"), ("2", "linux/s390x")] {
        let name = hub.name(&format!("app:{tag}"));
        mica.file("fs.tar", Layer::new().file("arch", platform).tar());
        mica.ok(&format!("import --platform {platform} fs.tar {name}"));
        mica.ok(&format!("push -q {name}"));
        mica.ok(&format!("rmi {name}"));
    }
    let (app, name) = (hub.name("app"), hub.name("app:1"));
    let pulled = mica.ok(&format!("pull --platform linux/s390x {name}"));
    let end = format!(
        "\nStatus: Downloaded newer image for {name}\nWARNING: image with reference {name} was found \
         but its platform (linux/arm64) does not match the specified platform (linux/s390x)\n{name}"
    );
    assert!(pulled.ends_with(&end), "{pulled}");
    for line in [format!("pull --platform linux/arm64 {name}"), format!("pull {name}")] {
        let pulled = mica.run(&line);
        assert!(pulled.code == 0 && !pulled.to_string().contains("WARNING"), "{pulled}");
    }
    assert_eq!(mica.ok(&format!("pull -q --platform linux/s390x {name}")), name);
    let all = mica.ok(&format!("pull -a {app}"));
    assert_eq!((all.matches("Digest: ").count(), all.matches("Status: ").count()), (2, 1), "{all}");
    let end = format!("\nStatus: Downloaded newer image for {app}\n{app}");
    assert!(all.ends_with(&end), "{all}");
    let again = mica.ok(&format!("pull -a {app}"));
    assert!(again.ends_with(&format!("\nStatus: Image is up to date for {app}\n{app}")), "{again}");
}

#[test]
fn what_has_a_digest_alone_is_shown_under_its_repository() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (app, name) = (hub.name("mp/app"), hub.name("mp/app:1"));
    mica.import(&name);
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    mica.ok(&format!("rmi {name}"));
    mica.ok(&format!("pull -q {app}@{digest}"));
    let rows = || mica.ok("images --format '{{.Repository}} {{.Tag}} {{.Digest}}'");
    assert_eq!(rows(), format!("{app} <none> {digest}"));
    let shown = mica.ok("images --digests --no-trunc");
    assert!(shown.lines().nth(1).unwrap().starts_with(&app), "{shown}");
    for (line, count) in [
        (format!("images -q {app}"), 1),
        (format!("images -q {}", hub.name("mp/*")), 1),
        (format!("images -q {}", hub.name("other")), 0),
        ("images -q --filter dangling=true".to_owned(), 1),
        ("images -q --filter dangling=false".to_owned(), 1),
    ] {
        assert_eq!(mica.ok(&line).lines().count(), count, "{line}");
    }
    mica.ok(&format!("tag {app}@{digest} other:1"));
    assert_eq!(rows(), format!("other 1 <none>\n{app} <none> {digest}"));
    mica.ok(&format!("tag other:1 {app}:2"));
    assert_eq!(rows(), format!("{app} 2 {digest}\nother 1 <none>"));
}
