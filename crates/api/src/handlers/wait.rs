//! Waiting for the end of a container, however long that takes and whoever starts it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use engine::{Engine, EngineError};
use runtime::attach::{Answer, Connection, FrameKind, Request, WaitFor};
use runtime::state::State;
use serde_json::{Value, json};
use spec::ContainerId;
use sys::event::{Interest, poll};

use crate::app::App;
use crate::call::Call;
use crate::gate::{Admitted, Gate, Ticket};
use crate::refusal::Refusal;
use crate::reply::{Reply, Sink};

/// How often is looked whether somebody else has started, or removed, a container.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn wait(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let what = match call.query.text("condition") {
        "" | "not-running" => WaitFor::NotRunning,
        "next-exit" => WaitFor::NextExit,
        "removed" => WaitFor::Removed,
        other => return Err(Refusal::bad(format!("invalid condition: {other:?}"))),
    };
    let app = call.app.clone();
    Ok(Reply::stream("application/json", move |sink| {
        // The client starts the container when it has the head.
        let ended = Waiting { app, engine, id, what }.run(sink)?;
        match ended {
            Some(document) => Ok(sink.line(&document)?),
            None => Ok(()),
        }
    }))
}

struct Waiting {
    app: Arc<App>,
    engine: Engine,
    id: ContainerId,
    what: WaitFor,
}

/// What went wrong with the container is told by its state; an error here would be one of waiting.
fn exited(code: i32) -> Value {
    json!({ "StatusCode": code })
}

/// What came of listening to a monitor.
enum Heard {
    /// It said how the container ended.
    Exited(i32),
    /// It has gone, or will not say: the container's state tells.
    Silence,
    /// The client has gone.
    Left,
}

impl Waiting {
    /// What is told of the end; nothing if the client has gone.
    fn run(&self, sink: &mut Sink) -> Result<Option<Value>, Refusal> {
        let first = self.engine.container_state(&self.id)?;
        if !first.status.is_alive() && self.what == WaitFor::NotRunning {
            return self.by_state(sink);
        }
        // Whoever comes to the gate before the head is sent is there when the container starts.
        let ticket = Gate::wait(&self.app, &self.id);
        sink.begin();
        match self.listen(ticket, &first, sink)? {
            Heard::Exited(code) => Ok(Some(exited(code))),
            Heard::Left => Ok(None),
            Heard::Silence => self.by_state(sink),
        }
    }

    /// Listens to the monitor of the run that is waited for: the present one, or the next.
    fn listen(&self, mut ticket: Ticket, first: &State, sink: &Sink) -> Result<Heard, Refusal> {
        loop {
            match self.engine.monitor(&self.id) {
                Ok(mut connection) => {
                    connection.ask(&Request::Wait(self.what.clone()))?;
                    // Whoever starts the container need not wait for one who has asked.
                    drop(ticket);
                    match self.hear(connection, sink)? {
                        // Perhaps the monitor of the run before, on its way out.
                        Heard::Silence => ticket = Gate::wait(&self.app, &self.id),
                        heard => return Ok(heard),
                    }
                }
                Err(EngineError::NotRunning(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if self.is_gone() {
                return Ok(Heard::Exited(0));
            }
            // It may have ended since it was looked at, be it that nobody here saw it run.
            let now = self.engine.container_state(&self.id)?;
            let ended = first.status.is_alive() || now.finished != first.finished;
            if ended && !now.status.is_alive() {
                return Ok(Heard::Silence);
            }
            match ticket.admitted.recv_timeout(PAUSE) {
                Ok(Admitted { mut connection, asked }) => {
                    connection.ask(&Request::Wait(self.what.clone()))?;
                    // Its answer says that the question before it was heard.
                    connection.call(&Request::State)?;
                    drop(asked);
                    return self.hear(connection, sink);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever would have let us in has failed: the next one may not.
                Err(RecvTimeoutError::Disconnected) => ticket = Gate::wait(&self.app, &self.id),
            }
            if sink.is_gone_within(Duration::ZERO) {
                return Ok(Heard::Left);
            }
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.engine.containers().read(&self.id), Err(EngineError::NoSuchContainer(_)))
    }

    fn hear(&self, mut connection: Connection, sink: &Sink) -> Result<Heard, Refusal> {
        loop {
            while let Some(frame) = connection.next_frame() {
                if frame.kind != FrameKind::Answer {
                    continue;
                }
                match serde_json::from_slice(&frame.body).map_err(io::Error::from)? {
                    Answer::Exited(exit) => return Ok(Heard::Exited(exit.code)),
                    // It is over for this monitor, which knows nothing of what comes then.
                    Answer::Failed(_) => return Ok(Heard::Silence),
                    _ => {}
                }
            }
            if connection.is_over() {
                return Ok(Heard::Silence);
            }
            if is_left(&connection, sink.gone())? {
                return Ok(Heard::Left);
            }
            connection.receive()?;
        }
    }

    /// What the state tells of the end. A container that is not removed by its monitor is removed
    /// by somebody, some time.
    fn by_state(&self, sink: &Sink) -> Result<Option<Value>, Refusal> {
        let code = self.engine.state_at_rest(&self.id).map_or(0, |state| state.exit_code);
        while self.what == WaitFor::Removed && !self.is_gone() {
            if sink.is_gone_within(PAUSE) {
                return Ok(None);
            }
        }
        Ok(Some(exited(code)))
    }
}

/// Waits until a monitor says something. Says whether the client has gone instead.
fn is_left(connection: &Connection, gone: BorrowedFd<'_>) -> io::Result<bool> {
    let both = [(Some(connection.as_fd()), Interest::READ), (Some(gone), Interest::READ)];
    let [said, gone] = poll(both, None)?;
    Ok(gone.read && !said.read)
}
