//! Containers are started, asked, and let go of.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use runtime::attach::{
    Answer, AttachRequest, Connection, Request, SOCKET_FILE, StopRequest, WaitFor,
};
use runtime::failure::{Failure, FailureKind};
use runtime::monitor::Caller;
use runtime::state::{self, Hold, Keeper, Observed, State, Status};
use spec::ContainerId;

use super::remove::PAUSE;
use crate::error::{EngineError, Result};
use crate::{Engine, Standing};

/// The command that watches a container; nobody types it.
pub const WATCH_COMMAND: &str = "__watch";

/// What it is given besides the id when it is told more.
pub const TOLD: &str = "told";

/// The number of the first descriptor after the standard streams.
const FIRST_INHERITED: i32 = 3;

/// How long a monitor that leaves a container is waited for by those who do not need it to.
const LEAVING: Duration = Duration::from_secs(2);

/// The signal that no process can refuse; on Linux it has this number everywhere.
const SIGKILL: i32 = 9;

/// A container that is being started by us: a connection to its monitor.
pub struct Starting {
    /// The connection. Requests are answered in the order in which they were asked.
    pub connection: Connection,
    /// What the attachment will be answered with, if one was asked for.
    pub attach: Option<u16>,
    /// What the start will be answered with.
    pub start: u16,
}

/// A container's monitor that was just started by us, and waits to be told so.
pub struct Spawned {
    /// The connection to it.
    pub connection: Connection,
    /// Its process, whose end those take who live long enough.
    pub monitor: i32,
}

impl Engine {
    /// How a container is; what a monitor left behind that was killed is put in order first.
    pub fn container_state(&self, id: &ContainerId) -> Result<State> {
        let folder = self.containers().folder(id);
        let io = EngineError::io("read the state in", &folder);
        let observed = state::observe(&folder).map_err(io)?;
        self.put_right(id, observed)
    }

    /// How a container is that may just have ended: what it had is given back by then. A monitor that
    /// leaves is waited for, and not for long, since somebody may read a container's files too.
    pub fn state_at_rest(&self, id: &ContainerId) -> Result<State> {
        let state = self.container_state(id)?;
        let (folder, begin) = (self.containers().folder(id), Instant::now());
        while !state.status.is_alive()
            && state::is_held(&folder).unwrap_or_default()
            && begin.elapsed() < LEAVING
        {
            std::thread::sleep(PAUSE);
        }
        Ok(state)
    }

    /// What was observed of a container; if its monitor has gone, what has become of it. One that
    /// was to be removed when it ended is removed.
    pub(super) fn put_right(&self, id: &ContainerId, observed: Observed) -> Result<State> {
        let socket = self.container_run_folder(id).join(SOCKET_FILE);
        let mut state = match observed.keeper {
            Keeper::Monitor => return Ok(observed.state),
            // A monitor that ends takes its socket with it.
            Keeper::Nobody if !socket.exists() && observed.state.status != Status::Removing => {
                return Ok(observed.state);
            }
            Keeper::Nobody => {
                self.end_unwritten(id)?;
                observed.state
            }
            Keeper::Orphaned | Keeper::Died | Keeper::Rebooted => self.recover(id)?,
        };
        if !state.status.is_alive() && self.finish_removal(id)? {
            state.status = Status::Removing;
        }
        Ok(state)
    }

    /// Ends what a monitor has left that was killed before it wrote down that its container runs, or
    /// after it wrote that it had ended.
    fn end_unwritten(&self, id: &ContainerId) -> Result<()> {
        let containers = self.containers();
        let folder = containers.folder(id);
        let hold = match Hold::take(&folder) {
            // It is just beginning, or just ending.
            Ok(None) => return Ok(()),
            Ok(Some(hold)) => hold,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(EngineError::io("lock", folder)(error)),
        };
        let io = EngineError::io("read the state in", &folder);
        if hold.found().map_err(io)?.keeper != Keeper::Nobody {
            return Ok(());
        }
        match containers.read(id) {
            Err(EngineError::NoSuchContainer(_)) => Ok(()),
            record => super::watch::end_remains(self, &record?),
        }
    }

    /// Removes a container that was to be removed when it ended, and whose monitor was killed before
    /// it could do so. Says whether that was so.
    fn finish_removal(&self, id: &ContainerId) -> Result<bool> {
        let containers = self.containers();
        let folder = containers.folder(id);
        let _hold = match Hold::take(&folder) {
            Ok(Some(hold)) => hold,
            // Its monitor is about to do it.
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(EngineError::io("lock", folder)(error)),
        };
        let record = match containers.read(id) {
            Err(EngineError::NoSuchContainer(_)) => return Ok(false),
            other => other?,
        };
        if !record.host_config.auto_remove {
            return Ok(false);
        }
        super::watch::end_remains(self, &record)?;
        self.discard_container(&record, true)?;
        Ok(true)
    }

