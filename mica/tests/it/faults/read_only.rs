//! A data root that nobody may write to: those who only look are served, the others are told.

use testkit::{Mounted, need_root};

use super::fixtures;
use super::golden::Golden;
use super::ground::{Ground, Place};
use super::matrix::{in_parallel, is_asked_for, lay_all, start_of};
use super::scenario::{SCENARIOS, Scenario, Start};
use super::trial::{judge, judge_words, prepare};
use super::victim::Deed;

#[test]
fn a_read_only_root_serves_those_who_look() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let place = Place::memory();
    lay_all(&place, &folder);
    let is_there = |one: &&Scenario| one.start != Start::Nothing && is_asked_for(one);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(is_there).collect();
    let told = in_parallel(&scenarios, |at, scenario| {
        let fresh = |name: &str| {
            let folder = place.folder.join(format!("{name}-{at}"));
            Ground::copy(&start_of(&place, scenario.start), folder, &folder_of(&inputs))
        };
        let golden = Golden::run(&fresh("golden")?, scenario, None)?;
        try_one(&fresh("trial")?, scenario, &golden)
    });
    for (told, scenario) in told.into_iter().zip(&scenarios) {
        told.unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
    }
}

fn folder_of(inputs: &Mounted) -> std::path::PathBuf {
    inputs.path().join("inputs")
}

fn try_one(ground: &Ground, scenario: &Scenario, golden: &Golden) -> Result<(), String> {
    prepare(ground, scenario)?;
    ground.freeze().map_err(|error| error.to_string())?;
    let said = ground.run(scenario.command, scenario.input);
    ground.thaw().map_err(|error| error.to_string())?;
    let said = said?;
    judge_words(&said, Some(Deed::NoSpace), scenario, golden)?;
    let served = said.status.success();
    if served != is_served(scenario) {
        return Err(format!("it {}", said.told()));
    }
    if !served && !said.error.contains("hint: name a writable --data-root") {
        return Err(format!("no good advice: it {}", said.told()));
    }
    judge(ground, scenario, golden, &said, Some(Deed::NoSpace))
}

/// Whether a command has no business in the data root but to look.
fn is_served(scenario: &Scenario) -> bool {
    scenario.only_looks || scenario.name.starts_with("unmount")
}
