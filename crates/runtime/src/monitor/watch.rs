//! The loop of a monitor.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sys::event::{Interest, Ready, Signals};

use super::caller::Caller;
use super::client::{Client, PATIENCE};
use super::execs::Exec;
use super::key::Key;
use super::life::Phase;
use super::streams::Streams;
use super::{Extra, Numbered, Run, Setup, Surroundings};
use crate::attach::{Answer, FrameKind, SOCKET_FILE, WaitFor};
use crate::failure::{Failure, FailureKind};
use crate::logs::Log;
use crate::restart::Backoff;
use crate::state::{self, Hold, Keeper, State};

/// What is read at a time.
const READ_BYTES: usize = 32 * 1024;
/// How long a monitor on its way out may keep its successor waiting.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);
/// How long clients get for what is left for them when all is over, unless they are patient.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long after something was done for somebody the program's own pages are let go of.
const REST: Duration = Duration::from_secs(1);
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
/// Signals that a monitor takes, so that none of them ends it: HUP, INT, QUIT, USR1, USR2, TERM;
/// and that a child has ended.
const TAKEN_SIGNALS: [i32; 7] = [1, 2, 3, 10, 12, SIGTERM, SIGCHLD];

/// A process that was started here.
pub(super) struct Child {
    pub(super) pid: i32,
    pub(super) process: Rc<OwnedFd>,
}

/// Who asked for what, and has no answer yet.
pub(super) struct Asked {
    pub(super) client: u32,
    pub(super) number: u16,
    pub(super) what: What,
}

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// To be told.
    For(WaitFor),
    /// To stop it.
    Stopped,
    /// To end it, because it is removed.
    Ended,
    /// To stop and start it.
    Restarted,
}

/// The monitor of one container.
pub(super) struct Monitor<'a> {
    pub(super) setup: Setup,
    pub(super) around: &'a mut dyn Surroundings,
    signals: Signals,
    pub(super) listener: Option<OwnedFd>,
    /// There is no room for more clients.
    pub(super) is_deaf: bool,
    hold: Option<Hold>,
    pub(super) state: State,
    pub(super) log: Log,
    pub(super) phase: Phase,
    pub(super) run: Option<Box<dyn Run>>,
    pub(super) first: Option<Child>,
    pub(super) began: Instant,
    pub(super) streams: Streams,
    pub(super) clients: Numbered<Client>,
    pub(super) execs: Numbered<Exec>,
    pub(super) extras: Vec<Box<dyn Extra>>,
    pub(super) asked: Vec<Asked>,
    pub(super) backoff: Backoff,
    /// The container was asked to end; perhaps when it is killed.
    pub(super) stopping: Option<Option<Instant>>,
    /// Its policy does not start it again.
    pub(super) cancelled: bool,
    /// It is started again when it has ended, whatever its policy.
    pub(super) restart_asked: bool,
    pub(super) check_due: Option<Instant>,
    /// When the pages of the program are let go of, most of which served a start or a client.
    rest_due: Option<Instant>,
    over_since: Option<Instant>,
    /// Its folders have gone with it.
    pub(super) is_removed: bool,
    pub(super) bytes: Vec<u8>,
    /// Children may have ended whose ends were not taken.
    pub(super) reap_due: bool,
}

/// Watches a container from its start to its end, restarts included. Returns what the process is
/// to exit with: 0, or 1 if there was nothing to watch.
pub fn run(mut setup: Setup, around: &mut dyn Surroundings) -> i32 {
    let mut client = setup.client.take();
    let folder = setup.folder.clone();
    match Monitor::new(setup, &mut client, around) {
        Ok(mut monitor) => {
            let code = monitor.watch();
            // Soon all of this ends with the process. Signals taken back now could end it before.
            let Monitor { signals, .. } = monitor;
            std::mem::forget(signals);
            code
        }
        Err(failure) => {
            match client {
                Some(client) => refuse(client, failure),
                None => leave_word(&folder, &failure),
            }
            1
        }
    }
}

/// Writes down why a container could not be watched, where whoever looks finds it; unless it is
/// somebody else's.
fn leave_word(folder: &Path, failure: &Failure) {
    let Ok(Some(hold)) = Hold::take(folder) else { return };
    if let Ok(found) = hold.found() {
        let state = State { error: failure.to_string(), ..found.state };
        let _ = hold.write(&state);
    }
}

