//! The memory that a container takes which does nothing: its own processes and whoever watches it.

use std::fs;
use std::time::Duration;

use super::cases::containers::{self, STORE};
use super::measure::Usage;
use super::report::Row;
use super::tools::{self, Lab};
use crate::Result;

/// The name of this job.
pub(super) const IDLE: &str = "idle";
/// What it is.
pub(super) const ABOUT: &str =
    "memory of one idle container of twenty: it and its monitor, shared pages in parts";
const COUNT: usize = 20;

/// What each of these tools needs for an idle container. The figure stands where others have their
/// peak.
pub(super) fn measure(lab: &Lab, takes_part: impl Fn(&str) -> bool) -> Vec<Row> {
    let tools = ["mica", "podman"].into_iter().filter(|tool| takes_part(tool));
    let row = |tool| {
        let outcome = match tools::absent(tool, lab) {
            Some(why) => Err(why),
            None => one(lab, tool).map_err(|error| error.to_string()),
        };
        Row { case: IDLE, about: ABOUT, tool, outcome }
    };
    tools.map(row).collect()
}

fn one(lab: &Lab, tool: &str) -> Result<Vec<Usage>> {
    let (steps, end) = containers::idle(lab, tool, COUNT).ok_or("it has no containers")?;
    let measured = steps.iter().try_for_each(tools::Step::run).and_then(|()| {
        // What came with the start is over.
        std::thread::sleep(Duration::from_millis(500));
        memory_kib(&lab.path(&format!("{}-{STORE}", if tool == "mica" { tool } else { "storage" })))
    });
    end.run()?;
    let peak_kib = measured? / COUNT as u64;
    Ok(vec![Usage { wall: Duration::ZERO, cpu: Duration::ZERO, peak_kib }])
}

/// The memory of all processes that name a folder on their command line, and of their children;
/// pages that several share count in parts.
fn memory_kib(folder: &str) -> Result<u64> {
    let mut watchers = Vec::new();
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains(folder) {
            watchers.push(pid);
        }
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        all.push((pid, parent.unwrap_or(0)));
    }
    let ours = |(pid, parent): &&(u32, u32)| watchers.contains(pid) || watchers.contains(parent);
    let memory = |pid: u32| -> u64 {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
    };
    match all.iter().filter(ours).map(|(pid, _)| memory(*pid)).sum() {
        0 => Err("no process of theirs was found".into()),
        sum => Ok(sum),
    }
}
