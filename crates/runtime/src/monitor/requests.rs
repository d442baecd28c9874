//! What clients ask for.

use std::time::Instant;

use serde_json::Value;
use spec::Timestamp;
use sys::terminal::Size;

use super::Event;
use super::execs::not_running;
use super::life::Phase;
use super::watch::{Asked, Monitor, What};
use crate::attach::{Answer, AttachRequest, Exit, Frame, FrameKind, Request, StopRequest, WaitFor};
use crate::failure::{Failure, FailureKind};
use crate::state::Status;

impl Monitor<'_> {
    /// Carries out what a client sent.
    pub(super) fn frame(&mut self, client: u32, frame: Frame) {
        match frame.kind {
            FrameKind::Stdin => self.typed(client, &frame.body),
            FrameKind::Request => match serde_json::from_slice(&frame.body) {
                Ok(request) => self.request(client, frame.number, request),
                Err(error) => {
                    let failure = Failure::of(FailureKind::InvalidInput, &error);
                    self.answer(client, frame.number, Answer::Failed(failure));
                }
            },
            // A monitor is asked; what it alone says means nothing here.
            FrameKind::Answer | FrameKind::Stdout | FrameKind::Stderr => {}
        }
    }

    fn request(&mut self, client: u32, number: u16, request: Request) {
        let done = match request {
            // Nobody waits for it here any more.
            Request::Made(_) => return,
            Request::Start => return self.start(client, number),
            Request::Attach(wants) => return self.attach(client, number, wants),
            Request::Exec(request) => return self.exec(client, number, &request),
            Request::Wait(what) => return self.wait_for(client, number, what),
            Request::Stop(request) => {
                let what = if request.for_good { What::Ended } else { What::Stopped };
                return self.stop_for(client, number, request, what);
            }
            Request::Restart(request) => {
                return self.stop_for(client, number, request, What::Restarted);
            }
            Request::ShutDown => return self.shut_down_for(client, number),
            Request::State => {
                let state = Box::new(self.state.clone());
                return self.answer(client, number, Answer::State(state));
            }
            Request::Tell(words) => {
                let answer = self.tell(&words).map_or_else(Answer::Failed, Answer::Told);
                return self.answer(client, number, answer);
            }
            Request::Resize { rows, columns, exec } => {
                let size = Size { rows, columns };
                match exec {
                    Some(id) => self.resize_exec(&id, size),
                    None => self
                        .streams
                        .resize(size)
                        .map_err(|error| Failure::doing("cannot resize the terminal", &error)),
                }
            }
            Request::Kill { signal } => self.kill_for(signal),
            Request::Forward { signal } => self.kill(signal),
            Request::Pause => self.freeze(true),
            Request::Unpause => self.freeze(false),
            Request::Update { restart } => {
                self.setup.restart = restart;
                Ok(())
            }
            Request::RotateLog => {
                self.log.rotate().map_err(|error| Failure::doing("cannot rotate the log", &error))
            }
        };
        let answer = done.map_or_else(Answer::Failed, |()| Answer::Done);
        self.answer(client, number, answer);
    }

    fn tell(&mut self, words: &Value) -> Result<Value, Failure> {
        let run = self.run.as_mut().ok_or_else(not_running)?;
        let answer = run.told(words)?;
        self.extras.extend(run.extras());
        Ok(answer)
    }

    fn start(&mut self, client: u32, number: u16) {
        if !matches!(self.phase, Phase::Waiting) {
            let failure = Failure::new(FailureKind::Conflict, "container was started already");
            return self.answer(client, number, Answer::Failed(failure));
        }
        let answer = match self.begin() {
            Ok(pid) => Answer::Started { pid },
            Err(failure) => Answer::Failed(failure),
        };
        self.answer(client, number, answer);
    }

    fn attach(&mut self, client: u32, number: u16, wants: AttachRequest) {
        if matches!(self.phase, Phase::Over) {
            return self.answer(client, number, Answer::Failed(not_running()));
        }
        self.log.flush();
        let logged_until = Timestamp::now().max(self.log.last_time());
        let answer = Answer::Attached { tty: self.setup.tty, logged_until };
        if let Some(client) = self.clients.all.get_mut(&client) {
            client.attached = Some((wants, number));
            client.patient = wants.patient;
            client.answer(number, &answer);
        }
        self.around.happened(Event::Attach);
    }

    fn typed(&mut self, client: u32, bytes: &[u8]) {
        let attached = self.clients.all.get(&client).and_then(|client| client.attached);
        if !attached.is_some_and(|(wants, _)| wants.stdin) {
            return;
        }
        match bytes.is_empty() {
            true => self.end_typing(client),
            false => self.streams.push(bytes),
        }
        if !matches!(self.phase, Phase::Waiting) {
            self.streams.drop_input();
        }
        // An input that cannot be written to is closed in there.
        self.streams.write();
    }

    /// A client types no more: if it was the one the input is for, that ends.
    pub(super) fn end_typing(&mut self, client: u32) {
        let Some(client) = self.clients.all.get_mut(&client) else { return };
        let Some((wants, _)) = &mut client.attached else { return };
        if std::mem::take(&mut wants.stdin) && self.setup.stdin_once {
            self.streams.end_input();
            self.streams.write();
        }
    }

    fn wait_for(&mut self, client: u32, number: u16, what: WaitFor) {
        let over = matches!(self.phase, Phase::Over);
        let exit = Exit {
            code: self.state.exit_code,
            oom_killed: self.state.oom_killed,
            error: self.state.error.clone(),
        };
        let answer = match &what {
            WaitFor::NotRunning if over => Some(Answer::Exited(exit)),
            WaitFor::Exec(id) => match self.state.execs.iter().find(|exec| exec.id == *id) {
                Some(exec) => {
                    exec.exit_code.map(|code| Answer::Exited(Exit { code, ..Exit::default() }))
                }
                None => Some(Answer::Failed(Failure::new(
                    FailureKind::NotFound,
                    format!("No such exec instance: {id}"),
                ))),
            },
            _ if over => Some(Answer::Failed(not_running())),
            _ => None,
        };
        match answer {
            Some(answer) => self.answer(client, number, answer),
            None => self.asked.push(Asked { client, number, what: What::For(what) }),
        }
    }

    /// Stops, or stops and starts, and answers when that is done.
    fn stop_for(&mut self, client: u32, number: u16, request: StopRequest, what: What) {
        if matches!(self.phase, Phase::Waiting | Phase::Over) {
            return self.answer(client, number, Answer::Failed(not_running()));
        }
        let is_removed = self.asked.iter().any(|asked| asked.what == What::Ended);
        if is_removed && what == What::Restarted {
            let words = "container is marked for removal and cannot be started";
            let failure = Failure::new(FailureKind::Conflict, words);
            return self.answer(client, number, Answer::Failed(failure));
        }
        self.restart_asked = what == What::Restarted;
        self.state.stopped = what == What::Stopped;
        self.asked.push(Asked { client, number, what: what.clone() });
        // One that is ending by itself needs no signal.
        if matches!(self.phase, Phase::Draining { .. }) {
            self.cancelled = true;
            return;
        }
        if let Err(failure) = self.stop(request) {
            self.answer_asked(&what, &Answer::Failed(failure));
        }
    }

    /// Ends it as when the machine goes down, and answers when that is done.
    fn shut_down_for(&mut self, client: u32, number: u16) {
        if matches!(self.phase, Phase::Waiting | Phase::Over) {
            return self.answer(client, number, Answer::Failed(not_running()));
        }
        self.asked.push(Asked { client, number, what: What::Stopped });
        self.shut_down();
    }

    /// Sends a signal for somebody who wants the container to end, or something of it.
    fn kill_for(&mut self, signal: i32) -> Result<(), Failure> {
        const KILL: i32 = 9;
        if let Phase::BackingOff { .. } = self.phase {
            return Err(Failure::new(FailureKind::Conflict, "container is restarting"));
        }
        self.kill(signal)?;
        self.state.stopped = true;
        // With a stop signal of its own, other signals are news for the program and no stop.
        let stops = !self.setup.own_stop_signal || signal == self.setup.stop_signal;
        if stops || signal == KILL {
            self.cancelled = true;
            if self.state.status == Status::Paused {
                self.freeze(false)?;
            }
        }
        self.write_state();
        Ok(())
    }

    /// The machine goes down: the container ends in good order, and a boot may start it again.
    pub(super) fn shut_down(&mut self) {
        match self.phase {
            Phase::Waiting => {
                self.phase = Phase::Over;
                self.close();
            }
            Phase::Over => {}
            _ if self.stopping.is_some() => {}
            _ => {
                if self.stop(StopRequest::default()).is_err() {
                    // It has ended just now, or will not: the kill follows.
                    self.stopping = Some(Some(Instant::now()));
                }
            }
        }
    }

    /// Answers all who asked for the same.
    pub(super) fn answer_asked(&mut self, what: &What, answer: &Answer) {
        for asked in self.asked.extract_if(.., |asked| asked.what == *what).collect::<Vec<_>>() {
            self.answer(asked.client, asked.number, answer.clone());
        }
    }

    /// Answers all who waited for the same.
    pub(super) fn answer_waiting(&mut self, what: &WaitFor, answer: &Answer) {
        self.answer_asked(&What::For(what.clone()), answer);
    }

    /// Takes the streams from all clients.
    pub(super) fn detach_all(&mut self, answer: &Answer) {
        for client in self.clients.all.values_mut() {
            if let Some((_, number)) = client.attached.take() {
                client.answer(number, answer);
            }
        }
    }

    pub(super) fn answer(&mut self, client: u32, number: u16, answer: Answer) {
        if let Some(client) = self.clients.all.get_mut(&client) {
            client.answer(number, &answer);
        }
    }
}
