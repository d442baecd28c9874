//! Further processes in a container: described, started, asked after.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, ExecProcess, ExecSession};
use runtime::attach::{Answer, Connection, ExecRequest, FrameKind, Request, WaitFor};
use runtime::failure::Failure;
use runtime::keys::DetachKeys;
use serde::Deserialize;
use serde_json::json;
use sys::event::{Interest, poll, read_some, write_some};
use sys::terminal::Size;

use super::attach::size;
use super::client::{Client, Form, MULTIPLEXED, RAW, Typed, keys};
use crate::call::Call;
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::{Reply, Socket};

const WAITING_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 32 << 10;

/// What is to be run, as clients write it. What is `null` was not said.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    user: Option<String>,
    privileged: Option<bool>,
    tty: Option<bool>,
    attach_stdin: Option<bool>,
    attach_stdout: Option<bool>,
    attach_stderr: Option<bool>,
    detach_keys: Option<String>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    cmd: Option<Vec<String>>,
}

pub(crate) fn create(mut call: Call) -> Result<Reply, Refusal> {
    let wanted: Wanted = call.json()?.unwrap_or_default();
    if wanted.cmd.as_ref().is_none_or(Vec::is_empty) {
        return Err(Refusal::bad("No exec command specified"));
    }
    let (engine, container) = call.container()?;
    let detach_keys = wanted.detach_keys.unwrap_or_default();
    keys(&detach_keys)?;
    let session = ExecSession {
        id: engine.invent_exec_id()?,
        container,
        process: ExecProcess {
            cmd: wanted.cmd.unwrap_or_default(),
            user: wanted.user.unwrap_or_default(),
            env: wanted.env.unwrap_or_default(),
            working_dir: wanted.working_dir.unwrap_or_default(),
            privileged: wanted.privileged.unwrap_or_default(),
            tty: wanted.tty.unwrap_or_default(),
        },
        streams: [wanted.attach_stdin, wanted.attach_stdout, wanted.attach_stderr]
            .map(Option::unwrap_or_default),
        detach_keys,
        started: false,
        failed: None,
    };
    engine.create_exec(&session)?;
    Ok(Reply::json(&json!({ "Id": session.id })).at_status(201))
}

pub(crate) fn inspect(call: Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(&call.engine()?.inspect_exec(call.parameter("id"))?))
}

