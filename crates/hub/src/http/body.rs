//! The body of a request, read from the connection as somebody reads it.

use std::io::{self, Read, Write};

use super::head::{Head, Length};
use super::stream::Wire;

/// A line between chunks, with whatever extension, is not longer.
const MAX_LINE_BYTES: usize = 4 << 10;
/// The lines behind the last chunk are not more.
const MAX_TRAILERS: usize = 64;

/// What is still to come of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// So many of this chunk, and then others.
    Chunk(u64),
    /// The line that says how long the next chunk is. The first has no line's end before it.
    Line { first: bool },
}

/// The body of a request.
pub(crate) struct Body<'a> {
    wire: &'a mut Wire,
    left: Left,
    /// The client waits until it is told to go on.
    waits: bool,
    received: u64,
}

impl<'a> Body<'a> {
    pub(super) fn new(wire: &'a mut Wire, head: &Head) -> Body<'a> {
        let left = match head.length {
            Length::Known(bytes) => Left::Bytes(bytes),
            Length::Chunked => Left::Line { first: true },
        };
        Body { wire, left, waits: head.waits && left != Left::Bytes(0), received: 0 }
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.left == Left::Bytes(0)
    }

    /// Whether the client still waits for our leave to send it.
    pub(super) fn is_awaited(&self) -> bool {
        self.waits
    }

    /// How much of it was read.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// All of it, or `None` where it is longer than `limit`.
    pub(crate) fn read_whole(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() <= limit).then_some(bytes))
    }

    /// Reads the line that begins a chunk; behind the last one, everything to the end.
    fn next_chunk(&mut self, first: bool) -> io::Result<Left> {
        if !first && !self.line()?.is_empty() {
            return Err(malformed());
        }
        let line = self.line()?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let hex = !size.is_empty() && size.len() <= 16 && size.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(size).map_err(|_| malformed())?;
        let size = u64::from_str_radix(text, 16).ok().filter(|_| hex).ok_or_else(malformed)?;
        if size > 0 {
            return Ok(Left::Chunk(size));
        }
        for _ in 0..MAX_TRAILERS {
            if self.line()?.is_empty() {
                return Ok(Left::Bytes(0));
            }
        }
        Err(malformed())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let ready = self.wire.ready();
            if let Some(end) = ready.iter().position(|byte| *byte == b'\n') {
                let line = ready[..end].strip_suffix(b"\r").ok_or_else(malformed)?.to_vec();
                self.wire.consume(end + 1);
                return Ok(line);
            }
            if ready.len() > MAX_LINE_BYTES {
                return Err(malformed());
            }
            if self.wire.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.waits) {
            self.wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.wire.stream.flush()?;
        }
        if let Left::Line { first } = self.left {
            self.left = self.next_chunk(first)?;
        }
        let (Left::Bytes(left) | Left::Chunk(left)) = self.left else { return Ok(0) };
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.wire.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received += count as u64;
        self.left = match self.left {
            Left::Chunk(left) if left == count as u64 => Left::Line { first: false },
            Left::Chunk(left) => Left::Chunk(left - count as u64),
            _ => Left::Bytes(left - count as u64),
        };
        Ok(count)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed chunk")
}
