//! A disk that is really full: what does not fit is refused with a clear word, and nothing of it
//! is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use testkit::{Mounted, need_root};

use super::fixtures;
use super::ground::{Ground, Place};
use super::scenario::{SCENARIOS, Scenario, Start, lay};
use super::trial::{Golden, judge, judge_words, only_left_overs};
use super::victim::Deed;

/// Room for the store, for a second copy of it, and for what commands bring.
const BYTES: u64 = 48 << 20;
/// KiB that are free when a command begins.
const SPARE: [u64; 14] = [0, 4, 8, 12, 20, 40, 80, 160, 320, 640, 1280, 1800, 2560, 3840];
/// Commands that need room.
const COMMANDS: [&str; 6] =
    ["import", "import gz", "load", "load gz", "load layout pipe", "load pair"];

#[test]
fn a_full_disk_refuses_and_keeps_what_it_has() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let place = Place::tiny(BYTES);
    let start = place.folder.join("start");
    let laid = Ground::empty(start.clone(), &folder).unwrap();
    lay(&laid, Start::Images).unwrap();
    let (mut refused, mut done) = (0, 0);
    for scenario in SCENARIOS.iter().filter(|one| COMMANDS.contains(&one.name)) {
        let copy = |name: &str| Ground::copy(&start, place.folder.join(name), &folder).unwrap();
        let golden = Golden::run(&copy("golden"), scenario, None).unwrap();
        for spare in SPARE {
            let told = squeeze(&copy("trial"), scenario, &golden, spare << 10);
            let fits = told
                .unwrap_or_else(|why| panic!("{} with {spare} KiB to spare: {why}", scenario.name));
            *(if fits { &mut done } else { &mut refused }) += 1;
        }
    }
    println!("full disk: {refused} commands refused, {done} done");
    assert!(refused > COMMANDS.len() * 4 && done >= COMMANDS.len());
}

/// Runs a command with so many bytes to spare, and says whether they were enough.
fn squeeze(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    spare: u64,
) -> Result<bool, String> {
    let filler = ground.folder.join("filler");
    fill(&filler, spare).map_err(|error| error.to_string())?;
    let said = ground.run(scenario.command, scenario.input)?;
    judge_words(&said, Some(Deed::NoSpace))?;
    only_left_overs(ground, scenario)?;
    fs::remove_file(&filler).map_err(|error| error.to_string())?;
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
