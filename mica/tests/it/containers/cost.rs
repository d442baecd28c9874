//! What a container costs in system calls: a figure without noise, so that a call too many is seen.

use std::fs;

use super::support::{Root, eventually};
use crate::support::has;

/// The most calls of `run --rm --network none … true`, of the command, its monitor and the
/// container together, without those that merely start a program of ours.
const MOST: usize = 505;
/// What each tree of control groups of version 1 adds: made, entered, shown inside, removed.
const MOST_A_TREE: usize = 8;

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
    eventually("the monitor ends", || root.monitors().is_empty());
    let start = calls(&root, "--version");
    // The monitor is the same program, started once more.
    let spent = calls(&root, run).saturating_sub(2 * start);
    let trees = fs::read_to_string("/proc/self/cgroup").unwrap();
    let trees = trees.lines().filter(|line| !line.starts_with("0::")).count();
    let most = MOST + trees * MOST_A_TREE;
    assert!(spent <= most, "{spent} calls besides two starts of {start}; {most} are enough");
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

/// Whether a line begins a call: not its end after another process's, a signal, or an exit; nor
/// what a build for tests asks about a descriptor before it closes it.
fn is_call(line: &str) -> bool {
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    let other = ["<...", "+++", "---"].iter().any(|mark| rest.starts_with(mark));
    let asked = rest.starts_with("fcntl(") && rest.contains("F_GETFD");
    !(rest.is_empty() || other || asked)
}