pub(crate) fn resize(call: Call) -> Result<Reply, Refusal> {
    let engine = call.engine()?;
    let (rows, columns) = size(&call)?;
    let ExecSession { id, container, .. } = engine.exec_session(call.parameter("id"))?;
    engine.ask_monitor(&container, &Request::Resize { rows, columns, exec: Some(id) })?;
    Ok(Reply::status(200))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Start {
    detach: Option<bool>,
    tty: Option<bool>,
    console_size: Option<[u16; 2]>,
}

pub(crate) fn start(mut call: Call) -> Result<Reply, Refusal> {
    let Start { detach, tty, console_size } = call.json()?.unwrap_or_default();
    let engine = call.engine()?;
    let session = engine.claim_exec(call.parameter("id"))?;
    let detach = detach.unwrap_or_default();
    let [stdin, stdout, stderr] = session.streams;
    let attach = !detach && session.streams.contains(&true);
    let mut connection = engine.monitor(&session.container)?;
    let started = ask(&engine, &session, attach, &mut connection)?;
    if detach {
        started?;
        return Ok(Reply::status(200));
    }
    let multiplexed = !session.process.tty;
    let kind = if multiplexed && call.since(brought::KINDS_OF_STREAMS) { MULTIPLEXED } else { RAW };
    let keys = match session.process.tty && tty.unwrap_or(true) {
        true => keys(&session.detach_keys)?,
        false => DetachKeys::none(),
    };
    Ok(Reply::hijack(call.upgrades(), kind, move |socket: Socket| {
        let mut client = Client::new(socket, stdin, Form::of(!multiplexed), keys);
        // Whatever goes wrong now, the client sees its streams end.
        let _ = match started {
            Ok(_) => {
                let fds = connection.take_fds();
                let process = Process::new(fds, multiplexed, [stdout, stderr]);
                process.resize(console_size);
                follow(connection, &session.id, process, &mut client)
            }
            Err(failure) => client.show(1, format!("{}\r\n", failure.message).as_bytes()),
        };
    }))
}

/// Asks for the start of a process.
fn ask(
    engine: &Engine,
    session: &ExecSession,
    attach: bool,
    connection: &mut Connection,
) -> Result<Result<Answer, Failure>, Refusal> {
    let request = ExecRequest {
        id: session.id.clone(),
        process: serde_json::to_value(&session.process).map_err(io::Error::from)?,
        tty: session.process.tty,
        stdin: session.streams[0] && attach,
        attach,
    };
    let started = connection.call(&Request::Exec(request));
    if let Err(failure) = &started {
        let noted = engine.fail_exec(session, failure.exec_code().into());
        // Its monitor was on the way out.
        if connection.has_ended() {
            return Err(EngineError::NotRunning(session.container.to_string()).into());
        }
        noted?;
    }
    Ok(started)
}

/// A process that was started, and whose streams nobody has yet.
pub(crate) struct Running {
    connection: Connection,
    id: String,
    process: Process,
}

/// Starts a process for a client that is to get its streams.
pub(crate) fn begin(engine: &Engine, session: &ExecSession) -> Result<Running, Refusal> {
    let mut connection = engine.monitor(&session.container)?;
    ask(engine, session, true, &mut connection)??;
    let [_, stdout, stderr] = session.streams;
    let process = Process::new(connection.take_fds(), !session.process.tty, [stdout, stderr]);
    Ok(Running { connection, id: session.id.clone(), process })
}

impl Running {
    /// Copies both ways until it has ended.
    pub(crate) fn follow(self, client: &mut Client) -> io::Result<()> {
        follow(self.connection, &self.id, self.process, client)
    }
}

/// Our ends of a process's streams.
struct Process {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    shown: [bool; 2],
}

impl Process {
    /// A terminal is one descriptor; otherwise output, errors and perhaps input.
    fn new(fds: Vec<OwnedFd>, pipes: bool, shown: [bool; 2]) -> Process {
        let mut fds = fds.into_iter();
        let stdout = fds.next();
        let again = |fd: &Option<OwnedFd>| fd.as_ref().and_then(|fd| fd.try_clone().ok());
        match pipes {
            true => {
                let stderr = fds.next();
                Process { stdin: fds.next(), stdout, stderr, terminal: None, shown }
            }
            false => Process {
                stdin: again(&stdout),
                terminal: again(&stdout),
                stdout,
                stderr: None,
                shown,
            },
        }
    }

    fn resize(&self, size: Option<[u16; 2]>) {
        if let (Some([rows, columns]), Some(terminal)) = (size, &self.terminal) {
            // Its process has perhaps ended.
            let _ = sys::terminal::set_size(terminal, Size { rows, columns });
        }
    }

    fn show(&mut self, place: usize, client: &Client, bytes: &mut [u8]) -> io::Result<()> {
        let fd = if place == 0 { &mut self.stdout } else { &mut self.stderr };
        let Some(open) = fd else { return Ok(()) };
        match read_some(&*open, bytes) {
            Ok(Some(0)) | Err(_) => *fd = None,
            Ok(None) => {}
            Ok(Some(count)) if self.shown[place] => {
                client.show(place as u8 + 1, &bytes[..count])?
            }
            Ok(Some(_)) => {}
        }
        Ok(())
    }
}

/// So long is shown what a process that has ended left behind, if that prints without a pause.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// Copies both ways until the process has ended and all that it printed is shown. What it has left
/// behind may keep its streams for as long as it likes: nobody waits for that.
fn follow(
    mut connection: Connection,
    id: &str,
    mut process: Process,
    client: &mut Client,
) -> io::Result<()> {
    connection.ask(&Request::Wait(WaitFor::Exec(id.to_owned())))?;
    let mut bytes = vec![0; READ_BYTES];
    let mut waiting = Vec::new();
    let mut over: Option<Instant> = None;
    // Nothing more is typed, and what was typed is to be the end of it.
    let mut closing = process.stdin.is_none();
    if matches!(client.early(&mut waiting), None | Some(Typed::Detach)) {
        return Ok(());
    }
    while !(over.is_some() && process.stdout.is_none() && process.stderr.is_none()) {
        if closing && waiting.is_empty() && process.terminal.is_none() {
            // The end of a terminal is typed, not given; a pipe's is its closing.
            process.stdin = None;
        }
        let write = Interest { read: false, write: true };
        let input = process.stdin.as_ref().filter(|_| !waiting.is_empty());
        let [ready, said, room, out, err] = poll(
            [
                client.waits(waiting.len() < WAITING_BYTES),
                (Some(connection.as_fd()).filter(|_| over.is_none()), Interest::READ),
                (input.map(AsFd::as_fd), write),
                (process.stdout.as_ref().map(AsFd::as_fd), Interest::READ),
                (process.stderr.as_ref().map(AsFd::as_fd), Interest::READ),
            ],
            over.map(|_| Duration::ZERO),
        )?;
        if over.is_some_and(|at| at.elapsed() > LEFT_BEHIND || !out.read && !err.read) {
            break;
        }
        for (place, ready) in [out, err].into_iter().enumerate() {
            if ready.read {
                process.show(place, client, &mut bytes)?;
            }
        }
        match client.take(ready, &mut waiting) {
            None | Some(Typed::Detach) => return Ok(()),
            Some(Typed::End) => closing = true,
            Some(Typed::Some) => {}
        }
        if let (true, Some(stdin)) = (room.write, &process.stdin) {
            match write_some(stdin, &waiting) {
                Ok(Some(written)) => drop(waiting.drain(..written)),
                Ok(None) => {}
                Err(_) => {
                    process.stdin = None;
                    client.stop_typing();
                }
            }
        }
        if process.stdin.is_none() {
            waiting.clear();
        }
        if said.read {
            connection.receive()?;
        }
        while let Some(frame) = connection.next_frame() {
            let is_end = |answer| matches!(answer, Answer::Exited(_) | Answer::Failed(_));
            if frame.kind == FrameKind::Answer && is_end(serde_json::from_slice(&frame.body)?) {
                over.get_or_insert_with(Instant::now);
            }
        }
        // The container may have ended, and its monitor with it.
        if connection.is_over() {
            over.get_or_insert_with(Instant::now);
        }
    }
    Ok(())
}