/// Answers whatever a client asks first with a failure: for who cannot become its monitor.
pub fn refuse(client: Caller, failure: Failure) {
    let mut client = Client::of(client);
    let mut bytes = vec![0; READ_BYTES];
    let end = Instant::now() + LAST_WORDS;
    loop {
        while let Ok(Some(frame)) = client.frame() {
            if frame.kind == FrameKind::Request {
                client.answer(frame.number, &Answer::Failed(failure));
                let _ = client.flush();
                return;
            }
        }
        if Instant::now() >= end || !client.receive(&mut bytes) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl<'a> Monitor<'a> {
    /// Takes the client when all else is there: until then there may be no monitor for it.
    fn new(
        mut setup: Setup,
        client: &mut Option<Caller>,
        around: &'a mut dyn Surroundings,
    ) -> Result<Monitor<'a>, Failure> {
        let failed = |error: io::Error| Failure::doing("cannot watch the container", &error);
        sys::watched::leave_session().map_err(failed)?;
        sys::watched::hear_of_children().map_err(failed)?;
        // A file system of the user's must not be kept busy; and from here its socket has a short
        // name.
        std::env::set_current_dir(&setup.run_folder).map_err(failed)?;
        let signals = Signals::take(&TAKEN_SIGNALS).map_err(failed)?;
        let hold = match setup.hold.take() {
            None => Hold::take_to_start(&setup.folder, HOLD_PATIENCE).map_err(failed)?,
            handed => handed,
        };
        let hold = hold.ok_or_else(|| {
            Failure::new(FailureKind::Conflict, "the container is running already")
        })?;
        let before = match &setup.made_in {
            Some(boot) => State { boot: boot.clone(), ..State::default() },
            None => found(&hold)?,
        };
        let log = Log::open(&setup.log, &setup.log_facts).map_err(|error| {
            let mut failure = Failure::of(error.kind(), &error);
            failure.hint = error.hint();
            failure
        })?;
        let state = State {
            status: if before.started.is_zero() { before.status } else { state::Status::Exited },
            restart_count: 0,
            stopped: false,
            ..before
        };
        let listener = listen().map_err(failed)?;
        let mut monitor = Monitor {
            setup,
            around,
            signals,
            listener: Some(listener),
            is_deaf: false,
            hold: Some(hold),
            state,
            log,
            phase: Phase::Waiting,
            run: None,
            first: None,
            began: Instant::now(),
            streams: Streams::default(),
            clients: Numbered::default(),
            execs: Numbered::default(),
            extras: Vec::new(),
            asked: Vec::new(),
            backoff: Backoff::default(),
            stopping: None,
            cancelled: false,
            restart_asked: false,
            check_due: None,
            rest_due: None,
            over_since: None,
            is_removed: false,
            bytes: vec![0; READ_BYTES],
            reap_due: false,
        };
        if let Some(client) = client.take() {
            let number = monitor.clients.add(Client::of(client));
            if !monitor.frames(number) {
                monitor.drop_client(number);
            }
        } else {
            // What fails is in the state, where whoever looks finds it.
            let _ = monitor.begin();
        }
        Ok(monitor)
    }

    fn watch(&mut self) -> i32 {
        let mut quiet = true;
        loop {
            self.settle();
            if self.is_done() {
                return 0;
            }
            let mut patience = self.patience();
            // What was put aside is compressed while nothing else is to be done.
            if self.log.has_idle_work() {
                patience = Some(Duration::ZERO);
                if quiet {
                    self.log.idle();
                }
            }
            let Ok(ready) = self.wait(patience) else {
                // The kernel does not let us wait: without that there is no monitor. The next
                // command finds its container as one whose monitor was killed.
                return 1;
            };
            quiet = ready.is_empty();
            for (key, ready) in ready {
                self.dispatch(key, ready);
            }
            self.tick(Instant::now());
        }
    }

    /// Waits for all that may happen, as things are now.
    fn wait(&mut self, patience: Option<Duration>) -> io::Result<Vec<(Key, Ready)>> {
        let mut sources = vec![(Key::Signals, self.signals.as_fd(), Interest::READ)];
        if let Some(listener) = self.listener.as_ref().filter(|_| !self.is_deaf) {
            sources.push((Key::Listener, listener.as_fd(), Interest::READ));
        }
        sources.extend(self.streams.sources());
        if let Some(daemon) = self.log.wants_room() {
            sources.push((Key::LogDaemon, daemon, Interest { read: false, write: true }));
        }
        for (number, client) in &self.clients.all {
            let source = client.source();
            sources.extend(source.map(|(fd, interest)| (Key::Client(*number), fd, interest)));
        }
        for (number, exec) in &self.execs.all {
            let key = |stream| Key::ExecOutput(*number, stream);
            sources.extend(exec.sources().map(|(stream, fd)| (key(stream), fd, Interest::READ)));
        }
        for (place, extra) in self.extras.iter().enumerate() {
            let key = |fd: BorrowedFd<'_>| Key::Extra(place, fd.as_raw_fd());
            sources.extend(extra.fds().into_iter().map(|fd| (key(fd), fd, Interest::READ)));
        }
        let asked: Vec<_> = sources.iter().map(|(_, fd, interest)| (*fd, *interest)).collect();
        let ready = sys::event::wait(&asked, patience)?;
        Ok(ready.into_iter().map(|ready| (sources[ready.place].0, ready)).collect())
    }

    fn dispatch(&mut self, key: Key, ready: Ready) {
        match key {
            Key::Listener => self.accept(),
            Key::Signals => {
                self.reap_due = true;
                if self.signals.come().is_ok_and(|numbers| numbers.contains(&SIGTERM)) {
                    self.shut_down();
                }
            }
            Key::Output(stream) => self.read_output(stream),
            Key::Input => self.streams.write(),
            Key::LogDaemon => self.log.flush(),
            Key::Client(number) => self.serve(number, ready),
            Key::ExecOutput(number, stream) => self.read_exec(number, stream),
            Key::Extra(place, fd) => {
                if let Some(extra) = self.extras.get_mut(place) {
                    extra.ready(fd);
                }
            }
        }
    }

    /// What is due by now.
    fn tick(&mut self, now: Instant) {
        self.escalate(now);
        self.check_health(now);
        self.begin_again(now);
        self.drain(now);
        for extra in &mut self.extras {
            if extra.deadline().is_some_and(|at| at <= now) {
                extra.expired();
            }
        }
        if self.around.deadline().is_some_and(|at| at <= now) {
            self.around.expired();
        }
        self.drop_slow(now);
        if self.rest_due.is_some_and(|at| at <= now) {
            self.rest_due = None;
            sys::memory::let_go_of_program();
        }
    }

    /// Lets the program's pages go when nothing more was done for a while.
    pub(super) fn rest_later(&mut self) {
        self.rest_due = Some(Instant::now() + REST);
    }

    /// When something is due next.
    fn patience(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Draining { until, .. } | Phase::BackingOff { until } => Some(until),
            _ => None,
        };
        let stalled = self.clients.all.values().filter(|client| !client.patient);
        let stalled = stalled.filter_map(|client| client.stalled).min().map(|at| at + PATIENCE);
        let extras = self.extras.iter().filter_map(|extra| extra.deadline()).min();
        let over = self.over_since.map(|at| at + LAST_WORDS);
        let (stop, check) = (self.stopping.flatten(), self.check_deadline());
        let around = self.around.deadline();
        let due = [phase, stalled, extras, around, over, stop, check, self.rest_due];
        let first = due.into_iter().flatten().min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Brings things in order before the next wait.
    fn settle(&mut self) {
        if std::mem::take(&mut self.reap_due) {
            self.reap();
        }
        self.log.flush();
        self.drain(Instant::now());
        self.flush_clients();
        let waits = self.has_to_wait();
        self.streams.hold(waits);
        // Frames that waited for room in the container's input.
        let held = self.clients.all.iter().filter(|(_, client)| client.held);
        for number in held.map(|(number, _)| *number).collect::<Vec<_>>() {
            if !self.streams.is_full() && !self.frames(number) {
                self.drop_client(number);
            }
        }
        for client in self.clients.all.values_mut() {
            if client.is_full() && client.stalled.is_none() {
                client.stalled = Some(Instant::now());
            }
        }
    }

    /// Writes the state down. A full disk must not end the container: the state is then told on the
    /// socket alone, and written when there is room.
    pub(super) fn write_state(&mut self) {
        if let Some(hold) = &self.hold {
            let _ = hold.write(&self.state);
        }
    }

    /// Gives the container back: another monitor may take it. What is left is for clients.
    pub(super) fn close(&mut self) {
        if self.is_removed {
            // They end with the process: there is nothing left that another one could take.
            std::mem::forget((self.listener.take(), self.hold.take()));
        } else if self.listener.take().is_some() {
            let _ = fs::remove_file(self.setup.run_folder.join(SOCKET_FILE));
        }
        self.hold = None;
        for client in self.clients.all.values_mut() {
            client.closing = true;
        }
        self.over_since = Some(Instant::now());
    }

    fn is_done(&mut self) -> bool {
        if !matches!(self.phase, Phase::Over) {
            return false;
        }
        let late = self.over_since.is_some_and(|at| at.elapsed() >= LAST_WORDS);
        let stays = |client: &Client| client.has_to_send() && (client.patient || !late);
        self.clients.all.retain(|_, client| stays(client));
        self.clients.all.is_empty()
    }
}

/// The state that whoever held the container before has left, as of this boot.
fn found(hold: &Hold) -> Result<State, Failure> {
    let failed = |error: io::Error| Failure::doing("cannot watch the container", &error);
    let found = hold.found().map_err(failed)?;
    if found.keeper == Keeper::Orphaned {
        let text = "the container runs still, and its monitor was killed";
        let mut failure = Failure::new(FailureKind::Conflict, text);
        failure.hint = Some("stop it first: that ends what is left of it".to_owned());
        return Err(failure);
    }
    Ok(State { boot: sys::host::boot_id().map_err(failed)?, ..found.state })
}

/// Listens in the run folder, in which we are. Whoever holds the container may take an old socket's
/// place.
fn listen() -> io::Result<OwnedFd> {
    let listen = || sys::socket::listen_here(OsStr::new(SOCKET_FILE));
    match listen() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            fs::remove_file(SOCKET_FILE)?;
            listen()
        }
        other => other,
    }
}
