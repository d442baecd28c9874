//! The OCI runtime command line as calls: what `create`, `start`, `state`, `kill`, `delete` and
//! their like do, with a folder for each container below a root.
//!
//! A container's folder holds `record.json`, written once when the container is made, and while
//! the program waits for its start, the socket `start`. How a container is follows from these and
//! from the kernel: nothing has to be kept up to date.

mod config;
mod console;
mod events;
mod exec;
mod features;
mod foreground;
mod gate;
mod make;
mod notify;
mod record;
mod template;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use spec::bundle::{Resources, Spec, State, Status};

pub use config::read_spec;
pub use events::Happening;
pub use exec::{ExecOptions, add_capabilities};
pub use features::features;
pub use make::CreateOptions;
pub use record::{Record, Shown};
pub use template::{for_user, template};

use crate::cgroup::Missing;
use crate::error::{Result, RuntimeError};
use crate::hooks;
use crate::launch;
use crate::plan::Warning;

/// Containers below one root folder.
pub struct Containers {
    root: PathBuf,
}

impl Containers {
    /// Those below this folder.
    pub fn below(root: impl Into<PathBuf>) -> Containers {
        Containers { root: root.into() }
    }

    fn folder(&self, id: &str) -> Result<PathBuf> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        match id.is_empty() || id.starts_with('.') || id.len() > 1024 || !id.chars().all(fits) {
            true => Err(RuntimeError::invalid(format!("{id:?} is no name of a container"))),
            false => Ok(self.root.join(id)),
        }
    }

    /// Starts the program of a container that was created. If it was to say when it is ready, waits
    /// for that and passes it on to this socket.
    pub fn start(&self, id: &str, told: Option<&Path>) -> Result<Vec<Warning>> {
        let record = self.record(id)?;
        let status = record.status();
        if status != Status::Created {
            return Err(wrong_state("start", id, status));
        }
        let folder = self.folder(id)?;
        let ready = told.map_or(Ok(None), |told| notify::listen(&folder, told))?;
        let process = record.pidfd();
        launch::start(gate::take(&folder)?)?;
        let state = State { status: Status::Running, ..record.state() };
        let hooked = hooks::run(&record.spec.hooks.poststart, &state);
        if let (Err(_), Some(pidfd)) = (&hooked, &process) {
            // A container that is not what it should be must not go on.
            let _ = sys::task::send_signal(pidfd, libc::SIGKILL);
        }
        hooked?;
        let told = match (ready, process) {
            (Some(ready), Some(process)) => ready.pass_on(process.as_fd(), Some(record.pid)),
            _ => Ok(()),
        };
        Ok(make::untold(told).into_iter().collect())
    }

    /// How a container is.
    pub fn state(&self, id: &str) -> Result<Shown> {
        Ok(Shown::from(&self.record(id)?))
    }

    /// Sends a signal to the first process, or to all.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let record = self.record(id)?;
        if let Some(cgroup) = record.own_cgroup()?.filter(|cgroup| all && cgroup.exists()) {
            return match signal {
                libc::SIGKILL => cgroup.kill_all(),
                signal => cgroup.signal_all(signal),
            };
        }
        let pidfd = record.pidfd().ok_or_else(|| wrong_state("kill", id, Status::Stopped))?;
        let sent = sys::task::send_signal(pidfd, signal);
        sent.map_err(RuntimeError::step(format!("send signal {signal} to {id}")))?;
        match record.own_cgroup()? {
            // A process that stands still ends when it goes on.
            Some(cgroup) if signal == libc::SIGKILL && cgroup.is_frozen() => cgroup.freeze(false),
            _ => Ok(()),
        }
    }

    /// Removes what is left of a container that has ended or was never started; with `force`, ends
    /// it first. Gives what its last hooks complained of.
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<Warning>> {
        let record = match self.record(id) {
            Err(RuntimeError::NotFound { .. }) if force => return Ok(Vec::new()),
            other => other?,
        };
        let status = record.status();
        // Callers give up what they created and have not started by deleting it.
        if !matches!(status, Status::Stopped | Status::Created) && !force {
            return Err(wrong_state("delete", id, status));
        }
        if let Some(pidfd) = record.pidfd() {
            let _ = sys::task::send_signal(&pidfd, libc::SIGKILL);
            if status == Status::Paused {
                // A process that stands still ends when it goes on.
                record.cgroup()?.freeze(false)?;
            }
            await_end(&pidfd);
        }
        self.discard(&record)
    }

    fn discard(&self, record: &Record) -> Result<Vec<Warning>> {
        if let Some(cgroup) = record.left_cgroup()? {
            cgroup.kill_all()?;
            cgroup.remove()?;
        }
        let folder = self.folder(&record.id)?;
        fs::remove_dir_all(&folder).map_err(write_failed(&folder))?;
        let state = State { status: Status::Stopped, pid: 0, ..record.stored_state() };
        // A container is gone whatever its last hooks say.
        let failed = hooks::run_all(&record.spec.hooks.poststop, &state);
        Ok(failed.iter().map(|error| Warning::Hook { why: error.to_string() }).collect())
    }

    /// The configuration that a container was made with.
    pub fn spec(&self, id: &str) -> Result<Spec> {
        Ok(self.record(id)?.spec)
    }

    /// The processes of a container, by their numbers on the host.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let record = self.record(id)?;
        match record.status() {
            Status::Stopped => Err(wrong_state("list the processes of", id, Status::Stopped)),
            _ => record.cgroup()?.processes(),
        }
    }

    /// Stops all processes of a container, or lets them go on.
    pub fn freeze(&self, id: &str, frozen: bool) -> Result<()> {
        let record = self.record(id)?;
        match (record.status(), frozen) {
            (Status::Running | Status::Created, true) | (Status::Paused, false) => {
                record.cgroup()?.freeze(frozen)
            }
            (status, true) => Err(wrong_state("pause", id, status)),
            (status, false) => Err(wrong_state("resume", id, status)),
        }
    }

    /// Changes limits.
    pub fn update(&self, id: &str, resources: &Resources) -> Result<Vec<Warning>> {
        let record = self.record(id)?;
        match record.status() {
            Status::Stopped => Err(wrong_state("update", id, Status::Stopped)),
            _ => record.cgroup()?.apply(resources, Missing::Fail),
        }
    }

    /// All containers, by name.
    pub fn list(&self) -> Result<Vec<Shown>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => {
                other.map_err(|source| RuntimeError::Read { path: self.root.clone(), source })?
            }
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // One that is just being made or deleted is not there.
        let mut list: Vec<Shown> = names.filter_map(|id| self.state(&id).ok()).collect();
        list.sort_by(|one, other| one.state.id.cmp(&other.state.id));
        Ok(list)
    }

    fn record(&self, id: &str) -> Result<Record> {
        let folder = self.folder(id)?;
        match Record::read(&folder) {
            Err(RuntimeError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(RuntimeError::NotFound { id: id.to_owned() })
            }
            other => other.map(|record| Record { waits: gate::is_there(&folder), ..record }),
        }
    }
}

/// Whether this process is not root, or root among a container's users alone.
pub fn is_rootless() -> bool {
    !sys::host::is_host_root()
}

/// Waits a while for a process that is not our child.
fn await_end(pidfd: &OwnedFd) {
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&limit)));
}

fn write_failed(path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let path = path.to_owned();
    move |source| RuntimeError::Write { path, source }
}

fn wrong_state(action: &'static str, id: &str, status: Status) -> RuntimeError {
    RuntimeError::WrongState { action, id: id.to_owned(), status }
}
