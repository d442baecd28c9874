//! Bytes on their way from the thread that fetches them to the one that takes them apart.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::codec::CodecError;

/// How much is handed over at once.
pub const CHUNK_BYTES: usize = 256 << 10;
/// How many chunks may be under way: enough to hide one side's hiccups, too few to matter.
const CHUNKS: usize = 6;

/// Somebody who wants to see all bytes that pass: a hash, a file, a counter.
pub trait Tap: Send {
    /// Takes the next bytes.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// An error on the way, with whose it is: all of them arrive at the same end.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The bytes cannot be fetched.
    #[error(transparent)]
    Source(io::Error),
    /// Somebody who sees them pass cannot take them.
    #[error(transparent)]
    Tap(io::Error),
}

impl WayError {
    fn of_tap(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), WayError::Tap(error))
    }

    /// Marks an error that nobody on the way has made his own.
    fn of_source(error: io::Error) -> io::Error {
        match error.get_ref() {
            Some(known) if known.is::<WayError>() || known.is::<CodecError>() => error,
            _ => io::Error::new(error.kind(), WayError::Source(error)),
        }
    }
}

/// A reader that shows what it reads to a tap.
pub struct Tapped<'a, R> {
    inner: R,
    tap: &'a mut dyn Tap,
}

impl<'a, R: Read> Tapped<'a, R> {
    /// Reads from `inner`, showing everything to `tap`.
    pub fn new(inner: R, tap: &'a mut dyn Tap) -> Self {
        Tapped { inner, tap }
    }
}

impl<R: Read> Read for Tapped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.tap.pass(&buffer[..bytes]).map_err(WayError::of_tap)?;
        Ok(bytes)
    }
}

/// The first bytes of a stream, looked at and put back.
pub struct Peeked<R> {
    head: Vec<u8>,
    at: usize,
    inner: R,
}

impl<R: Read> Peeked<R> {
    /// Reads up to `bytes` ahead.
    pub fn new(mut inner: R, bytes: usize) -> io::Result<Self> {
        let mut head = Vec::with_capacity(bytes);
        inner.by_ref().take(bytes as u64).read_to_end(&mut head)?;
        Ok(Peeked { head, at: 0, inner })
    }

    /// What was read ahead.
    pub fn head(&self) -> &[u8] {
        &self.head
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.head.len() {
            let bytes = (&self.head[self.at..]).read(buffer)?;
            self.at += bytes;
            return Ok(bytes);
        }
        self.inner.read(buffer)
    }
}

/// The end of the way where the bytes arrive.
pub struct Chunks {
    filled: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    done: bool,
}

/// The end of the way where the bytes set out.
pub struct Feeder {
    filled: SyncSender<io::Result<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
}

/// A way for chunks from one thread to another. Buffers go round, so that memory stays the same
/// however much passes.
pub fn chunks() -> (Feeder, Chunks) {
    let (filled_in, filled_out) = sync_channel(CHUNKS);
    let (empty_in, empty_out) = sync_channel(CHUNKS + 2);
    for _ in 0..CHUNKS {
        // The channel has room for all of them.
        let _ = empty_in.try_send(Vec::new());
    }
    let feeder = Feeder { filled: filled_in, empty: empty_out };
    let chunks =
        Chunks { filled: filled_out, empty: empty_in, chunk: Vec::new(), at: 0, done: false };
    (feeder, chunks)
}

/// The end of a way where somebody writes. What was not flushed is lost with it.
pub struct Inlet {
    feeder: Feeder,
    chunk: Vec<u8>,
}

/// A way from one who writes to one who reads, in another thread. As with a pipe, the reader comes
/// to the end when the writer has gone, and a writer whose reader has gone is told so; but nothing
/// passes through the kernel.
pub fn pour() -> (Inlet, Chunks) {
    let (feeder, chunks) = chunks();
    (Inlet { feeder, chunk: Vec::new() }, chunks)
}

