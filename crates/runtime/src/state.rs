//! How a container is: what its monitor wrote down, and what of it is still true.
//!
//! `state.json` has one writer, whoever holds `monitor.lock`: the monitor for as long as the
//! container runs, or who cleans up after a monitor that was killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use spec::Timestamp;

use crate::health::{Health, HealthState};

/// The state's name in a container's folder.
pub const STATE_FILE: &str = "state.json";
/// The lock's name beside it.
pub const LOCK_FILE: &str = "monitor.lock";
/// The exit code of a container whose end nobody saw, since the machine went down.
pub const LOST_CODE: i32 = 255;
/// The exit code of a container whose monitor was killed.
pub const ORPHAN_CODE: i32 = 137;
/// The kernel's number for "no such process".
const NO_PROCESS: i32 = 3;
/// How many exec sessions that have ended are remembered.
const KEPT_EXECS: usize = 16;

/// What a container does. Docker's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not run yet, or could not be started.
    #[default]
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended and will be started again.
    Restarting,
    /// It ended.
    Exited,
    /// It ended and is being removed.
    Removing,
    /// Its removal failed.
    Dead,
}

impl Status {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
            Status::Removing => "removing",
            Status::Dead => "dead",
        }
    }

    /// Whether a monitor belongs to it.
    pub fn is_alive(self) -> bool {
        matches!(self, Status::Running | Status::Paused | Status::Restarting)
    }
}

/// A process, so named that another one that gets its number later is not taken for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProcessName {
    /// Its number; 0 if there is none.
    pub pid: i32,
    /// When it began, in ticks since the boot.
    pub started: u64,
}

impl ProcessName {
    /// The name of a process that lives.
    pub fn of(pid: i32) -> io::Result<ProcessName> {
        Ok(ProcessName { pid, started: sys::watched::started(pid)?.unwrap_or(0) })
    }

    /// Whether the process still lives.
    pub fn is_alive(self) -> bool {
        self.pid > 0 && sys::watched::started(self.pid).is_ok_and(|at| at == Some(self.started))
    }
}

/// A further process in a container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExecState {
    /// Its own id.
    pub id: String,
    /// Its number.
    pub pid: i32,
    /// Its exit code, when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What was asked for, in the engine's words.
    #[serde(default)]
    pub process: serde_json::Value,
}

/// What a monitor writes down.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What the container does.
    pub status: Status,
    /// Its first process, while it runs.
    pub process: ProcessName,
    /// The boot in which this was written.
    pub boot: String,
    /// The exit code of the last run.
    pub exit_code: i32,
    /// Why it could not be started, or what else went wrong.
    pub error: String,
    /// Whether it ran out of memory in the last run.
    pub oom_killed: bool,
    /// When it was last started.
    pub started: Timestamp,
    /// When it last ended.
    pub finished: Timestamp,
    /// How often its policy has started it again.
    pub restart_count: u32,
    /// Whether somebody asked for its end, so that a boot leaves it alone.
    pub stopped: bool,
    /// How it is, if that is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthState>,
    /// Further processes, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub execs: Vec<ExecState>,
}

impl Default for State {
    fn default() -> State {
        State {
            status: Status::Created,
            process: ProcessName::default(),
            boot: String::new(),
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started: Timestamp::ZERO,
            finished: Timestamp::ZERO,
            restart_count: 0,
            stopped: false,
            health: None,
            execs: Vec::new(),
        }
    }
}

impl State {
    /// Notes how a further process ended, and forgets the oldest that have.
    pub fn exec_ended(&mut self, id: &str, code: i32) {
        if let Some(exec) = self.execs.iter_mut().find(|exec| exec.id == id) {
            exec.exit_code = Some(code);
        }
        let ended = self.execs.iter().filter(|exec| exec.exit_code.is_some()).count();
        for _ in KEPT_EXECS..ended {
            if let Some(oldest) = self.execs.iter().position(|exec| exec.exit_code.is_some()) {
                self.execs.remove(oldest);
            }
        }
    }

    /// Marks the end of a run.
    fn end(&mut self, code: i32, error: &str) {
        self.status = Status::Exited;
        self.process = ProcessName::default();
        self.exit_code = code;
        self.error = error.to_owned();
        self.finished = Timestamp::now();
        if let Some(health) = &mut self.health {
            health.status = Health::Unhealthy;
        }
        for exec in self.execs.iter_mut().filter(|exec| exec.exit_code.is_none()) {
            exec.exit_code = Some(code);
        }
    }
}

/// The right to write a container's state, for as long as it lives.
#[derive(Debug)]
pub struct Hold {
    folder: PathBuf,
    /// Closing it, and what was made of it in other processes, gives the right back.
    lock: File,
}

