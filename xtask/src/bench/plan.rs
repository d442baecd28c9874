//! What to measure: the command line of `bench`, read.

use std::path::PathBuf;

use super::cases::{CASES, Case};
use super::idle::IDLE;
use super::tools::TOOLS;
use crate::{Result, fixtures};

const USAGE: &str = "\
Usage: cargo xtask bench [CASE…] [OPTION…]

A case is one of those that --list names, `containers` for all with containers, `api` for
those of them that ask docker's API, `registry` for all with a registry, or `build` for all
that build.

  --list           say what the cases are
  --tools A,B      let only these take part (mica, podman, buildah, skopeo,
                   umoci, tar, copy, crun, runc)
  --rounds N       measure each N times instead of what the case says
  --quick          measure long jobs once and short ones five times
  --mica PATH      measure this binary instead of building the release
  --dir DIR        keep fixtures and stores here (needs 10 GB; in memory unless told)
  --out FILE       write the report here instead of bench/results/measured.md";

/// What the command line asked for.
pub(super) struct Plan {
    pub(super) cases: Vec<String>,
    pub(super) tools: Vec<String>,
    pub(super) rounds: Option<usize>,
    pub(super) quick: bool,
    pub(super) mica: Option<PathBuf>,
    pub(super) folder: PathBuf,
    pub(super) out: Option<PathBuf>,
}

impl Plan {
    pub(super) fn read(arguments: &[String]) -> Result<Option<Plan>> {
        let mut plan = Plan {
            cases: Vec::new(),
            tools: TOOLS.map(str::to_string).to_vec(),
            rounds: None,
            quick: false,
            mica: None,
            folder: fixtures::default_folder(),
            out: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .cloned()
                    .ok_or_else(|| format!("{argument} needs a value\n\n{USAGE}"))
            };
            match argument.as_str() {
                "--help" | "-h" => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                "--list" => {
                    CASES.iter().for_each(|case| println!("{:<16} {}", case.name, case.about));
                    println!("{IDLE:<16} {}", super::idle::ABOUT);
                    return Ok(None);
                }
                "registry" => {
                    let all = CASES.iter().filter(|case| case.ships());
                    plan.cases.extend(all.map(|case| case.name.to_string()));
                }
                "api" => {
                    let all = CASES.iter().filter(|case| case.asks_api());
                    plan.cases.extend(all.map(|case| case.name.to_string()));
                }
                "build" => {
                    let all = CASES.iter().filter(|case| case.builds());
                    plan.cases.extend(all.map(|case| case.name.to_string()));
                }
                // All cases with containers, and what is counted of them.
                "containers" => {
                    let all = CASES.iter().filter(|case| case.runs_containers());
                    plan.cases.extend(all.map(|case| case.name.to_string()));
                    plan.cases.push(IDLE.to_string());
                }
                IDLE => plan.cases.push(IDLE.to_string()),
                "--tools" => plan.tools = value()?.split(',').map(str::to_string).collect(),
                "--rounds" => plan.rounds = Some(value()?.parse()?),
                "--quick" => plan.quick = true,
                "--mica" => plan.mica = Some(std::path::absolute(value()?)?),
                "--dir" => plan.folder = std::path::absolute(value()?)?,
                "--out" => plan.out = Some(std::path::absolute(value()?)?),
                name if CASES.iter().any(|case| case.name == name) => {
                    plan.cases.push(name.to_string())
                }
                other => return Err(format!("no case is called `{other}`\n\n{USAGE}").into()),
            }
        }
        Ok(Some(plan))
    }

    pub(super) fn wants(&self, case: &Case) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case.name)
    }

    /// Whether what is counted of containers under this name is wanted.
    pub(super) fn wants_containers(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| wanted == name)
    }

    /// How often a case is measured.
    pub(super) fn rounds(&self, case: &Case) -> usize {
        match (self.rounds, self.quick) {
            (Some(rounds), _) => rounds,
            (None, true) => (case.rounds / 3).clamp(1, 5),
            (None, false) => case.rounds,
        }
    }

    pub(super) fn takes_part(&self, tool: &str) -> bool {
        self.tools.iter().any(|name| name == tool)
    }
}
