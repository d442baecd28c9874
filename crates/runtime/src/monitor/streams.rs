//! The first process's streams: what it prints goes to the log and to clients, what clients type
//! goes to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use spec::Timestamp;
use sys::event::{Interest, read_some, set_nonblocking, write_some};

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
    pub(super) fn begin(&mut self, stdio: Stdio) -> io::Result<()> {
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
        // Outputs are read from when there is something, and nobody else reads from their pipes. A
        // terminal is one open file for both directions.
        if let Some(fd) = &self.stdin {
            set_nonblocking(fd)?;
        }
        self.held = false;
        self.write();
        Ok(())
    }

    /// What is waited for: output unless it is held, which is left out altogether since its end would
    /// be told over and over; and room for what was typed.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Key, BorrowedFd<'_>, Interest)> {
        let outputs = [(&self.stdout, Stream::Stdout), (&self.stderr, Stream::Stderr)];
        let outputs = outputs.into_iter().filter(|_| !self.held).filter_map(|(fd, stream)| {
            Some((Key::Output(stream), fd.as_ref()?.as_fd(), Interest::READ))
        });
        let input = self.stdin.as_ref().filter(|_| !self.waiting.is_empty());
        let room = Interest { read: false, write: true };
        outputs.chain(input.map(|fd| (Key::Input, fd.as_fd(), room)))
    }

    /// Reads no output, or does again.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether there is nothing more to read.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Reads some output into `bytes` and logs it; says how much it was.
    pub(super) fn read(&mut self, stream: Stream, bytes: &mut [u8], log: &mut Log) -> usize {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(fd) = source else { return 0 };
        let now = Timestamp::now();
        let lines = &mut self.lines[stream as usize];
        match read_some(&*fd, bytes) {
            Ok(None) => 0,
            Ok(Some(0)) | Err(_) => {
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
    pub(super) fn write(&mut self) {
        let Some(fd) = &self.stdin else { return };
        let mut at = 0;
        while at < self.waiting.len() {
            match write_some(fd, &self.waiting[at..]) {
                Ok(Some(written)) => at += written,
                Ok(None) => {
                    self.waiting.drain(..at);
                    return;
                }
                Err(_) => {
                    // It has closed its input: nobody takes what is typed.
                    self.waiting.clear();
                    self.stdin = None;
                    return;
                }
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(4096);
        if self.ending {
            self.stdin = None;
        }
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
    pub(super) fn end(&mut self, log: &mut Log) {
        let now = Timestamp::now();
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.lines[stream as usize].finish(&mut |piece| log.push(stream, now, piece));
        }
        *self = Streams::default();
    }
}
