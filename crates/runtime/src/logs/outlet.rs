//! Messages on their way to a log daemon, which may be slow, and may go and come back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Mode;

/// While so much waits, a container in blocking mode waits too.
const WAITING_BYTES: usize = 1 << 20;
/// How long after a connection broke the next one is tried.
const RECONNECT: Duration = Duration::from_secs(1);

/// A connection that is made anew when it breaks.
pub(super) struct Outlet {
    connect: Box<dyn Fn() -> io::Result<OwnedFd>>,
    socket: Option<OwnedFd>,
    broken: Option<Instant>,
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
    /// Connects for the first time: a daemon that is not there is an error at the start.
    pub(super) fn open(
        connect: Box<dyn Fn() -> io::Result<OwnedFd>>,
        datagrams: bool,
        mode: Mode,
    ) -> io::Result<Outlet> {
        let socket = connect()?;
        sys::event::set_nonblocking(&socket)?;
        Ok(Outlet {
            connect,
            socket: Some(socket),
            broken: None,
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
        self.socket.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// The connection.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            if !self.connected() {
                // While nobody listens, nothing is kept: it would come late and block the container.
                self.lost += self.waiting.len() as u64;
                self.waiting.clear();
                (self.waiting_bytes, self.sent) = (0, 0);
                return;
            }
            let (Some(message), Some(socket)) = (self.waiting.front(), &self.socket) else {
                return;
            };
            match sys::socket::send(socket, &message[self.sent..], &[]) {
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
                    if self.broken.is_some_and(|at| at.elapsed() < RECONNECT) {
                        continue;
                    }
                    self.broken = None;
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
        if self.socket.is_none() && self.broken.is_none_or(|at| at.elapsed() >= RECONNECT) {
            self.broken = Some(Instant::now());
            let socket = (self.connect)().ok();
            self.socket = socket.filter(|socket| sys::event::set_nonblocking(socket).is_ok());
        }
        self.socket.is_some()
    }
}

/// The kernel's number for "message too long".
const EMSGSIZE: i32 = 90;
