//! SIGKILL of a command, of a container's monitor and of both, before any of the calls by which
//! they and the container's first process change something; and many commands at once.
//!
//! Some of the calls are tried, spread evenly; `MICA_FAULTS=full` tries all of them.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sys::trace::{CHANGING, Call, LIVING, Seen, Watch};

use super::support::{Root, entries, eventually, groups, kill};
use crate::faults::call::changes;
use crate::support::Run;

/// A command, and what is done before it.
struct Scenario {
    verb: &'static str,
    before: &'static str,
    line: &'static str,
}

const RUN: &str = "run -d -p 127.0.0.1::80 --ipc shareable --name victim bb sleep 600";

const SCENARIOS: [Scenario; 6] = [
    Scenario { verb: "run", before: "", line: RUN },
    Scenario { verb: "run", before: "", line: "run --rm -p 127.0.0.1::80 --name victim bb true" },
    Scenario { verb: "stop", before: RUN, line: "stop -t 0 victim" },
    Scenario { verb: "rm", before: RUN, line: "rm -f victim" },
    Scenario { verb: "commit", before: RUN, line: "commit victim made:1" },
    Scenario { verb: "connect", before: RUN, line: "network connect one victim" },
];

/// Who is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Command,
    Monitor,
    Both,
}

/// Who is killed, and before which call.
type Blow = (Victim, usize);

/// How many calls of a scenario are tried with each victim.
const POINTS: usize = 4;

#[test]
fn whoever_is_killed_nothing_is_lost_and_nothing_left() {
    if Root::new().is_none() {
        return;
    }
    let mut trial = Command::new("/bin/true");
    match sys::trace::spawn(trial.stdout(Stdio::null()), &[CHANGING]) {
        Ok((mut child, _)) => drop((child.kill(), child.wait())),
        Err(error) => {
            testkit::skip(format!("system calls cannot be held here: {error}"));
            return;
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(scenario) = SCENARIOS.get(next.fetch_add(1, Ordering::Relaxed)) {
            try_all(scenario);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}

fn try_all(scenario: &Scenario) {
    let Some(root) = Root::new() else { return };
    root.ok("network create one");
    let calls = strike(&root, scenario, None);
    let full = std::env::var("MICA_FAULTS").is_ok_and(|value| value == "full");
    let points = if full { calls } else { POINTS };
    for victim in [Victim::Command, Victim::Monitor, Victim::Both] {
        for point in 0..points {
            // Each victim has calls of its own.
            let at = (point * 3 + victim as usize) * calls / (points * 3);
            strike(&root, scenario, Some((victim, at)));
        }
    }
    eventually("the monitors end", || root.monitors().is_empty());
    root.ok("system prune -f");
    assert!(root.ok("system check").contains("all is well"));
}

/// Runs a scenario, with somebody killed before one of its calls, and judges what has come of it.
/// Says how many calls there were.
fn strike(root: &Root, scenario: &Scenario, blow: Option<Blow>) -> usize {
    let mica = env!("CARGO_BIN_EXE_mica");
    let script = match scenario.before {
        "" => format!("exec {mica} {}", scenario.line),
        before => format!("{mica} {before} && exec {mica} {}", scenario.line),
    };
    let mut command = root.program("/bin/sh");
    command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut child, watch) = sys::trace::spawn(&mut command, &[CHANGING, LIVING]).unwrap();
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (watch, over, calls) = (&watch, &over, &calls);
    std::thread::scope(|scope| {
        // However this ends: whoever outlives the command makes calls until all is cleared away.
        let _over = Guard(over);
        scope.spawn(move || Scene::new(scenario, blow).play(watch, over, calls));
        let status = child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let calls = calls.load(Ordering::Relaxed);
        tells_the_truth(root, scenario, status, blow);
        clears_away(root, blow);
        calls
    })
}

/// Says that a scene is over when it goes.
struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is known of a scenario's processes while it is played.
struct Scene<'a> {
    scenario: &'a Scenario,
    blow: Option<Blow>,
    command: Option<u32>,
    monitor: Option<u32>,
}

impl Scene<'_> {
    fn new(scenario: &Scenario, blow: Option<Blow>) -> Scene<'_> {
        Scene { scenario, blow, command: None, monitor: None }
    }

    /// Lets all calls pass, after the blow for one of them.
    fn play(mut self, watch: &Watch, over: &AtomicBool, calls: &AtomicUsize) {
        while !over.load(Ordering::Relaxed) {
            match watch.next(Duration::from_millis(20)).unwrap() {
                Seen::Call(call) => {
                    if self.counts(&call) {
                        self.strike(calls.fetch_add(1, Ordering::Relaxed));
                    }
                    watch.allow(&call).unwrap();
                }
                Seen::End => std::thread::sleep(Duration::from_micros(200)),
                Seen::Silence => {}
            }
        }
    }

    /// Whether a call is one of the command, of its monitor, or of their children, and may change
    /// something.
    fn counts(&mut self, call: &Call) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", call.thread)).unwrap_or_default();
        let is_said = |word: &str| line.split(|byte| *byte == 0).any(|one| one == word.as_bytes());
        let of = || {
            let status = fs::read_to_string(format!("/proc/{}/status", call.thread)).ok()?;
            status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
        };
        if is_said("__watch") {
            self.monitor = self.monitor.or_else(of);
        } else if is_said(self.scenario.verb) {
            self.command = self.command.or_else(of);
        } else {
            return false;
        }
        self.command.is_some() && (changes(call) || LIVING.iter().any(|one| one.0 == call.name))
    }

    /// Kills when it is time, the monitor as soon as there is one.
    fn strike(&mut self, number: usize) {
        let Some((victim, at)) = self.blow else { return };
        let monitor = self.monitor.filter(|_| victim != Victim::Command);
        if number < at || (victim == Victim::Monitor && monitor.is_none()) {
            return;
        }
        let command = self.command.filter(|_| victim != Victim::Monitor);
        command.into_iter().chain(monitor).for_each(|pid| kill(pid, "KILL"));
        self.blow = None;
    }
}

