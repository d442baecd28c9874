//! Netlink sockets: datagrams to and from the kernel's network code. What is in them is the
//! caller's business.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// Which part of the kernel answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Links, addresses and routes.
    Route,
    /// Packet filters.
    Netfilter,
}

/// A socket to the kernel, of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens one; errors come with what the kernel says besides, and without the request.
    pub fn open(protocol: Protocol) -> io::Result<Socket> {
        let protocol = match protocol {
            // Its number is 0, which is how no protocol is asked for.
            Protocol::Route => None,
            Protocol::Netfilter => Some(netlink::NETFILTER),
        };
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        let socket = Socket(socket);
        socket.set(libc::NETLINK_EXT_ACK, 1)?;
        socket.set(libc::NETLINK_CAP_ACK, 1)?;
        Ok(socket)
    }

    fn set(&self, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        set_option(self.0.as_fd(), libc::SOL_NETLINK, option, value)
    }

    /// Lets datagrams of this many bytes pass in both directions.
    pub fn make_room(&self, bytes: usize) -> io::Result<()> {
        let bytes = libc::c_int::try_from(bytes).map_err(io::Error::other)?;
        set_option(self.0.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)?;
        set_option(self.0.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
    }

    /// Sends one datagram.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.0, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives one datagram and says its length; one that does not fit is an error. It does not
    /// wait: the kernel has answered when [`Socket::send`] returns, and goes on with a list when it
    /// is asked for the next piece.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.0, &mut *buffer, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, bytes)) if bytes > buffer.len() => {
                    return Err(io::Error::other(format!("the kernel's answer has {bytes} bytes")));
                }
                Ok((_, bytes)) => return Ok(bytes),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as it is borrowed; `value` outlives the call, its
    // size is passed with it and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
