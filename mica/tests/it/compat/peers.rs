//! Other people's tools, each with storage of its own in the folder of one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use image::tar::EntryKind;
use serde_json::{Value, json};
use testkit::{Layer, Tree, oracle};

use crate::support::{Image, Mica, Run};

/// Leaves the test, counted as skipped, unless it runs as root and these programs are there.
#[macro_export]
macro_rules! need_peers {
    ($($program:expr),+) => {
        testkit::need_root!();
        $crate::need_programs!($($program),+);
    };
}

/// A server of one test, ended when the test is.
pub(super) struct Server(pub(super) Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The digest in what `push` and `pull` say.
#[track_caller]
pub(super) fn digest_in(text: &str) -> String {
    let at = text.find("sha256:").unwrap_or_else(|| panic!("no digest in {text}"));
    text[at..at + 71].to_owned()
}

/// A program of the system with its storage below the test's own folder.
pub(crate) struct Peer<'a> {
    mica: &'a Mica,
    program: &'static str,
}

impl<'a> Peer<'a> {
    /// One that keeps what it keeps beside this mica.
    pub(crate) fn new(mica: &'a Mica, program: &'static str) -> Peer<'a> {
        let place = mica.path(format!("{program}-storage"));
        for folder in ["graph", "run", "tmp"] {
            fs::create_dir_all(place.join(folder)).unwrap();
        }
        let place = place.display();
        mica.file(
            "storage.conf",
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{place}/graph\"\nrunroot = \"{place}/run\"\n"),
        );
        mica.file(
            "containers.conf",
            format!(
                "[engine]\nevents_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\n\
                 static_dir = \"{place}/graph/libpod\"\nvolume_path = \"{place}/volumes\"\n\
                 tmp_dir = \"{place}/tmp\"\n"
            ),
        );
        mica.file("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        Peer { mica, program }
    }

    /// A command of it.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.mica.program(self.program);
        command.args(line.split(' '));
        command.env("CONTAINERS_STORAGE_CONF", self.mica.path("storage.conf"));
        command.env("CONTAINERS_CONF", self.mica.path("containers.conf"));
        command.env("TMPDIR", self.mica.work());
        command.env("XDG_RUNTIME_DIR", self.mica.path("podman-storage/run"));
        command
    }

    /// Runs it; it must succeed. Gives what it printed, less the last line end.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let run = Run::of(&format!("{} {line}", self.program), output);
        assert!(run.code == 0, "{run}");
        run.out.trim_end().to_owned()
    }

    /// The same, read as JSON.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }
}

/// An image with all that a layer can have: what it looks like when it is unpacked is
/// `oracle::apply` of its layers.
pub(super) fn rich(names: &[&str]) -> Image {
    let long = "n".repeat(200);
    let deep = format!("deep/{}", vec!["d".repeat(60); 4].join("/"));
    let mut base = Layer::new().folder("./").mtime(1_600_000_000, 0);
    base = base
        .folder("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file("etc/shadow", "x")
        .mode(0o600)
        .owner(0, 42)
        .folder("bin")
        .file("bin/su", "#!su")
        .mode(0o4755)
        .hard_link("bin/su-too", "bin/su")
        .mode(0o4755)
        .link("bin/sh", "su")
        .folder("tmp")
        .mode(0o1777)
        .folder("home")
        .folder("home/me")
        .mode(0o2750)
        .owner(1000, 1001)
        .mtime(1_234_567_890, 123_456_789)
        .file("home/me/notes", "n".repeat(5000))
        .owner(1000, 1001)
        .mtime(1_234_567_890, 987_654_321)
        .xattr("user.note", "worth keeping")
        .folder("dev")
        .char_device("dev/null", 1, 3)
        .block_device("dev/loop", 7, 0)
        .fifo("dev/pipe")
        .folder("gone")
        .file("gone/file", "x")
        .folder("opaque")
        .file("opaque/old", "x")
        .file(format!("etc/{long}"), "long name")
        .file("etc/größe ✓", "not ASCII")
        .file("etc/empty", "");
    let mut path = String::new();
    for part in deep.split('/') {
        path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
        base = base.folder(&path);
    }
    base = base.file(format!("{path}/file"), "deep");
    let middle = Layer::new()
        .folder("./")
        .mtime(1_600_000_001, 0)
        .whiteout("gone")
        .folder("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/bash\n")
        .mode(0o644)
        .folder("opaque")
        .opaque("opaque")
        .file("opaque/new", "y")
        .folder("bin")
        .file("bin/ping", "#!ping")
        .mode(0o755)
        .xattr(
            "security.capability",
            [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
    let top = Layer::new()
        .folder("./")
        .mtime(1_600_000_002, 0)
        .folder("home")
        .folder("home/me")
        .mode(0o700)
        .owner(1000, 1001)
        .whiteout("home/me/notes")
        .entry("home/me/link", EntryKind::Symlink(b"/etc/passwd".to_vec()), 0o777, b"");
    Image::new(names)
        .layer(base, "ADD rootfs.tar / # <base> & more")
        .step("ENV A=1")
        .layer(middle, "RUN rm -r /gone")
        .layer(top, "COPY . /home/me")
        .config("Env", json!(["PATH=/bin", "A=1"]))
        .config("Cmd", json!(["/bin/sh"]))
        .config("Labels", json!({ "org.example.note": "<a> & \"b\"" }))
        .config("ExposedPorts", json!({ "80/tcp": {} }))
        .config("WorkingDir", json!("/home/me"))
}

/// Fails unless a folder looks as an image's layers say.
#[track_caller]
pub(super) fn must_look_like(folder: &Path, image: &Image, what: &str) {
    Tree::read(folder).unwrap().must_equal(&oracle::apply(image.layers()), what);
}

/// The same for a folder that another tool unpacked: none of them keeps the time of the root.
#[track_caller]
pub(super) fn must_look_like_but_for_the_root(folder: &Path, expected: &Tree, what: &str) {
    let mut found = Tree::read(folder).unwrap();
    let time = expected.get("").map(|root| root.mtime).unwrap_or_default();
    found.nodes.get_mut(b"".as_slice()).unwrap().mtime = time;
    found.must_equal(expected, what);
}

/// Fails unless mica has an image as it was made: its id, its diff ids, its configuration, and
/// every file of it.
#[track_caller]
pub(super) fn must_have(mica: &Mica, name: &str, image: &Image, what: &str) {
    let shown = &mica.json(&format!("inspect {name}"))[0];
    assert_eq!(shown["Id"], json!(image.id()), "{what}");
    assert_eq!(shown["RootFS"]["Layers"], json!(image.diff_ids()), "{what}");
    let config = fs::read(mica.root().join("blobs/sha256").join(&image.id()[7..])).unwrap();
    assert_eq!(config, image.document(), "{what}");
    let path = mica.ok(&format!("image mount {name}"));
    must_look_like(path.as_ref(), image, what);
    mica.ok(&format!("image unmount {name}"));
    mica.must_be_whole();
}

/// The digest of the configuration and the documents that a manifest names, for a layout or a
/// folder of blobs.
pub(super) fn manifest_of(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")))
        .unwrap()
}
