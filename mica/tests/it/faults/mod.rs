//! What the store promises when something goes wrong: the real binary, and a blow before any of
//! the system calls by which it changes something.
//!
//! A command runs on a copy of a store with a seccomp filter that holds every such call. Before
//! one of them the process is killed, or the call fails for want of space or of a good device, or
//! another process gets to work on the same store. Afterwards
//!
//! 1. `system check` names nothing but left-overs that can be swept away;
//! 2. every image that was there, or that the command has reported, is listed, can be inspected,
//!    and is saved with the bytes that its id promises; what the command was changing is wholly as
//!    before or wholly as after;
//! 3. the command, given again, works;
//! 4. after `system prune` the store is, file by file, what it is without a fault, and nothing is
//!    on its way in or out, leased or mounted;
//! 5. `system check` finds all to be well, and every image looks as it should when it is mounted.
//!
//! Some of the calls are tried, spread evenly; with `MICA_FAULTS=all` all of them are, and with
//! `MICA_FAULTS=rmi` all of the commands whose name has `rmi` in it.

mod call;
mod fixtures;
mod full_disk;
mod ground;
mod matrix;
mod scenario;
mod trial;
mod truth;
mod victim;

use std::path::PathBuf;

use ground::Place;
use matrix::{Round, Tally};
use scenario::Scenario;
use testkit::{Mounted, need_root, skip};
use victim::Deed;

/// So many distinct points the promise is about.
const POINTS: usize = 500;

#[test]
fn a_crash_before_any_call_loses_nothing() {
    need_root!();
    let rounds = [Round { deed: Deed::Kill, points: 28, wants: |_| true }];
    let Some(tally) = run(&rounds) else { return };
    tally.judge("kills");
    let part = matrix::asked().is_some_and(|value| value != "all");
    assert!(tally.struck >= POINTS || part, "only {} points", tally.struck);
}

#[test]
fn a_call_that_fails_loses_nothing() {
    need_root!();
    let round = |deed| Round { deed, points: 12, wants: |_| true };
    if let Some(tally) = run(&[round(Deed::BadDevice), round(Deed::NoSpace)]) {
        tally.judge("failing calls");
    }
}

#[test]
fn others_at_work_lose_nothing() {
    need_root!();
    const PRUNE: Deed = Deed::Meanwhile(&["system", "prune", "-f"]);
    // What the command counts on is taken away while it works.
    const OTHER: Deed = Deed::Meanwhile(&["rmi", "-f", "other:1"]);
    const APP: Deed = Deed::Meanwhile(&["rmi", "-f", "app:1"]);
    let loads = |one: &Scenario| one.name.starts_with("load");
    let makes = |one: &Scenario| ["import", "load pair", "load pipe", "save"].contains(&one.name);
    let reuses = |one: &Scenario| ["load turned", "load pair"].contains(&one.name);
    let rounds = [
        Round { deed: Deed::KillBeside, points: 8, wants: loads },
        Round { deed: PRUNE, points: 12, wants: makes },
        Round { deed: OTHER, points: 40, wants: |one| one.name == "import known" },
        Round { deed: APP, points: 24, wants: reuses },
    ];
    if let Some(tally) = run(&rounds) {
        tally.judge("meetings");
    }
}

/// Strikes all blows, in memory and on a disk; nothing where calls cannot be held.
fn run(rounds: &[Round]) -> Option<Tally> {
    let inputs = Mounted::folder();
    let folder: PathBuf = inputs.path().join("inputs");
    fixtures::write(&folder);
    let mut trial = std::process::Command::new(env!("CARGO_BIN_EXE_mica"));
    match sys::trace::spawn(trial.arg("version").stdout(std::process::Stdio::null())) {
        Ok((mut child, _)) => drop((child.kill(), child.wait())),
        Err(error) => {
            skip(format!("system calls cannot be held here: {error}"));
            return None;
        }
    }
    let mut places = vec![Place::memory()];
    match Place::disk() {
        Ok(disk) => places.push(disk),
        Err(why) => skip(format!("no file system of its own to try on: {why}")),
    }
    Some(matrix::run(&places, &folder, rounds))
}
