//! Jobs on images that are in the store: remove, compare, mount, list.

use super::Contender;
use crate::bench::tools::{Lab, Step};

pub(super) fn start(lab: &Lab) -> Vec<Contender> {
    vec![
        Contender::new("mica", lab.mica("load", &["--version"])),
        Contender::new("podman", Step::new("podman", &["--version"])),
        Contender::new("skopeo", Step::new("skopeo", &["--version"])),
        Contender::new("umoci", Step::new("umoci", &["--version"])),
        Contender::new("tar", Step::new("tar", &["--version"])),
    ]
}

pub(super) fn rmi(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("files.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let place = lab.path("tar-root");
    let unpack = "mkdir -p \"$1\"; tar --numeric-owner -xpf \"$2\" -C \"$1\"";
    vec![
        Contender::new("mica", lab.mica("load", &["rmi", "files:1"]))
            .before(lab.mica("load", &load))
            .last(lab.delete("mica-load")),
        Contender::new("podman", lab.podman("load", &["rmi", "files:1"]))
            .before(lab.podman("load", &load)),
        Contender::new(
            "skopeo",
            lab.skopeo("load", &["delete", "containers-storage:localhost/files:1"]),
        )
        .before(lab.podman("load", &load)),
        Contender::new("tar", Step::new("rm", &["-rf", &place]))
            .before(Step::shell(unpack, &[&place, &lab.fixture("files-root.tar")])),
    ]
}

pub(super) fn diff(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("changed.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let diff = ["image", "diff", "changed:2", "changed:1"];
    vec![
        Contender::new("mica", lab.mica("changed", &["image", "diff", "changed:1", "changed:2"]))
            .once(lab.mica("changed", &load))
            .last(lab.delete("mica-changed")),
        Contender::new("podman", lab.podman("changed", &diff))
            .once(lab.podman("changed", &load))
            .last(lab.empty_storage("changed")),
    ]
}

pub(super) fn mount(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("deep.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let (mount, unmount) = (["image", "mount", "deep:1"], ["image", "unmount", "deep:1"]);
    vec![
        Contender::new("mica", lab.mica("deep", &mount))
            .once(lab.mica("deep", &load))
            .after(lab.mica("deep", &unmount))
            // A layer's mount stays until the layer goes.
            .last(lab.mica("deep", &["rmi", "deep:1"])),
        Contender::new("podman", lab.podman("deep", &mount))
            .once(lab.podman("deep", &load))
            .after(lab.podman("deep", &unmount)),
    ]
}

pub(super) fn unmount(lab: &Lab) -> Vec<Contender> {
    let archive = lab.fixture("deep.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let (mount, unmount) = (["image", "mount", "deep:1"], ["image", "unmount", "deep:1"]);
    vec![
        Contender::new("mica", lab.mica("deep", &unmount))
            .once(lab.mica("deep", &load))
            .before(lab.mica("deep", &mount))
            // A layer's mount stays until the layer goes.
            .last(lab.mica("deep", &["rmi", "deep:1"]))
            .last(lab.mica("deep", &["system", "unmount"]))
            .last(lab.delete("mica-deep")),
        Contender::new("podman", lab.podman("deep", &unmount))
            .once(lab.podman("deep", &load))
            .before(lab.podman("deep", &mount))
            .last(lab.empty_storage("deep")),
    ]
}

/// The second of two, of either tool: while podman takes its ten seconds, a machine may forget the
/// programs and the files of whoever comes next, and would be measured at reading them again.
pub(super) fn images(lab: &Lab) -> Vec<Contender> {
    among_many(lab, &["images"])
        .into_iter()
        .map(|contender| match contender.tool {
            "mica" => contender.before(lab.mica("many", &["images"])),
            _ => contender.before(lab.podman("many", &["images"])),
        })
        .collect()
}

pub(super) fn inspect(lab: &Lab) -> Vec<Contender> {
    let mut contenders = among_many(lab, &["image", "inspect", "many500:1"]);
    let load = lab.podman("many", &["load", "--quiet", "--input", &lab.fixture("many.tar")]);
    contenders.push(
        Contender::new(
            "skopeo",
            lab.skopeo("many", &["inspect", "containers-storage:localhost/many500:1"]),
        )
        .once(load),
    );
    contenders
}

pub(super) fn history(lab: &Lab) -> Vec<Contender> {
    among_many(lab, &["history", "many500:1"])
}

pub(super) fn tag(lab: &Lab) -> Vec<Contender> {
    let untag = ["rmi", "other:1"];
    among_many(lab, &["tag", "many500:1", "other:1"])
        .into_iter()
        .map(|contender| match contender.tool {
            "mica" => contender.after(lab.mica("many", &untag)),
            _ => contender.after(lab.podman("many", &untag)),
        })
        .collect()
}

/// One command of mica's and of podman's on stores of 1,000 images.
fn among_many(lab: &Lab, command: &[&str]) -> Vec<Contender> {
    let archive = lab.fixture("many.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    vec![
        Contender::new("mica", lab.mica("many", command)).once(lab.mica("many", &load)),
        Contender::new("podman", lab.podman("many", command)).once(lab.podman("many", &load)),
    ]
}
