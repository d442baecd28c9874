//! Further processes in a container that runs.
//!
//! Docker's API makes such a process in three requests: it is described, started, and asked after.
//! What was described is a small file in the container's folder for this boot, so that any process
//! finds it; it goes with the container's run. What becomes of the process is in the container's
//! state, which its monitor writes.

use std::fs;
use std::io;
use std::path::PathBuf;

use runtime::state::{ExecState, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spec::ContainerId;

use crate::Engine;
use crate::error::{EngineError, Result};

/// What `exec` is asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecProcess {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// As whom it runs; empty is as the container's own process.
    pub user: String,
    /// Further variables.
    pub env: Vec<String>,
    /// Where it starts; empty is where the container's own process did.
    pub working_dir: String,
    /// Whether it has all capabilities.
    pub privileged: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// A process that was described, and perhaps started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSession {
    /// Its id.
    pub id: String,
    /// The container it runs in.
    pub container: ContainerId,
    /// What is run.
    pub process: ExecProcess,
    /// Which of its streams a client is to have: input, output, errors.
    pub streams: [bool; 3],
    /// The keys that leave it running.
    pub detach_keys: String,
    /// Whether somebody has asked for its start.
    pub started: bool,
    /// What it counts as having ended with, if it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}

/// So many descriptions of processes that have ended are kept.
const KEPT: usize = 64;

impl Engine {
    /// Describes a process that is to run in a container.
    pub fn create_exec(&self, session: &ExecSession) -> Result<()> {
        self.check_exec(&session.container)?;
        if session.process.cmd.is_empty() {
            return Err(EngineError::Refused("no exec command specified".to_owned()));
        }
        self.forget_execs(&session.container)?;
        self.write_exec(session)
    }

    /// Marks a process as started. Nobody starts it a second time.
    pub fn claim_exec(&self, id: &str) -> Result<ExecSession> {
        let mut session = self.exec_session(id)?;
        if session.started {
            return Err(EngineError::ExecStarted(id.to_owned()));
        }
        self.check_exec(&session.container)?;
        session.started = true;
        self.write_exec(&session)?;
        Ok(session)
    }

    /// Notes that a process could not be started.
    pub fn fail_exec(&self, session: &ExecSession, code: i32) -> Result<()> {
        self.write_exec(&ExecSession { failed: Some(code), ..session.clone() })
    }

    /// A process that was described, by its id.
    pub fn exec_session(&self, id: &str) -> Result<ExecSession> {
        let missing = || EngineError::NoSuchExec(id.to_owned());
        if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        for container in self.containers().ids()? {
            let path = self.exec_file(&container, id);
            match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => {
                    let bytes = other.map_err(EngineError::io("read", &path))?;
                    return serde_json::from_slice(&bytes).map_err(|_| missing());
                }
            }
        }
        Err(missing())
    }

    /// Docker's document about such a process.
    pub fn inspect_exec(&self, id: &str) -> Result<Value> {
        let session = self.exec_session(id)?;
        let state = self.container_state(&session.container)?;
        let own = state.execs.iter().find(|exec| exec.id == id);
        let ExecSession { process, streams: [stdin, stdout, stderr], .. } = &session;
        let (program, arguments) =
            process.cmd.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        let running = own.is_some_and(|exec| exec.exit_code.is_none());
        Ok(json!({
            "ID": id,
            "Running": running,
            "ExitCode": exit_code(&session, own, running),
            "ProcessConfig": {
                "tty": process.tty,
                "entrypoint": program,
                "arguments": arguments,
                "privileged": process.privileged,
                "user": process.user,
            },
            "OpenStdin": stdin,
            "OpenStderr": stderr,
            "OpenStdout": stdout,
            "CanRemove": false,
            "ContainerID": session.container.to_string(),
            "DetachKeys": session.detach_keys,
            "Pid": own.map_or(0, |exec| exec.pid),
        }))
    }

    /// Refuses a container in which nothing can be run now.
    pub fn check_exec(&self, id: &ContainerId) -> Result<()> {
        let words = match self.container_state(id)?.status {
            Status::Running => return Ok(()),
            Status::Paused => "is paused, unpause the container before exec",
            Status::Restarting => "is restarting, wait until the container is running",
            _ => return Err(EngineError::NotRunning(id.to_string())),
        };
        Err(EngineError::Busy(format!("container {id} {words}")))
    }

    fn exec_file(&self, container: &ContainerId, id: &str) -> PathBuf {
        self.container_run_folder(container).join(format!("exec-{id}.json"))
    }

    fn write_exec(&self, session: &ExecSession) -> Result<()> {
        let path = self.exec_file(&session.container, &session.id);
        let aside = path.with_extension("new");
        let bytes = serde_json::to_vec(session).expect("a description has only string keys");
        let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, &path));
        written.map_err(EngineError::io("write", &path))
    }

    /// Forgets the oldest processes that have ended.
    fn forget_execs(&self, container: &ContainerId) -> Result<()> {
        let folder = self.container_run_folder(container);
        let entries = fs::read_dir(&folder).map_err(EngineError::io("list", &folder))?.flatten();
        let is_exec = |name: &str| name.starts_with("exec-");
        let mut files: Vec<(std::time::SystemTime, PathBuf)> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_exec))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        if files.len() <= KEPT {
            return Ok(());
        }
        files.sort();
        let running = self.container_state(container)?.execs;
        let runs = |id: &str| running.iter().any(|exec| exec.id == id && exec.exit_code.is_none());
        for (_, path) in &files[..files.len() - KEPT] {
            let read = fs::read(path).ok();
            let session = read.and_then(|bytes| serde_json::from_slice::<ExecSession>(&bytes).ok());
            if session.is_none_or(|session| session.started && !runs(&session.id)) {
                // Somebody else may have been quicker.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// None until it has ended. Of one that ended so long ago that nobody remembers, no error is known.
fn exit_code(session: &ExecSession, own: Option<&ExecState>, running: bool) -> Option<i32> {
    match own {
        Some(exec) => exec.exit_code,
        None => session.failed.or((session.started && !running).then_some(0)),
    }
}
