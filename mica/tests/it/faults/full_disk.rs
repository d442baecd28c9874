//! A disk that is really full: what does not fit is refused with a clear word, and nothing of it
//! is left; what makes room works.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use testkit::{Mounted, need_root, skip};

use super::fixtures;
use super::golden::Golden;
use super::ground::{Ground, Place};
use super::matrix::{in_parallel, is_asked_for, lay_all, start_of};
use super::scenario::{SCENARIOS, Scenario};
use super::trial::{judge, judge_words, only_left_overs, prepare};
use super::victim::Deed;
use crate::containers::support::eventually;

/// Room for the store, and for what commands bring.
const BYTES: u64 = 24 << 20;
/// The same with a journal.
const JOURNALED_BYTES: u64 = 48 << 20;
/// KiB that are free when a command begins that brings layers.
const FOR_LAYERS: [u64; 6] = [0, 8, 40, 160, 800, 3840];
/// The same for one that does not.
const FOR_DOCUMENTS: [u64; 2] = [0, 16];

#[test]
#[allow(clippy::print_stdout)] // The runner keeps a test's output.
fn a_full_disk_refuses_and_keeps_what_it_has() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let outside = Place::memory();
    lay_all(&outside, &folder);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|one| is_asked_for(one)).collect();
    let told = in_parallel(&scenarios, |_, scenario| try_all(scenario, &outside, &folder));
    let (mut refused, mut done) = (0_usize, 0_usize);
    for (told, scenario) in told.into_iter().zip(&scenarios) {
        let (no, yes) = told.unwrap_or_else(|why| panic!("{} {why}", scenario.name));
        println!("{:17} {no:2} refused, {yes:2} done", scenario.name);
        (refused, done) = (refused + no, done + yes);
    }
    println!("full disk: {refused} commands refused, {done} done");
    assert!(refused > scenarios.len() && done > scenarios.len());
}

/// Runs a command with less and less room, and says how often it was refused and how often not.
fn try_all(scenario: &Scenario, outside: &Place, inputs: &Path) -> Result<(usize, usize), String> {
    let place = Place::tiny(BYTES);
    let fresh = |name: &str| {
        Ground::copy(&start_of(outside, scenario.start), place.folder.join(name), inputs)
    };
    let golden = Golden::run(&fresh("golden")?, scenario, None)?;
    let brings = ["import", "load", "first"].iter().any(|word| scenario.name.contains(word));
    let (mut refused, mut done) = (0, 0);
    for spare in if brings { &FOR_LAYERS[..] } else { &FOR_DOCUMENTS } {
        let trial = fresh("trial")?;
        let words = outside.folder.join(format!("said-{}", scenario.name));
        trial.speak_into(&words).map_err(|error| error.to_string())?;
        let fits = squeeze(&trial, scenario, &golden, spare << 10)
            .map_err(|why| format!("with {spare} KiB to spare: {why}"))?;
        if !fits && removes(scenario) {
            return Err(format!("with {spare} KiB to spare it made no room"));
        }
        *(if fits { &mut done } else { &mut refused }) += 1;
    }
    Ok((refused, done))
}

/// Whether it makes room, and so must work where there is none.
fn removes(scenario: &Scenario) -> bool {
    scenario.name.contains("rmi") || scenario.name.contains("prune")
}

/// On a file system whose blocks come back only with its journal, with containers and volumes.
#[test]
fn on_a_full_disk_everything_can_be_removed() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let place = match Mounted::image(&["mkfs.ext4", "-q", "-F", "-b", "1024"], JOURNALED_BYTES) {
        Ok(place) => place,
        Err(why) => return skip(format!("no file system of its own to try on: {why}")),
    };
    let ground = Ground::empty(place.path().join("ground"), &folder).unwrap();
    for words in [
        &["load", "-i", "@base.tar"][..],
        &["import", "@root.tar", "other:1"],
        &["tag", "base:1", "base:2"],
        &["tag", "base:1", "base:3"],
        &["create", "--name", "one", "other:1", "/bin/true"],
        &["create", "--name", "two", "other:1", "/bin/true"],
        &["volume", "create", "v1"],
        &["volume", "create", "v2"],
    ] {
        ground.must(words).unwrap();
    }
    let words = Mounted::folder();
    ground.speak_into(&words.path().join("said")).unwrap();
    let filler = ground.folder.join("filler");
    for words in [
        &["rmi", "base:3"][..],
        &["rm", "one"],
        &["volume", "rm", "v1"],
        &["rmi", "base:2", "base:1"],
        &["container", "prune", "-f"],
        &["volume", "prune", "-a", "-f"],
        &["system", "prune", "-a", "-f"],
    ] {
        stuff(&filler);
        ground.must(words).unwrap_or_else(|why| panic!("on a full disk, {why}"));
    }
    assert_eq!(ground.must(&["images", "-a", "-q"]).unwrap(), "");
    fs::remove_file(&filler).unwrap();
    ground.must(&["system", "check"]).unwrap();
}

/// Appends to a file until not one byte more fits on the disk.
fn stuff(path: &Path) {
    must_be_small(path);
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    // What was freed comes back with the journal, so it is tried again after that is written.
    let mut before = u64::MAX;
    while before != file.metadata().unwrap().len() {
        before = file.metadata().unwrap().len();
        while file.write(&[0; 64 << 10]).is_ok_and(|written| written > 0) {}
        file.sync_all().unwrap();
    }
}

/// No disk but one of these tests' own is ever filled.
fn must_be_small(filler: &Path) {
    let folder = filler.parent().expect("it lies in a folder");
    let (_, all) = sys::fs::space(folder).unwrap();
    assert!(all <= JOURNALED_BYTES, "{} is no disk of this test", folder.display());
}

/// Runs a command with so many bytes to spare, and says whether they were enough.
fn squeeze(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    spare: u64,
) -> Result<bool, String> {
    prepare(ground, scenario)?;
    // Of what is set aside a copy has only holes.
    let reserve = ground.root.join("reserve");
    if let Ok(bytes) = fs::read(&reserve) {
        fs::write(&reserve, bytes).map_err(|error| error.to_string())?;
    }
    let filler = ground.folder.join("filler");
    fill(&filler, spare).map_err(|error| error.to_string())?;
    let said = ground.run(scenario.command, scenario.input)?;
    judge_words(&said, Some(Deed::NoSpace), scenario, golden)?;
    give_back(&filler).map_err(|error| error.to_string())?;
    only_left_overs(ground, scenario)?;
    judge(ground, scenario, golden, &said, Some(Deed::NoSpace))?;
    Ok(said.status.success())
}

/// Fills the file system with a file until so many bytes are left.
fn fill(path: &Path, spare: u64) -> std::io::Result<()> {
    must_be_small(path);
    let mut file = File::create(path)?;
    let folder = path.parent().expect("it lies in a folder");
    let block = [0; 4096];
    loop {
        let (free, _) = sys::fs::space(folder)?;
        if free < spare + block.len() as u64 {
            return Ok(());
        }
        file.write_all(&block)?;
    }
}

/// Removes the filler. A kernel that is just looking for memory to reclaim may hold such a file a
/// little longer than its name.
fn give_back(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().expect("it lies in a folder");
    let bytes = fs::metadata(path)?.len();
    fs::remove_file(path)?;
    eventually("room is there again", || {
        sys::fs::space(folder).is_ok_and(|(free, _)| free >= bytes)
    });
    Ok(())
}
