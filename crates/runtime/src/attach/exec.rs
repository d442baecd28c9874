//! A further process in a container, in the foreground. Its streams come as descriptors: what it
//! prints does not pass the monitor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::event::{Interest, poll, read_some, write_some};

use super::connection::{Connection, parse};
use super::console::{Console, News};
use super::foreground::{STDERR, STDOUT, write_all};
use super::wire::{Answer, ExecRequest, FrameKind, Request, WaitFor};
use crate::failure::Failure;
use crate::keys::{DetachKeys, Finder};

const WAITING_BYTES: usize = 64 * 1024;

/// How it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExecOutcome {
    /// It ended with this code.
    Exited(i32),
    /// It goes on without a client.
    Detached,
    /// A signal ended the client.
    Interrupted(i32),
    /// It could not be started.
    Failed(Failure),
}

/// The program's own streams.
pub struct Streams<'a> {
    /// What is read, if anything is.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where standard output goes.
    pub stdout: BorrowedFd<'a>,
    /// Where standard error goes.
    pub stderr: BorrowedFd<'a>,
}

/// Starts a process, and copies its streams until it ends, if the request is to be attached.
pub fn run_exec(
    connection: &mut Connection,
    request: ExecRequest,
    streams: Streams<'_>,
    keys: DetachKeys,
    console: &Console,
) -> io::Result<ExecOutcome> {
    let (id, tty, attach) = (request.id.clone(), request.tty, request.attach);
    if let Err(failure) = connection.call(&Request::Exec(request)) {
        return Ok(ExecOutcome::Failed(failure));
    }
    if !attach {
        return Ok(ExecOutcome::Detached);
    }
    connection.ask(&Request::Wait(WaitFor::Exec(id)))?;
    let mut theirs = Theirs::of(connection.take_fds(), tty);
    let mut finder = Finder::new(keys);
    let mut stdin = streams.stdin.filter(|_| theirs.stdin.is_some());
    let mut waiting: Vec<u8> = Vec::new();
    let mut bytes = vec![0; 32 * 1024];
    let mut exited = None;
    theirs.resize(console, tty);
    loop {
        let input = theirs.stdin.as_ref().filter(|_| !waiting.is_empty());
        let [typed, news, socket, room, out, err] = poll(
            [
                (stdin.filter(|_| waiting.len() < WAITING_BYTES), Interest::READ),
                (Some(console.as_fd()), Interest::READ),
                (Some(connection.as_fd()).filter(|_| exited.is_none()), Interest::READ),
                (input.map(AsFd::as_fd), Interest { read: false, write: true }),
                (theirs.stdout.as_ref().map(AsFd::as_fd), Interest::READ),
                (theirs.stderr.as_ref().map(AsFd::as_fd), Interest::READ),
            ],
            exited.map(|_| std::time::Duration::ZERO),
        )?;
        copy(&mut theirs.stdout, out.read, (streams.stdout, STDOUT), &mut bytes)?;
        copy(&mut theirs.stderr, err.read, (streams.stderr, STDERR), &mut bytes)?;
        if let Some(code) = exited.filter(|_| !out.read && !err.read) {
            // It has ended and what it printed was read; what its children print is nobody's.
            return Ok(ExecOutcome::Exited(code));
        }
        if news.read {
            for news in console.news()? {
                match news {
                    News::Resized(_) => theirs.resize(console, tty),
                    News::End(signal) => return Ok(ExecOutcome::Interrupted(signal)),
                    News::Forward(_) => {}
                }
            }
        }
        if let (true, Some(fd)) = (typed.read, stdin) {
            match read_some(fd, &mut bytes).unwrap_or(Some(0)) {
                None => {}
                Some(0) => {
                    stdin = None;
                    waiting.extend_from_slice(finder.finish());
                }
                Some(count) if finder.pass(&bytes[..count], &mut waiting) => {
                    return Ok(ExecOutcome::Detached);
                }
                Some(_) => {}
            }
        }
        if let (true, Some(fd)) = (room.write, &theirs.stdin) {
            match write_some(fd, &waiting) {
                Ok(Some(written)) => drop(waiting.drain(..written)),
                Ok(None) => {}
                Err(_) => (stdin, theirs.stdin) = (None, None),
            }
        }
        if stdin.is_none() && waiting.is_empty() && !tty {
            // The end of a terminal is typed, not given; a pipe's is its closing.
            theirs.stdin = None;
        }
        if socket.read {
            connection.receive()?;
        }
        while let Some(frame) = connection.next_frame().filter(|_| exited.is_none()) {
            if frame.kind != FrameKind::Answer {
                continue;
            }
            match parse(&frame)? {
                Answer::Exited(exit) => exited = Some(exit.code),
                Answer::Failed(failure) => return Ok(ExecOutcome::Failed(failure)),
                _ => {}
            }
        }
        if connection.is_over() && exited.is_none() {
            // The container ended, and its monitor with it: then this was killed.
            exited = Some(137);
        }
    }
}

/// The process's ends of its streams.
struct Theirs {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

impl Theirs {
    /// A terminal is one descriptor; otherwise output, error and perhaps input.
    fn of(fds: Vec<OwnedFd>, tty: bool) -> Theirs {
        let mut fds = fds.into_iter();
        let stdout = fds.next();
        let again = |fd: &Option<OwnedFd>| fd.as_ref().and_then(|fd| fd.try_clone().ok());
        match tty {
            true => {
                Theirs { stdin: again(&stdout), terminal: again(&stdout), stdout, stderr: None }
            }
            false => {
                let stderr = fds.next();
                Theirs { stdout, stderr, stdin: fds.next(), terminal: None }
            }
        }
    }

    fn resize(&self, console: &Console, tty: bool) {
        if let (true, Some(size), Some(terminal)) = (tty, console.size(), &self.terminal) {
            // Its process has perhaps ended.
            let _ = sys::terminal::set_size(terminal, size);
        }
    }
}

fn copy(
    from: &mut Option<OwnedFd>,
    ready: bool,
    (to, name): (BorrowedFd<'_>, &str),
    bytes: &mut [u8],
) -> io::Result<()> {
    let Some(fd) = from.as_ref().filter(|_| ready) else { return Ok(()) };
    match read_some(fd, bytes) {
        Ok(Some(0)) | Err(_) => *from = None,
        Ok(Some(count)) => write_all(to, &bytes[..count], name)?,
        Ok(None) => {}
    }
    Ok(())
}
