//! A container in the foreground: its streams are those of this program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use sys::event::{Interest, poll, read_some};

use super::connection::{Connection, parse};
use super::console::{Console, News};
use super::wire::{Answer, Exit, FrameKind, Request};
use crate::failure::Failure;
use crate::keys::{DetachKeys, Finder};

/// While so much waits for the monitor, nothing more is read from standard input.
const WAITING_BYTES: usize = 64 * 1024;

/// A client whose [`Request::Attach`] was sent, and perhaps more.
pub struct Foreground<'a> {
    /// The connection that is attached.
    pub connection: Connection,
    /// Where the container's socket is, for signals and sizes: they must not wait behind input.
    pub run_folder: &'a Path,
    /// What is read and sent, if anything is.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where standard output goes.
    pub stdout: BorrowedFd<'a>,
    /// Where standard error goes.
    pub stderr: BorrowedFd<'a>,
    /// Whether nothing is shown, and so nothing to stay for once the input has ended.
    pub leaves_with_input: bool,
    /// The keys that leave the container running.
    pub keys: DetachKeys,
    /// Terminal and signals.
    pub console: Console,
}

/// How a client's work ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The container ended.
    Exited(Exit),
    /// The keys were typed.
    Detached,
    /// A signal ended the client.
    Interrupted(i32),
    /// The container could not be started, or the monitor dropped this client.
    Failed(Failure),
    /// The monitor has gone without a word.
    Lost,
}

/// Copies streams both ways until the container ends or the client leaves.
pub fn run_foreground(client: Foreground<'_>) -> io::Result<Outcome> {
    let Foreground {
        mut connection,
        run_folder,
        mut stdin,
        stdout,
        stderr,
        leaves_with_input,
        keys,
        console,
    } = client;
    let mut started = false;
    let mut finder = Finder::new(keys);
    let mut control = Control { run_folder, connection: None };
    // Nobody who types nothing needs room for it.
    let mut bytes = vec![0; if stdin.is_some() { 32 * 1024 } else { 0 }];
    if let Some(size) = console.size() {
        control.send(&Request::Resize { rows: size.rows, columns: size.columns, exec: None });
    }
    loop {
        while let Some(frame) = connection.next_frame() {
            match frame.kind {
                FrameKind::Stdout => write_all(stdout, &frame.body, STDOUT)?,
                FrameKind::Stderr => write_all(stderr, &frame.body, STDERR)?,
                FrameKind::Answer => match parse(&frame)? {
                    Answer::Exited(exit) => {
                        console.end();
                        return Ok(Outcome::Exited(exit));
                    }
                    Answer::Failed(failure) => return Ok(Outcome::Failed(failure)),
                    // The container runs only now: a size that came too early is told again.
                    answer @ (Answer::Started { .. } | Answer::Attached { .. }) => {
                        started |= matches!(answer, Answer::Started { .. });
                        if let Some(size) = console.size() {
                            let (rows, columns) = (size.rows, size.columns);
                            control.send(&Request::Resize { rows, columns, exec: None });
                        }
                    }
                    _ => {}
                },
                FrameKind::Request | FrameKind::Stdin => {}
            }
        }
        if connection.is_over() {
            return Ok(Outcome::Lost);
        }
        let room = connection.waiting_bytes() < WAITING_BYTES;
        let to_send = connection.waiting_bytes() > 0;
        if leaves_with_input && started && stdin.is_none() && !to_send {
            return Ok(Outcome::Detached);
        }
        let [typed, news, socket] = poll(
            [
                (stdin.filter(|_| room), Interest::READ),
                (Some(console.as_fd()), Interest::READ),
                (Some(connection.as_fd()), Interest { read: true, write: to_send }),
            ],
            None,
        )?;
        if news.read {
            for news in console.news()? {
                match news {
                    News::Resized(size) => control.send(&Request::Resize {
                        rows: size.rows,
                        columns: size.columns,
                        exec: None,
                    }),
                    News::Forward(signal) => control.send(&Request::Forward { signal }),
                    News::End(signal) => return Ok(Outcome::Interrupted(signal)),
                }
            }
        }
        if let (true, Some(fd)) = (typed.read, stdin) {
            // An error is an end: the terminal or the file has gone.
            match read_some(fd, &mut bytes).unwrap_or(Some(0)) {
                None => {}
                Some(0) => {
                    stdin = None;
                    let held = finder.finish().to_vec();
                    if !held.is_empty() {
                        connection.send_stdin(&held)?;
                    }
                    connection.send_stdin(&[])?;
                }
                Some(count) => {
                    let mut passed = Vec::with_capacity(count);
                    let detach = finder.pass(&bytes[..count], &mut passed);
                    if !passed.is_empty() {
                        connection.send_stdin(&passed)?;
                    }
                    if detach {
                        return Ok(Outcome::Detached);
                    }
                }
            }
        }
        if socket.write && to_send {
            connection.flush_some()?;
        }
        if socket.read {
            connection.receive()?;
        }
    }
}

/// A second connection, made when it is first needed.
struct Control<'a> {
    run_folder: &'a Path,
    connection: Option<Connection>,
}

impl Control<'_> {
    /// Sends without waiting for the answer. A container that is not there yet, or no more, needs
    /// neither signals nor sizes.
    fn send(&mut self, request: &Request) {
        if self.connection.is_none() {
            self.connection = Connection::open(self.run_folder).ok();
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.ask(request).is_err() || connection.receive().is_err() {
            self.connection = None;
            return;
        }
        while connection.next_frame().is_some() {}
        if connection.is_over() {
            self.connection = None;
        }
    }
}

/// The program's own outputs, as errors name them.
pub(super) const STDOUT: &str = "/dev/stdout";
pub(super) const STDERR: &str = "/dev/stderr";

/// Writes to what may have gone: then there is nobody to stay for. The container goes on.
pub(super) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], name: &str) -> io::Result<()> {
    let failed = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::BrokenPipe => "broken pipe".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("write {name}: {why}"))
    };
    while !bytes.is_empty() {
        match sys::event::write_some(fd, bytes).map_err(failed)? {
            Some(written) => bytes = &bytes[written..],
            None => {
                // Somebody shares the open file and made it so that it does not wait.
                let room = Interest { read: false, write: true };
                poll([(Some(fd.as_fd()), room)], None)?;
            }
        }
    }
    Ok(())
}
