//! Messages on their way to a log daemon, which may be slow, and may go and come back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Mode;
use super::tls::TlsLink;

/// While so much waits, a container in blocking mode waits too.
const WAITING_BYTES: usize = 1 << 20;
/// How long after an attempt to connect the next one is made.
const RECONNECT: Duration = Duration::from_secs(1);
/// And at least so many times as long as the attempt took: the container waits for it.
const REST: u32 = 9;

/// A connection to a daemon.
pub(super) enum Link {
    /// Bytes go as they are.
    Plain(OwnedFd),
    /// They go where nobody overhears them.
    Tls(Box<TlsLink>),
}

impl Link {
    /// Sends what there is room for; `None` if there is none.
    fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self {
            Link::Plain(socket) => sys::socket::send(socket, bytes, &[]),
            Link::Tls(link) => link.send(bytes),
        }
    }

    /// Sends what was taken before.
    fn push(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(_) => Ok(()),
            Link::Tls(link) => link.push().map(drop),
        }
    }

    fn has_to_send(&self) -> bool {
        matches!(self, Link::Tls(link) if link.has_to_send())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Link::Plain(socket) => socket.as_fd(),
            Link::Tls(link) => link.as_fd(),
        }
    }
}

/// Makes a connection.
pub(super) type Connect = Box<dyn Fn() -> io::Result<Link>>;

/// A connection that is made anew when it breaks.
pub(super) struct Outlet {
    connect: Connect,
    socket: Option<Link>,
    /// Before this no other connection is tried.
    again: Option<Instant>,
    /// Whether a message is sent whole or not at all.
    datagrams: bool,
    mode: Mode,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// How much of the first message was sent.
    sent: usize,
    /// Messages that found no room, or no daemon.
    pub(super) lost: u64,
}

impl Outlet {
    /// Begins with a connection, and has another one made when it breaks.
    pub(super) fn over(
        first: Link,
        connect: Connect,
        datagrams: bool,
        mode: Mode,
    ) -> io::Result<Outlet> {
        sys::event::set_nonblocking(&first)?;
        Ok(Outlet {
            connect,
            socket: Some(first),
            again: None,
            datagrams,
            mode,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent: 0,
            lost: 0,
        })
    }

    /// Sends a message, or keeps it until there is room.
    pub(super) fn push(&mut self, message: Vec<u8>) {
        let most = match self.mode {
            // Who asks `is_full` before it reads more stays near this.
            Mode::Blocking => 2 * WAITING_BYTES,
            Mode::NonBlocking(most) => most,
        };
        if self.waiting_bytes + message.len() > most && !self.waiting.is_empty() {
            self.lost += 1;
            return;
        }
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
        self.flush();
    }

    /// Whether the container has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.mode == Mode::Blocking && self.waiting_bytes >= WAITING_BYTES
    }

    /// The connection, while something waits for room in it.
    pub(super) fn wants_room(&self) -> Option<BorrowedFd<'_>> {
        let waits = |link: &&Link| !self.waiting.is_empty() || link.has_to_send();
        self.socket.as_ref().filter(waits).map(AsFd::as_fd)
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        if self.socket.as_mut().is_some_and(|link| link.push().is_err()) {
            (self.socket, self.sent) = (None, 0);
        }
        while !self.waiting.is_empty() {
            if !self.connected() {
                // While nobody listens, nothing is kept: it would come late and block the container.
                self.lost += self.waiting.len() as u64;
                self.waiting.clear();
                (self.waiting_bytes, self.sent) = (0, 0);
                return;
            }
            let (Some(message), Some(link)) = (self.waiting.front(), &mut self.socket) else {
                return;
            };
            match link.send(&message[self.sent..]) {
                Ok(None) => return,
                Ok(Some(sent)) if !self.datagrams && self.sent + sent < message.len() => {
                    self.sent += sent;
                }
                Ok(Some(_)) => self.next(),
                // A message larger than a datagram is lost alone.
                Err(error) if error.raw_os_error() == Some(EMSGSIZE) => {
                    self.lost += 1;
                    self.next();
                }
                Err(_) => {
                    (self.socket, self.sent) = (None, 0);
                }
            }
        }
    }

    fn next(&mut self) {
        let message = self.waiting.pop_front().unwrap_or_default();
        self.waiting_bytes -= message.len();
        self.sent = 0;
    }

    fn connected(&mut self) -> bool {
        let begin = Instant::now();
        if self.socket.is_none() && self.again.is_none_or(|at| at <= begin) {
            let socket = (self.connect)().ok();
            self.socket = socket.filter(|socket| sys::event::set_nonblocking(socket).is_ok());
            let end = Instant::now();
            self.again = Some(end + RECONNECT.max((end - begin) * REST));
        }
        self.socket.is_some()
    }
}

/// The kernel's number for "message too long".
const EMSGSIZE: i32 = 90;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn the_container_does_not_wait_again_and_again_for_who_does_not_answer() {
        let attempts = Rc::new(Cell::new(0));
        let counted = attempts.clone();
        let connect = move || {
            counted.set(counted.get() + 1);
            std::thread::sleep(RECONNECT);
            Err(io::ErrorKind::TimedOut.into())
        };
        let (first, gone) = sys::socket::pair().unwrap();
        drop(gone);
        let blocking = Mode::Blocking;
        let mut outlet =
            Outlet::over(Link::Plain(first), Box::new(connect), false, blocking).unwrap();
        for _ in 0..3 {
            outlet.push(b"line".to_vec());
        }
        assert_eq!((attempts.get(), outlet.lost), (1, 3));
    }
}
