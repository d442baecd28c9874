//! A connection to a monitor that is asked and waited for.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::wire::{self, Answer, Frame, FrameKind, Request};
use crate::failure::{Failure, FailureKind};

/// The socket's name in a container's run folder.
pub const SOCKET_FILE: &str = "monitor.sock";

/// What is received at a time.
const RECEIVED_BYTES: usize = 32 * 1024;

/// One end of a conversation. Reading waits unless it is said not to.
pub struct Connection {
    socket: OwnedFd,
    received: Vec<u8>,
    frames: VecDeque<Frame>,
    fds: Vec<OwnedFd>,
    waiting: Vec<u8>,
    /// What goes with the next bytes.
    given: Vec<OwnedFd>,
    last: u16,
    ended: bool,
}

impl Connection {
    /// Connects to the monitor of the container whose run folder this is.
    pub fn open(run_folder: &Path) -> io::Result<Connection> {
        let folder = sys::fs::open_folder(run_folder)?;
        Ok(Connection::over(sys::socket::connect(folder, OsStr::new(SOCKET_FILE))?))
    }

    /// A connection that is there already, and that nobody waits for: the end that was kept when a
    /// monitor was made.
    pub fn over(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            received: Vec::new(),
            frames: VecDeque::new(),
            fds: Vec::new(),
            waiting: Vec::new(),
            given: Vec::new(),
            last: 0,
            ended: false,
        }
    }

    /// Asks, and gives the number that the answer will have.
    pub fn ask(&mut self, request: &Request) -> io::Result<u16> {
        let number = self.add(request)?;
        self.flush_some()?;
        Ok(number)
    }

    /// Adds a request to those that the next [`Connection::ask`] sends with its own.
    pub fn add(&mut self, request: &Request) -> io::Result<u16> {
        let body = serde_json::to_vec(request)?;
        if body.len() > wire::MAX_BODY_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.last = self.last.wrapping_add(1);
        wire::encode(&mut self.waiting, FrameKind::Request, self.last, &body);
        Ok(self.last)
    }

    /// Gives a descriptor to the other side, with the request that was added before or those that
    /// follow.
    pub fn give(&mut self, file: OwnedFd) {
        self.given.push(file);
    }

    /// Asks and waits for the answer. A failure is an answer of its own kind.
    pub fn call(&mut self, request: &Request) -> Result<Answer, Failure> {
        let lost =
            |error: io::Error| Failure::doing("the container's monitor does not answer", &error);
        let number = self.ask(request).map_err(lost)?;
        self.answer(number)
    }

    /// Waits for the answer to a request; streams that arrive meanwhile are kept.
    pub fn answer(&mut self, number: u16) -> Result<Answer, Failure> {
        let lost =
            |error: io::Error| Failure::doing("the container's monitor does not answer", &error);
        loop {
            let is_it = |frame: &Frame| frame.kind == FrameKind::Answer && frame.number == number;
            if let Some(place) = self.frames.iter().position(is_it) {
                let frame = self.frames.remove(place).expect("it was just found");
                return match parse(&frame).map_err(lost)? {
                    Answer::Failed(failure) => Err(failure),
                    answer => Ok(answer),
                };
            }
            if self.ended {
                let text = "the container's monitor has ended";
                return Err(Failure::new(FailureKind::NotFound, text));
            }
            let interest = sys::event::Interest { read: true, write: !self.waiting.is_empty() };
            sys::event::poll([(Some(self.as_fd()), interest)], None).map_err(lost)?;
            self.flush_some().map_err(lost)?;
            self.receive().map_err(lost)?;
        }
    }

    /// Whether the monitor has ended the conversation.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Adds bytes for the container's standard input; none end it.
    pub fn send_stdin(&mut self, bytes: &[u8]) -> io::Result<()> {
        wire::encode(&mut self.waiting, FrameKind::Stdin, 0, bytes);
        self.flush_some()
    }

    /// How much waits to be sent.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Sends what there is room for.
    pub fn flush_some(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let given: Vec<_> = self.given.iter().map(AsFd::as_fd).collect();
            match sys::socket::send(&self.socket, &self.waiting, &given) {
                Ok(Some(sent)) => {
                    self.waiting.drain(..sent);
                    self.given.clear();
                }
                Ok(None) => return Ok(()),
                // A monitor that has ended may have left answers, which are read first.
                Err(_) => {
                    self.waiting.clear();
                    self.given.clear();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes in what has arrived, and says whether more may come.
    pub fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = [0; RECEIVED_BYTES];
        match sys::socket::receive(&self.socket, &mut bytes, &mut self.fds) {
            Ok(None) => return Ok(true),
            Ok(Some(0)) | Err(_) => self.ended = true,
            Ok(Some(count)) => self.received.extend_from_slice(&bytes[..count]),
        }
        let mut at = 0;
        while let Some((frame, used)) = wire::decode(&self.received[at..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        {
            at += used;
            self.frames.push_back(frame);
        }
        self.received.drain(..at);
        Ok(!self.ended)
    }

    /// The next frame that has arrived whole.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Descriptors that came with answers.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    /// Whether the other side has gone, and all that it sent was taken.
    pub fn is_over(&self) -> bool {
        self.ended && self.frames.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads an answer.
pub(super) fn parse(frame: &Frame) -> io::Result<Answer> {
    Ok(serde_json::from_slice(&frame.body)?)
}
