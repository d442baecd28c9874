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
//! Some of the calls are tried, spread evenly. `MICA_FAULTS_SEED=7` takes others, as that number
//! has it; `MICA_FAULTS=full` tries all of them, and `MICA_FAULTS=rmi` all of the commands whose
//! name has `rmi` in it.

pub(crate) mod call;
mod documents;
mod fixtures;
mod full_disk;
mod golden;
mod ground;
mod heal;
mod matrix;
mod read_only;
mod reboot;
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

/// So many distinct points the promise is about, at the least.
const POINTS: usize = 500;

#[test]
fn a_blow_before_any_call_loses_nothing() {
    need_root!();
    let round = |deed, points| Round { deed, points, wants: |_| true };
    let rounds = [
        round(Deed::Kill, 20),
        round(Deed::BadDevice, 4),
        round(Deed::NoSpace, 4),
        round(Deed::Unreadable, 4),
    ];
    let Some(tally) = run(&rounds) else { return };
    tally.judge("blows");
    let kills = tally.of_kind("kill");
    let part = matrix::asked().is_some_and(|value| value != "full");
    assert!(kills >= POINTS || part, "killed at only {kills} points");
}

#[test]
fn two_at_once_end_like_one_after_the_other() {
    need_root!();
    // What the command counts on, or makes, is taken away while it works.
    const PRUNE: Deed = Deed::Meanwhile(&["system", "prune", "-f"]);
    const PRUNE_IMAGES: Deed = Deed::Meanwhile(&["image", "prune", "-a", "-f"]);
    const OTHER: Deed = Deed::Meanwhile(&["rmi", "-f", "other:1"]);
    const APP: Deed = Deed::Meanwhile(&["rmi", "-f", "app:1"]);
    const MOUNT: Deed = Deed::Meanwhile(&["image", "mount", "app:1"]);
    const BIG: Deed = Deed::Meanwhile(&["load", "-i", "@big.tar"]);
    let round = |deed, points, wants| Round { deed, points, wants };
    let rounds = [
        round(Deed::KillBeside, 6, |one| one.name.starts_with("load")),
        round(PRUNE, 10, |one| {
            is(one, &["import", "load pair", "load pipe", "migrate", "save", "mount"])
        }),
        round(PRUNE_IMAGES, 10, |one| is(one, &["load turned", "mount", "tag"])),
        round(OTHER, 26, |one| is(one, &["import known"])),
        round(APP, 20, |one| is(one, &["load turned", "load pair", "mount", "unmount", "tag"])),
        round(MOUNT, 16, |one| {
            is(one, &["migrate", "rmi", "rmi mounted", "unmount", "image prune all"])
        }),
        round(BIG, 16, |one| is(one, &["load", "image prune all", "system prune"])),
    ];
    if let Some(tally) = run(&rounds) {
        tally.judge("meetings");
    }
}

fn is(scenario: &Scenario, names: &[&str]) -> bool {
    names.contains(&scenario.name)
}

/// Strikes all blows, in memory and on a disk; nothing where calls cannot be held.
fn run(rounds: &[Round]) -> Option<Tally> {
    let inputs = Mounted::folder();
    let folder: PathBuf = inputs.path().join("inputs");
    fixtures::write(&folder);
    let mut trial = std::process::Command::new(env!("CARGO_BIN_EXE_mica"));
    match sys::trace::spawn(
        trial.arg("version").stdout(std::process::Stdio::null()),
        &[sys::trace::CHANGING],
    ) {
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
