//! The loop of a monitor.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sys::event::{Interest, Poll, Ready, Signals};

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
    /// To stop and start it.
    Restarted,
}

/// The monitor of one container.
pub(super) struct Monitor<'a> {
    pub(super) setup: Setup,
    pub(super) around: &'a mut dyn Surroundings,
    pub(super) poll: Poll,
    signals: Signals,
    pub(super) listener: Option<OwnedFd>,
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
    // A port is a descriptor for each family, and ranges of ports are long. Who may not have more
    // is told when they are used up.
    let _ = sys::process::raise_open_files();
    let mut client = setup.client.take();
    let folder = setup.folder.clone();
    match Monitor::new(setup, &mut client, around) {
        Ok(mut monitor) => {
            let code = monitor.watch();
            // Soon all of this ends with the process. Signals taken back now could end it before.
            let Monitor { poll, signals, .. } = monitor;
            std::mem::forget((poll, signals));
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
        setup: Setup,
        client: &mut Option<Caller>,
        around: &'a mut dyn Surroundings,
    ) -> Result<Monitor<'a>, Failure> {
        let failed = |error: io::Error| Failure::doing("cannot watch the container", &error);
        sys::watched::leave_session().map_err(failed)?;
        sys::watched::hear_of_children().map_err(failed)?;
        // A file system of the user's must not be kept busy.
        std::env::set_current_dir("/").map_err(failed)?;
        let signals = Signals::take(&TAKEN_SIGNALS).map_err(failed)?;
        let hold = Hold::take_to_start(&setup.folder, HOLD_PATIENCE).map_err(failed)?;
        let hold = hold.ok_or_else(|| {
            Failure::new(FailureKind::Conflict, "the container is running already")
        })?;
        let before = hold.found().map_err(failed)?;
        if before.keeper == Keeper::Orphaned {
            let mut failure = Failure::new(
                FailureKind::Conflict,
                "the container runs still, and its monitor was killed",
            );
            failure.hint = Some("stop it first: that ends what is left of it".to_owned());
            return Err(failure);
        }
        let before = before.state;
        let log = Log::open(&setup.log, &setup.log_facts).map_err(|error| {
            let mut failure = Failure::of(error.kind(), &error);
            failure.hint = error.hint();
            failure
        })?;
        let state = State {
            boot: sys::host::boot_id().map_err(failed)?,
            status: if before.started.is_zero() { before.status } else { state::Status::Exited },
            restart_count: 0,
            stopped: false,
            ..before
        };
        let poll = Poll::new().map_err(failed)?;
        let listener = listen(&setup).map_err(failed)?;
        poll.set(&listener, Key::Listener.number(), Interest::READ).map_err(failed)?;
        poll.set(&signals, Key::Signals.number(), Interest::READ).map_err(failed)?;
        let mut monitor = Monitor {
            setup,
            around,
            poll,
            signals,
            listener: Some(listener),
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
        let mut ready = Vec::new();
        loop {
            let quiet = ready.is_empty();
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
            if self.poll.wait(&mut ready, patience).is_err() {
                // The kernel does not let us wait: without that there is no monitor. The next
                // command finds its container as one whose monitor was killed.
                return 1;
            }
            for ready in &ready {
                self.dispatch(*ready);
            }
            self.tick(Instant::now());
        }
    }

    fn dispatch(&mut self, ready: Ready) {
        match Key::of(ready.key) {
            Some(Key::Listener) => self.accept(),
            Some(Key::Signals) => {
                self.reap_due = true;
                if self.signals.come().is_ok_and(|numbers| numbers.contains(&SIGTERM)) {
                    self.shut_down();
                }
            }
            Some(Key::Output(stream)) => self.read_output(stream),
            Some(Key::Input) => drop(self.streams.write(&self.poll)),
            Some(Key::LogDaemon) => {
                // Added again while something waits.
                if let Some(daemon) = self.log.daemon() {
                    let _ = self.poll.remove(daemon);
                }
                self.log.flush();
            }
            Some(Key::Client(number)) => self.serve(number, ready),
            Some(Key::ExecOutput(number, stream)) => self.read_exec(number, stream),
            Some(Key::Extra(place, fd)) => {
                if let Some(extra) = self.extras.get_mut(usize::from(place)) {
                    extra.ready(fd);
                    self.watch_extras();
                }
            }
            None => {}
        }
    }

    /// What is due by now.
    fn tick(&mut self, now: Instant) {
        self.escalate(now);
        self.check_health(now);
        self.begin_again(now);
        self.drain(now);
        let mut expired = false;
        for extra in &mut self.extras {
            if extra.deadline().is_some_and(|at| at <= now) {
                extra.expired();
                expired = true;
            }
        }
        if expired {
            self.watch_extras();
        }
        self.drop_slow(now);
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
        let due = [phase, stalled, extras, over, self.stopping.flatten(), self.check_deadline()];
        let first = due.into_iter().flatten().min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Brings what is waited for in line with how things are.
    fn settle(&mut self) {
        if std::mem::take(&mut self.reap_due) {
            self.reap();
        }
        self.log.flush();
        self.drain(Instant::now());
        self.flush_clients();
        let waits = self.has_to_wait();
        let _ = self.streams.hold(waits, &self.poll);
        if let Some(daemon) = self.log.wants_room() {
            let room = Interest { read: false, write: true };
            let _ = self.poll.set(daemon, Key::LogDaemon.number(), room);
        }
        // Frames that waited for room in the container's input.
        let held = self.clients.all.iter().filter(|(_, client)| client.held);
        for number in held.map(|(number, _)| *number).collect::<Vec<_>>() {
            if !self.streams.is_full() && !self.frames(number) {
                self.drop_client(number);
            }
        }
        for (number, client) in &mut self.clients.all {
            if client.is_full() && client.stalled.is_none() {
                client.stalled = Some(Instant::now());
            }
            // One that has all it gets is closed in a moment, which takes it out.
            if !client.closing || client.has_to_send() {
                let _ = client.watch(&self.poll, *number);
            }
        }
    }

    /// Adds descriptors of extras that are new; those that were closed have gone by themselves.
    pub(super) fn watch_extras(&mut self) {
        for (place, extra) in self.extras.iter().enumerate() {
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            for fd in extra.fds() {
                let key = Key::Extra(place, fd.as_raw_fd()).number();
                let _ = self.poll.set(fd.as_fd(), key, Interest::READ);
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

/// Listens in the run folder. Whoever holds the container may take an old socket's place.
fn listen(setup: &Setup) -> io::Result<OwnedFd> {
    let folder = sys::fs::open_folder(&setup.run_folder)?;
    let listen = || sys::socket::listen(&folder, OsStr::new(SOCKET_FILE));
    match listen() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            fs::remove_file(setup.run_folder.join(SOCKET_FILE))?;
            listen()
        }
        other => other,
    }
}
