//! Runs one command and says what it cost: time, CPU time and memory of its process tree.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Result, process};

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// From start to exit, as a person waits.
    pub(crate) wall: Duration,
    /// User and system time of the process and of all that it waited for.
    pub(crate) cpu: Duration,
    /// The largest resident set among those processes.
    pub(crate) peak_kib: u64,
}

/// Runs the command to its end; what it says goes to `log`, which a failure is told with.
pub(crate) fn measured(command: &mut Command, log: &Path) -> Result<Usage> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
    let start = Instant::now();
    let child = command
        .spawn()
        .map_err(|error| format!("cannot start `{}`: {error}", process::shown(command)))?;
    // `child` is not waited for by its own means: the kernel tells the cost only once.
    let (status, cost) = sys::process::wait_for(child.id())?;
    let wall = start.elapsed();
    if status != 0 {
        let words = std::fs::read_to_string(log).unwrap_or_default();
        let last = words.trim().lines().last().unwrap_or("it said nothing").to_string();
        return Err(format!("`{}` failed: {last}", process::shown(command)).into());
    }
    Ok(Usage { wall, cpu: cost.cpu, peak_kib: cost.peak_kib })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()))
    }

    #[test]
    fn counts_the_work_of_children_too() {
        let log = log("counts");
        let loops = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut command = Command::new("sh");
        command.args(["-c", &format!("(sh -c '{loops}'); true")]);
        let usage = measured(&mut command, &log).unwrap();
        std::fs::remove_file(log).unwrap();
        assert!(usage.cpu > Duration::from_millis(10), "{usage:?}");
        assert!(usage.peak_kib > 100, "{usage:?}");
    }

    #[test]
    fn a_failure_is_told_in_the_last_words() {
        let log = log("fails");
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo last >&2; exit 1"]);
        let error = measured(&mut command, &log).unwrap_err();
        std::fs::remove_file(log).unwrap();
        assert!(error.to_string().ends_with("failed: last"), "{error}");
    }
}
