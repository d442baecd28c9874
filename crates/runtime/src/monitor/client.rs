//! One who is connected to a monitor: what arrived and what is to be sent, neither ever waited for.
//!
//! What is to be sent has a bound. Beyond it the container's output is not read any more, so that
//! the container waits: for a patient client (a foreground `run`, whose output may be paged) for as
//! long as it takes, for any other no longer than [`PATIENCE`]; then it is dropped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use sys::event::Interest;

use super::caller::Caller;
use crate::attach::{self, Answer, AttachRequest, Frame, FrameKind};

/// While so much is to be sent, the container waits.
const FULL_BYTES: usize = 128 * 1024;
/// How long it waits for a client that takes nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Client {
    socket: OwnedFd,
    received: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    /// Descriptors, and the places in `out` that they go with.
    fds: VecDeque<(usize, Vec<OwnedFd>)>,
    /// The streams it has, and the request that asked for them.
    pub(super) attached: Option<(AttachRequest, u16)>,
    /// Whether it is waited for as long as it takes, after the container's end too.
    pub(super) patient: bool,
    /// Since when it takes nothing though it should.
    pub(super) stalled: Option<Instant>,
    /// Whether what it sends has to wait until the container takes its input.
    pub(super) held: bool,
    /// Nothing more is read from it: it is closed when all was sent.
    pub(super) closing: bool,
}

impl Client {
    /// One with a socket that nobody waits for.
    pub(super) fn new(socket: OwnedFd) -> Client {
        Client {
            socket,
            received: Vec::new(),
            out: Vec::new(),
            sent: 0,
            fds: VecDeque::new(),
            attached: None,
            patient: false,
            stalled: None,
            held: false,
            closing: false,
        }
    }

    /// Whoever made the monitor, with what it has said already.
    pub(super) fn of(caller: Caller) -> Client {
        Client { received: caller.received, ..Client::new(caller.socket) }
    }

    pub(super) fn answer(&mut self, number: u16, answer: &Answer) {
        self.answer_with(number, answer, Vec::new());
    }

    /// Answers, and gives descriptors away.
    pub(super) fn answer_with(&mut self, number: u16, answer: &Answer, fds: Vec<OwnedFd>) {
        if !fds.is_empty() {
            self.fds.push_back((self.out.len(), fds));
        }
        let body = serde_json::to_vec(answer).unwrap_or_default();
        attach::encode(&mut self.out, FrameKind::Answer, number, &body);
    }

    /// Adds output, if it wants that stream.
    pub(super) fn output(&mut self, kind: FrameKind, bytes: &[u8]) {
        let Some((wants, number)) = self.attached else { return };
        let wanted = match kind {
            FrameKind::Stderr => wants.stderr,
            _ => wants.stdout,
        };
        if wanted {
            attach::encode(&mut self.out, kind, number, bytes);
        }
    }

    /// Whether the container has to wait for it.
    pub(super) fn is_full(&self) -> bool {
        self.attached.is_some() && self.out.len() - self.sent >= FULL_BYTES
    }

    /// Whether even what was left in pipes at the end is too much.
    pub(super) fn is_overfull(&self) -> bool {
        self.attached.is_some() && self.out.len() - self.sent >= 16 * FULL_BYTES
    }

    pub(super) fn has_to_send(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends what there is room for; an error means that it has gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.has_to_send() {
            let (end, with) = match self.fds.front() {
                Some((place, fds)) if *place == self.sent => (self.out.len(), fds.as_slice()),
                Some((place, _)) => (*place, &[][..]),
                None => (self.out.len(), &[][..]),
            };
            let with: Vec<_> = with.iter().map(AsFd::as_fd).collect();
            match sys::socket::send(&self.socket, &self.out[self.sent..end], &with)? {
                None => return Ok(()),
                Some(sent) => {
                    if !with.is_empty() {
                        self.fds.pop_front();
                    }
                    self.sent += sent;
                    self.stalled = None;
                }
            }
        }
        // A burst's memory goes back.
        self.out.clear();
        self.out.shrink_to(4096);
        self.sent = 0;
        Ok(())
    }

    /// Takes in what has arrived; false means that it has gone, or says what nobody understands.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) -> bool {
        let mut fds = Vec::new();
        match sys::socket::receive(&self.socket, bytes, &mut fds) {
            Ok(None) => true,
            Ok(Some(count)) if count > 0 => {
                self.received.extend_from_slice(&bytes[..count]);
                true
            }
            _ => false,
        }
    }

    /// The next frame that has arrived whole.
    pub(super) fn frame(&mut self) -> Result<Option<Frame>, attach::WireError> {
        let Some((frame, used)) = attach::decode(&self.received)? else { return Ok(None) };
        self.received.drain(..used);
        if self.received.is_empty() {
            self.received.shrink_to(4096);
        }
        Ok(Some(frame))
    }

    /// What is waited for. One that is held and has nothing to get is left out altogether: its end
    /// would be told over and over.
    pub(super) fn source(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let read = !self.held && !self.closing;
        let wanted = Interest { read, write: self.has_to_send() };
        (wanted != Interest::default()).then_some((self.socket.as_fd(), wanted))
    }
}
