//! Conversations with the kernel over netlink: requests in batches, answers as typed values.

mod link;
mod message;

use std::io;

pub(crate) use link::{Address, Link, LinkInfo, LinkKind, Links, Route, octets};
pub(crate) use message::{Attributes, Reply, Requests, attributes, text};

use message::replies;
use sys::netlink::{Protocol, Socket};

/// No answer of the kernel to us is larger; dumps come in pieces of up to 32 KiB.
const ANSWER_BYTES: usize = 64 << 10;
/// The room that a transaction with thousands of elements needs.
const ROOM_BYTES: usize = 4 << 20;

/// What the kernel would not do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
pub struct NetlinkError {
    /// What it was asked for.
    pub doing: String,
    /// What it says beside the number, if anything.
    pub said: Option<String>,
    /// The number.
    pub source: io::Error,
}

impl NetlinkError {
    /// The error of a system call around the conversation.
    pub(crate) fn call(doing: &str) -> impl FnOnce(io::Error) -> NetlinkError {
        let doing = doing.to_owned();
        move |source| NetlinkError { doing, said: None, source }
    }

    /// Whether the kernel gave this number.
    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }
}

/// A socket, and the number of the last request.
pub(crate) struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// To the code for links, addresses and routes of this thread's network namespace.
    pub(crate) fn route() -> Result<Connection, NetlinkError> {
        Connection::open(Protocol::Route)
            .map_err(NetlinkError::call("open a socket for links and addresses"))
    }

    /// To the packet filter of this thread's network namespace.
    pub(crate) fn netfilter() -> Result<Connection, NetlinkError> {
        let connection = Connection::open(Protocol::Netfilter)
            .map_err(NetlinkError::call("open a socket for packet filters"))?;
        // Without the privilege the usual room has to do; the kernel says if it does not.
        let _ = connection.socket.make_room(ROOM_BYTES);
        Ok(connection)
    }

    fn open(protocol: Protocol) -> io::Result<Connection> {
        let socket = Socket::open(protocol)?;
        Ok(Connection { socket, sequence: 0, buffer: vec![0; ANSWER_BYTES] })
    }

    /// Carries all requests out, in one datagram, each on its own: the ones behind a failed one
    /// are tried too. The first error is told.
    pub(crate) fn carry_out(&mut self, requests: Requests) -> Result<(), NetlinkError> {
        let names = requests.names();
        let Some(last) = names.len().checked_sub(1) else { return Ok(()) };
        let first = self.send(requests, &names[0])?;
        self.collect(first, &names, last)
    }

    /// Carries a transaction out, of which only the request `last` is acknowledged: all or nothing.
    pub(crate) fn commit(&mut self, requests: Requests, last: usize) -> Result<(), NetlinkError> {
        let names = requests.names();
        let first = self.send(requests, &names[last])?;
        self.collect(first, &names, last)
    }

    /// Reads answers until the one to the request `last`, and tells the first error.
    fn collect(&mut self, first: u32, names: &[String], last: usize) -> Result<(), NetlinkError> {
        let mut result = Ok(());
        loop {
            let bytes = match self.receive(&names[last]) {
                Ok(bytes) => bytes,
                // A transaction that was refused as a whole leaves its last request unanswered.
                Err(silence) => return result.and(Err(silence)),
            };
            for reply in replies(&self.buffer[..bytes]) {
                let place = reply.sequence.wrapping_sub(first) as usize;
                let Some((code, said)) = reply.acknowledgement() else { continue };
                if place > last {
                    continue;
                }
                if code != 0 && result.is_ok() {
                    result = Err(NetlinkError {
                        doing: names[place].clone(),
                        said,
                        source: io::Error::from_raw_os_error(code),
                    });
                }
                if place == last {
                    return result;
                }
            }
        }
    }

    /// Asks for a list, and gives each of its replies to `take`.
    pub(crate) fn list(
        &mut self,
        requests: Requests,
        mut take: impl FnMut(Reply<'_>),
    ) -> Result<(), NetlinkError> {
        let name = requests.names().remove(0);
        let sequence = self.send(requests, &name)?;
        loop {
            let bytes = self.receive(&name)?;
            for reply in replies(&self.buffer[..bytes]).filter(|it| it.sequence == sequence) {
                match reply.acknowledgement() {
                    Some((0, _)) => return Ok(()),
                    Some((code, said)) => {
                        let source = io::Error::from_raw_os_error(code);
                        return Err(NetlinkError { doing: name, said, source });
                    }
                    None => take(reply),
                }
            }
        }
    }

    fn send(&mut self, requests: Requests, name: &str) -> Result<u32, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let (bytes, count) = requests.finish(first);
        self.sequence = self.sequence.wrapping_add(count);
        self.socket.send(&bytes).map_err(NetlinkError::call(name))?;
        Ok(first)
    }

    fn receive(&mut self, name: &str) -> Result<usize, NetlinkError> {
        self.socket.receive(&mut self.buffer).map_err(NetlinkError::call(name))
    }
}