/// What a command has reported is so, and what runs is said to run.
#[track_caller]
fn tells_the_truth(root: &Root, scenario: &Scenario, status: ExitStatus, blow: Option<Blow>) {
    root.ok("ps -a");
    let look = || root.run("inspect -f '{{.State.Status}} {{.State.Pid}}' victim");
    let is_true = |shown: &Run| {
        let (state, pid) = shown.out.trim_end().split_once(' ').unwrap_or_default();
        let is_there = pid != "0" && fs::exists(format!("/proc/{pid}/root")).unwrap_or_default();
        state != "running" || is_there
    };
    let mut shown = look();
    // One that is ending may have ended since; then it is soon said to have.
    if !is_true(&shown) {
        eventually(&format!("what runs is there ({blow:?})"), || is_true(&look()));
        shown = look();
    }
    let (state, _) = shown.out.trim_end().split_once(' ').unwrap_or_default();
    if !status.success() || matches!(blow, Some((Victim::Monitor | Victim::Both, _))) {
        return;
    }
    let line = scenario.line;
    match scenario.verb {
        "run" => assert_eq!(state == "running", line.contains("-d"), "{line} {blow:?}: {shown}"),
        "stop" => assert_eq!(state, "exited", "{blow:?}"),
        "rm" => assert_eq!(state, "", "{blow:?}"),
        "commit" => drop(root.ok("image inspect made:1")),
        _ => assert!(root.ok("ps --format '{{.Networks}}'").contains("one"), "{blow:?}"),
    }
}

/// Everything can be cleared away, and then nothing is left.
#[track_caller]
fn clears_away(root: &Root, blow: Option<Blow>) {
    let ids = root.containers();
    root.run("rm -f victim");
    root.run("rmi -f made:1");
    root.ok("container prune -f");
    root.ok("network prune -f");
    root.ok("network create one");
    assert_eq!(root.containers(), [""; 0], "{blow:?}");
    assert_eq!(entries(&root.root().join("snapshots")).len(), 0, "{blow:?}");
    for id in &ids {
        assert!(groups(id).is_empty(), "{blow:?}: {:?}", groups(id));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!ids.iter().any(|id| mounts.contains(id)), "{blow:?}");
    assert_eq!(root.links_and_rules(), [""; 0], "{blow:?}");
    for folder in entries(&root.root().with_file_name("run")) {
        for below in ["containers", "networks/ports"] {
            let left = entries(&folder.join(below));
            assert!(left.is_empty(), "{blow:?}: {left:?}");
        }
    }
}

#[test]
fn a_hundred_from_twenty_at_once_leave_nothing() {
    let Some(root) = Root::new() else { return };
    std::thread::scope(|scope| {
        for worker in 0..20 {
            let root = &root;
            scope.spawn(move || {
                for number in 0..5 {
                    let cid = root.path(format!("cid-{worker}-{number}"));
                    let options = format!("--rm --cidfile {} -p 127.0.0.1::80", cid.display());
                    let run = root.run(&format!("run {options} bb sh -c 'exit {worker}'"));
                    assert_eq!(run.code, worker, "{run}");
                }
            });
        }
    });
    let cids = entries(root.root().parent().unwrap()).into_iter().chain(entries(&root.path("")));
    let cids = cids.filter(|path| path.to_string_lossy().contains("/cid-"));
    let ids: Vec<String> = cids.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(ids.len(), 100);
    root.must_be_clean(&ids);
    let ports = |folder: &std::path::PathBuf| entries(&folder.join("networks/ports")).len();
    assert_eq!(entries(&root.root().with_file_name("run")).iter().map(ports).sum::<usize>(), 0);
}

#[test]
fn a_thousand_are_made_listed_and_removed() {
    let Some(root) = Root::new() else { return };
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let root = &root;
            scope.spawn(move || {
                for number in 0..250 {
                    root.ok(&format!("create --name c{worker}-{number} bb true"));
                }
            });
        }
    });
    assert_eq!(root.ok("ps -aq").lines().count(), 1000);
    assert_eq!(root.containers().len(), 1000);
    root.ok("container prune -f");
    root.must_be_clean(&[]);
}
