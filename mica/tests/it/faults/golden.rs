//! How a command goes when nothing happens, alone and beside another.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use testkit::Tree;

use super::ground::{Ground, Said};
use super::scenario::Scenario;
use super::trial::{clear, driver, prepare};
use super::truth::{Named, Whole, trees};
use super::victim::{self, Step};

/// How a scenario goes when nothing happens.
pub(super) struct Golden {
    /// Images and names before the command.
    pub before: Named,
    /// How it may end: one way, or two if another command works beside it and comes before or after.
    pub ends: Vec<End>,
    /// What the two may then be told: the first lines of errors.
    pub refusals: Vec<String>,
    /// The calls that the command makes.
    pub calls: Vec<Step>,
    /// The storage driver, which a store chooses when it is made.
    pub driver: Value,
    /// What was in the file that it writes, before and after.
    pub output: [Option<Vec<u8>>; 2],
}

/// A way to end.
pub(super) struct End {
    /// Images and names after the command.
    pub after: Named,
    /// The store when all is cleared away.
    pub whole: Whole,
    /// How the images look then.
    pub trees: BTreeMap<String, Tree>,
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
        let said = then.map(|words| ground.run(words, None)).transpose()?;
        let refusals = said.iter().filter_map(refusal).collect();
        let (output, driver) = ([old, written()], driver(ground)?);
        let ends = vec![End::read(ground)?];
        Ok(Golden { before, ends, refusals, calls: ended.calls, driver, output })
    }

    /// Adds the way in which it ends if the other command comes first.
    pub(super) fn or_after(
        &mut self,
        ground: &Ground,
        scenario: &Scenario,
        other: &[&str],
    ) -> Result<(), String> {
        prepare(ground, scenario)?;
        for said in [ground.run(other, None)?, ground.run(scenario.command, scenario.input)?] {
            self.refusals.extend(refusal(&said));
        }
        self.ends.push(End::read(ground)?);
        Ok(())
    }
}

impl End {
    fn read(ground: &Ground) -> Result<End, String> {
        let after = Named::read(&ground.root)?;
        let whole = clear(ground)?;
        Ok(End { after, whole, trees: trees(ground)? })
    }
}

/// The first line of what a command said that did not do what it was told.
pub(super) fn refusal(said: &Said) -> Option<String> {
    let line = said.error.lines().next().unwrap_or_default();
    (said.status.code() == Some(1)).then(|| line.to_owned())
}
