//! The process that watches one container: small, with one thread, and alive for as long as the
//! container is.
//!
//! The engine starts it afresh and hands it a [`Setup`] and its [`Surroundings`]. Everything it
//! waits for is in one loop: the first process, its streams, the socket, further processes, times.

mod caller;
mod client;
mod execs;
mod key;
mod life;
mod requests;
mod serve;
mod stop;
mod streams;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use spec::RestartPolicy;

use crate::attach::{ExecRequest, Exit};
use crate::failure::Failure;
use crate::health::{Health, HealthRules};
use crate::logs::{LogConfig, LogFacts};
use crate::state::Hold;

pub use caller::Caller;
pub use watch::{refuse, run};

/// What a monitor is told when it is made.
pub struct Setup {
    /// The container's folder: its state and its lock.
    pub folder: PathBuf,
    /// Its folder for this boot: its socket.
    pub run_folder: PathBuf,
    /// The other end of a connection that whoever made the monitor has kept. It asks for the
    /// start; without it the container is started at once.
    pub client: Option<Caller>,
    /// The boot in which we are, if the container was made a moment ago and has no state yet.
    pub made_in: Option<String>,
    /// The right to write the container's state, if whoever made the monitor has handed it over.
    pub hold: Option<Hold>,
    /// How output is logged.
    pub log: LogConfig,
    /// What the log tells of the container.
    pub log_facts: LogFacts,
    /// Whether the container has a terminal.
    pub tty: bool,
    /// Whether standard input ends with the first client that attached to it.
    pub stdin_once: bool,
    /// When the container is started again.
    pub restart: RestartPolicy,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// Whether that signal was chosen: then no other signal counts as a wish to stop.
    pub own_stop_signal: bool,
    /// How long it may take to end; `None` for as long as it likes.
    pub stop_timeout: Option<Duration>,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
    /// How its health is checked, if it is.
    pub health: Option<HealthSetup>,
}

/// How a container's health is checked.
#[derive(Clone, PartialEq, Debug)]
pub struct HealthSetup {
    /// What to run, in the words of [`ExecRequest::process`].
    pub process: Value,
    /// When, and what its answers mean.
    pub rules: HealthRules,
}

/// What the storey above does around the runs of a container.
pub trait Surroundings {
    /// Makes what a run needs: mounts, network, control group. Called before every run.
    fn prepare(&mut self) -> Result<Box<dyn Run>, Failure>;

    /// Releases what the run had. Its exit was written down; who waits is told afterwards, unless
    /// the run [leaves at once](Run::leaves_at_once) or another one follows (`again`). A container
    /// that is to be removed is removed here. An error is written into the state.
    fn leave(&mut self, run: Option<Box<dyn Run>>, exit: &Exit, again: bool)
    -> Result<(), Failure>;

    /// Takes note of what has happened.
    fn happened(&mut self, event: Event<'_>);

    /// When it wants to be called besides.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// That time has come.
    fn expired(&mut self) {}
}

/// One run of a container, prepared: from the start of its first process to its end.
pub trait Run {
    /// Starts the first process, as a child of this process.
    fn start(&mut self) -> Result<Started, Failure>;

    /// Starts a further process, as a child of this process.
    fn exec(&mut self, request: &ExecRequest) -> Result<Started, Failure>;

    /// Sends a signal to the first process.
    fn signal(&mut self, first: &OwnedFd, signal: i32) -> io::Result<()> {
        sys::watched::signal(first, signal)
    }

    /// Freezes all processes, or lets them go on.
    fn freeze(&mut self, frozen: bool) -> io::Result<()>;

    /// Ends every process that is left when the first one has ended.
    fn kill_rest(&mut self) -> io::Result<()>;

    /// Whether the kernel killed for want of memory, in a run that ended with this code.
    fn ran_out_of_memory(&mut self, code: i32) -> bool;

    /// Whether leaving the run takes no longer than writing down that it is being left: it has no
    /// networks and no mounts, and so gives back nothing that somebody else may want.
    fn leaves_at_once(&self) -> bool {
        false
    }

    /// Answers what only the engine understands, as a change of networks.
    fn told(&mut self, words: &Value) -> Result<Value, Failure>;

    /// Work that is done beside the run while it lasts, as answering questions about names. Asked
    /// for when the run begins and each time that it was told something: what is new is added.
    fn extras(&mut self) -> Vec<Box<dyn Extra>> {
        Vec::new()
    }
}

/// A process that was started.
pub struct Started {
    /// Its number.
    pub pid: i32,
    /// A descriptor of it, which the run may have too.
    pub process: Rc<OwnedFd>,
    /// Our ends of its streams.
    pub stdio: Stdio,
}

/// Our ends of a process's streams.
pub enum Stdio {
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// Pipes. A process whose output nobody wants has none.
    Pipes {
        /// What is written here is its input; absent if it has none.
        stdin: Option<OwnedFd>,
        /// Its output.
        stdout: Option<OwnedFd>,
        /// Its errors.
        stderr: Option<OwnedFd>,
    },
}

/// Something that has descriptors of its own in the monitor's loop, and never blocks.
pub trait Extra {
    /// The descriptors that are to be read from. Asked anew after each call of the others.
    fn fds(&self) -> Vec<BorrowedFd<'_>>;

    /// One of them can be read.
    fn ready(&mut self, fd: RawFd);

    /// When it wants to be called besides.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// That time has come.
    fn expired(&mut self) {}
}

/// What happens to a container.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event<'a> {
    /// It was started.
    Start,
    /// Its first process has ended, after so many seconds.
    Die(&'a Exit, i64),
    /// It ran out of memory.
    OutOfMemory,
    /// A signal was sent to it.
    Kill(i32),
    /// It was stopped because somebody asked for that.
    Stop,
    /// It was stopped and started because somebody asked for that.
    Restart,
    /// It was frozen.
    Pause,
    /// It goes on.
    Unpause,
    /// It is well, or no more.
    Health(Health),
    /// A client has attached to its streams.
    Attach,
    /// A further process was started.
    ExecStart(&'a ExecRequest),
    /// A further process has ended.
    ExecDie(&'a str, i32),
}

/// A map by numbers that are given once.
struct Numbered<T> {
    next: u32,
    all: BTreeMap<u32, T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { next: 0, all: BTreeMap::new() }
    }
}

impl<T> Numbered<T> {
    fn add(&mut self, thing: T) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.all.insert(number, thing);
        number
    }
}
