//! Documents that are cut, empty, garbage or of another kind: an error that says so, with advice,
//! and nothing is lost that the document stood for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Mounted, need_root};

use super::fixtures;
use super::golden::Golden;
use super::ground::{Ground, Place, Said};
use super::matrix::{in_parallel, is_asked_for, lay_all, start_of};
use super::scenario::{SCENARIOS, Scenario, Start};
use super::trial::{judge, prepare};
use super::truth::{Named, trees};
use super::victim::Deed;

/// What can be wrong with a document.
const DAMAGES: [(&str, fn(&[u8]) -> Vec<u8>); 6] = [
    ("cut", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("empty", |_| Vec::new()),
    ("garbage", |_| vec![0xfe; 3000]),
    ("another kind", |_| b"[1, {\"images\": null}]".to_vec()),
    ("null", |_| b"null".to_vec()),
    ("deep", |_| vec![b'['; 200_000]),
];

#[test]
fn damaged_documents_are_errors_and_lose_nothing() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let place = Place::memory();
    lay_all(&place, &folder);
    let fits = |one: &&Scenario| one.start == Start::Images && is_asked_for(one);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(fits).collect();
    let told = in_parallel(&scenarios, |at, scenario| {
        let fresh = |name: &str| {
            let ground = place.folder.join(format!("{name}-{at}"));
            Ground::copy(&start_of(&place, scenario.start), ground, &folder)
        };
        let golden = Golden::run(&fresh("golden")?, scenario, None)?;
        for name in ["format.json", "images.json", "layers.json"] {
            for (what, damage) in DAMAGES {
                let ground = fresh("trial")?;
                let told = try_one(&ground, scenario, &golden, name, damage);
                told.map_err(|why| format!("{name} is {what}: {why}"))?;
            }
        }
        Ok(())
    });
    for (told, scenario) in told.into_iter().zip(&scenarios) {
        told.unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
    }
}

/// Both documents come back from what is there, with the names that the journal knows.
#[test]
fn damaged_documents_are_made_again() {
    need_root!();
    let inputs = Mounted::folder();
    let folder = inputs.path().join("inputs");
    fixtures::write(&folder);
    let place = Place::memory();
    lay_all(&place, &folder);
    let start = start_of(&place, Start::Images);
    let missing: (&str, fn(&[u8]) -> Vec<u8>) = ("missing", |_| Vec::new());
    let names = [&["images.json"][..], &["layers.json"], &["images.json", "layers.json"]];
    let trials = names.iter().flat_map(|names| {
        DAMAGES.into_iter().chain([missing]).map(move |(what, damage)| (*names, what, damage))
    });
    let trials: Vec<_> = trials.collect();
    let told = in_parallel(&trials, |at, (names, what, damage)| {
        let ground = Ground::copy(&start, place.folder.join(format!("renewed-{at}")), &folder)?;
        let before = (Named::read(&ground.root)?, trees(&ground)?);
        for name in *names {
            let path = ground.root.join(name);
            let bytes = fs::read(&path).map_err(|error| error.to_string())?;
            match *what {
                "missing" => fs::remove_file(&path),
                _ => fs::write(&path, damage(&bytes)),
            }
            .map_err(|error| error.to_string())?;
        }
        let said = ground.run(&["system", "check", "--repair"], None)?;
        if !said.status.success() || !said.out.contains("mended: ") {
            return Err(format!("{what}: the repair {}", said.told()));
        }
        let whole = ground.must(&["system", "check"])?;
        let kept = names.iter().all(|name| ground.root.join(format!("{name}.damaged")).exists());
        match (Named::read(&ground.root)?, trees(&ground)?) == before {
            false => {
                Err(format!("{what}: there is {:?}, not {before:?}", Named::read(&ground.root)))
            }
            true if !kept && *what != "missing" => Err(format!("{what}: no copy was kept")),
            true if !whole.contains("all is well") => Err(whole),
            true => Ok(()),
        }
    });
    for (told, (names, ..)) in told.into_iter().zip(&trials) {
        told.unwrap_or_else(|why| panic!("{names:?} {why}"));
    }
}

fn try_one(
    ground: &Ground,
    scenario: &Scenario,
    golden: &Golden,
    name: &str,
    damage: fn(&[u8]) -> Vec<u8>,
) -> Result<(), String> {
    prepare(ground, scenario)?;
    let path = ground.root.join(name);
    let text = |error: std::io::Error| error.to_string();
    let whole = fs::read(&path).map_err(text)?;
    let damaged = damage(&whole);
    fs::write(&path, &damaged).map_err(text)?;
    let before = layers_and_blobs(&ground.root)?;
    let said = ground.run(scenario.command, scenario.input)?;
    let checks = scenario.command.starts_with(&["system", "check"]);
    judge_error(&said, name, checks)?;
    if fs::read(&path).map_err(text)? != damaged {
        return Err("the damaged document was written over".to_owned());
    }
    let after = layers_and_blobs(&ground.root)?;
    if let Some((lost, _)) = before.iter().find(|(path, bytes)| after.get(*path) != Some(bytes)) {
        return Err(format!("{} was lost: it {}", lost.display(), said.told()));
    }
    fs::write(&path, &whole).map_err(text)?;
    if said.status.success() {
        return judge(ground, scenario, golden, &said, Some(Deed::BadDevice));
    }
    match Named::read(&ground.root)? == golden.before {
        true => Ok(()),
        false => Err(format!("images changed: it {}", said.told())),
    }
}

/// One that needs the document names it and gives advice; one that does not may work.
fn judge_error(said: &Said, name: &str, checks: bool) -> Result<(), String> {
    let told = format!("{}{}", said.out, said.error);
    // Without its format a store cannot even be looked at.
    let advice =
        if name == "format.json" { "hint: put a copy" } else { "hint: `mica system check" };
    let advised = (checks && name != "format.json") || said.error.contains(advice);
    match said.status.code() {
        Some(0) if !checks => Ok(()),
        Some(1) if told.contains(name) && advised && !told.contains("panicked") => Ok(()),
        _ => Err(format!("it {}", said.told())),
    }
}

/// Every file in which layers and blobs are kept, with its size, whatever driver keeps them.
fn layers_and_blobs(root: &Path) -> Result<BTreeMap<PathBuf, u64>, String> {
    let mut found = BTreeMap::new();
    for name in ["blobs", "index", "overlay", "vfs"] {
        match list(&root.join(name), &mut found) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            told => told.map_err(|error| format!("{name}: {error}"))?,
        }
    }
    match found.is_empty() {
        true => Err("no layer and no blob is kept".to_owned()),
        false => Ok(found),
    }
}

fn list(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        match meta.is_dir() {
            true => list(&entry.path(), found)?,
            false => drop(found.insert(entry.path(), meta.len())),
        }
    }
    Ok(())
}
