//! Jobs that move whole images: load, save, import.

use super::Contender;
use crate::bench::tools::{Lab, Step};

pub(super) fn load_gzip(lab: &Lab) -> Vec<Contender> {
    let mut contenders = loads(lab, "big-gzip.tar", "big:1");
    let layout = format!("{}:1", lab.fixture("big-oci"));
    let bundle = lab.path("umoci-bundle");
    contenders.push(
        Contender::new("umoci", Step::new("umoci", &["unpack", "--image", &layout, &bundle]))
            .before(lab.delete("umoci-bundle"))
            .after(is_folder(&format!("{bundle}/rootfs/usr")))
            .after(lab.delete("umoci-bundle")),
    );
    let line = "mkdir -p \"$1\"; while read -r l || [ -n \"$l\" ]; do \
        tar --numeric-owner -xzpf \"$2/$l\" -C \"$1\"; done <\"$2.layers\"";
    let (place, layout) = (lab.path("tar-root"), lab.fixture("big-oci"));
    contenders.push(tar(lab, Step::shell(line, &[&place, &layout])));
    contenders
}

pub(super) fn load_zstd(lab: &Lab) -> Vec<Contender> {
    let mut contenders = loads(lab, "big-zstd.tar", "big:1");
    contenders.push(unpack_layers(lab, "big-zstd.tar", "--zstd"));
    contenders
}

pub(super) fn load_plain(lab: &Lab) -> Vec<Contender> {
    let mut contenders = loads(lab, "big.tar", "big:1");
    contenders.push(unpack_layers(lab, "big.tar", ""));
    contenders.push(copy(lab, "big.tar"));
    contenders
}

pub(super) fn load_many(lab: &Lab) -> Vec<Contender> {
    let mut contenders = loads(lab, "many.tar", "many999:1");
    // skopeo copies one image at a time.
    contenders.retain(|contender| contender.tool != "skopeo");
    contenders
}

/// An archive into stores that do not have it. That `image` is there afterwards is looked at.
fn loads(lab: &Lab, archive: &str, image: &str) -> Vec<Contender> {
    let there = ["image", "inspect", image];
    let archive = lab.fixture(archive);
    let from = format!("docker-archive:{archive}");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    vec![
        Contender::new("mica", lab.mica("load", &load))
            .before(lab.delete("mica-load"))
            .after(lab.mica("load", &there))
            .after(lab.delete("mica-load")),
        Contender::new("podman", lab.podman("load", &load))
            .before(lab.empty_storage("load"))
            .after(lab.podman("load", &there))
            .after(lab.empty_storage("load")),
        Contender::new(
            "skopeo",
            lab.skopeo("load", &["copy", "--quiet", &from, "containers-storage:localhost/big:1"]),
        )
        .before(lab.empty_storage("load"))
        .after(lab.podman("load", &there))
        .after(lab.empty_storage("load")),
    ]
}

/// Takes the layers out of an archive and unpacks each; whiteouts are left lying.
fn unpack_layers(lab: &Lab, archive: &str, form: &str) -> Contender {
    let line = "mkdir -p \"$1/root\"; tar -xf \"$2\" -C \"$1\"; \
        for l in \"$1\"/blobs/sha256/*; do \
        if [ \"$(head -c 1 \"$l\")\" != '{' ]; then \
        tar $3 --numeric-owner -xpf \"$l\" -C \"$1/root\"; fi; done";
    tar(lab, Step::shell(line, &[&lab.path("tar-root"), &lab.fixture(archive), form]))
}

/// The archive's bytes read, hashed and written once.
fn copy(lab: &Lab, archive: &str) -> Contender {
    let timed = lab.hashed_copy(&lab.fixture(archive), &lab.path("copied"));
    Contender::new("copy", timed).after(lab.delete("copied"))
}

fn tar(lab: &Lab, timed: Step) -> Contender {
    Contender::new("tar", timed).before(lab.delete("tar-root")).after(lab.delete("tar-root"))
}

fn is_folder(path: &str) -> Step {
    Step::new("test", &["-d", path])
}

pub(super) fn load_again(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("big-gzip.tar");
    let from = format!("docker-archive:{archive}");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let copy = ["copy", "--quiet", from.as_str(), "containers-storage:localhost/big:1"];
    let there = ["image", "inspect", "big:1"];
    let (mica, podman) = (lab.mica("keep", &load), lab.podman("keep", &load));
    vec![
        Contender::new("mica", mica.clone()).once(mica).after(lab.mica("keep", &there)),
        Contender::new("podman", podman.clone())
            .once(podman.clone())
            .after(lab.podman("keep", &there)),
        Contender::new("skopeo", lab.skopeo("keep", &copy))
            .once(podman)
            .after(lab.podman("keep", &there)),
    ]
}

pub(super) fn save(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("big-gzip.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let out = lab.path("saved.tar");
    let to = format!("docker-archive:{out}:big:1");
    let drop_out = || lab.delete("saved.tar");
    let whole = || Step::new("tar", &["-tf", &out, "manifest.json"]);
    let root = lab.path("keep-root");
    let unpack = "mkdir -p \"$1\"; tar --numeric-owner -xpf \"$2\" -C \"$1\"";
    vec![
        Contender::new("mica", lab.mica("keep", &["save", "--output", &out, "big:1"]))
            .once(lab.mica("keep", &load))
            .after(whole())
            .after(drop_out())
            .last(lab.delete("mica-keep")),
        Contender::new(
            "podman",
            lab.podman("keep", &["save", "--quiet", "--output", &out, "big:1"]),
        )
        .once(lab.podman("keep", &load))
        .after(whole())
        .after(drop_out()),
        Contender::new(
            "skopeo",
            lab.skopeo("keep", &["copy", "--quiet", "containers-storage:localhost/big:1", &to]),
        )
        .once(lab.podman("keep", &load))
        .after(whole())
        .after(drop_out())
        .last(lab.empty_storage("keep")),
        Contender::new("tar", Step::new("tar", &["-cf", &out, "-C", &root, "."]))
            .once(Step::shell(unpack, &[&root, &lab.fixture("big-root.tar")]))
            .after(drop_out())
            .last(lab.delete("keep-root")),
    ]
}

pub(super) fn import(lab: &Lab) -> Vec<Contender> {
    let root = lab.fixture("big-root.tar");
    let place = lab.path("tar-root");
    let unpack = "mkdir -p \"$1\"; tar --numeric-owner -xpf \"$2\" -C \"$1\"";
    let there = ["image", "inspect", "imported:1"];
    vec![
        Contender::new("mica", lab.mica("load", &["import", &root, "imported:1"]))
            .before(lab.delete("mica-load"))
            .after(lab.mica("load", &there))
            .after(lab.delete("mica-load")),
        Contender::new("podman", lab.podman("load", &["import", "--quiet", &root, "imported:1"]))
            .before(lab.empty_storage("load"))
            .after(lab.podman("load", &there))
            .after(lab.empty_storage("load")),
        tar(lab, Step::shell(unpack, &[&place, &root])),
        copy(lab, "big-root.tar"),
    ]
}

pub(super) fn index(lab: &Lab) -> Vec<Contender> {
    let (program, build) = lab.index_writer();
    let out = lab.path("index");
    let timed = Step::new(&program, &[&lab.fixture("big-root.tar"), &out]);
    vec![Contender::new("mica", timed).once(build).after(lab.delete("index"))]
}
