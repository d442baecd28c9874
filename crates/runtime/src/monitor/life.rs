//! A container's runs: begun, ended, begun again.

use std::time::{Duration, Instant};

use spec::Timestamp;

use super::watch::{Child, Monitor, What};
use super::{Event, Started};
use crate::attach::{Answer, Exit, WaitFor};
use crate::failure::{Failure, FailureKind};
use crate::health::HealthState;
use crate::restart;
use crate::state::{ProcessName, Status};

/// How long the end of output and of further processes is waited for when the first process has
/// ended: whoever else is there was killed.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Where a container is between two states that are told.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Nobody has asked for the start yet.
    Waiting,
    /// The first process lives.
    Running,
    /// It has ended, and what it printed is read.
    Draining { code: i32, until: Instant },
    /// It will be started again.
    BackingOff { until: Instant },
    /// Nothing more will happen; clients get what is left for them.
    Over,
}

impl Monitor<'_> {
    /// Starts a run; what fails is in the state and the answer.
    pub(super) fn begin(&mut self) -> Result<i32, Failure> {
        // Starting a program may let the signal of a child pass unread.
        self.reap_due = true;
        let started = match self.around.prepare() {
            Ok(run) => self.run.insert(run).start(),
            Err(failure) => Err(failure),
        };
        let result = started.and_then(|started| self.take_first(started));
        match result {
            Ok(pid) => {
                self.write_state();
                self.around.happened(Event::Start);
                Ok(pid)
            }
            Err(failure) => {
                self.cannot_start(&failure);
                Err(failure)
            }
        }
    }

    fn take_first(&mut self, started: Started) -> Result<i32, Failure> {
        let failed = |error| Failure::doing("cannot watch the container", &error);
        let Started { pid, process, stdio } = started;
        self.first = Some(Child { pid, process });
        self.streams.begin(stdio).map_err(failed)?;
        self.extras = self.run.as_mut().map(|run| run.extras()).unwrap_or_default();
        self.began = Instant::now();
        self.state.status = Status::Running;
        self.state.process = ProcessName::of(pid).map_err(failed)?;
        self.state.started = Timestamp::now();
        (self.state.exit_code, self.state.oom_killed) = (0, false);
        self.state.error.clear();
        self.state.execs.clear();
        self.state.health = self.setup.health.as_ref().map(|_| HealthState::default());
        self.phase = Phase::Running;
        self.begin_checks();
        self.rest_later();
        Ok(pid)
    }

    /// A run could not be started, for the first time or again.
    fn cannot_start(&mut self, failure: &Failure) {
        if let Some(first) = self.first.take() {
            // Its end is taken like that of any child.
            let _ = sys::watched::signal(&first.process, 9);
        }
        let never_ran = self.state.started.is_zero();
        self.state.status = if never_ran { Status::Created } else { Status::Exited };
        self.state.process = ProcessName::default();
        self.state.exit_code = failure.exit_code();
        self.state.error = failure.to_string();
        self.state.finished = if never_ran { Timestamp::ZERO } else { Timestamp::now() };
        let exit =
            Exit { code: failure.exit_code(), error: failure.to_string(), ..Exit::default() };
        self.streams.end(&mut self.log);
        self.log.flush();
        self.write_state();
        self.detach_all(&Answer::Failed(failure.clone()));
        self.finish(&exit);
    }

    /// Takes the ends of all children that have ended, known or not: one that nobody took would
    /// stay in the container's namespace of processes, and its first process could not end.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, ended))) = sys::watched::reap_any() {
            if self.first.as_ref().is_some_and(|first| first.pid == pid) {
                self.first_ended(ended.code());
            } else {
                self.exec_ended(pid, ended.code());
            }
        }
    }

    fn first_ended(&mut self, code: i32) {
        self.first = None;
        if let Some(run) = &mut self.run {
            // What cannot be killed now is told of when the run is left.
            let _ = run.kill_rest();
        }
        self.end_execs();
        self.phase = Phase::Draining { code, until: Instant::now() + LAST_WAIT };
    }

    /// Ends the run when all that it printed was read, or nobody ends printing.
    pub(super) fn drain(&mut self, now: Instant) {
        let Phase::Draining { code, until } = self.phase else { return };
        if (self.streams.is_drained() && self.execs.all.is_empty()) || now >= until {
            self.end_run(code);
        }
    }

    fn end_run(&mut self, code: i32) {
        self.streams.end(&mut self.log);
        self.log.flush();
        self.give_up_execs();
        self.extras.clear();
        let oom_killed = self.run.as_mut().is_some_and(|run| run.ran_out_of_memory(code));
        let mut exit = Exit { code, oom_killed, error: String::new() };
        let lost = self.log.lost();
        if lost > 0 {
            exit.error = format!("{lost} lines or writes of the log were lost");
        }
        self.end_checks();
        self.state.process = ProcessName::default();
        (self.state.exit_code, self.state.oom_killed) = (code, oom_killed);
        self.state.error = exit.error.clone();
        self.state.finished = Timestamp::now();
        // Whoever finds that it has ended, or is told so, finds it among the events too.
        if oom_killed {
            self.around.happened(Event::OutOfMemory);
        }
        let seconds = self.state.finished.seconds_since(self.state.started);
        self.around.happened(Event::Die(&exit, seconds));
        let next = self.next_run(code);
        self.state.status = match (&next, self.setup.auto_remove) {
            (Some(_), _) => Status::Restarting,
            (None, true) => Status::Removing,
            (None, false) => Status::Exited,
        };
        // What is gone a moment later need not be said to go.
        let gone = self.run.as_ref().is_some_and(|run| run.leaves_at_once());
        if self.state.status != Status::Removing || !gone {
            self.write_state();
        }
        self.detach_all(&Answer::Exited(exit.clone()));
        self.answer_waiting(&WaitFor::NextExit, &Answer::Exited(exit.clone()));
        self.stopping = None;
        match next {
            Some(wait) => {
                self.flush_clients();
                self.leave(&exit, true);
                self.phase = Phase::BackingOff { until: Instant::now() + wait };
            }
            None => self.finish(&exit),
        }
    }

    /// How long until the next run, if there is one.
    fn next_run(&mut self, exit_code: i32) -> Option<Duration> {
        if self.restart_asked {
            return Some(Duration::ZERO);
        }
        let stopped = self.cancelled;
        let run = restart::Run { exit_code, lasted: self.began.elapsed(), stopped };
        let (wait, backoff) = restart::after(&self.setup.restart, self.backoff, run)?;
        self.backoff = backoff;
        self.state.restart_count = backoff.restarts;
        Some(wait)
    }

    /// Nothing will start it again: cleans up and tells all who wait, in this order if it had
    /// anything that they may want to have next.
    pub(super) fn finish(&mut self, exit: &Exit) {
        self.phase = Phase::Over;
        let exited = Answer::Exited(exit.clone());
        self.answer_waiting(&WaitFor::NextExit, &exited);
        self.answer_waiting(&WaitFor::NotRunning, &exited);
        if self.asked.iter().any(|asked| asked.what == What::Stopped) {
            self.around.happened(Event::Stop);
        }
        self.answer_asked(&What::Stopped, &Answer::Done);
        self.answer_asked(&What::Ended, &Answer::Done);
        let failure = Failure::new(FailureKind::Other, "the container was not started again");
        self.answer_asked(&What::Restarted, &Answer::Failed(failure));
        // Who is told may use at once what the container had: its ports, its addresses, its volumes,
        // and, if it is removed, its name.
        let has_nothing = self.run.as_ref().is_none_or(|run| run.leaves_at_once());
        if has_nothing && !self.setup.auto_remove {
            self.flush_clients();
        }
        let left = self.leave(exit, false);
        if left && self.setup.auto_remove {
            self.is_removed = true;
            self.answer_waiting(&WaitFor::Removed, &exited);
        }
        self.close();
    }

    /// Releases what the run had, and says whether that went well.
    fn leave(&mut self, exit: &Exit, again: bool) -> bool {
        let run = self.run.take();
        let Err(failure) = self.around.leave(run, exit, again) else { return true };
        self.state.error = failure.to_string();
        if self.state.status == Status::Removing {
            self.state.status = Status::Dead;
        }
        self.write_state();
        false
    }

    /// Starts the next run when its time has come.
    pub(super) fn begin_again(&mut self, now: Instant) {
        let Phase::BackingOff { until } = self.phase else { return };
        if now < until {
            return;
        }
        let asked = std::mem::take(&mut self.restart_asked);
        if asked {
            self.around.happened(Event::Stop);
            self.cancelled = false;
            self.state.stopped = false;
            // Whoever had asked for the stop has it, though it runs again at once.
            self.answer_asked(&What::Stopped, &Answer::Done);
        }
        if self.begin().is_ok() && asked {
            self.around.happened(Event::Restart);
            self.answer_asked(&What::Restarted, &Answer::Done);
        }
    }

    pub(super) fn since_start(&self) -> Duration {
        self.began.elapsed()
    }
}
