//! How many system calls a job takes, all its processes together: a figure without noise.

use std::path::Path;
use std::process::Command;

use super::cases::{builds, containers};
use super::tools::{Lab, Step};
use crate::{Result, process};

/// What was counted, as far as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    /// Of one container.
    pub(super) run: Option<u64>,
    /// Of a build in which nothing changed, for each file of its context.
    pub(super) build: Option<f64>,
}

/// The calls of `run --rm --network none … true`, from the command to the end of its monitor; if
/// strace is here to count them.
pub(super) fn of_run(lab: &Lab) -> Result<Option<u64>> {
    counted(lab, containers::counted(lab))
}

/// The calls of a build in which nothing changed, for each file of its context.
pub(super) fn of_build(lab: &Lab) -> Result<Option<f64>> {
    let calls = counted(lab, builds::counted(lab))?;
    Ok(calls.map(|calls| calls as f64 / builds::COUNTED_FILES as f64))
}

fn counted(lab: &Lab, (before, run): (Vec<Step>, Step)) -> Result<Option<u64>> {
    if !process::exists("strace") || lab.mica_binary().is_none() {
        return Ok(None);
    }
    // Once uncounted: the first run of a store makes what later ones find.
    before.iter().chain([&run]).try_for_each(|step| step.run())?;
    let trace = lab.path("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", &trace]);
    process::run_quietly(run.appended_to(&mut command))?;
    count(Path::new(&trace)).map(Some)
}

fn count(trace: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(trace)?;
    Ok(text.lines().filter(|line| is_call(line)).count() as u64)
}

/// Whether a line begins a call: not its end after another process's, a signal, or an exit.
fn is_call(line: &str) -> bool {
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    !rest.is_empty() && !["<...", "+++", "---"].iter().any(|mark| rest.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_interrupted_counts_once() {
        let lines = [
            ("12 close(3)   = 0", true),
            ("12 read(3,  <unfinished ...>", true),
            ("12 <... read resumed>\"\", 8) = 0", false),
            ("12 +++ exited with 0 +++", false),
            ("12 --- SIGCHLD {si_signo=SIGCHLD} ---", false),
            ("", false),
        ];
        for (line, expected) in lines {
            assert_eq!(is_call(line), expected, "{line}");
        }
    }
}
