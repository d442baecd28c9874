//! `bench`: mica beside other tools, on the same work, in turns.

mod ask;
mod calls;
mod cases;
mod contest;
mod copy;
mod goals;
mod idle;
mod load;
mod measure;
mod plan;
mod private;
mod report;
mod surroundings;
mod tools;

use std::collections::HashSet;
use std::process::Command;

pub(crate) use self::ask::ask_api;
pub(crate) use self::copy::hashed_copy;
pub(crate) use self::load::ask_often;

use self::cases::CASES;
use self::contest::Contest;
use self::plan::Plan;
use self::tools::Lab;
use crate::{Result, build, process};

/// Measures the cases named, or all, and writes the report.
pub(crate) fn run(arguments: &[String]) -> Result {
    let Some(plan) = Plan::read(arguments)? else {
        return Ok(());
    };
    let stores = plan.folder.join("stores");
    if !private::is_inside() {
        // Packages come by a network, which there is not inside.
        make_fixtures(&plan)?;
        let mut arguments = arguments.to_vec();
        if plan.takes_part("mica") && plan.mica.is_none() {
            arguments.extend(["--mica".into(), build::release()?.display().to_string()]);
        }
        private::enter(&arguments)?;
        // What was mounted there went with the namespaces.
        let _ = std::fs::remove_dir(&stores);
        return Ok(());
    }
    private::mount_disk(&stores)?;
    let mica = plan.mica.clone().filter(|_| plan.takes_part("mica"));
    let lab = Lab::prepare(&stores, &plan.folder, mica)?;
    let (done, calls) = Default::default();
    let mut contest = Contest { lab, plan, done, calls };
    let mut rows = Vec::new();
    for case in &CASES {
        if contest.plan.wants(case) {
            rows.extend(contest.measure(case)?);
        }
    }
    if contest.plan.wants_containers("run") && contest.plan.takes_part("mica") {
        contest.lab.write_storage(cases::containers::STORE)?;
        contest.calls.run = calls::of_run(&contest.lab)?;
    }
    if contest.plan.wants_containers("build-again-10k") && contest.plan.takes_part("mica") {
        contest.lab.write_storage(cases::builds::STORE)?;
        contest.calls.build = calls::of_build(&contest.lab)?;
    }
    if contest.plan.wants_containers(idle::IDLE) {
        println!("bench: {}", idle::IDLE);
        contest.lab.write_storage(cases::containers::STORE)?;
        rows.extend(idle::measure(&contest.lab, |tool| contest.plan.takes_part(tool)));
    }
    contest.finish(&rows)
}

/// Makes fixtures in a process of its own: what this one holds counts as its children's.
fn make_fixtures(plan: &Plan) -> Result {
    let wanted: HashSet<&str> = CASES
        .iter()
        .filter(|case| plan.wants(case))
        .flat_map(|case| case.fixtures.iter().copied())
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    process::run(command.args(["fixtures", "--dir"]).arg(&plan.folder).args(wanted))
}
