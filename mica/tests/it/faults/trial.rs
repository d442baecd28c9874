//! One blow and what must hold after it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use testkit::Tree;

use super::ground::{Ground, Said};
use super::scenario::{Scenario, Start};
use super::truth::{Named, Whole, read_archive, trees};
use super::victim::{self, Blow, Deed, Step};

/// How a scenario goes when nothing happens.
pub(super) struct Golden {
    /// Images and names before the command.
    pub before: Named,
    /// And after it.
    pub after: Named,
    /// The store when all is cleared away.
    pub whole: Whole,
    /// How the images look then.
    pub trees: BTreeMap<String, Tree>,
    /// The calls that the command makes.
    pub calls: Vec<Step>,
    /// The storage driver, which a store chooses when it is made.
    pub driver: Value,
    /// What was in the file that it writes, before and after.
    pub output: [Option<Vec<u8>>; 2],
}

impl Golden {
    /// Runs a scenario undisturbed, and after it perhaps another command.
    pub(super) fn run(
        ground: &Ground,
        scenario: &Scenario,
        then: Option<&[&str]>,
    ) -> Result<Golden, String> {
        prepare(ground, scenario)?;
        let before = Named::read(&ground.root)?;
        let written = || scenario.output.and_then(|name| fs::read(ground.folder.join(name)).ok());
        let old = written();
        let ended = victim::run(ground, scenario, None)?;
        if !ended.said.status.success() {
            return Err(format!("undisturbed, it {}", ended.said.told()));
        }
        then.map(|words| ground.must(words)).transpose()?;
        let after = Named::read(&ground.root)?;
        let output = [old, written()];
        let whole = clear(ground)?;
        let trees = trees(ground)?;
        let driver = driver(ground)?;
        Ok(Golden { before, after, whole, trees, calls: ended.calls, driver, output })
    }
}

fn driver(ground: &Ground) -> Result<Value, String> {
    let info = ground.must(&["info", "--format", "json"])?;
    let info: Value = serde_json::from_str(&info).map_err(|error| error.to_string())?;
    Ok(info["Driver"].clone())
}

/// How many users the mounts of images have, those that are mounted.
fn users(ground: &Ground) -> Result<i64, String> {
    let told = ground.must(&["image", "mount", "--format", "{{.Count}}"])?;
    Ok(told.lines().map(|line| line.trim().parse::<i64>().unwrap_or_default()).sum())
}

fn prepare(ground: &Ground, scenario: &Scenario) -> Result<(), String> {
    scenario.prepare.iter().try_for_each(|words| ground.must(words).map(drop))
}

/// Clears away what may go, and reads what is left, which must be whole.
fn clear(ground: &Ground) -> Result<Whole, String> {
    ground.must(&["image", "unmount", "-a"])?;
    ground.must(&["system", "prune", "-f"])?;
    let checked = ground.run(&["system", "check"], None)?;
    if !checked.status.success() || !checked.out.contains("all is well") {
        return Err(format!("when all is cleared away, the check {}", checked.told()));
    }
    for folder in ["ingest", "trash", "leases"] {
        let left = fs::read_dir(ground.root.join(folder)).map_err(|error| error.to_string())?;
        let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
        if !left.is_empty() {
            return Err(format!("{folder} still holds {left:?}"));
        }
    }
    // Layers may stay mounted for whoever comes next; what people look into may not.
    let views: Vec<_> =
        ground.mounts().into_iter().filter(|at| !at.starts_with("layers")).collect();
    if !views.is_empty() {
        return Err(format!("still mounted: {views:?}"));
    }
    Whole::read(&ground.root)
}

/// Strikes a blow on a fresh copy of a store and looks at everything that must hold afterwards.
/// Says whether the command got as far as the blow; what is wrong comes with the call in words.
pub(super) fn strike(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    blow: Blow,
) -> Result<bool, String> {
    prepare(ground, scenario)?;
    let ended = victim::run(ground, scenario, Some(blow))?;
    let call = match ended.calls.last().filter(|_| ended.struck) {
        Some(_) => ended.calls[blow.at].text.clone(),
        None => "it came to its end before".to_owned(),
    };
    let deed = if ended.struck { Some(blow.deed) } else { None };
    let judged = judge_words(&ended.said, deed)
        .and_then(|()| judge(ground, scenario, golden, &ended.said, deed));
    judged.map(|()| ended.struck).map_err(|why| format!("[{call}] {why}"))
}

/// A command that was not killed says how it failed, and why, and what to do.
pub(super) fn judge_words(said: &Said, deed: Option<Deed>) -> Result<(), String> {
    let fails = match deed {
        Some(Deed::Kill | Deed::KillBeside) => return Ok(()),
        Some(Deed::BadDevice | Deed::NoSpace) => true,
        Some(Deed::Meanwhile(_)) | None => false,
    };
    if said.status.success() {
        return Ok(());
    }
    let Some(code) = said.status.code() else { return Err(said.told()) };
    if !fails || said.error.contains("panicked") || code > 125 {
        return Err(said.told());
    }
    let explained = said.error.lines().any(|line| line.starts_with("  because: "))
        || said.error.contains("(os error ");
    // Where a command's words go is not the store's disk.
    let hinted =
        said.error.contains("hint: ") || said.error.contains("cannot write to standard output");
    match deed {
        Some(Deed::NoSpace) if !hinted => Err(format!("no advice: it {}", said.told())),
        _ if !explained && !hinted => Err(format!("no reason: it {}", said.told())),
        _ => Ok(()),
    }
}