    /// Ends what is left of a container whose monitor has gone.
    fn recover(&self, id: &ContainerId) -> Result<State> {
        let containers = self.containers();
        let folder = containers.folder(id);
        let record = containers.read(id)?;
        let mut end = |_: &state::Observed| -> io::Result<()> {
            super::watch::end_remains(self, &record).map_err(io::Error::other)
        };
        let io = EngineError::io("write the state in", &folder);
        let observed = state::recover(&folder, &mut end).map_err(io)?;
        Ok(observed.state)
    }

    /// Starts a container's monitor and asks it to start the container, after an attachment if one
    /// is wanted. Nothing has been waited for.
    pub fn begin_start(&self, id: &ContainerId, attach: Option<AttachRequest>) -> Result<Starting> {
        Engine::ask_start(self.spawn_monitor(id)?.connection, attach)
    }

    /// Asks a monitor that was just started to start its container.
    pub(super) fn ask_start(
        mut connection: Connection,
        attach: Option<AttachRequest>,
    ) -> Result<Starting> {
        let attach = match attach {
            Some(wanted) => Some(connection.add(&Request::Attach(wanted)).map_err(lost())?),
            None => None,
        };
        let start = connection.ask(&Request::Start).map_err(lost())?;
        Ok(Starting { connection, attach, start })
    }

    /// Starts a container and waits until it runs.
    pub fn start_container(&self, id: &ContainerId) -> Result<()> {
        if self.container_state(id)?.status.is_alive() {
            return Ok(());
        }
        let Starting { mut connection, start, .. } = self.begin_start(id, None)?;
        match connection.answer(start) {
            Ok(_) => Ok(()),
            // Somebody else was quicker.
            Err(_) if self.container_state(id)?.status.is_alive() => Ok(()),
            Err(failure) => Err(monitor(failure)),
        }
    }

    /// Starts a container's monitor, which outlives us and is told to start the container by
    /// whoever has the connection. Its end of it is its first descriptor after the standard streams.
    pub fn spawn_monitor(&self, id: &ContainerId) -> Result<Spawned> {
        let (connection, client) = Engine::pair()?;
        let monitor = self.spawn(id, &[], client)?;
        Ok(Spawned { connection, monitor })
    }

    /// A connection to a monitor that is to be started with its other end.
    pub(super) fn pair() -> Result<(Connection, OwnedFd)> {
        let pair = sys::socket::nonblocking_pair().map_err(EngineError::io("make", "a socket"))?;
        Ok((Connection::over(pair.0), pair.1))
    }

    /// Starts one that finds on its end of a connection what is known of the container.
    pub(super) fn spawn_told(&self, id: &ContainerId, client: OwnedFd) -> Result<()> {
        self.spawn(id, &[TOLD.as_bytes()], client).map(drop)
    }

    fn spawn(&self, id: &ContainerId, more: &[&[u8]], client: OwnedFd) -> Result<i32> {
        if let Standing::Ordinary = self.settings().standing {
            return Err(EngineError::NoContainers);
        }
        let program = runtime::shelter::file()?;
        let settings = self.settings();
        let id = id.to_string();
        let words: [&[u8]; 7] = [
            b"mica",
            b"--data-root",
            settings.data_root.as_os_str().as_encoded_bytes(),
            b"--run-root",
            settings.run_root.as_os_str().as_encoded_bytes(),
            WATCH_COMMAND.as_bytes(),
            id.as_bytes(),
        ];
        let words = words
            .iter()
            .chain(more)
            .map(|word| CString::new(*word))
            .collect::<std::result::Result<Vec<_>, _>>();
        let started = words.map_err(io::Error::other).and_then(|words| {
            let environment = settings.standing.variable().map(CString::new).transpose()?;
            let environment: Vec<CString> = environment.into_iter().collect();
            let null = File::options().read(true).write(true).open("/dev/null")?;
            sys::process::start(program, &words, &environment, null.as_fd(), client.as_fd())
        });
        started.map_err(EngineError::io("start", "the container's monitor"))
    }

