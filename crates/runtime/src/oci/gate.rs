//! The socket on which a program waits for its start.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::write_failed;
use crate::error::{Result, RuntimeError};

/// Its name in a container's folder.
const NAME: &str = "start";

/// Whether the program still waits.
pub(super) fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

/// Waits in a container's folder.
pub(super) fn listen(folder: &Path) -> Result<OwnedFd> {
    let failed = |error: rustix::io::Errno| write_failed(&folder.join(NAME))(error.into());
    let (address, held) = address(folder)?;
    let socket = socket().map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, 1).map_err(failed)?;
    drop(held);
    Ok(socket)
}

/// Reaches the program that waits, and takes the gate away: nobody else can start it.
pub(super) fn take(folder: &Path) -> Result<OwnedFd> {
    let failed = |error: rustix::io::Errno| RuntimeError::step("reach the container")(error.into());
    let (address, held) = address(folder)?;
    let socket = socket().map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    drop(held);
    let path = folder.join(NAME);
    std::fs::remove_file(&path).map_err(write_failed(&path))?;
    Ok(socket)
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::SEQPACKET);
    rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)
}

/// The address of the socket through its folder's descriptor: addresses are short, paths are not.
fn address(folder: &Path) -> Result<(SocketAddrUnix, OwnedFd)> {
    let read = |source: io::Error| RuntimeError::Read { path: folder.to_owned(), source };
    let held = sys::fs::open_folder(folder).map_err(read)?;
    let path = format!("/proc/self/fd/{}/{NAME}", held.as_raw_fd());
    let address = SocketAddrUnix::new(path).map_err(|error| read(error.into()))?;
    Ok((address, held))
}