impl Hold {
    /// Takes the right, if nobody has it.
    pub fn take(folder: &Path) -> io::Result<Option<Hold>> {
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK_FILE))?;
        let hold = Hold { folder: folder.to_owned(), lock };
        Ok(sys::hold::try_hold(&hold.lock)?.then_some(hold))
    }

    /// The right to write the state in a folder, out of what [`Hold::hand_over`] has given.
    pub fn of(folder: &Path, lock: OwnedFd) -> Hold {
        Hold { folder: folder.to_owned(), lock: lock.into() }
    }

    /// The right as it can be handed to another process: whoever has this open has it, and nobody
    /// else can get it in between.
    pub fn hand_over(self) -> OwnedFd {
        self.lock.into()
    }

    /// Takes the right to start a container. A monitor that is on its way out is waited for; one
    /// whose container lives is a conflict, told by `None`.
    pub fn take_to_start(folder: &Path, patience: Duration) -> io::Result<Option<Hold>> {
        let begin = Instant::now();
        loop {
            if let Some(hold) = Hold::take(folder)? {
                return Ok(Some(hold));
            }
            if read(folder)?.status.is_alive() || begin.elapsed() > patience {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What whoever held the right before has left. A process that lives is an orphan.
    pub fn found(&self) -> io::Result<Observed> {
        let state = read(&self.folder)?;
        match state.status.is_alive() {
            true => Ok(without_monitor(state, &sys::host::boot_id()?)),
            false => Ok(Observed { state, keeper: Keeper::Nobody }),
        }
    }

    /// Writes the state, whole or not at all. It is not synced: what a power cut takes belongs to
    /// a boot that is over, and that is known without it.
    pub fn write(&self, state: &State) -> io::Result<()> {
        let aside = self.folder.join("state.json.new");
        fs::write(&aside, serde_json::to_vec(state)?)?;
        fs::rename(&aside, self.folder.join(STATE_FILE))
    }
}

/// What was written down last; a container without a state has never run.
pub fn read(folder: &Path) -> io::Result<State> {
    parse(sys::read::whole(&folder.join(STATE_FILE)))
}

fn parse(read: io::Result<Vec<u8>>) -> io::Result<State> {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        // A power cut took what was in it; the boot id, which is missing too, says the rest.
        return Ok(State { status: Status::Running, ..State::default() });
    }
    serde_json::from_slice(&bytes).map_err(io::Error::from)
}

/// Who keeps a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// Nobody, and nobody needs to: it does not run.
    Nobody,
    /// Its monitor.
    Monitor,
    /// Nobody, though its first process lives: its monitor was killed.
    Orphaned,
    /// Nobody, and its first process ended unseen: its monitor was killed.
    Died,
    /// Nobody, since the machine has been down.
    Rebooted,
}

/// A container as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Observed {
    /// What was written down, corrected by what was found.
    pub state: State,
    /// Who keeps it.
    pub keeper: Keeper,
}

/// As [`observe`], of one of many containers: `above` is the open folder that has all of theirs.
pub fn observe_in(above: impl AsFd, folder: &Path) -> io::Result<Observed> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
    let state = parse(sys::read::at(above, &format!("{name}/{STATE_FILE}")))?;
    match state.status.is_alive() {
        true => observe(folder),
        false => Ok(Observed { state, keeper: Keeper::Nobody }),
    }
}

/// Finds out how a container is. Nothing is changed: the state of one without its monitor is
/// corrected in memory alone, and on disk by [`recover`].
pub fn observe(folder: &Path) -> io::Result<Observed> {
    let state = read(folder)?;
    if !state.status.is_alive() {
        return Ok(Observed { state, keeper: Keeper::Nobody });
    }
    if is_held(folder)? {
        return Ok(Observed { state, keeper: Keeper::Monitor });
    }
    // The monitor may have ended in between, in good order: then it has written so.
    let state = read(folder)?;
    if !state.status.is_alive() {
        return Ok(Observed { state, keeper: Keeper::Nobody });
    }
    Ok(without_monitor(state, &sys::host::boot_id()?))
}

/// Whether somebody has the right to write a container's state.
pub fn is_held(folder: &Path) -> io::Result<bool> {
    match File::options().write(true).open(folder.join(LOCK_FILE)) {
        Ok(lock) => sys::hold::is_held(&lock),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn without_monitor(mut state: State, boot: &str) -> Observed {
    let keeper = match () {
        () if state.boot != boot => Keeper::Rebooted,
        () if state.process.is_alive() => Keeper::Orphaned,
        () => Keeper::Died,
    };
    match keeper {
        Keeper::Rebooted => state.end(LOST_CODE, ""),
        Keeper::Died => state.end(ORPHAN_CODE, "the container's monitor was killed"),
        _ => {}
    }
    Observed { state, keeper }
}

/// Puts right what a killed monitor or a boot left. `kill_rest` is to end every process of the
/// container and to release what it had; the first process is ended here besides. Returns what was
/// found, with the state as it is now written.
pub fn recover(
    folder: &Path,
    kill_rest: &mut dyn FnMut(&Observed) -> io::Result<()>,
) -> io::Result<Observed> {
    let found = observe(folder)?;
    if matches!(found.keeper, Keeper::Nobody | Keeper::Monitor) {
        return Ok(found);
    }
    let Some(hold) = Hold::take(folder)? else {
        // Somebody else recovers it, or has started it again.
        return observe(folder);
    };
    // Whoever held it a moment ago may have done this work already.
    let mut found = hold.found()?;
    if found.keeper == Keeper::Nobody {
        return Ok(found);
    }
    kill_rest(&found)?;
    if found.keeper == Keeper::Orphaned {
        end_orphan(found.state.process)?;
        found.state.end(ORPHAN_CODE, "the container's monitor was killed");
    }
    hold.write(&found.state)?;
    Ok(found)
}

/// Kills a process that is known by name and waits until it is gone.
fn end_orphan(process: ProcessName) -> io::Result<()> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(NO_PROCESS);
    let handle = match sys::watched::open(process.pid) {
        Ok(handle) => handle,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    // Asked after the descriptor is open: from here on the number cannot change hands.
    if !process.is_alive() {
        return Ok(());
    }
    match sys::watched::signal(&handle, 9) {
        Err(error) if !gone(&error) => return Err(error),
        _ => {}
    }
    let wait = (Some(std::os::fd::AsFd::as_fd(&handle)), sys::event::Interest::READ);
    sys::event::poll([wait], Some(Duration::from_secs(10)))?;
    Ok(())
}

#[cfg(test)]
mod tests;
