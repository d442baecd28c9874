//! Processes in containers of steered builds, and their streams in messages of one call.
//!
//! A process has a connection of its own within this program, as a client of docker's API has one; what
//! goes over it is put into messages, and what the client says is taken out of them.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use engine::{Engine, ExecProcess, ExecSession, Spawned};
use runtime::attach::{AttachRequest, Connection, Request, WaitFor};
use runtime::keys::DetachKeys;
use spec::ContainerId;

use super::containers::Place;
use super::messages::gateway::{
    ExecMessage, ExitMessage, FileMessage, InitMessage, ResizeMessage, Said,
};
use super::messages::{Nothing, RpcStatus};
use crate::app::App;
use crate::handlers::attach;
use crate::handlers::client::{Client, Form};
use crate::handlers::exec;
use crate::refusal::Refusal;
use crate::reply::Socket;
use crate::wire::{Exchange, Outgoing, Status};

/// So many processes may one call have at once.
const MAX_PROCESSES: usize = 64;
/// So much of a stream goes in one message.
const PART_BYTES: usize = 32 << 10;
/// What is before each piece of a stream where there are several.
const HEAD_BYTES: usize = 8;
/// The code of a process that could not be started.
const UNKNOWN_EXIT: u32 = 255;

/// How often it is asked whether a client still waits for its processes.
const ASKING: Duration = Duration::from_millis(50);

/// A process as its client can reach it.
struct Reached {
    engine: Arc<Engine>,
    container: ContainerId,
    /// The process, unless it is the container's own.
    exec: Option<String>,
    /// Where what the client types goes.
    typed: UnixStream,
    /// What carries its output until it has ended.
    carried: JoinHandle<()>,
}

/// Starts the processes that a client asks for, and carries what they and the client say.
pub(super) fn serve(app: &App, build: &str, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let mut all: HashMap<String, Reached> = HashMap::new();
    for message in incoming.all::<ExecMessage>() {
        let ExecMessage { process, said } = message?;
        match said {
            Some(Said::Init(init)) => {
                all.retain(|_, reached| !reached.carried.is_finished());
                if all.len() >= MAX_PROCESSES || all.contains_key(&process) {
                    return Err(Status::invalid(format!("process {process} cannot be started")));
                }
                match start(app, build, &process, &init, &outgoing) {
                    Ok(reached) => _ = all.insert(process, reached),
                    Err(status) => refuse(&outgoing, &process, &status)?,
                }
            }
            // To one that has ended nothing can be said any more.
            Some(said) => all.get_mut(&process).map_or(Ok(()), |reached| reached.tell(said))?,
            None => {}
        }
    }
    // The client types nothing more: its processes see the end of their input.
    for reached in all.values() {
        let _ = reached.typed.shutdown(Shutdown::Write);
    }
    while !outgoing.is_gone() && all.values().any(|reached| !reached.carried.is_finished()) {
        thread::sleep(ASKING);
    }
    Ok(())
}

/// Says that a process was not started.
fn refuse(outgoing: &Outgoing, process: &str, status: &Status) -> Result<(), Status> {
    let error = RpcStatus { code: status.code as i32, message: status.message.clone() };
    let exit = Said::Exit(ExitMessage { code: UNKNOWN_EXIT, error: Some(error) });
    say(outgoing, process, exit)?;
    say(outgoing, process, Said::Done(Nothing {}))
}

fn say(outgoing: &Outgoing, process: &str, said: Said) -> Result<(), Status> {
    outgoing.send(&ExecMessage { process: process.to_owned(), said: Some(said) })
}

impl Reached {
    /// What the client says to it.
    fn tell(&mut self, said: Said) -> Result<(), Status> {
        match said {
            Said::File(FileMessage { stream: 0, is_end, data }) => {
                // One that has ended reads nothing more.
                let _ = self.typed.write_all(&data);
                if is_end {
                    let _ = self.typed.shutdown(Shutdown::Write);
                }
            }
            Said::Resize(ResizeMessage { rows, columns }) => {
                let size = (u16::try_from(rows), u16::try_from(columns));
                let (Ok(rows), Ok(columns)) = size else { return Ok(()) };
                let exec = self.exec.clone();
                // It may have ended meanwhile.
                let _ = self
                    .engine
                    .ask_monitor(&self.container, &Request::Resize { rows, columns, exec });
            }
            Said::Signal(signal) => {
                let known = spec::parse_signal(&signal.name);
                let known =
                    known.ok_or_else(|| Status::invalid(format!("signal {}", signal.name)))?;
                match &self.exec {
                    None => _ = self.engine.kill_container(&self.container, known),
                    Some(_) => {
                        let words = "only a container's first process gets signals";
                        return Err(Status::unsupported(words));
                    }
                }
            }
            Said::File(_) | Said::Init(_) | Said::Started(_) | Said::Exit(_) | Said::Done(_) => {
                return Err(Status::invalid("a message out of its turn"));
            }
        }
        Ok(())
    }
}

