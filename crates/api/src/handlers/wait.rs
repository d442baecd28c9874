//! Waiting for the end of a container, however long that takes and whoever starts it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use engine::{Engine, EngineError};
use runtime::attach::{Answer, Connection, FrameKind, Request, WaitFor};
use serde_json::{Value, json};
use spec::ContainerId;
use sys::event::{Interest, poll};

use crate::app::App;
use crate::call::Call;
use crate::gate::{Admitted, Gate};
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

impl Waiting {
    /// What is told of the end; nothing if the client has gone.
    fn run(&self, sink: &mut Sink) -> Result<Option<Value>, Refusal> {
        let state = self.engine.container_state(&self.id)?;
        if !state.status.is_alive() && self.what == WaitFor::NotRunning {
            return Ok(Some(exited(state.exit_code)));
        }
        // Whoever comes to the gate before the head is sent is there when the container starts.
        let ticket = Gate::wait(&self.app, &self.id);
        sink.begin();
        loop {
            match self.engine.monitor(&self.id) {
                Ok(mut connection) => {
                    drop(ticket);
                    connection.ask(&Request::Wait(self.what.clone()))?;
                    return self.hear(connection, sink);
                }
                Err(EngineError::NotRunning(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match ticket.admitted.recv_timeout(PAUSE) {
                Ok(Admitted { mut connection, asked }) => {
                    connection.ask(&Request::Wait(self.what.clone()))?;
                    // Its answer says that the question before it was heard.
                    connection.call(&Request::State)?;
                    drop(asked);
                    return self.hear(connection, sink);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if self.is_gone() {
                return Ok(Some(exited(0)));
            }
            if sink.is_gone_within(Duration::ZERO) {
                return Ok(None);
            }
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.engine.containers().read(&self.id), Err(EngineError::NoSuchContainer(_)))
    }

    fn hear(&self, mut connection: Connection, sink: &Sink) -> Result<Option<Value>, Refusal> {
        loop {
            while let Some(frame) = connection.next_frame() {
                if frame.kind != FrameKind::Answer {
                    continue;
                }
                match serde_json::from_slice(&frame.body).map_err(io::Error::from)? {
                    Answer::Exited(exit) => return Ok(Some(exited(exit.code))),
                    Answer::Failed(failure) if self.what == WaitFor::Removed => {
                        drop(failure);
                        return self.until_removed(sink);
                    }
                    Answer::Failed(failure) => return Err(failure.into()),
                    _ => {}
                }
            }
            if connection.is_over() {
                return match self.what {
                    WaitFor::Removed => self.until_removed(sink),
                    _ => {
                        let state = self.engine.container_state(&self.id);
                        Ok(Some(exited(state.map_or(0, |state| state.exit_code))))
                    }
                };
            }
            if is_left(&connection, sink.gone())? {
                return Ok(None);
            }
            connection.receive()?;
        }
    }

    /// One that is not removed by its monitor is removed by somebody, some time.
    fn until_removed(&self, sink: &Sink) -> Result<Option<Value>, Refusal> {
        let code = self.engine.container_state(&self.id).map_or(0, |state| state.exit_code);
        while !self.is_gone() {
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
