//! `mica registry serve` with the clients that people have: mica itself, skopeo, podman.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
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

impl Hub {
    /// One in the test's folder, with these flags.
    pub(super) fn start(mica: &Mica, flags: &[&str]) -> Hub {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mica"));
        command.args(["registry", "serve", "--listen", "127.0.0.1:0", "--root"]);
        command.arg(mica.path("hub")).args(flags).current_dir(mica.work());
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
    assert_eq!(mica.run(&format!("push {}", hub.name("me/rich:1.0"))).code, 0, "nothing is new");
    mica.ok(&format!("tag {name} {}", hub.name("me/other:2")));
    mica.run(&format!("push {}", hub.name("me/other:2"))).complains(1, "unsupported");
    hub.terminate();
    mica.must_be_whole();
    let log = fs::read_to_string(mica.path("hub.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let put = lines.iter().find(|line| line["path"] == json!("/v2/me/rich/manifests/1.0"));
    assert!(put.is_some_and(|line| line["peer"].is_string() && line["seconds"].is_f64()), "{log}");
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
    skopeo.ok(&format!("delete --tls-verify=false docker://{from_skopeo}"));
    mica.run(&format!("pull {from_skopeo}")).complains(1, "manifest unknown");
    let search = mica.ok(&format!("search {}/ri", hub.host));
    assert!(search.contains("rich"), "{search}");
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
    std::thread::sleep(std::time::Duration::from_millis(120));
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
    mica.run("registry serve --root /proc/x").complains(1, "error: cannot write /proc/x");
}
