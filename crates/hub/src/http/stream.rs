//! The connection's bytes: a socket, perhaps within TLS, and what was read from it too early.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustls::{ServerConnection, StreamOwned};

/// Beyond it a head is refused.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
/// Files are encrypted in pieces of this length.
const STEP_BYTES: usize = 128 << 10;

/// A socket that somebody else may close.
pub(super) struct Socket(pub(super) Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How bytes get to the client.
pub(super) enum Stream {
    /// As they are.
    Plain(Socket),
    /// Encrypted.
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
}

impl Stream {
    /// Tells the client that nothing follows, so that nobody can cut an answer unnoticed.
    pub(super) fn finish(&mut self) {
        if let Stream::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// A stream and the bytes of it that are read but not used yet.
pub(super) struct Wire {
    pub(super) stream: Stream,
    buffer: Vec<u8>,
    start: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Wire {
        Wire { stream, buffer: Vec::with_capacity(4 << 10), start: 0 }
    }

    /// What is there already.
    pub(super) fn ready(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Passes over what was used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Waits for more bytes behind those that are there; 0 is the end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        const STEP: usize = 4 << 10;
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + STEP, 0);
        let read = retry(|| self.stream.read(&mut self.buffer[held..]));
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Reads into a buffer: what is there already, else straight from the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.ready();
        if ready.is_empty() {
            return retry(|| self.stream.read(buffer));
        }
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }

    /// Sends a part of a file: within the kernel where nothing encrypts it.
    pub(super) fn send_file(&mut self, file: &File, at: u64, bytes: u64) -> io::Result<u64> {
        match &mut self.stream {
            Stream::Plain(socket) => sys::fs::send_range(file, at, &*socket.0, bytes),
            Stream::Tls(stream) => {
                let mut piece =
                    vec![0; usize::try_from(bytes).unwrap_or(STEP_BYTES).min(STEP_BYTES)];
                let count = file.read_at(&mut piece, at)?;
                stream.write_all(&piece[..count])?;
                Ok(count as u64)
            }
        }
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
