//! A terminal, or what names a process, handed to whoever listens on a socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::channel;
use crate::error::{Result, RuntimeError};

/// Sends a terminal's outer end, with its name as other runtimes send it.
pub(super) fn send(socket: &Path, terminal: Option<OwnedFd>) -> Result<()> {
    let Some(terminal) = terminal else {
        return Err(RuntimeError::invalid("--console-socket is given without a terminal"));
    };
    hand_over(socket, b"/dev/ptmx", terminal.as_fd(), "the terminal")
}

/// Sends a descriptor of a process.
pub(super) fn send_process(socket: &Path, process: BorrowedFd<'_>) -> Result<()> {
    hand_over(socket, b"pidfd", process, "the process")
}

fn hand_over(socket: &Path, name: &[u8], file: BorrowedFd<'_>, what: &str) -> Result<()> {
    let step = || RuntimeError::step(format!("send {what} to {}", socket.display()));
    let stream = UnixStream::connect(socket).map_err(step())?;
    channel::send_with(&stream, &[name], Some(file)).map_err(step())
}