impl Inlet {
    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        self.feeder.filled.send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Inlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.capacity() == 0 {
            let spent = self.feeder.empty.recv();
            self.chunk = spent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.chunk.clear();
            self.chunk.reserve_exact(CHUNK_BYTES);
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Feeder {
    /// Sends everything that `source` has, and its error if it fails. Returns early when nobody
    /// listens any more, and says whether it came to the end.
    pub fn feed(self, source: &mut dyn Read) -> bool {
        while let Ok(mut buffer) = self.empty.recv() {
            buffer.resize(CHUNK_BYTES, 0);
            let (bytes, error) = fill(source, &mut buffer);
            if bytes == 0 && error.is_none() {
                return true;
            }
            // What came before an error is handed on before it.
            buffer.truncate(bytes);
            if bytes > 0 && self.filled.send(Ok(buffer)).is_err() {
                return false;
            }
            if let Some(error) = error {
                let _ = self.filled.send(Err(WayError::of_source(error)));
                return false;
            }
        }
        false
    }
}

/// Reads until the buffer is full, the source at its end, or something is wrong: a source is not
/// asked again after an error.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() && !self.done {
            let spent = std::mem::take(&mut self.chunk);
            let _ = self.empty.try_send(spent);
            self.at = 0;
            match self.filled.recv() {
                Ok(Ok(chunk)) => self.chunk = chunk,
                Ok(Err(error)) => {
                    self.done = true;
                    return Err(error);
                }
                Err(_) => self.done = true,
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.chunk.len());
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(buffer)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

/// A buffered reader that shows each piece to a tap once, when it is consumed.
pub struct TappedBuf<'a, R> {
    inner: R,
    tap: Option<&'a mut dyn Tap>,
    /// How much of the piece at hand the tap has seen.
    seen: usize,
}

impl<'a, R: BufRead> TappedBuf<'a, R> {
    /// Reads from `inner`, showing everything to `tap` if there is one.
    pub fn new(inner: R, tap: Option<&'a mut dyn Tap>) -> Self {
        TappedBuf { inner, tap, seen: 0 }
    }
}

impl<R: BufRead> BufRead for TappedBuf<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let piece = self.inner.fill_buf()?;
        if let Some(tap) = &mut self.tap
            && piece.len() > self.seen
        {
            tap.pass(&piece[self.seen..]).map_err(WayError::of_tap)?;
            self.seen = piece.len();
        }
        Ok(piece)
    }

    fn consume(&mut self, bytes: usize) {
        self.seen = self.seen.saturating_sub(bytes);
        self.inner.consume(bytes);
    }
}

impl<R: BufRead> Read for TappedBuf<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(buffer)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collect(Vec<u8>);

    impl Tap for Collect {
        fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.extend(bytes);
            Ok(())
        }
    }

    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the cable was cut"));
            }
            let bytes = self.0.min(buffer.len()).min(1000);
            buffer[..bytes].fill(7);
            self.0 -= bytes;
            Ok(bytes)
        }
    }

    #[test]
    fn bytes_arrive_whole_and_the_tap_sees_each_once() {
        let sent: Vec<u8> = (0..3 * CHUNK_BYTES + 17).map(|i| (i % 251) as u8).collect();
        let (feeder, chunks) = chunks();
        let mut seen = Collect(Vec::new());
        let mut got: Vec<u8> = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| feeder.feed(&mut sent.as_slice()));
            let mut reader = TappedBuf::new(chunks, Some(&mut seen));
            let mut small = [0; 777];
            loop {
                match reader.read(&mut small).unwrap() {
                    0 => break,
                    bytes => got.extend(&small[..bytes]),
                }
            }
        });
        assert!(got == sent);
        assert!(seen.0 == sent);
    }

    #[test]
    fn an_error_arrives_behind_the_bytes_before_it() {
        let (feeder, mut chunks) = chunks();
        let mut got: Vec<u8> = Vec::new();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| feeder.feed(&mut Failing(CHUNK_BYTES + 5)));
            chunks.read_to_end(&mut got).unwrap_err()
        });
        assert_eq!(got.len(), CHUNK_BYTES + 5);
        assert_eq!(error.to_string(), "the cable was cut");
    }

    #[test]
    fn what_is_poured_in_arrives_whole() {
        let sent: Vec<u8> = (0..9 * CHUNK_BYTES + 17).map(|i| (i % 251) as u8).collect();
        let (mut inlet, mut chunks) = pour();
        let mut got: Vec<u8> = Vec::new();
        std::thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || {
                sent.chunks(100_001).for_each(|part| inlet.write_all(part).unwrap());
                inlet.flush().unwrap();
            });
            chunks.read_to_end(&mut got).unwrap();
        });
        assert!(got == sent);
    }

    #[test]
    fn who_pours_for_nobody_is_told() {
        let (mut inlet, chunks) = pour();
        inlet.write_all(b"some").unwrap();
        drop(chunks);
        let told = inlet.flush().unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
        let told = inlet.write_all(&[0; CHUNK_BYTES]).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe, "as soon as a chunk is full");
    }

    #[test]
    fn a_listener_who_leaves_ends_the_feeding() {
        let (feeder, chunks) = chunks();
        drop(chunks);
        assert!(!feeder.feed(&mut io::repeat(1)));
    }

    #[test]
    fn peeking_takes_nothing_away() {
        let mut peeked = Peeked::new(b"hello world".as_slice(), 5).unwrap();
        assert_eq!(peeked.head(), b"hello");
        let mut all = String::new();
        peeked.read_to_string(&mut all).unwrap();
        assert_eq!(all, "hello world");
    }
}
