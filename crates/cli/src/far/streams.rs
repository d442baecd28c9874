//! A container's streams, or a process's, on this terminal: what `run`, `start -a`, `attach` and
//! `exec` share.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use client::{Frames, Source, TakenOver};
use runtime::attach::{Console, News};
use runtime::keys::{DetachKeys, Finder};
use rustix::net::{Shutdown, shutdown};
use sys::event::{Interest, poll, read_some, set_nonblocking, write_some};
use sys::terminal::Size;

use crate::failure::Failure;

/// While so much waits for the engine, nothing more is read from standard input.
const WAITING_BYTES: usize = 64 << 10;
/// So much is read at a time.
const READ_BYTES: usize = 32 << 10;

/// What is shown here, and how.
pub(super) struct Shown<'a> {
    /// Whether what is typed here is its own.
    pub(super) stdin: bool,
    /// Whether it has a terminal.
    pub(super) tty: bool,
    /// The keys that leave it running.
    pub(super) keys: DetachKeys,
    /// Tells it the size of its window.
    pub(super) resize: &'a dyn Fn(Size),
    /// Passes a signal on.
    pub(super) signal: &'a dyn Fn(i32),
}

/// How it ended.
pub(super) enum Ending {
    /// There is no more to show.
    Over,
    /// The keys were typed.
    Detached,
    /// A signal ended this program.
    Interrupted(i32),
}

/// This terminal, made ready. Whoever has it starts what is to be shown, and then shows it: a
/// terminal that cannot be had is told before anything runs.
pub(super) struct Ready {
    console: Console,
    is_raw: bool,
}

impl Ready {
    pub(super) fn take(stdin: bool, tty: bool, forwards: bool) -> Result<Ready, Failure> {
        let (input, output) = (io::stdin(), io::stdout());
        let window = output.is_terminal().then(|| output.as_fd()).filter(|_| tty);
        let mut console = Console::take(forwards && !tty, window).map_err(failed)?;
        let is_raw = tty && stdin && input.is_terminal();
        if is_raw {
            console.enter_raw(input.as_fd()).map_err(failed)?;
        }
        Ok(Ready { console, is_raw })
    }

    /// The window's size, if it has one.
    pub(super) fn size(&self) -> Option<Size> {
        self.console.size()
    }
}

/// Copies both ways until one side has said all.
pub(super) fn show(taken: TakenOver, ready: &Ready, shown: &Shown<'_>) -> Result<Ending, Failure> {
    let keys = if ready.is_raw { shown.keys.clone() } else { DetachKeys::none() };
    let multiplexed = taken.multiplexed.unwrap_or(!shown.tty);
    let copying = Copying {
        socket: taken.socket,
        frames: multiplexed.then(Frames::default),
        finder: Finder::new(keys),
        stdin: shown.stdin,
        waiting: Vec::new(),
        says: true,
    };
    copying.run(&taken.early, &ready.console, shown).map_err(failed)
}

fn failed(error: io::Error) -> Failure {
    Failure::new(format!("error: {error}"))
}

struct Copying {
    socket: File,
    /// How both streams are told apart, if they are.
    frames: Option<Frames>,
    finder: Finder,
    stdin: bool,
    /// What was typed and is not sent yet.
    waiting: Vec<u8>,
    /// Whether the engine has not been told that no more is typed.
    says: bool,
}

impl Copying {
    fn run(mut self, early: &[u8], console: &Console, shown: &Shown<'_>) -> io::Result<Ending> {
        set_nonblocking(&self.socket)?;
        self.heard(early)?;
        let (input, mut bytes) = (io::stdin(), vec![0; READ_BYTES]);
        loop {
            let typing = self.stdin && self.waiting.len() < WAITING_BYTES;
            let far = Interest { read: true, write: !self.waiting.is_empty() };
            let [typed, news, socket] = poll(
                [
                    (typing.then(|| input.as_fd()), Interest::READ),
                    (Some(console.as_fd()), Interest::READ),
                    (Some(self.socket.as_fd()), far),
                ],
                None,
            )?;
            let news = if news.read { console.news()? } else { Vec::new() };
            for news in news {
                match news {
                    News::Resized(size) => (shown.resize)(size),
                    News::Forward(signal) => (shown.signal)(signal),
                    News::End(signal) => return Ok(Ending::Interrupted(signal)),
                }
            }
            if typed.read && self.typed(input.as_fd(), &mut bytes) {
                return Ok(Ending::Detached);
            }
            if socket.read {
                match read_some(&self.socket, &mut bytes) {
                    Ok(None) => {}
                    // Whoever breaks off has said all.
                    Ok(Some(0)) | Err(_) => return Ok(Ending::Over),
                    Ok(Some(count)) => self.heard(&bytes[..count])?,
                }
            }
            self.send();
        }
    }

    /// Takes what was typed; says whether those were the keys.
    fn typed(&mut self, input: BorrowedFd<'_>, bytes: &mut [u8]) -> bool {
        // An error is an end: the terminal or the file has gone.
        match read_some(input, bytes).unwrap_or(Some(0)) {
            None => false,
            Some(0) => {
                self.stdin = false;
                self.waiting.extend_from_slice(self.finder.finish());
                false
            }
            Some(count) => self.finder.pass(&bytes[..count], &mut self.waiting),
        }
    }

    fn send(&mut self) {
        while !self.waiting.is_empty() {
            match write_some(&self.socket, &self.waiting) {
                Ok(Some(count)) => drop(self.waiting.drain(..count)),
                Ok(None) => return,
                // What it has said already is still to be shown.
                Err(_) => {
                    self.waiting.clear();
                    self.stdin = false;
                }
            }
        }
        if !self.stdin && std::mem::take(&mut self.says) {
            // One that has gone needs no word.
            let _ = shutdown(&self.socket, Shutdown::Write);
        }
    }

    fn heard(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.frames {
            None => write_to(Source::Output, bytes),
            Some(frames) => frames.push(bytes, write_to),
        }
    }
}

/// Writes a piece where it belongs.
pub(super) fn write_to(source: Source, bytes: &[u8]) -> io::Result<()> {
    match source {
        Source::Output => write_all(io::stdout().as_fd(), bytes),
        Source::Error | Source::System => write_all(io::stderr().as_fd(), bytes),
    }
}

/// Writes all of it.
pub(crate) fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_some(to, bytes)? {
            Some(count) => bytes = &bytes[count..],
            // Somebody shares the open file and made it so that it does not wait.
            None => drop(poll([(Some(to), Interest { read: false, write: true })], None)?),
        }
    }
    Ok(())
}
