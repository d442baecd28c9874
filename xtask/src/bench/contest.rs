//! One run of the benchmarks: each case's tools in turns, then the report.

use std::collections::HashSet;
use std::path::PathBuf;

use super::calls::Calls;
use super::cases::{Case, Contender};
use super::plan::Plan;
use super::report::{self, Row};
use super::tools::{self, Lab};
use super::{goals, measure, surroundings};
use crate::Result;

/// A run in progress.
pub(super) struct Contest {
    pub(super) lab: Lab,
    pub(super) plan: Plan,
    /// The preparations that have been made, as text.
    pub(super) done: HashSet<String>,
    /// The system calls that were counted.
    pub(super) calls: Calls,
}

impl Contest {
    /// Measures one case: every tool once unmeasured, then all in turns.
    pub(super) fn measure(&mut self, case: &Case) -> Result<Vec<Row>> {
        println!("bench: {} ({})", case.name, case.about);
        case.stores.iter().try_for_each(|store| self.lab.write_storage(store))?;
        let contenders: Vec<Contender> = (case.contenders)(&self.lab)
            .into_iter()
            .filter(|contender| self.plan.takes_part(contender.tool))
            .collect();
        let mut rows: Vec<Row> = contenders
            .iter()
            .map(|contender| Row {
                case: case.name,
                about: case.about,
                tool: contender.tool,
                outcome: match tools::absent(contender.tool, &self.lab) {
                    Some(why) => Err(why),
                    None => self.prepare(contender).map(|()| Vec::new()),
                },
            })
            .collect();
        let rounds = self.plan.rounds(case);
        // The first round warms up; jobs that are measured once are not worth two.
        let warm_up = usize::from(rounds > 1);
        for round in 0..rounds + warm_up {
            for (contender, row) in contenders.iter().zip(&mut rows) {
                self.one_run(contender, row, round >= warm_up);
            }
        }
        for step in contenders.iter().flat_map(|contender| &contender.last) {
            step.run()?;
            // What was prepared on a store that is gone has to be prepared again.
            self.done.clear();
        }
        print!("{}", report::table(&rows));
        Ok(rows)
    }

    fn prepare(&mut self, contender: &Contender) -> std::result::Result<(), String> {
        for step in &contender.once {
            if self.done.insert(format!("{step:?}")) {
                step.run().map_err(|error| self.one_line(&error.to_string()))?;
            }
        }
        Ok(())
    }

    fn one_run(&self, contender: &Contender, row: &mut Row, counts: bool) {
        let Ok(runs) = &mut row.outcome else { return };
        let log = PathBuf::from(self.lab.path("said"));
        let outcome = contender
            .before
            .iter()
            .try_for_each(tools::Step::run)
            .and_then(|()| measure::measured(&mut contender.timed.command(), &log))
            .and_then(|usage| {
                contender.after.iter().try_for_each(tools::Step::run).map(|()| usage)
            });
        match outcome {
            Ok(usage) if counts => runs.push(usage),
            Ok(_) => {}
            Err(error) => row.outcome = Err(self.one_line(&error.to_string())),
        }
    }

    /// An error as a cell of the table, without the folders of this machine.
    fn one_line(&self, text: &str) -> String {
        let folder = self.plan.folder.to_string_lossy().into_owned();
        let text = text.replace(&folder, "…").replace('|', "/");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Writes the report and removes what was only for measuring.
    pub(super) fn finish(&self, rows: &[Row]) -> Result {
        let out = match &self.plan.out {
            Some(out) => out.clone(),
            None => crate::workspace().join("bench/results/measured.md"),
        };
        let report = format!(
            "# Measurements\n\n{}\n{}\n{}\n{}\n{}",
            surroundings::told(&self.lab, &self.plan)?,
            goals::table(rows, &self.calls),
            report::table(rows),
            report::legend(rows),
            surroundings::sizes(&self.lab, &self.plan)
        );
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&out, report)?;
        println!("bench: the report is in {}", out.display());
        match rows.iter().any(|row| row.tool == "mica" && row.outcome.is_err()) {
            true => Err("mica failed at a job: see the table".into()),
            false => Ok(()),
        }
    }
}
