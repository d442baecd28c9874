//! A client gets a container's streams, of one that runs or is about to.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use engine::{Engine, EngineError};
use runtime::attach::{Answer, AttachRequest, Connection, FrameKind, Request};
use runtime::failure::FailureKind;
use runtime::keys::DetachKeys;
use runtime::state::Status;
use spec::{ContainerId, Timestamp};
use sys::event::{Interest, poll};

use super::client::{Client, Form, MULTIPLEXED, RAW, Typed, Wanted, keys};
use super::logs::replay;
use super::websocket;
use crate::app::App;
use crate::call::Call;
use crate::gate::{Admitted, Gate, Ticket};
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::{Reply, Socket};

/// While so much waits for the container, nothing more is read from the client.
const WAITING_BYTES: usize = 64 << 10;
/// How often is looked whether somebody else has started a container.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn attach(call: Call) -> Result<Reply, Refusal> {
    let query = &call.query;
    let (attaching, tty) = Attaching::asked(&call, false)?;
    let kind = if !tty && call.since(brought::KINDS_OF_STREAMS) { MULTIPLEXED } else { RAW };
    let keys = keys(query.text("detachKeys"))?;
    let keys = if tty { keys } else { DetachKeys::none() };
    Ok(Reply::hijack(call.upgrades(), kind, move |socket: Socket| {
        attaching.work(socket, Form::of(tty), keys);
    }))
}

/// The same by a web socket.
pub(crate) fn attach_by_messages(call: Call) -> Result<Reply, Refusal> {
    call.container()?;
    let key = call.header("sec-websocket-key").to_owned();
    let is_one = call.header("upgrade").eq_ignore_ascii_case("websocket");
    if key.is_empty() || !is_one || call.header("sec-websocket-version") != "13" {
        return Err(Refusal::bad("a web socket of version 13 was not asked for"));
    }
    let all = !call.since(brought::CHOSEN_STREAMS);
    let (attaching, tty) = Attaching::asked(&call, all)?;
    let keys = keys(call.query.text("detachKeys"))?;
    let keys = if tty { keys } else { DetachKeys::none() };
    let reply = Reply::taken_over(move |socket: Socket| {
        attaching.work(socket, Form::Messages(Default::default()), keys);
    });
    Ok(reply
        .with("upgrade", "websocket")
        .with("connection", "Upgrade")
        .with("sec-websocket-accept", websocket::accept(&key)))
}

struct Attaching {
    ticket: Ticket,
    engine: Engine,
    id: ContainerId,
    wanted: Wanted,
    logs: bool,
    streams: bool,
    was_alive: bool,
    app: Arc<App>,
}

impl Attaching {
    /// What a request asks for, or `all` streams, and whether the container has a terminal.
    fn asked(call: &Call, all: bool) -> Result<(Attaching, bool), Refusal> {
        let (engine, id) = call.container()?;
        let query = &call.query;
        let [stdin, stdout, stderr] =
            ["stdin", "stdout", "stderr"].map(|name| all || query.flag(name));
        let record = engine.containers().read(&id)?;
        let status = engine.container_state(&id)?.status;
        if status == Status::Paused {
            return Err(Refusal::conflict(format!(
                "container {id} is paused, unpause the container before attach"
            )));
        }
        let attaching = Attaching {
            // Taken before the client hears anything, which is before it asks for the start.
            ticket: Gate::wait(&call.app, &id),
            engine,
            id,
            wanted: Wanted { stdin: stdin && record.config.open_stdin, stdout, stderr },
            logs: query.flag("logs"),
            streams: query.flag("stream"),
            was_alive: status.is_alive(),
            app: call.app.clone(),
        };
        Ok((attaching, record.config.tty))
    }

    fn work(self, socket: Socket, form: Form, keys: DetachKeys) {
        let mut client = Client::new(socket, self.wanted.stdin, form, keys);
        // Whatever goes wrong now, the client sees its streams end.
        let _ = self.run(&mut client);
        client.end();
    }

    fn run(mut self, client: &mut Client) -> Result<(), Refusal> {
        if !self.streams {
            return match self.logs {
                true => replay(&self.engine, &self.id, Timestamp::now(), self.wanted, client),
                false => Ok(()),
            };
        }
        let connected = self.connect(client)?;
        // Whoever starts the container again must not wait for us.
        drop(self.ticket);
        let Some((connection, until)) = connected else { return Ok(()) };
        if self.logs {
            replay(&self.engine, &self.id, until, self.wanted, client)?;
        }
        Ok(follow(connection, client)?)
    }