/// Starts a process, and what carries its output.
fn start(
    app: &App,
    build: &str,
    process: &str,
    init: &InitMessage,
    outgoing: &Outgoing,
) -> Result<Reached, Status> {
    if !init.secrets.is_empty() {
        return Err(Status::unsupported("processes with secrets in their environment are not run"));
    }
    let container = app.buildkit.containers.get(build, &init.container)?;
    let engine = Arc::new(app.engine()?);
    let place = container.place(&engine, init)?;
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let stdin = init.streams.contains(&0);
    let socket = Socket { fd: theirs.into(), early: Vec::new() };
    let client = Client::new(socket, stdin, Form::of(init.terminal), DetachKeys::none());
    let (container, exec) = match place {
        Place::First(id) => {
            first(app, &engine, id, stdin, client)?;
            (id, None)
        }
        Place::Further(id) => (id, Some(further(&engine, id, init, client)?)),
    };
    say(outgoing, process, Said::Started(Nothing {}))?;
    let typed = ours.try_clone()?;
    let carrier = Carrier {
        engine: engine.clone(),
        container,
        exec: exec.clone(),
        outgoing: outgoing.clone(),
        process: process.to_owned(),
        is_terminal: init.terminal,
    };
    let carried = aside(move || carrier.carry(ours))?;
    Ok(Reached { engine, container, exec, typed, carried })
}

/// Starts a container with its own process, whose streams `client` gets.
fn first(
    app: &App,
    engine: &Arc<Engine>,
    id: ContainerId,
    stdin: bool,
    mut client: Client,
) -> Result<(), Status> {
    let wanted = AttachRequest { stdin, stdout: true, stderr: true, ..AttachRequest::default() };
    let begin = || -> Result<Connection, Refusal> {
        let Spawned { mut connection, monitor } = engine.spawn_monitor(&id)?;
        app.gate.keep(monitor);
        connection.call(&Request::Attach(wanted))?;
        connection.call(&Request::Start)?;
        Ok(connection)
    };
    let connection = begin()?;
    // What goes wrong on the way is the end of the streams.
    aside(move || drop(attach::follow(connection, &mut client)))?;
    Ok(())
}

/// Does something that takes as long as a process.
fn aside(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("process".to_owned()).spawn(work)
}

/// Starts one more process in a container, and gives its id.
fn further(
    engine: &Arc<Engine>,
    container: ContainerId,
    init: &InitMessage,
    mut client: Client,
) -> Result<String, Status> {
    let meta = init.meta.clone().unwrap_or_default();
    let session = ExecSession {
        id: engine.invent_exec_id()?,
        container,
        process: ExecProcess {
            cmd: meta.words,
            user: if meta.user.is_empty() { "0:0".to_owned() } else { meta.user },
            env: meta.env,
            working_dir: if meta.folder.is_empty() { "/".to_owned() } else { meta.folder },
            privileged: init.security == 1,
            tty: init.terminal,
        },
        streams: [init.streams.contains(&0), true, true],
        detach_keys: String::new(),
        started: false,
        failed: None,
    };
    engine.create_exec(&session)?;
    let session = engine.claim_exec(&session.id)?;
    let id = session.id.clone();
    let running = exec::begin(engine, &session)?;
    aside(move || drop(running.follow(&mut client)))?;
    Ok(id)
}

/// Carries the output of a process into messages, and tells its end.
struct Carrier {
    engine: Arc<Engine>,
    container: ContainerId,
    exec: Option<String>,
    outgoing: Outgoing,
    process: String,
    is_terminal: bool,
}

impl Carrier {
    fn carry(self, mut from: UnixStream) {
        // The end is told whatever became of the streams; a client that has gone hears neither.
        let _ = match self.is_terminal {
            true => self.plain(&mut from),
            false => self.pieces(&mut from),
        };
        for stream in [1, 2] {
            let end = FileMessage { stream, is_end: true, data: Vec::new() };
            let _ = say(&self.outgoing, &self.process, Said::File(end));
        }
        let code = self.code().unwrap_or(UNKNOWN_EXIT);
        let _ = say(&self.outgoing, &self.process, Said::Exit(ExitMessage { code, error: None }));
        let _ = say(&self.outgoing, &self.process, Said::Done(Nothing {}));
    }

    fn plain(&self, from: &mut UnixStream) -> io::Result<()> {
        let mut part = vec![0; PART_BYTES];
        loop {
            match from.read(&mut part)? {
                0 => return Ok(()),
                count => self.show(1, &part[..count])?,
            }
        }
    }

    /// Streams in pieces that say whose they are.
    fn pieces(&self, from: &mut UnixStream) -> io::Result<()> {
        let mut head = [0; HEAD_BYTES];
        loop {
            from.read_exact(&mut head)?;
            let [stream, _, _, _, length @ ..] = head;
            let mut part = vec![0; u32::from_be_bytes(length) as usize];
            from.read_exact(&mut part)?;
            self.show(u32::from(stream), &part)?;
        }
    }

    fn show(&self, stream: u32, data: &[u8]) -> io::Result<()> {
        let said = Said::File(FileMessage { stream, is_end: false, data: data.to_vec() });
        say(&self.outgoing, &self.process, said).map_err(io::Error::other)
    }

    /// What it ended with.
    fn code(&self) -> Option<u32> {
        let end = self.exec.clone().map_or(WaitFor::NotRunning, WaitFor::Exec);
        // Whose monitor has gone has ended.
        let _ = self.engine.ask_monitor(&self.container, &Request::Wait(end));
        let state = self.engine.container_state(&self.container).ok()?;
        let code = match &self.exec {
            None => Some(state.exit_code),
            Some(id) => state.execs.iter().find(|exec| exec.id == *id)?.exit_code,
        };
        u32::try_from(code?).ok()
    }
}
