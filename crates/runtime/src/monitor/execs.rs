//! Further processes in a container: sessions that somebody asked for, and health checks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use spec::Timestamp;
use sys::event::{read_some, set_nonblocking};

use super::watch::{Child, Monitor};
use super::{Event, Started, Stdio};
use crate::attach::{Answer, ExecRequest, Exit, WaitFor};
use crate::failure::{Failure, FailureKind};
use crate::health::{CheckResult, Health, KeptOutput};
use crate::logs::Stream;
use crate::state::{ExecState, Status};

pub(super) struct Exec {
    /// The session's id; empty for a check.
    id: String,
    child: Child,
    /// Its outputs. While a client has them this is only a spare: read when the client has gone,
    /// so that the process does not wait for ever.
    outputs: [Option<OwnedFd>; 2],
    terminal: Option<OwnedFd>,
    client: Option<u32>,
    check: Option<Check>,
}

struct Check {
    began: Timestamp,
    deadline: Instant,
    output: KeptOutput,
    late: bool,
}

impl Exec {
    /// Outputs that are waited for: those that no client reads.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let outputs = self.outputs.iter().zip([Stream::Stdout, Stream::Stderr]);
        let outputs = outputs.filter(|_| self.client.is_none());
        outputs.filter_map(|(fd, stream)| Some((stream, fd.as_ref()?.as_fd())))
    }
}

