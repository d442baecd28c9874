//! What the kernel cannot redirect is carried: calls to a published port at ::1, from where nothing
//! is forwarded, and calls over IPv6 to a container that has none.
//!
//! Like the name server it has no thread: one descriptor for the loop of whoever watches the
//! container. Where nobody calls so, it costs nothing more: it listens at the sockets that keep the
//! ports from others.

mod pair;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags};
use spec::Protocol;

use crate::endpoint::{Attached, Endpoint, Reserved};
use crate::error::{NetworkError, Result};
use pair::{Pair, Progress};

/// So many connections at once, and so many conversations besides: further calls wait, and datagrams
/// of further callers are dropped.
const MOST: usize = 256;
/// A conversation in datagrams is over when nothing came for so long, as docker has it.
const SILENCE: Duration = Duration::from_secs(90);
/// How long no calls are taken after there was no descriptor for one.
const REST: Duration = Duration::from_secs(1);
/// So many calls may wait to be taken.
const BACKLOG: i32 = 128;
/// The longest datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// A port that is listened at, and where it leads.
struct Port {
    target: SocketAddr,
    protocol: Protocol,
    socket: Arc<OwnedFd>,
}

impl Port {
    fn takes_datagrams(&self) -> bool {
        self.protocol == Protocol::Udp
    }
}

/// A connection to a port.
struct Call {
    port: u64,
    pair: Pair,
}

/// Who sends datagrams, and the address of the host that they are sent to and answered from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Who {
    caller: SocketAddrV6,
    called: Ipv6Addr,
}

/// What somebody who sends datagrams is answered with.
struct Conversation {
    port: u64,
    who: Who,
    socket: UdpSocket,
    last: Instant,
}

/// Carries connections and datagrams to one container.
pub struct Relay {
    epoll: OwnedFd,
    ports: BTreeMap<u64, Port>,
    calls: BTreeMap<u64, Call>,
    conversations: BTreeMap<u64, Conversation>,
    /// Whether calls are taken; not while there are too many, or no descriptors.
    listening: bool,
    /// When there may be descriptors again.
    rest: Option<Instant>,
    last: u64,
}

