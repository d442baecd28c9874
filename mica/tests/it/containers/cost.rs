//! What a container costs in system calls: a figure without noise, so that a call too many is seen.

use std::fs;
use std::path::Path;

use super::support::{Root, eventually};
use crate::support::has;

/// The most calls of `run --rm --network none … true`, of the command, its monitor and the
/// container together, without those that merely start a program of ours, those that get memory
/// (their number goes with the length of paths), and those of control groups.
const MOST: usize = 304;
/// What each tree of control groups of version 1 adds: made, entered (two), shown inside, removed.
/// What is written into them, for devices, is there already.
const MOST_A_TREE: usize = 5;
/// What all of them add: the folder that shows them is looked for.
const MOST_OF_PLACES: usize = 1;
/// What a tree of version 2 adds where others lack a controller: looked at, made, opened, closed,
/// removed; where there is no other one, it is shown inside and has a program for devices.
const MOST_OF_UNIFIED: usize = 5;
const MOST_OF_ONLY_UNIFIED: usize = 20;
/// Two processes may meet in another order when the machine is busy, which takes a call more or
/// less here and there.
const SLACK: usize = 15;

#[test]
fn a_container_without_a_network_takes_few_calls() {
    if !has("strace") {
        testkit::skip("strace is not installed");
        return;
    }
    let Some(root) = Root::new() else { return };
    let run = "run --rm --network none bb true";
    // What a store's first container makes is there for the next.
    root.ok(run);
    let start = calls(&root, "--version");
    let spent = (0..3).map(|_| {
        eventually("the monitor ends", || root.monitors().is_empty());
        // The monitor is the same program, started once more.
        calls(&root, run).saturating_sub(2 * start)
    });
    let spent = spent.min().unwrap();
    let most = MOST + of_groups() + SLACK;
    assert!(spent <= most, "{spent} calls besides two starts of {start}; {most} are enough");
}

/// The most calls that this machine's control groups take.
fn of_groups() -> usize {
    let list = fs::read_to_string("/proc/self/cgroup").unwrap();
    let trees = list.lines().filter_map(|line| line.split(':').nth(1));
    let has_systemd = Path::new("/run/systemd/system").exists();
    let is_joined = |tree: &&str| !tree.is_empty() && (has_systemd || *tree != "name=systemd");
    let trees: Vec<_> = trees.filter(is_joined).collect();
    if trees.is_empty() {
        return MOST_OF_ONLY_UNIFIED;
    }
    let has = |name: &str| trees.iter().any(|tree| tree.split(',').any(|one| one == name));
    let all = ["blkio", "cpu", "cpuset", "devices", "freezer", "memory", "pids"];
    let needed = !all.into_iter().all(has) || has_systemd;
    let unified = Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() && needed;
    trees.len() * MOST_A_TREE + MOST_OF_PLACES + if unified { MOST_OF_UNIFIED } else { 0 }
}

/// The calls of a command and of all processes that come of it.
fn calls(root: &Root, line: &str) -> usize {
    let trace = root.path("trace");
    let own = root.command(line);
    let mut command = root.program("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace).arg(own.get_program()).args(own.get_args());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(trace).unwrap();
    text.lines().filter(|line| is_call(line)).count()
}

/// Calls that get memory and give it back.
const OF_MEMORY: [&str; 6] = ["brk(", "mmap(", "munmap(", "mremap(", "mprotect(", "madvise("];

/// Whether a line begins a call: not its end after another process's, a signal, or an exit; nor a
/// call for memory, nor what a build for tests asks about a descriptor before it closes it.
fn is_call(line: &str) -> bool {
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    let other = ["<...", "+++", "---"].iter().any(|mark| rest.starts_with(mark));
    let of_memory = OF_MEMORY.iter().any(|call| rest.starts_with(call));
    let asked = rest.starts_with("fcntl(") && rest.contains("F_GETFD");
    !(rest.is_empty() || other || of_memory || asked)
}
