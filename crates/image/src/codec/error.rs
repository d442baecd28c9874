//! What can be wrong with a compressed stream, and telling that from a stream that cannot be read.

use super::{Codec, MAX_WINDOW};
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, Read};

/// Why a stream cannot be expanded or compressed.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The stream ends before what it holds does.
    #[error("the {codec} stream breaks off before its end")]
    Truncated {
        /// How it is compressed.
        codec: Codec,
    },
    /// The stream is damaged, or no such stream at all.
    #[error("the {codec} stream is damaged")]
    Damaged {
        /// How it is compressed.
        codec: Codec,
        /// What the decoder said.
        source: io::Error,
    },
    /// The stream was made with a window larger than a decoder may use.
    #[error("the {codec} stream needs a window of more than {limit} bytes to expand")]
    Window {
        /// How it is compressed.
        codec: Codec,
        /// The largest window accepted.
        limit: u64,
    },
    /// Something that is no compressed data follows the compressed data.
    #[error("the {codec} stream is followed by other data")]
    Trailing {
        /// How it is compressed.
        codec: Codec,
    },
    /// The stream yields more than was allowed.
    #[error("the stream expands beyond {limit} bytes")]
    TooLarge {
        /// How much was allowed.
        limit: u64,
    },
    /// A format that is only read here, or a level the format does not have.
    #[error("cannot compress with {codec} at level {level}")]
    NoEncoder {
        /// The format asked for.
        codec: Codec,
        /// The level asked for.
        level: i32,
    },
}

impl CodecError {
    /// The codec's error inside an error that a `Read` or `Write` gave, if there is one.
    pub fn inside(error: &io::Error) -> Option<&CodecError> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<CodecError> for io::Error {
    fn from(error: CodecError) -> io::Error {
        let kind = match error {
            CodecError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            CodecError::NoEncoder { .. } => io::ErrorKind::InvalidInput,
            CodecError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl TryFrom<io::Error> for CodecError {
    type Error = io::Error;

    /// Takes the codec's error back out; gives any other error back as it came.
    fn try_from(error: io::Error) -> Result<CodecError, io::Error> {
        error.downcast()
    }
}

/// The compressed stream, whose own errors are marked on their way through a decoder.
pub(super) struct Source<R>(pub(super) R);

/// An error of the compressed stream itself.
#[derive(Debug)]
struct SourceError(io::Error);

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Error for SourceError {}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    /// Asks again when interrupted: not every decoder can be asked twice itself.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let mark = |error: io::Error| io::Error::new(error.kind(), SourceError(error));
        loop {
            match self.0.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(mark(error)),
            }
        }
        self.0.fill_buf().map_err(mark)
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

/// A decoder whose errors say what is wrong with the stream. After one it gives no more data: what
/// a decoder does after an error is not worth knowing.
pub(super) struct Checked<D> {
    codec: Codec,
    decoder: Option<D>,
}

impl<D> Checked<D> {
    pub(super) fn new(codec: Codec, decoder: D) -> Checked<D> {
        Checked { codec, decoder: Some(decoder) }
    }
}

impl<D: Read> Read for Checked<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(decoder) = &mut self.decoder else {
            let source = io::Error::other("reading went on after an error");
            return Err(CodecError::Damaged { codec: self.codec, source }.into());
        };
        decoder.read(buffer).map_err(|error| {
            self.decoder = None;
            explain(self.codec, error)
        })
    }
}

/// Says what a decoder's error means.
fn explain(codec: Codec, error: io::Error) -> io::Error {
    let error = match error.downcast::<SourceError>() {
        Ok(SourceError(own)) => return own,
        Err(error) => error,
    };
    let error = match CodecError::try_from(error) {
        Ok(known) => return known.into(),
        Err(error) => error,
    };
    let lzma = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(liblzma::stream::Error::MemLimit) = lzma {
        return CodecError::Window { codec, limit: MAX_WINDOW }.into();
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CodecError::Truncated { codec }.into(),
        io::ErrorKind::OutOfMemory => error,
        _ => CodecError::Damaged { codec, source: error }.into(),
    }
}
