//! Datagrams over IPv6, with the address of ours that they were sent to: a socket that is bound to
//! all addresses would answer from one of the kernel's choice, which the caller does not know.

use std::io;
use std::mem::{size_of, size_of_val};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

/// A datagram that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// How long it is.
    pub bytes: usize,
    /// Who sent it.
    pub from: SocketAddrV6,
    /// The address of ours that it was sent to.
    pub to: Ipv6Addr,
}

/// Room for what comes beside a datagram, aligned as the kernel wants it.
type Control = [u64; 8];

/// Has the kernel say with each datagram which address it was sent to.
pub fn tell_destinations(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, option) = (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO);
    let (fd, length) = (socket.as_fd().as_raw_fd(), size_of::<libc::c_int>());
    // SAFETY: the call reads a number of the length that it is told.
    let done =
        unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), length as u32) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a datagram; what is longer than `bytes` is cut.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<Datagram> {
    let mut control: Control = [0; 8];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: an address of zeros is the unspecified one.
    let mut from: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    let mut message = message(&mut from, &mut part, &mut control);
    // SAFETY: the message names an address, bytes and room that all live until the call is over.
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, 0) };
    let bytes = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let (port, address) = (u16::from_be(from.sin6_port), from.sin6_addr.s6_addr);
    let from = SocketAddrV6::new(address.into(), port, from.sin6_flowinfo, from.sin6_scope_id);
    let to = destination(&message).unwrap_or(Ipv6Addr::UNSPECIFIED);
    Ok(Datagram { bytes, from, to })
}

/// Sends a datagram from an address of ours; from any, if it is the unspecified one.
pub fn send(socket: impl AsFd, bytes: &[u8], from: Ipv6Addr, to: SocketAddrV6) -> io::Result<()> {
    let mut control: Control = [0; 8];
    // The kernel only reads what it sends.
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut address = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: to.port().to_be(),
        sin6_flowinfo: to.flowinfo(),
        sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
        sin6_scope_id: to.scope_id(),
    };
    // By which link it goes is told by the caller's address and the routes.
    let info =
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: from.octets() }, ipi6_ifindex: 0 };
    let mut message = message(&mut address, &mut part, &mut control);
    // SAFETY: the room is larger than one header with this after it, and aligned for it.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size_of_val(&info) as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::IPPROTO_IPV6;
        (*header).cmsg_type = libc::IPV6_PKTINFO;
        (*header).cmsg_len = libc::CMSG_LEN(size_of_val(&info) as u32) as _;
        libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().write_unaligned(info);
    }
    let (fd, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_NOSIGNAL);
    // SAFETY: the message names an address, bytes and room that all live until the call is over.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn message(
    address: &mut libc::sockaddr_in6,
    part: &mut libc::iovec,
    control: &mut Control,
) -> libc::msghdr {
    // SAFETY: a header of zeros is one that names nothing; some C libraries have padding in it.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = std::ptr::from_mut(address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    message
}

/// The address that a received message says it was sent to.
fn destination(message: &libc::msghdr) -> Option<Ipv6Addr> {
    // SAFETY: the kernel has filled the room with headers up to the length that it wrote, and what
    // follows one of this kind is the address.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(this) = header.as_ref() {
            if (this.cmsg_level, this.cmsg_type) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
                let info = libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().read_unaligned();
                return Some(info.ipi6_addr.s6_addr.into());
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};

    #[test]
    fn a_datagram_is_answered_from_where_it_was_sent_to() {
        let Ok(server) = UdpSocket::bind("[::]:0") else { return };
        tell_destinations(&server).unwrap();
        let caller = UdpSocket::bind("[::1]:0").unwrap();
        caller.connect(("::1", server.local_addr().unwrap().port())).unwrap();
        caller.send(b"question").unwrap();
        let mut bytes = [0; 20];
        let came = receive(&server, &mut bytes).unwrap();
        assert_eq!((&bytes[..came.bytes], came.to), (&b"question"[..], Ipv6Addr::LOCALHOST));
        assert_eq!(SocketAddr::V6(came.from), caller.local_addr().unwrap());
        send(&server, b"answer", came.to, came.from).unwrap();
        let answered = caller.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..answered], b"answer");
        // An address that is not ours is not taken.
        assert!(send(&server, b"x", "2001:db8::77".parse().unwrap(), came.from).is_err());
    }
}