    /// A connection that is attached, and up to when output is in the log alone; nothing if the
    /// client has gone before the container was started.
    fn connect(&mut self, client: &mut Client) -> Result<Option<(Connection, Timestamp)>, Refusal> {
        let Wanted { stdin, stdout, stderr } = self.wanted;
        let request = Request::Attach(AttachRequest { stdin, stdout, stderr, patient: true });
        let attach = |mut connection: Connection| match connection.call(&request) {
            Ok(Answer::Attached { logged_until, .. }) => Ok(Some((connection, logged_until))),
            Ok(_) => Ok(Some((connection, Timestamp::now()))),
            // That was the monitor of the run before, on its way out.
            Err(failure)
                if matches!(failure.kind, FailureKind::Conflict | FailureKind::NotFound) =>
            {
                Ok(None)
            }
            Err(failure) => Err(Refusal::from(failure)),
        };
        loop {
            match self.engine.monitor(&self.id).map(attach) {
                Ok(Ok(None)) | Err(EngineError::NotRunning(_)) => {}
                Ok(attached) => return attached,
                Err(error) => return Err(error.into()),
            }
            // Who has come to see a run sees its end, and not the next one.
            if self.was_alive && !self.engine.container_state(&self.id)?.status.is_alive() {
                return Ok(None);
            }
            match self.ticket.admitted.recv_timeout(PAUSE) {
                Ok(Admitted { connection, asked }) => {
                    let attached = attach(connection);
                    drop(asked);
                    return attached;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever would have let us in has failed: the next one may not.
                Err(RecvTimeoutError::Disconnected) => {
                    self.ticket = Gate::wait(&self.app, &self.id);
                }
            }
            let (fd, _) = client.waits(true);
            let nothing = Interest { read: false, write: false };
            let [ready] = poll([(fd, nothing)], Some(Duration::ZERO))?;
            if ready.hangup || self.app.engine()?.containers().read(&self.id).is_err() {
                return Ok(None);
            }
        }
    }
}

/// Copies both ways until the container ends or the client leaves.
pub(crate) fn follow(mut connection: Connection, client: &mut Client) -> io::Result<()> {
    let mut typed = Vec::new();
    if matches!(client.early(&mut typed), None | Some(Typed::Detach)) {
        return Ok(());
    }
    if !typed.is_empty() {
        connection.send_stdin(&typed)?;
    }
    loop {
        while let Some(frame) = connection.next_frame() {
            match frame.kind {
                FrameKind::Stdout => client.show(1, &frame.body)?,
                FrameKind::Stderr => client.show(2, &frame.body)?,
                FrameKind::Answer => match serde_json::from_slice(&frame.body)? {
                    Answer::Exited(_) | Answer::Failed(_) => return Ok(()),
                    _ => {}
                },
                FrameKind::Request | FrameKind::Stdin => {}
            }
        }
        if connection.is_over() {
            return Ok(());
        }
        let room = connection.waiting_bytes() < WAITING_BYTES;
        let write = connection.waiting_bytes() > 0;
        let [ready, said] = poll(
            [client.waits(room), (Some(connection.as_fd()), Interest { read: true, write })],
            None,
        )?;
        typed.clear();
        match client.take(ready, &mut typed) {
            None | Some(Typed::Detach) => return Ok(()),
            Some(end) => {
                if !typed.is_empty() {
                    connection.send_stdin(&typed)?;
                }
                if end == Typed::End {
                    connection.send_stdin(&[])?;
                }
            }
        }
        if said.write && write {
            connection.flush_some()?;
        }
        if said.read {
            connection.receive()?;
        }
    }
}

pub(crate) fn resize(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    engine.resize_container(&id, size(&call)?)?;
    Ok(Reply::status(200))
}

/// The size of a terminal that a request names.
pub(crate) fn size(call: &Call) -> Result<(u16, u16), Refusal> {
    let number = |name: &str| -> Result<u16, Refusal> {
        call.query
            .number(name)?
            .ok_or_else(|| Refusal::bad("strconv.Atoi: parsing \"\": invalid syntax".to_owned()))
    };
    Ok((number("h")?, number("w")?))
}
