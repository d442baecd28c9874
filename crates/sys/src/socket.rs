//! Sockets between processes of this machine, and descriptors sent through them.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// The most descriptors that one message carries here.
pub const MAX_DESCRIPTORS: usize = 4;

/// Two ends of a stream, connected; an end that is not given away on purpose closes on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// The same, where reading and writing never block.
pub fn nonblocking_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Listens for streams at a name in a folder. The name must be free.
pub fn listen(folder: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    listen_at(&address(folder.as_fd(), name)?)
}

/// The same at a name in this process's own folder.
pub fn listen_here(name: &OsStr) -> io::Result<OwnedFd> {
    listen_at(&SocketAddrUnix::new(name)?)
}

fn listen_at(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

/// Accepts a connection that waits, if one does; reading and writing it never blocks.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match rustix::net::accept_with(listener, flags) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Connects to who listens at a name in a folder; reading and writing never block afterwards.
pub fn connect(folder: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::CLOEXEC)?;
    rustix::net::connect(&socket, &address(folder.as_fd(), name)?)?;
    crate::event::set_nonblocking(&socket)?;
    Ok(socket)
}

/// Connects to a path with datagrams or a stream, as log daemons listen.
pub fn connect_path(path: &Path, datagrams: bool) -> io::Result<OwnedFd> {
    let kind = if datagrams { SocketType::DGRAM } else { SocketType::STREAM };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn stream(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// An address has 108 bytes; by way of the open folder any path fits.
fn address(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<SocketAddrUnix> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok(SocketAddrUnix::new(path)?)
}

/// How many bytes were sent that the other side has not read yet. Of a connection over a network,
/// those that its machine has not taken yet.
pub fn unread(socket: impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the call fills the number that it is given the address of, and nothing else.
    let done = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Sends bytes, and descriptors with the first of them. `None` means that there is no room yet.
/// The other side's end is an error, never a signal.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let bytes = [io::IoSlice::new(bytes)];
    loop {
        match rustix::net::sendmsg(&socket, &bytes, &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => return Ok(Some(sent)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives bytes, and adds descriptors that came with them to `fds`. `None` means that nothing is
/// there yet, 0 that there is no more.
pub fn receive(
    socket: impl AsFd,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [io::IoSliceMut::new(bytes)];
    let received = loop {
        match rustix::net::recvmsg(&socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(Some(received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let folder = std::env::temp_dir().join(format!("sys-{}", "d".repeat(120)));
        std::fs::create_dir_all(&folder).unwrap();
        let open = crate::fs::open_folder(&folder).unwrap();
        let _ = std::fs::remove_file(folder.join("s"));
        let listener = listen(&open, OsStr::new("s")).unwrap();
        assert!(accept(&listener).unwrap().is_none());
        let here = connect(&open, OsStr::new("s")).unwrap();
        let there = accept(&listener).unwrap().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(send(&here, b"fd", &[writer.as_fd()]).unwrap(), Some(2));
        drop(writer);
        let (mut bytes, mut fds) = ([0; 8], Vec::new());
        assert_eq!(receive(&there, &mut bytes, &mut fds).unwrap(), Some(2));
        rustix::io::write(fds.pop().unwrap(), b"through").unwrap();
        assert_eq!(rustix::io::read(&reader, &mut bytes).unwrap(), 7);
        assert_eq!(receive(&there, &mut bytes, &mut fds).unwrap(), None);
        drop(here);
        assert_eq!(receive(&there, &mut bytes, &mut fds).unwrap(), Some(0));
        assert!(send(&there, b"x", &[]).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