impl Monitor<'_> {
    /// Starts a session; its streams are the client's.
    pub(super) fn exec(&mut self, client: u32, number: u16, request: &ExecRequest) {
        match self.start_exec(client, number, request) {
            Ok(()) => {}
            Err(failure) => self.answer(client, number, Answer::Failed(failure)),
        }
    }

    fn start_exec(
        &mut self,
        client: u32,
        number: u16,
        request: &ExecRequest,
    ) -> Result<(), Failure> {
        if self.state.status != Status::Running {
            let text = format!("container is {}", self.state.status.name());
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        if self.state.execs.iter().any(|exec| exec.id == request.id) {
            return Err(Failure::new(FailureKind::Conflict, "exec session is known already"));
        }
        let run = self.run.as_mut().ok_or_else(not_running)?;
        self.reap_due = true;
        let started = run.exec(request)?;
        let pid = started.pid;
        let (exec, fds) = self.take_exec(started, request, client)?;
        self.state.execs.push(ExecState {
            id: request.id.clone(),
            pid,
            exit_code: None,
            process: request.process.clone(),
        });
        self.write_state();
        self.around.happened(Event::ExecStart(request));
        self.execs.add(exec);
        if let Some(client) = self.clients.all.get_mut(&client) {
            client.answer_with(number, &Answer::Started { pid }, fds);
        }
        Ok(())
    }

    /// Keeps spares of the outputs, and gives the streams out.
    fn take_exec(
        &self,
        started: Started,
        request: &ExecRequest,
        client: u32,
    ) -> Result<(Exec, Vec<OwnedFd>), Failure> {
        let failed = |error| Failure::doing("cannot keep the streams of the process", &error);
        let mut given = Vec::new();
        let mut terminal = None;
        let outputs = match started.stdio {
            Stdio::Terminal(master) => {
                given.push(master.try_clone().map_err(failed)?);
                terminal = Some(master.try_clone().map_err(failed)?);
                [Some(master), None]
            }
            Stdio::Pipes { stdin, stdout, stderr } => {
                for fd in [&stdout, &stderr].into_iter().flatten() {
                    given.push(fd.try_clone().map_err(failed)?);
                }
                given.extend(stdin);
                [stdout, stderr]
            }
        };
        for fd in outputs.iter().flatten().chain(&given) {
            set_nonblocking(fd).map_err(failed)?;
        }
        if !request.attach {
            given.clear();
        }
        let client = request.attach.then_some(client);
        let (id, child) =
            (request.id.clone(), Child { pid: started.pid, process: started.process });
        Ok((Exec { id, child, outputs, terminal, client, check: None }, given))
    }

    /// A client has gone: its sessions go on, and what they print is read and forgotten.
    pub(super) fn leave_execs(&mut self, client: u32) {
        let left = self.execs.all.values_mut().filter(|exec| exec.client == Some(client));
        left.for_each(|exec| exec.client = None);
    }

    /// Reads an output that no client has.
    pub(super) fn read_exec(&mut self, place: u32, stream: Stream) {
        let Some(exec) = self.execs.all.get_mut(&place) else { return };
        let output = &mut exec.outputs[stream as usize];
        let Some(fd) = output else { return };
        match read_some(&*fd, &mut self.bytes) {
            Ok(None) => {}
            Ok(Some(count)) if count > 0 => {
                if let Some(check) = &mut exec.check {
                    check.output.push(&self.bytes[..count]);
                }
            }
            _ => {
                *output = None;
            }
        }
    }

    /// A child has ended, which may be a further process.
    pub(super) fn exec_ended(&mut self, pid: i32, code: i32) {
        let found = self.execs.all.iter().find(|(_, exec)| exec.child.pid == pid);
        if let Some(place) = found.map(|(place, _)| *place) {
            self.end_exec(place, code);
        }
    }

    fn end_exec(&mut self, place: u32, code: i32) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.read_last(place, stream);
        }
        let Some(exec) = self.execs.all.remove(&place) else { return };
        if let Some(check) = exec.check {
            self.checked(check, code);
            return;
        }
        self.state.exec_ended(&exec.id, code);
        self.write_state();
        self.around.happened(Event::ExecDie(&exec.id, code));
        let exit = Exit { code, ..Exit::default() };
        self.answer_waiting(&WaitFor::Exec(exec.id), &Answer::Exited(exit));
    }

    /// What a check printed before it ended is there now.
    fn read_last(&mut self, place: u32, stream: Stream) {
        for _ in 0..4 {
            let is_check =
                |exec: &Exec| exec.check.is_some() && exec.outputs[stream as usize].is_some();
            if !self.execs.all.get(&place).is_some_and(is_check) {
                return;
            }
            self.read_exec(place, stream);
        }
    }

    /// The terminal of a session gets another size.
    pub(super) fn resize_exec(&self, id: &str, size: sys::terminal::Size) -> Result<(), Failure> {
        let exec = self.execs.all.values().find(|exec| exec.id == id);
        let exec =
            exec.ok_or_else(|| Failure::new(FailureKind::NotFound, "no such exec session"))?;
        let Some(terminal) = &exec.terminal else { return Ok(()) };
        sys::terminal::set_size(terminal.as_fd(), size)
            .map_err(|error| Failure::doing("cannot resize the terminal", &error))
    }

    /// The first process has ended, and all others have to.
    pub(super) fn end_execs(&mut self) {
        for exec in self.execs.all.values() {
            let _ = sys::watched::signal(&exec.child.process, 9);
        }
    }

    /// Those that were killed and take their time are told to have ended so.
    pub(super) fn give_up_execs(&mut self) {
        const KILLED: i32 = 137;
        for place in self.execs.all.keys().copied().collect::<Vec<_>>() {
            self.end_exec(place, KILLED);
        }
    }

    /// When the next check is due, or must have ended.
    pub(super) fn check_deadline(&self) -> Option<Instant> {
        let running = self.execs.all.values().find_map(|exec| exec.check.as_ref());
        running.filter(|check| !check.late).map(|check| check.deadline).or(self.check_due)
    }

    /// Begins a check that is due, and ends one that takes too long.
    pub(super) fn check_health(&mut self, now: Instant) {
        for exec in self.execs.all.values_mut() {
            if let Some(check) = exec.check.as_mut().filter(|check| check.deadline <= now) {
                check.late = true;
                let _ = sys::watched::signal(&exec.child.process, 9);
            }
        }
        if self.check_due.is_some_and(|due| due <= now) && self.state.status == Status::Running {
            self.check_due = None;
            self.begin_check(now);
        }
    }

    fn begin_check(&mut self, now: Instant) {
        let (Some(health), Some(run)) = (self.setup.health.clone(), self.run.as_mut()) else {
            return;
        };
        let request = ExecRequest {
            id: String::new(),
            process: health.process,
            tty: false,
            stdin: false,
            attach: false,
        };
        let check = Check {
            began: Timestamp::now(),
            deadline: now + health.rules.timeout,
            output: KeptOutput::default(),
            late: false,
        };
        self.reap_due = true;
        let started = run.exec(&request);
        let taken = started.and_then(|started| self.take_exec(started, &request, 0));
        match taken {
            Ok((mut exec, _)) => {
                exec.check = Some(check);
                self.execs.add(exec);
            }
            Err(failure) => {
                let mut check = check;
                check.output.push(failure.to_string().as_bytes());
                self.checked(check, -1);
            }
        }
    }

    /// Takes in how a check went.
    fn checked(&mut self, check: Check, code: i32) {
        let Some(rules) = self.setup.health.as_ref().map(|health| health.rules) else { return };
        let (exit_code, output) = match check.late {
            true => (-1, check.output.timed_out(rules.timeout)),
            false => (code, check.output.text()),
        };
        let result = CheckResult { start: check.began, end: Timestamp::now(), exit_code, output };
        let since = self.since_start();
        let Some(state) = &mut self.state.health else { return };
        let changed = state.take(&rules, result, since);
        let wait = rules.wait(state.status, since);
        if self.state.status == Status::Running {
            self.check_due = Some(Instant::now() + wait);
        }
        self.write_state();
        if let Some(health) = changed {
            self.around.happened(Event::Health(health));
        }
    }

    /// Checks begin with the container.
    pub(super) fn begin_checks(&mut self) {
        let Some(health) = &self.setup.health else { return };
        let status = self.state.health.as_ref().map_or(Health::Starting, |state| state.status);
        self.check_due = Some(Instant::now() + health.rules.wait(status, self.since_start()));
    }

    /// Nobody checks any more, which docker calls unhealthy.
    pub(super) fn end_checks(&mut self) {
        self.check_due = None;
        if let Some(state) = &mut self.state.health {
            state.status = Health::Unhealthy;
        }
    }
}

pub(super) fn not_running() -> Failure {
    Failure::new(FailureKind::Conflict, "container is not running")
}