    /// A connection to the monitor of a container that runs.
    pub fn monitor(&self, id: &ContainerId) -> Result<Connection> {
        Connection::open(&self.container_run_folder(id)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                EngineError::NotRunning(id.to_string())
            }
            _ => EngineError::io("speak to", "the container's monitor")(error),
        })
    }

    /// Asks a running container's monitor one thing.
    pub fn ask_monitor(&self, id: &ContainerId, request: &Request) -> Result<Answer> {
        self.call_monitor(id, &mut self.monitor(id)?, request)
    }

    fn call_monitor(
        &self,
        id: &ContainerId,
        connection: &mut Connection,
        request: &Request,
    ) -> Result<Answer> {
        connection.call(request).map_err(|failure| {
            // One that was on its way out takes connections and answers nothing.
            match connection.has_ended() && failure.kind == FailureKind::NotFound {
                true => EngineError::NotRunning(id.to_string()),
                false => monitor(failure),
            }
        })
    }

    /// Stops a container; one that does not run is no error.
    pub fn stop_container(&self, id: &ContainerId, request: StopRequest) -> Result<()> {
        if !self.state_at_rest(id)?.status.is_alive() {
            return Ok(());
        }
        match self.ask_monitor(id, &Request::Stop(request)) {
            Ok(_) | Err(EngineError::NotRunning(_)) => Ok(()),
            // It ended before it was asked, or somebody else has stopped it.
            Err(_) if !self.state_at_rest(id)?.status.is_alive() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Stops a container if it runs, and starts it.
    pub fn restart_container(&self, id: &ContainerId, request: StopRequest) -> Result<()> {
        if !self.container_state(id)?.status.is_alive() {
            return self.start_container(id);
        }
        match self.ask_monitor(id, &Request::Restart(request)) {
            Ok(_) => Ok(()),
            Err(EngineError::NotRunning(_)) => self.start_container(id),
            Err(error) => Err(error),
        }
    }

    /// Gives the terminal of a container's first process another size.
    pub fn resize_container(&self, id: &ContainerId, (rows, columns): (u16, u16)) -> Result<()> {
        self.ask_monitor(id, &Request::Resize { rows, columns, exec: None })?;
        let record = self.containers().read(id)?;
        let size = [("height", &*rows.to_string()), ("width", &*columns.to_string())];
        self.container_event("resize", &record, &size);
        Ok(())
    }

    /// Sends a signal to a container's first process. One that cannot be refused is waited for.
    pub fn kill_container(&self, id: &ContainerId, signal: i32) -> Result<()> {
        if !self.container_state(id)?.status.is_alive() {
            return Err(EngineError::NotRunning(id.to_string()));
        }
        let mut connection = self.monitor(id)?;
        // Asked first: the end may come before the kill is answered.
        let wait = match signal {
            SIGKILL => Some(connection.add(&Request::Wait(WaitFor::NotRunning)).map_err(lost())?),
            _ => None,
        };
        self.call_monitor(id, &mut connection, &Request::Kill { signal })?;
        match wait.map(|wait| connection.answer(wait)) {
            Some(Err(failure)) if !connection.has_ended() => Err(monitor(failure)),
            _ => Ok(()),
        }
    }

    /// Waits for the end of a container and gives its exit code.
    pub fn wait_for_container(&self, id: &ContainerId, what: WaitFor) -> Result<i32> {
        let state = self.state_at_rest(id)?;
        let alive = state.status.is_alive();
        if !alive && what == WaitFor::NotRunning {
            return Ok(state.exit_code);
        }
        match self.ask_monitor(id, &Request::Wait(what)) {
            Ok(Answer::Exited(exit)) => Ok(exit.code),
            Ok(_) => Ok(0),
            Err(EngineError::NotRunning(_)) => {
                // One that has gone with its end has left no code.
                self.containers().read(id)?;
                Ok(self.state_at_rest(id)?.exit_code)
            }
            Err(error) => Err(error),
        }
    }
}

fn lost() -> impl FnOnce(io::Error) -> EngineError {
    EngineError::io("speak to", "the container's monitor")
}

/// What a monitor says, as an error of ours.
pub(crate) fn monitor(failure: Failure) -> EngineError {
    EngineError::Monitor { message: failure.message.clone(), failure: Box::new(failure) }
}

/// A container's log, as it can be read.
pub struct ContainerLog {
    /// Its newest file.
    pub path: std::path::PathBuf,
    /// What its lines look like.
    pub format: runtime::logs::Format,
}

impl Engine {
    /// Freezes a container, or lets it go on.
    pub fn freeze_container(&self, id: &ContainerId, frozen: bool) -> Result<()> {
        if self.settings().standing.is_of_user() {
            return Err(EngineError::NoGroups("pausing"));
        }
        let request = if frozen { Request::Pause } else { Request::Unpause };
        match self.ask_monitor(id, &request) {
            // Docker asks for what is to be undone before it asks for the container.
            Err(EngineError::NotRunning(_)) if !frozen => {
                Err(EngineError::Refused(format!("Container {id} is not paused")))
            }
            asked => asked.map(drop),
        }
    }

    /// Where a container's output is kept.
    pub fn container_log(&self, id: &ContainerId) -> Result<ContainerLog> {
        let containers = self.containers();
        let record = containers.read(id)?;
        let kind = &record.host_config.log_config;
        let refused = |error: runtime::logs::LogError| EngineError::Refused(error.to_string());
        let config = runtime::logs::LogConfig::parse(&kind.kind, &kind.config).map_err(refused)?;
        let unread = || {
            EngineError::Refused("configured logging driver does not support reading".to_owned())
        };
        let format = config.readable().ok_or_else(unread)?;
        Ok(ContainerLog { path: containers.log_path(id), format })
    }

    /// An id for a further process.
    pub fn invent_exec_id(&self) -> Result<String> {
        let bytes: [u8; 32] =
            sys::host::random_bytes().map_err(EngineError::io("read", "/dev/urandom"))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The connection that a monitor was given beside its standard streams. To be taken before anything
/// else is opened.
pub fn inherited_connection() -> Option<Caller> {
    let socket = sys::process::inherited_file(FIRST_INHERITED).ok()?;
    Some(Caller::new(socket.into()))
}
