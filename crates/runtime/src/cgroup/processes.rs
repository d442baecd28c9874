//! All processes of a group at once: listed, stopped, told, killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Cgroup, Layout, failed, read, write};
use crate::error::{Result, RuntimeError};

impl Cgroup {
    /// The numbers of all processes in it and in groups below.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut list = Vec::new();
        let folder = match self.folder_of("pids").or_else(|| self.folder_of("freezer")) {
            Some(folder) => folder,
            None => match self.folders().into_iter().next() {
                Some(folder) => folder,
                None => return Ok(list),
            },
        };
        match collect(&folder, &mut list) {
            // Only an empty one can be removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed("list processes of", &folder))?,
        }
        list.sort_unstable();
        list.dedup();
        Ok(list)
    }

    /// Stops all processes in it, or lets them go on, and waits until it is so.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let (folder, file, value, state) = self.freezer()?;
        let (value, wanted) = if frozen { (value.0, state.1) } else { (value.1, state.2) };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            // The old freezer needs to be told again when a process was just being born.
            write(&folder, file, value).map_err(failed("freeze", &folder))?;
            let now = read(&folder, state.0).map_err(failed("read", &folder))?;
            if now.lines().any(|line| line == wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let _ = write(&folder, file, if frozen { "THAWED" } else { value });
                let source = io::ErrorKind::TimedOut.into();
                return Err(RuntimeError::Cgroup { step: "freeze all processes".into(), source });
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Whether all processes in it stand still.
    pub fn is_frozen(&self) -> bool {
        let Ok((folder, _, _, state)) = self.freezer() else { return false };
        read(&folder, state.0).is_ok_and(|text| text.lines().any(|line| line == state.1))
    }

    /// The freezer's folder, its file with the words for stop and go, and the file that says how
    /// it is with its two words.
    #[allow(clippy::type_complexity)]
    fn freezer(
        &self,
    ) -> Result<(
        PathBuf,
        &'static str,
        (&'static str, &'static str),
        (&'static str, &'static str, &'static str),
    )> {
        if let Some(hierarchy) = self.layout.version1("freezer") {
            let words = ("FROZEN", "THAWED");
            let state = ("freezer.state", "FROZEN", "THAWED");
            return Ok((hierarchy.root.join(&self.path), "freezer.state", words, state));
        }
        let Some(root) = self.layout.unified() else {
            let (controller, limit) = ("freezer".to_owned(), "pausing".to_owned());
            return Err(RuntimeError::NoController { controller, limit });
        };
        let state = ("cgroup.events", "frozen 1", "frozen 0");
        Ok((root.join(&self.path), "cgroup.freeze", ("1", "0"), state))
    }

    /// Kills everything in it, frozen or not.
    pub fn kill_all(&self) -> Result<()> {
        if let (Layout::Version2 { .. }, Some(root)) = (&self.layout, self.layout.unified())
            && write(&root.join(&self.path), "cgroup.kill", "1").is_ok()
        {
            return Ok(());
        }
        self.signal_all(libc::SIGKILL)?;
        // What is frozen dies when it thaws.
        if self.is_frozen() { self.freeze(false) } else { Ok(()) }
    }

    /// Sends a signal to everything in it. What is born meanwhile is caught in another round.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        let mut told = Vec::new();
        loop {
            let fresh: Vec<_> =
                self.processes()?.into_iter().filter(|pid| !told.contains(pid)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for pid in fresh {
                // One that has ended meanwhile needs no signal.
                let _ = sys::task::kill(pid, signal);
                told.push(pid);
            }
        }
    }
}

fn collect(folder: &Path, list: &mut Vec<i32>) -> io::Result<()> {
    let text = read(folder, "cgroup.procs")?;
    list.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match collect(&entry.path(), list) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
