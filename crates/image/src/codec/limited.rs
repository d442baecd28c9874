//! A reader that refuses to be a bomb.

use super::CodecError;
use std::io::{self, Read};

/// Passes on at most so many bytes; a stream with more is an error, not a shorter stream.
pub struct Limited<R> {
    inner: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Limited<R> {
    /// Allows `limit` bytes of `inner`.
    pub fn new(inner: R, limit: u64) -> Limited<R> {
        Limited { inner, limit, left: limit }
    }

    /// How many bytes have passed.
    pub fn passed(&self) -> u64 {
        self.limit - self.left
    }

    /// The stream, wherever it is.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(CodecError::TooLarge { limit: self.limit }.into()),
            };
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..wanted])?;
        self.left -= count as u64;
        Ok(count)
    }
}
