//! A client on a connection that was taken over: what it types, and what it is shown.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use runtime::keys::{DetachKeys, Finder};
use sys::event::{Interest, Ready, read_some};

use super::websocket::{self, Messages, Said};
use crate::refusal::Refusal;
use crate::reply::Socket;

/// The kinds of streams, before and since one can be told from another.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// So much is read at a time.
const READ_BYTES: usize = 32 << 10;

/// Adds a piece of a stream with the eight bytes before it that say whose it is: 1 for standard
/// output, 2 for standard error.
pub(crate) fn frame(out: &mut Vec<u8>, stream: u8, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("pieces are shorter than 4 GiB");
    out.extend([stream, 0, 0, 0]);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Which of a container's streams a client has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// How streams are told on a connection.
pub(crate) enum Form {
    /// Bytes as they are.
    Raw,
    /// Pieces that say whose they are.
    Multiplexed,
    /// Messages of a web socket, both ways.
    Messages(Messages),
}

impl Form {
    /// That of a container or process with a terminal, or without.
    pub(crate) fn of(tty: bool) -> Form {
        if tty { Form::Raw } else { Form::Multiplexed }
    }
}

/// The other end of a connection.
pub(crate) struct Client {
    socket: Socket,
    form: Form,
    finder: Finder,
    /// More may be typed, and is the container's.
    types: bool,
    /// The client has closed its side, or what it sends is nobody's.
    reads: bool,
    bytes: Vec<u8>,
}

/// What came from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    /// Perhaps something, which was added to what goes on.
    Some,
    /// The last of it.
    End,
    /// The keys that leave.
    Detach,
}

impl Client {
    pub(crate) fn new(socket: Socket, stdin: bool, form: Form, keys: DetachKeys) -> Client {
        let finder = Finder::new(keys);
        let bytes = vec![0; READ_BYTES];
        Client { socket, form, finder, types: stdin, reads: true, bytes }
    }

    /// What to poll for it. While what it typed has no room, nothing more is read.
    pub(crate) fn waits(&self, room: bool) -> (Option<BorrowedFd<'_>>, Interest) {
        let read = self.reads && (room || !self.types);
        // One that has more to say, for which there is no room, is not looked at.
        let fd = Some(self.socket.fd.as_fd()).filter(|_| read || !self.reads);
        (fd, Interest { read, write: false })
    }

    /// Shows a piece of a stream.
    pub(crate) fn show(&self, stream: u8, bytes: &[u8]) -> io::Result<()> {
        match &self.form {
            Form::Raw => self.socket.write_all(bytes),
            Form::Messages(_) => self.socket.write_all(&websocket::message(bytes)),
            Form::Multiplexed => {
                let mut framed = Vec::with_capacity(bytes.len() + 8);
                frame(&mut framed, stream, bytes);
                self.socket.write_all(&framed)
            }
        }
    }

    /// Says that there is no more, where there are words for that.
    pub(crate) fn end(&self) {
        if let Form::Messages(_) = self.form {
            // One that has gone needs no word.
            let _ = self.socket.write_all(&websocket::close());
        }
    }

    /// What was typed before the connection was taken over. Nothing means that the client has gone.
    pub(crate) fn early(&mut self, passed: &mut Vec<u8>) -> Option<Typed> {
        let early = std::mem::take(&mut self.socket.early);
        self.typed(&early, passed)
    }

    /// Takes in what a poll told. Nothing at all means that the client has gone.
    pub(crate) fn take(&mut self, ready: Ready, passed: &mut Vec<u8>) -> Option<Typed> {
        if !self.reads {
            return (!ready.hangup).then_some(Typed::Some);
        }
        if !ready.read {
            return Some(Typed::Some);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let read = read_some(&self.socket.fd, &mut bytes);
        let taken = match read {
            Err(_) => None,
            Ok(None) => Some(Typed::Some),
            Ok(Some(0)) => self.no_more(passed),
            Ok(Some(count)) => self.typed(&bytes[..count], passed),
        };
        self.bytes = bytes;
        taken
    }

    /// The client has closed its side. A web socket is closed by a message, so that one has gone.
    fn no_more(&mut self, passed: &mut Vec<u8>) -> Option<Typed> {
        self.reads = false;
        if let Form::Messages(_) = self.form {
            return None;
        }
        if !std::mem::take(&mut self.types) {
            return Some(Typed::Some);
        }
        passed.extend_from_slice(self.finder.finish());
        Some(Typed::End)
    }

    /// Something was typed. If nobody asked for it, nobody gets it.
    fn typed(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Option<Typed> {
        let Form::Messages(messages) = &mut self.form else {
            let detach = self.types && self.finder.pass(bytes, passed);
            return Some(if detach { Typed::Detach } else { Typed::Some });
        };
        messages.push(bytes);
        while let Some(said) = messages.next() {
            match said {
                Said::Bytes(bytes) if self.types && self.finder.pass(&bytes, passed) => {
                    return Some(Typed::Detach);
                }
                Said::Bytes(_) => {}
                Said::Answer(bytes) => self.socket.write_all(&bytes).ok()?,
                Said::Close => return None,
            }
        }
        Some(Typed::Some)
    }

    /// Nothing that is typed is wanted any more.
    pub(crate) fn stop_typing(&mut self) {
        self.types = false;
    }
}

/// The keys that a request names for leaving.
pub(crate) fn keys(text: &str) -> Result<DetachKeys, Refusal> {
    DetachKeys::parse(text).map_err(|error| Refusal::bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_piece_says_whose_it_is_and_how_long() {
        let mut out = Vec::new();
        frame(&mut out, 2, b"abc");
        assert_eq!(out, [&[2, 0, 0, 0, 0, 0, 0, 3][..], b"abc"].concat());
    }
}
