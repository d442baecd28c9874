//! A terminal handed to whoever listens on a socket.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::channel;
use crate::error::{Result, RuntimeError};

/// Sends a terminal's outer end, with its name as other runtimes send it.
pub(super) fn send(socket: &Path, terminal: Option<OwnedFd>) -> Result<()> {
    let Some(terminal) = terminal else {
        return Err(RuntimeError::invalid("--console-socket is given without a terminal"));
    };
    let step = || RuntimeError::step(format!("send the terminal to {}", socket.display()));
    let stream = UnixStream::connect(socket).map_err(step())?;
    channel::send_with(&stream, &[b"/dev/ptmx"], Some(terminal.as_fd())).map_err(step())
}