impl Relay {
    /// One that listens nowhere yet.
    pub fn new() -> Result<Relay> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC);
        let epoll = epoll.map_err(|error| NetworkError::Relay(error.into()))?;
        Ok(Relay {
            epoll,
            ports: BTreeMap::new(),
            calls: BTreeMap::new(),
            conversations: BTreeMap::new(),
            listening: true,
            rest: None,
            last: 0,
        })
    }

    /// Whether a container that stands in these places needs one.
    pub fn is_needed(places: &[Attached]) -> bool {
        places.iter().any(|place| place.reserved.iter().any(is_carried))
    }

    /// Listens at the ports of these places from now on, and at no others.
    pub fn follow(&mut self, places: &[Attached]) -> Result<()> {
        // A place may stay though its ports are another's: what counts are the sockets.
        let number = |socket: &Arc<OwnedFd>| socket.as_raw_fd();
        let reserved = places.iter().flat_map(|place| &place.reserved);
        let wanted: BTreeSet<RawFd> = reserved.map(|one| number(&one.socket)).collect();
        let gone = self.ports.iter().filter(|(_, port)| !wanted.contains(&number(&port.socket)));
        let gone: Vec<u64> = gone.map(|(token, _)| *token).collect();
        gone.into_iter().for_each(|token| self.forget(token));
        let known: BTreeSet<RawFd> = self.ports.values().map(|port| number(&port.socket)).collect();
        for place in places {
            let is_new = |one: &&Reserved| is_carried(one) && !known.contains(&number(&one.socket));
            for reserved in place.reserved.iter().filter(is_new) {
                self.listen(&place.endpoint, reserved).map_err(NetworkError::Relay)?;
            }
        }
        Ok(())
    }

    /// Does all that can be done without waiting. What goes wrong with one connection ends it.
    pub fn ready(&mut self) -> Result<()> {
        self.turn().map_err(NetworkError::Relay)
    }

    /// When [`Relay::expire`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let silent = self.conversations.values().map(|one| one.last + SILENCE);
        silent.chain(self.rest).min()
    }

    /// Ends the conversations in which nothing was said for long, and takes calls again after a
    /// rest.
    pub fn expire(&mut self) {
        let now = Instant::now();
        self.conversations.retain(|_, one| one.last + SILENCE > now);
        if self.rest.is_some_and(|end| end <= now) {
            self.rest = None;
            // What is not watched again now is so at the next call or the next end of one.
            let _ = self.take_calls_while_there_is_room();
        }
    }

    fn listen(&mut self, endpoint: &Endpoint, reserved: &Reserved) -> io::Result<()> {
        let Some(address) = target(endpoint) else { return Ok(()) };
        let socket = Arc::clone(&reserved.socket);
        rustix::io::ioctl_fionbio(&socket, true)?;
        let container = reserved.port.container;
        let mut flags = EventFlags::IN;
        match container.protocol {
            Protocol::Udp => sys::datagram::tell_destinations(&socket)?,
            Protocol::Tcp | Protocol::Sctp => {
                rustix::net::listen(&socket, BACKLOG)?;
                flags.set(EventFlags::IN, self.listening);
            }
        }
        self.last += 1;
        watch(&self.epoll, &socket, self.last, flags)?;
        let port = Port {
            target: SocketAddr::new(address, container.number),
            protocol: container.protocol,
            socket,
        };
        self.ports.insert(self.last, port);
        Ok(())
    }

    /// Stops to listen at a port, and ends what goes on there. Its socket is somebody else's too, so
    /// that letting go of it would not take it out of what is watched.
    fn forget(&mut self, token: u64) {
        let Some(port) = self.ports.remove(&token) else { return };
        let _ = epoll::delete(&self.epoll, &port.socket);
        self.calls.retain(|_, call| call.port != token);
        self.conversations.retain(|_, one| one.port != token);
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let token = event.data.u64();
            match self.ports.get(&token).map(Port::takes_datagrams) {
                Some(false) => self.accept(token),
                Some(true) => self.receive(token),
                None if self.calls.contains_key(&token) => self.carry(token),
                None => self.answer(token),
            }
        }
        self.take_calls_while_there_is_room()
    }

    /// Takes the calls that wait at a port.
    fn accept(&mut self, token: u64) {
        while self.has_room() {
            let Some(Port { socket, target, protocol, .. }) = self.ports.get(&token) else {
                return;
            };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let caller = match rustix::net::accept_with(socket, flags) {
                Ok(caller) => TcpStream::from(caller),
                Err(Errno::AGAIN) => return,
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                // The call still waits, and would wake us again and again.
                Err(_) => {
                    self.rest = Some(Instant::now() + REST);
                    return;
                }
            };
            // Who cannot be connected sees the connection end.
            let Ok(container) = connect(*target, *protocol) else { continue };
            let pair = Pair::new(caller, TcpStream::from(container));
            self.last += 1;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            let add = |socket| watch(&self.epoll, socket, self.last, flags).is_ok();
            if pair.sockets().into_iter().all(add) {
                self.calls.insert(self.last, Call { port: token, pair });
            }
        }
    }

    /// Carries what has come on a connection, both ways.
    fn carry(&mut self, token: u64) {
        let Some(Call { pair, .. }) = self.calls.get_mut(&token) else { return };
        match pair.carry() {
            Progress::Waiting => {}
            Progress::Over => drop(self.calls.remove(&token)),
            Progress::More => {
                // Others have their turn; what is changed is looked at anew.
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                for socket in pair.sockets() {
                    let _ = epoll::modify(&self.epoll, socket, EventData::new_u64(token), flags);
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.calls.len() < MOST && self.rest.is_none()
    }

    fn take_calls_while_there_is_room(&mut self) -> io::Result<()> {
        let room = self.has_room();
        if room != self.listening {
            let flags = if room { EventFlags::IN } else { EventFlags::empty() };
            for (token, port) in self.ports.iter().filter(|(_, port)| !port.takes_datagrams()) {
                epoll::modify(&self.epoll, &port.socket, EventData::new_u64(*token), flags)?;
            }
            self.listening = room;
        }
        Ok(())
    }

    /// Passes on the datagrams that came to a port, at most so many that others have their turn.
    fn receive(&mut self, token: u64) {
        let mut buffer = [0; DATAGRAM_BYTES];
        for _ in 0..64 {
            let Some(Port { socket, target, .. }) = self.ports.get(&token) else { return };
            let Ok(came) = sys::datagram::receive(socket, &mut buffer) else { return };
            let (target, who) = (*target, Who { caller: came.from, called: came.to });
            if let Some(one) = self.conversation(token, who, target) {
                one.last = Instant::now();
                // A datagram that is lost is one that is lost.
                let _ = one.socket.send(&buffer[..came.bytes]);
            }
        }
    }

    /// What goes on with a caller; begun if there is room for it.
    fn conversation(
        &mut self,
        port: u64,
        who: Who,
        target: SocketAddr,
    ) -> Option<&mut Conversation> {
        let is_meant = |one: &Conversation| one.port == port && one.who == who;
        let known = self.conversations.iter().find(|(_, one)| is_meant(one));
        let token = match known.map(|(token, _)| *token) {
            Some(token) => token,
            None if self.conversations.len() >= MOST => return None,
            None => {
                let socket: UdpSocket = connect(target, Protocol::Udp).ok()?.into();
                self.last += 1;
                watch(&self.epoll, &socket, self.last, EventFlags::IN).ok()?;
                let one = Conversation { port, who, socket, last: Instant::now() };
                self.conversations.insert(self.last, one);
                self.last
            }
        };
        self.conversations.get_mut(&token)
    }

    /// Hands the container's datagrams to the caller whom they are for.
    fn answer(&mut self, token: u64) {
        let mut buffer = [0; DATAGRAM_BYTES];
        let Some(one) = self.conversations.get_mut(&token) else { return };
        let Some(port) = self.ports.get(&one.port) else { return };
        for _ in 0..64 {
            // An error here is about an earlier datagram that nobody took.
            let Ok(bytes) = one.socket.recv(&mut buffer) else { return };
            one.last = Instant::now();
            let Who { caller, called } = one.who;
            let _ = sys::datagram::send(&port.socket, &buffer[..bytes], called, caller);
        }
    }
}

impl AsFd for Relay {
    /// Readable when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Whether calls arrive at a port's socket: those over IPv6 may, all others are redirected.
fn is_carried(reserved: &Reserved) -> bool {
    reserved.port.host_address.is_ipv6()
}

/// Where a container is reached: over IPv6 if it has that.
fn target(endpoint: &Endpoint) -> Option<IpAddr> {
    let ipv6 = endpoint.ipv6.map(|(address, _)| address.into());
    ipv6.or_else(|| endpoint.ipv4.map(|(address, _)| address.into()))
}

fn watch(epoll: &OwnedFd, what: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
    Ok(epoll::add(epoll, what, EventData::new_u64(token), flags)?)
}

/// A socket that is connected, or about to be.
fn connect(target: SocketAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = crate::ports::socket_kind(protocol);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, Some(number))?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}
