//! The stream an archive comes in: blocks out of it, and how far it is consumed.

use super::error::TarError;
use super::header::{BLOCK, Block, ZEROS};
use std::io::{self, BufRead};

/// A stream with a count of what is consumed, and the last block read from it.
pub(super) struct Blocks<R> {
    pub(super) inner: R,
    pub(super) offset: u64,
    pub(super) block: Block,
}

impl<R: BufRead> Blocks<R> {
    pub(super) fn new(inner: R) -> Blocks<R> {
        Blocks { inner, offset: 0, block: ZEROS }
    }

    /// Consumes so many bytes, or fewer at the end of the stream; returns how many were missing.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, TarError> {
        let mut left = count;
        while left > 0 {
            let available = self.fill()?.len();
            if available == 0 {
                break;
            }
            let step = usize::try_from(left).map_or(available, |left| left.min(available));
            self.consume(step);
            left -= step as u64;
        }
        Ok(left)
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.offset += count as u64;
    }

    /// Reads a block; false if the stream has ended before it.
    pub(super) fn read_block(&mut self) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            let step = self.fill()?.len().min(BLOCK - filled);
            if step == 0 && filled == 0 {
                return Ok(false);
            }
            if step == 0 {
                return Err(TarError::TruncatedHeader { offset: self.offset });
            }
            let part = &mut self.block[filled..filled + step];
            self.inner
                .read_exact(part)
                .map_err(|source| TarError::Read { offset: self.offset, source })?;
            self.offset += step as u64;
            filled += step;
        }
        Ok(true)
    }

    /// What the stream has ready: at least a byte, unless it has ended.
    fn fill(&mut self) -> Result<&[u8], TarError> {
        let offset = self.offset;
        // The stream is asked again for what is then in its buffer: a borrow cannot leave the loop.
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset, source }),
            }
        }
        self.inner.fill_buf().map_err(|source| TarError::Read { offset, source })
    }
}

/// How much fills the last block of so many bytes.
pub(super) fn padding_of(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
