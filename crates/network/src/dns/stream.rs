//! A connection over which messages come and go, each behind its length.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A message has no more bytes.
pub(super) const MESSAGE_BYTES: usize = 65_535;

/// A connection with what came and what is to go.
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Whether the other side has said all that it will.
    pub(super) ended: bool,
}

impl Stream {
    /// A connection over which nothing came yet, with what is to go first.
    pub(super) fn new(socket: TcpStream, output: Vec<u8>) -> Stream {
        Stream { socket, input: Vec::new(), output, ended: false }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while self.input.len() <= MESSAGE_BYTES + 2 {
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(bytes) => self.input.extend(&buffer[..bytes]),
                Err(error) if is_pending(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what the other side takes.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(bytes) => drop(self.output.drain(..bytes)),
                Err(error) if is_pending(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first whole message that has come.
    pub(super) fn message(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(u16::from_be_bytes(self.input.get(..2)?.try_into().ok()?));
        let message = self.input.get(2..2 + length)?.to_vec();
        self.input.drain(..2 + length);
        Some(message)
    }
}

/// Whether a socket only needs more time: also one that is still being connected.
fn is_pending(error: &io::Error) -> bool {
    let connecting = [rustix::io::Errno::NOTCONN, rustix::io::Errno::INPROGRESS];
    let number = error.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock
        || error.kind() == io::ErrorKind::Interrupted
        || connecting.iter().any(|it| number == Some(it.raw_os_error()))
}

/// A message as it travels over a connection: behind its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(&message[..usize::from(length)]);
    bytes
}
