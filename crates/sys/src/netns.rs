//! Network namespaces, made and entered by the calling thread alone.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// The network namespace of the calling thread.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Makes a namespace with nothing but a loopback device, which is down. The calling thread goes in
/// and comes back, which is cheaper than a child.
pub fn create() -> io::Result<OwnedFd> {
    let home = Home::remember()?;
    leave_for_a_new_one()?;
    let made = current();
    drop(home);
    made
}

/// Moves the calling thread into a namespace of its own, for good.
pub fn leave_for_a_new_one() -> io::Result<()> {
    // SAFETY: a network namespace is no part of what threads of a process must share: no memory,
    // no descriptors.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Switches on the loopback device of the calling thread's namespace, and gives the socket that it
/// took.
pub fn loopback_up() -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // SAFETY: all-zero bytes are a valid `ifreq`, which is made of integers and a union of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: `request` outlives the call and is of the type that this command reads.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Does something inside a namespace: what it opens there, sockets above all, stays of there.
pub fn within<T>(namespace: impl AsFd, work: impl FnOnce() -> T) -> io::Result<T> {
    let home = Home::remember()?;
    enter(namespace.as_fd())?;
    let result = work();
    drop(home);
    Ok(result)
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Brings the thread back, also when the work in between panics.
struct Home(OwnedFd);

impl Home {
    /// Notes where the thread is, and makes sure that it may come back: somebody who may enter a
    /// namespace of his own need not have that right over the host's.
    fn remember() -> io::Result<Home> {
        let here = current()?;
        enter(here.as_fd())?;
        Ok(Home(here))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        enter(self.0.as_fd()).expect("it was tried before the thread left");
    }
}
