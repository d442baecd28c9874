//! Jobs with containers: run, look, change, commit, many at once.
//!
//! All run one root made of busybox. crun and runc, which know no images, get the bundle that mica
//! makes of it: the same namespaces, mounts, powers and filter of system calls.

use super::Contender;
use crate::bench::tools::{Lab, Step};

/// The name of mica's and of podman's store for containers.
pub(in crate::bench) const STORE: &str = "run";
const ROOT: &str = r#"
mkdir -p "$1/rootfs/bin" "$1/rootfs/etc" "$1/rootfs/proc" "$1/rootfs/sys" "$1/rootfs/dev"
cp "$(command -v busybox)" "$1/rootfs/bin/busybox"
for word in true sh sleep seq; do ln -sf busybox "$1/rootfs/bin/$word"; done
tar -C "$1/rootfs" -cf "$1/root.tar" .
for file in hosts hostname resolv.conf; do echo > "$1/$file"; done
"#;
const CHANGE: &str = "mkdir /new; for i in $(seq 1000); do echo $i > /new/$i; done";
/// Removes all containers, those that run too.
const REMOVE_ALL: &str =
    r#"for id in $("$@" ps -aq); do "$@" rm -f "$id" > /dev/null & done; wait"#;

/// What is timed of an engine, by its name, and how it is called.
struct Side {
    tool: &'static str,
    image: &'static str,
    call: fn(&Lab, &[&str]) -> Step,
}

/// What mica calls the image.
pub(super) const IMAGE: &str = "bb:1";

const MICA: Side = Side { tool: "mica", image: IMAGE, call: |lab, words| lab.mica(STORE, words) };
const PODMAN: Side =
    Side { tool: "podman", image: "localhost/bb:1", call: |lab, words| lab.podman(STORE, words) };

impl Side {
    /// One that has the image.
    fn contender(&self, lab: &Lab, timed: Step) -> Contender {
        let tar = lab.path("bundle/root.tar");
        let import = (self.call)(lab, &["import", tar.as_str(), self.image]);
        Contender::new(self.tool, timed).once(root(lab)).once(import)
    }

    /// `run` without a network, with flags before the image and words after it.
    fn run(&self, lab: &Lab, flags: &[&str], words: &[&str]) -> Step {
        let image = [self.image];
        let all = [&["run", "--network", "none"], flags, &image, words].concat();
        (self.call)(lab, &all)
    }

    fn remove_all(&self, lab: &Lab) -> Step {
        (self.call)(lab, &[]).in_script(REMOVE_ALL)
    }
}

/// The root file system, its tar, and the bundle around it.
pub(super) fn root(lab: &Lab) -> Step {
    Step::shell(ROOT, &[&lab.path("bundle")])
}

pub(super) fn run(lab: &Lab) -> Vec<Contender> {
    let bundle = lab.path("bundle");
    let bare = |tool: &'static str| {
        let state = lab.path(&format!("{tool}-state"));
        let words = ["--root", state.as_str(), "run", "--bundle", bundle.as_str(), "one"];
        Contender::new(tool, Step::new(tool, &words)).once(root(lab))
    };
    let engines =
        [&MICA, &PODMAN].map(|side| side.contender(lab, side.run(lab, &["--rm"], &["true"])));
    engines.into_iter().chain(["crun", "runc"].map(bare)).collect()
}

pub(super) fn bridge(lab: &Lab) -> Vec<Contender> {
    let timed =
        |side: &Side| side.contender(lab, (side.call)(lab, &["run", "--rm", side.image, "true"]));
    vec![timed(&MICA), timed(&PODMAN)]
}

pub(super) fn exec(lab: &Lab) -> Vec<Contender> {
    let timed = |side: &Side| {
        let held = side.run(lab, &["-d", "--name", "held"], &["sleep", "3600"]);
        side.contender(lab, (side.call)(lab, &["exec", "held", "true"]))
            .once(held)
            .last(side.remove_all(lab))
    };
    vec![timed(&MICA), timed(&PODMAN)]
}

pub(super) fn commit(lab: &Lab) -> Vec<Contender> {
    on_changed(lab, &["commit", "changed", "localhost/changed:1"])
        .into_iter()
        .map(|(side, contender)| contender.after((side.call)(lab, &["rmi", "localhost/changed:1"])))
        .collect()
}

pub(super) fn changes(lab: &Lab) -> Vec<Contender> {
    on_changed(lab, &["diff", "changed"]).into_iter().map(|(_, contender)| contender).collect()
}

/// One command on a container that has written 1,000 files.
fn on_changed(lab: &Lab, words: &[&str]) -> Vec<(&'static Side, Contender)> {
    let timed = |side: &'static Side| {
        let change = side.run(lab, &["--name", "changed"], &["sh", "-c", CHANGE]);
        let contender = side.contender(lab, (side.call)(lab, words));
        (side, contender.once(change).last(side.remove_all(lab)))
    };
    vec![timed(&MICA), timed(&PODMAN)]
}

/// The others would need minutes to make as many.
pub(super) fn list(lab: &Lab) -> Vec<Contender> {
    let timed = of_mica(lab, lab.mica(STORE, &["ps", "-a"]));
    vec![timed.once(make_thousand(lab, "ps")).last(remove_mine(lab))]
}

/// mica, with the image, at something.
pub(super) fn of_mica(lab: &Lab, timed: Step) -> Contender {
    MICA.contender(lab, timed)
}

/// Makes a thousand containers of mica's, for a case: what an earlier one made is gone.
pub(super) fn make_thousand(lab: &Lab, case: &str) -> Step {
    let create = lab.mica(STORE, &["create", "--network", "none", IMAGE, "true"]);
    create.in_script(&format!(": {case}; for i in $(seq 1000); do \"$@\" > /dev/null; done"))
}

/// Removes all of mica's.
pub(super) fn remove_mine(lab: &Lab) -> Step {
    MICA.remove_all(lab)
}

pub(super) fn parallel(lab: &Lab) -> Vec<Contender> {
    let timed = |side: &Side| {
        let start = r#"for i in $(seq 50); do "$@" run -d --network none IMAGE sleep 600 > /dev/null & done; wait"#;
        let script = format!("{}\n{REMOVE_ALL}", start.replace("IMAGE", side.image));
        side.contender(lab, (side.call)(lab, &[]).in_script(&script))
    };
    vec![timed(&MICA), timed(&PODMAN)]
}

/// mica's `run` for counting its system calls, and what comes before.
pub(in crate::bench) fn counted(lab: &Lab) -> (Vec<Step>, Step) {
    let contender = MICA.contender(lab, MICA.run(lab, &["--rm"], &["true"]));
    (contender.once, contender.timed)
}

/// Starts so many containers that do nothing; what ends them again.
pub(in crate::bench) fn idle(lab: &Lab, tool: &str, count: usize) -> Option<(Vec<Step>, Step)> {
    let side = [&MICA, &PODMAN].into_iter().find(|side| side.tool == tool)?;
    let contender = side.contender(lab, side.run(lab, &["-d"], &["sleep", "600"]));
    let start = contender.timed.in_script(&format!("for i in $(seq {count}); do \"$@\"; done"));
    Some(([contender.once, vec![start]].concat(), side.remove_all(lab)))
}