/// Looks at everything that must hold after a blow, and clears away.
pub(super) fn judge(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    said: &Said,
    deed: Option<Deed>,
) -> Result<(), String> {
    only_left_overs(ground, scenario)?;
    let named = Named::read(&ground.root)?;
    let acknowledged = said.status.success();
    wholly_there_or_gone(&named, scenario, golden, acknowledged)?;
    if scenario.start != Start::Damaged {
        every_image_is_sound(ground, &named)?;
    }
    output_is_whole(ground, scenario, golden, acknowledged)?;
    if !matches!(deed, Some(Deed::Meanwhile(_))) {
        repeats(ground, scenario)?;
        output_is_whole(ground, scenario, golden, true)?;
    }
    let found = clear(ground)?;
    let differences = golden.whole.differences(&found);
    if scenario.start == Start::Nothing && driver(ground)? != golden.driver {
        // A kernel that refuses to mount for the best driver gets the next one.
        return Ok(());
    }
    if !differences.is_empty() {
        return Err(format!("not as without a fault: {}", differences.join("; ")));
    }
    for (id, tree) in trees(ground)? {
        let differences = golden.trees.get(&id).map(|wanted| tree.differences(wanted));
        match differences {
            Some(none) if none.is_empty() => {}
            other => return Err(format!("image {id} looks different: {other:?}")),
        }
    }
    Ok(())
}

/// The check names nothing but what can be swept away.
pub(super) fn only_left_overs(ground: &Ground, scenario: &Scenario) -> Result<(), String> {
    let said = ground.run(&["system", "check", "--format", "json"], None)?;
    let report: Value = serde_json::from_str(&said.out)
        .map_err(|error| format!("the check {}: {error}", said.told()))?;
    let harmless = |fault: &Value| match scenario.start {
        Start::Damaged => !fault["Remedy"].is_null(),
        _ => fault["Remedy"] == "remove it",
    };
    let faults = report["Faults"].as_array().ok_or("the check has no list of faults")?;
    match faults.iter().find(|fault| !harmless(fault)) {
        Some(fault) => Err(format!("the check finds {fault}")),
        None => Ok(()),
    }
}

/// What a command that ended well did is there; what it began is wholly there or not at all.
fn wholly_there_or_gone(
    named: &Named,
    scenario: &Scenario,
    golden: &Golden,
    acknowledged: bool,
) -> Result<(), String> {
    let fits = match (acknowledged, scenario.in_steps) {
        (true, _) => *named == golden.after,
        (false, true) => named.is_between(&golden.before, &golden.after),
        (false, false) => *named == golden.before || *named == golden.after,
    };
    let stand = named
        .names
        .values()
        .all(|name| name["image"].as_str().is_some_and(|image| named.images.contains_key(image)));
    match fits && stand {
        true => Ok(()),
        false => Err(format!(
            "(acknowledged: {acknowledged}) there are {named:?}; before {:?}, after {:?}",
            golden.before, golden.after
        )),
    }
}

/// Every image is listed, can be looked into, and leaves with the bytes that its id promises.
fn every_image_is_sound(ground: &Ground, named: &Named) -> Result<(), String> {
    let listed = ground.must(&["images", "-a", "-q", "--no-trunc"])?;
    let ids: Vec<&str> = named.images.keys().map(String::as_str).collect();
    if let Some(id) = ids.iter().find(|id| !listed.lines().any(|line| line == **id)) {
        return Err(format!("{id} is not listed"));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let shown = ground.must(&[&["image", "inspect"], ids.as_slice()].concat())?;
    let shown: Vec<Value> = serde_json::from_str(&shown).map_err(|error| error.to_string())?;
    ground.must(&[&["save", "-o", "proof.tar"], ids.as_slice()].concat())?;
    let proof = ground.folder.join("proof.tar");
    let saved = read_archive(&proof)?;
    fs::remove_file(&proof).map_err(|error| error.to_string())?;
    let inspected: BTreeMap<String, Vec<String>> = shown
        .iter()
        .map(|image| {
            let layers = image["RootFS"]["Layers"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&image["Id"]), layers.map(text).collect())
        })
        .collect();
    match saved == inspected && saved.keys().eq(named.images.keys()) {
        true => Ok(()),
        false => Err(format!("saved {saved:?}, inspected {inspected:?}")),
    }
}

/// The file that a command writes is the old one, the new one, or not there.
fn output_is_whole(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    acknowledged: bool,
) -> Result<(), String> {
    let Some(name) = scenario.output else { return Ok(()) };
    let there = fs::read(ground.folder.join(name)).ok();
    let [old, new] = &golden.output;
    match there == *new || (there == *old && !acknowledged) {
        true => Ok(()),
        false => Err(format!("{name} has {:?} bytes", there.map(|bytes| bytes.len()))),
    }
}

/// The command can be given again, and then it works.
fn repeats(ground: &Ground, scenario: &Scenario) -> Result<(), String> {
    let before = users(ground)?;
    let again = ground.run(scenario.command, scenario.input)?;
    let (after, wanted) = (users(ground)?, (before + scenario.users).max(0));
    if scenario.users != 0 && again.status.success() && after != wanted {
        return Err(format!("{after} users of mounts instead of {wanted}"));
    }
    let done = scenario.done.is_some_and(|words| again.error.contains(words));
    match again.status.success() || (done && again.status.code() == Some(1)) {
        true => Ok(()),
        false => Err(format!("repeated, it {}", again.told())),
    }
}
