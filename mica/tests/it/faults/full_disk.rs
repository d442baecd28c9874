//! A disk that is really full: what does not fit is refused with a clear word, and nothing of it
//! is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use testkit::{Mounted, need_root};

use super::fixtures;
use super::golden::Golden;
use super::ground::{Ground, Place};
use super::matrix::{in_parallel, is_asked_for, lay_all, start_of};
use super::scenario::{SCENARIOS, Scenario};
use super::trial::{judge, judge_words, only_left_overs, prepare};
use super::victim::Deed;

/// Room for the store, and for what commands bring.
const BYTES: u64 = 24 << 20;
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
        *(if fits { &mut done } else { &mut refused }) += 1;
    }
    Ok((refused, done))
}

/// Runs a command with so many bytes to spare, and says whether they were enough.
fn squeeze(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    spare: u64,
) -> Result<bool, String> {
    prepare(ground, scenario)?;
    let filler = ground.folder.join("filler");
    fill(&filler, spare).map_err(|error| error.to_string())?;
    let said = ground.run(scenario.command, scenario.input)?;
    judge_words(&said, Some(Deed::NoSpace), scenario, golden)?;
    fs::remove_file(&filler).map_err(|error| error.to_string())?;
    only_left_overs(ground, scenario)?;
    judge(ground, scenario, golden, &said, Some(Deed::NoSpace))?;
    Ok(said.status.success())
}

/// Fills the file system with a file until so many bytes are left.
fn fill(path: &Path, spare: u64) -> std::io::Result<()> {
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
