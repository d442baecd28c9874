//! The first process's streams: what it prints goes to the log and to clients, what clients type
//! goes to it.

use std::io;
use std::os::fd::OwnedFd;

use spec::Timestamp;
use sys::event::{Interest, Poll, read_some, set_nonblocking, write_some};

use super::Stdio;
use super::key::Key;
use crate::logs::{Log, Splitter, Stream};

/// While so much waits for the process, clients are not read from.
const WAITING_BYTES: usize = 64 * 1024;

/// Our ends of the streams; all gone while the container does not run.
#[derive(Default)]
pub(super) struct Streams {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    is_terminal: bool,
    /// Typed, and not yet taken.
    waiting: Vec<u8>,
    /// The input ends when what waits was taken.
    ending: bool,
    lines: [Splitter; 2],
    held: bool,
}

impl Streams {
    /// Takes the streams of a process that was just started. What was typed before goes to it.
    pub(super) fn begin(&mut self, stdio: Stdio, poll: &Poll) -> io::Result<()> {
        match stdio {
            Stdio::Terminal(master) => {
                self.is_terminal = true;
                self.stdin = Some(master.try_clone()?);
                (self.stdout, self.stderr) = (Some(master), None);
            }
            Stdio::Pipes { stdin, stdout, stderr } => {
                self.is_terminal = false;
                (self.stdin, self.stdout, self.stderr) = (stdin, stdout, stderr);
            }
        }
        for fd in [&self.stdin, &self.stdout, &self.stderr].into_iter().flatten() {
            set_nonblocking(fd)?;
        }
        self.held = false;
        self.watch_outputs(poll)?;
        self.write(poll)
    }

    fn watch_outputs(&self, poll: &Poll) -> io::Result<()> {
        for (fd, stream) in [(&self.stdout, Stream::Stdout), (&self.stderr, Stream::Stderr)] {
            let Some(fd) = fd else { continue };
            match self.held {
                // Left out altogether: its end would be told over and over.
                true => poll.remove(fd)?,
                false => poll.set(fd, Key::Output(stream).number(), Interest::READ)?,
            }
        }
        Ok(())
    }

    /// Reads no output, or does again.
    pub(super) fn hold(&mut self, held: bool, poll: &Poll) -> io::Result<()> {
        if self.held != held {
            self.held = held;
            self.watch_outputs(poll)?;
        }
        Ok(())
    }

    /// Whether there is nothing more to read.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Reads some output into `bytes` and logs it; says how much it was.
    pub(super) fn read(
        &mut self,
        stream: Stream,
        bytes: &mut [u8],
        log: &mut Log,
        poll: &Poll,
    ) -> usize {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(fd) = source else { return 0 };
        let is_input_too = self.is_terminal;
        let now = Timestamp::now();
        let lines = &mut self.lines[stream as usize];
        match read_some(&*fd, bytes) {
            Ok(None) => 0,
            Ok(Some(0)) | Err(_) => {
                if is_input_too {
                    // Then closing does not take it out of the loop.
                    let _ = poll.remove(&*fd);
                }
                *source = None;
                lines.finish(&mut |piece| log.push(stream, now, piece));
                0
            }
            Ok(Some(count)) => {
                lines.push(&bytes[..count], &mut |piece| log.push(stream, now, piece));
                count
            }
        }
    }

    /// Takes what was typed.
    pub(super) fn push(&mut self, typed: &[u8]) {
        self.waiting.extend_from_slice(typed);
    }

    /// Whether clients have to wait with what they type.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_BYTES
    }

    /// Ends the input when all that was typed is taken. A terminal's does not end.
    pub(super) fn end_input(&mut self) {
        self.ending = !self.is_terminal;
    }

    /// Gives the process what it takes of its input.
    pub(super) fn write(&mut self, poll: &Poll) -> io::Result<()> {
        let Some(fd) = &self.stdin else { return Ok(()) };
        let mut at = 0;
        while at < self.waiting.len() {
            match write_some(fd, &self.waiting[at..]) {
                Ok(Some(written)) => at += written,
                Ok(None) => {
                    self.waiting.drain(..at);
                    let room = Interest { read: false, write: true };
                    return poll.set(fd, Key::Input.number(), room);
                }
                Err(_) => {
                    // It has closed its input: nobody takes what is typed.
                    self.waiting.clear();
                    poll.remove(fd)?;
                    self.stdin = None;
                    return Ok(());
                }
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(4096);
        poll.remove(fd)?;
        if self.ending {
            self.stdin = None;
        }
        Ok(())
    }

    /// Without a process that could take it, what is typed is nobody's.
    pub(super) fn drop_input(&mut self) {
        if self.stdin.is_none() {
            self.waiting.clear();
        }
    }

    /// Gives the terminal another size.
    pub(super) fn resize(&self, size: sys::terminal::Size) -> io::Result<()> {
        match (&self.stdout, self.is_terminal) {
            (Some(master), true) => sys::terminal::set_size(master, size),
            // Without a terminal there is nothing to change, as with docker.
            _ => Ok(()),
        }
    }

    /// Closes everything; the last line is logged even if it has no end.
    pub(super) fn end(&mut self, log: &mut Log, poll: &Poll) {
        for fd in [&self.stdin, &self.stdout, &self.stderr].into_iter().flatten() {
            // Somebody the container left behind may share it.
            let _ = poll.remove(fd);
        }
        let now = Timestamp::now();
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.lines[stream as usize].finish(&mut |piece| log.push(stream, now, piece));
        }
        *self = Streams::default();
    }
}
