//! A container stopped, killed and frozen because somebody asked for that.

use std::time::{Duration, Instant};

use super::Event;
use super::execs::not_running;
use super::life::Phase;
use super::watch::Monitor;
use crate::attach::{Exit, StopRequest};
use crate::failure::{Failure, FailureKind};
use crate::state::Status;

/// A process deep in the kernel takes a kill later: so long after one comes another.
const ONCE_MORE: Duration = Duration::from_secs(10);

impl Monitor<'_> {
    /// Sends a signal to the first process.
    pub(super) fn kill(&mut self, signal: i32) -> Result<(), Failure> {
        let first = self.first.as_ref().ok_or_else(not_running)?;
        let run = self.run.as_mut().ok_or_else(not_running)?;
        match run.signal(&first.process, signal) {
            Ok(()) => {
                self.around.happened(Event::Kill(signal));
                Ok(())
            }
            Err(error) => {
                let text = format!("cannot send signal {signal} to the container");
                Err(Failure::doing(text, &error))
            }
        }
    }

    /// Asks the container to end, and sees to it that it does. Whoever asked may go meanwhile.
    pub(super) fn stop(&mut self, request: StopRequest) -> Result<(), Failure> {
        self.cancelled = true;
        if let Phase::BackingOff { .. } = self.phase {
            return self.stop_waiting();
        }
        let signal = request.signal.unwrap_or(self.setup.stop_signal);
        let timeout = match request.timeout {
            None => self.setup.stop_timeout,
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        };
        self.kill(signal)?;
        self.thaw();
        let timeout = if request.for_good { Some(ONCE_MORE) } else { timeout };
        // What lies beyond all time never comes.
        self.stopping = Some(timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
        Ok(())
    }

    /// It does not run just now: then it does not begin again.
    fn stop_waiting(&mut self) -> Result<(), Failure> {
        if self.restart_asked {
            self.phase = Phase::BackingOff { until: Instant::now() };
            return Ok(());
        }
        self.state.status = if self.setup.auto_remove { Status::Removing } else { Status::Exited };
        self.write_state();
        let exit = Exit {
            code: self.state.exit_code,
            oom_killed: self.state.oom_killed,
            error: String::new(),
        };
        self.finish(&exit);
        Ok(())
    }

    /// A container that is asked to end has to be able to.
    fn thaw(&mut self) {
        if self.state.status == Status::Paused && self.freeze(false).is_err() {
            // Then the time runs out and the kill, which needs no thaw on a frozen v2 group, ends it.
            self.state.error = "cannot unpause the container".to_owned();
        }
    }

    /// Kills what did not end in its time.
    pub(super) fn escalate(&mut self, now: Instant) {
        if !matches!(self.stopping, Some(Some(due)) if due <= now) {
            return;
        }
        self.stopping = Some(Some(now + ONCE_MORE));
        let _ = self.kill(9);
    }

    /// Freezes all processes, or lets them go on.
    pub(super) fn freeze(&mut self, frozen: bool) -> Result<(), Failure> {
        let (from, to, event) = match frozen {
            true => (Status::Running, Status::Paused, Event::Pause),
            false => (Status::Paused, Status::Running, Event::Unpause),
        };
        let is = self.state.status;
        if is != from {
            let id = &self.setup.log_facts.id;
            let text = match (is, frozen) {
                (Status::Paused, true) => format!("Container {id} is already paused"),
                (_, false) => format!("Container {id} is not paused"),
                _ => format!("Container {id} is {}", is.name()),
            };
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        let run = self.run.as_mut().ok_or_else(not_running)?;
        run.freeze(frozen).map_err(|error| Failure::doing("cannot freeze or thaw", &error))?;
        self.state.status = to;
        if frozen {
            self.end_checks();
        } else {
            self.begin_checks();
        }
        self.write_state();
        self.around.happened(event);
        Ok(())
    }
}
