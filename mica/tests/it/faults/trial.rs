//! One blow and what must hold after it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::golden::{End, Golden, refusal};
use super::ground::{Ground, Said};
use super::scenario::{Scenario, Start};
use super::truth::{Named, Whole, read_archive, trees};
use super::victim::{self, Blow, Deed};

/// The storage driver that a store has chosen.
pub(super) fn driver(ground: &Ground) -> Result<Value, String> {
    let info = ground.must(&["info", "--format", "json"])?;
    let info: Value = serde_json::from_str(&info).map_err(|error| error.to_string())?;
    Ok(info["Driver"].clone())
}

/// How many users the mounts of images have, those that are mounted.
fn users(ground: &Ground) -> Result<i64, String> {
    let told = ground.must(&["image", "mount", "--format", "{{.Count}}"])?;
    Ok(told.lines().map(|line| line.trim().parse::<i64>().unwrap_or_default()).sum())
}

/// What is done before a command, each time anew.
pub(super) fn prepare(ground: &Ground, scenario: &Scenario) -> Result<(), String> {
    scenario.prepare.iter().try_for_each(|words| ground.must(words).map(drop))
}

/// Clears away what may go, and reads what is left, which must be whole.
pub(super) fn clear(ground: &Ground) -> Result<Whole, String> {
    if ground.mounts().iter().any(|at| at.starts_with("views")) {
        ground.must(&["image", "unmount", "-a"])?;
    }
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
        None if matches!(blow.deed, Deed::KillBeside | Deed::Meanwhile(_)) => return Ok(false),
        None => "it came to its end before".to_owned(),
    };
    let deed = if ended.struck { Some(blow.deed) } else { None };
    let judged = judge_words(&ended.said, deed, scenario, golden)
        .and_then(|()| match (&ended.other, deed) {
            (Some(other), _) if other.status.success() => Ok(()),
            (Some(other), Some(Deed::Meanwhile(_))) if is_refusal(other, scenario, golden) => {
                Ok(())
            }
            (Some(other), _) => Err(format!("the other {}", other.told())),
            (None, _) => Ok(()),
        })
        .and_then(|()| judge(ground, scenario, golden, &ended.said, deed));
    judged.map(|()| ended.struck).map_err(|why| format!("[{call}] {why}"))
}

/// A command that was not killed says how it failed, and why, and what to do.
pub(super) fn judge_words(
    said: &Said,
    deed: Option<Deed>,
    scenario: &Scenario,
    golden: &Golden,
) -> Result<(), String> {
    let fails = match deed {
        Some(Deed::Kill | Deed::KillBeside) => return Ok(()),
        Some(Deed::BadDevice | Deed::NoSpace | Deed::Unreadable) => true,
        Some(Deed::Meanwhile(_)) if is_refusal(said, scenario, golden) => return Ok(()),
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

/// Whether a command was told what it would be told if the other one had come before it, or that
/// there is nothing left to do.
fn is_refusal(said: &Said, scenario: &Scenario, golden: &Golden) -> bool {
    let nothing_left = |line: &str| scenario.done.is_some_and(|done| line.contains(done));
    refusal(said).is_some_and(|line| golden.refusals.contains(&line) || nothing_left(&line))
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
    if scenario.start == Start::Nothing && driver(ground)? != golden.driver {
        // A kernel that refuses to mount for the best driver gets the next one.
        return Ok(());
    }
    let differences: Vec<_> = golden.ends.iter().map(|end| end.whole.differences(&found)).collect();
    let Some(at) = differences.iter().position(Vec::is_empty) else {
        return Err(format!("not as without a fault: {}", differences[0].join("; ")));
    };
    for (id, tree) in trees(ground)? {
        let differences = golden.ends[at].trees.get(&id).map(|wanted| tree.differences(wanted));
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
    let ended = golden.ends.iter().any(|end| *named == end.after);
    let between = |end: &End| named.is_between(&golden.before, &end.after);
    let fits = match (acknowledged, scenario.in_steps) {
        (true, _) => ended,
        (false, true) => golden.ends.iter().any(between),
        (false, false) => *named == golden.before || ended,
    };
    let stand = named
        .names
        .values()
        .all(|name| name["image"].as_str().is_some_and(|image| named.images.contains_key(image)));
    match fits && stand {
        true => Ok(()),
        false => Err(format!(
            "(acknowledged: {acknowledged}) there are {named:?}; before {:?}, after {:?}",
            golden.before, golden.ends[0].after
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
    let counted = || if scenario.users == 0 { Ok(0) } else { users(ground) };
    let before = counted()?;
    let again = ground.run(scenario.command, scenario.input)?;
    let (after, wanted) = (counted()?, before + scenario.users);
    if again.status.success() && after != wanted {
        return Err(format!("{after} users of mounts instead of {wanted}"));
    }
    let done = scenario.done.is_some_and(|words| again.error.contains(words));
    match again.status.success() || (done && again.status.code() == Some(1)) {
        true => Ok(()),
        false => Err(format!("repeated, it {}", again.told())),
    }
}
