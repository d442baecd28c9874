//! The data of the entry a reader is at: as stored, or as the file it is.

use super::entry::{Entry, Segment, shown};
use super::error::TarError;
use super::reader::TarReader;
use std::io::{self, BufRead, Read};

/// The stored data of an archive's current entry, and nothing beyond it.
///
/// Its errors carry a [`TarError`] where the archive is at fault.
pub struct Data<'a, R> {
    reader: &'a mut TarReader<R>,
}

impl<'a, R> Data<'a, R> {
    pub(super) fn new(reader: &'a mut TarReader<R>) -> Data<'a, R> {
        Data { reader }
    }

    /// How much is left.
    pub fn remaining(&self) -> u64 {
        self.reader.remaining
    }
}

impl<R: BufRead> Data<'_, R> {
    fn truncated(&self) -> io::Error {
        self.reader.truncated("data").into()
    }
}

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.reader;
        let wanted = at_most(buffer.len(), reader.remaining);
        if wanted == 0 {
            return Ok(0);
        }
        let count = reader.blocks.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(self.truncated());
        }
        reader.blocks.offset += count as u64;
        reader.remaining -= count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let remaining = self.reader.remaining;
        if remaining == 0 {
            return Ok(&[]);
        }
        if self.reader.blocks.inner.fill_buf()?.is_empty() {
            return Err(self.truncated());
        }
        let available = self.reader.blocks.inner.fill_buf()?;
        Ok(&available[..at_most(available.len(), remaining)])
    }

    fn consume(&mut self, count: usize) {
        let count = at_most(count, self.reader.remaining);
        self.reader.blocks.consume(count);
        self.reader.remaining -= count as u64;
    }
}

/// An entry's content as a program would read the file: with its holes as zeros.
pub struct Expanded<'a, R: BufRead> {
    data: Data<'a, R>,
    entry: &'a Entry,
    /// The pieces after the current one.
    segments: std::slice::Iter<'a, Segment>,
    /// What is left of the piece at or after the position.
    current: Segment,
    position: u64,
}

impl<R: BufRead> TarReader<R> {
    /// The current entry's whole content, `entry.size` bytes, sparse or not.
    ///
    /// `entry` must be what the last `next` gave and nothing of its data read before.
    pub fn expanded<'a>(&'a mut self, entry: &'a Entry) -> Expanded<'a, R> {
        let whole = Segment { offset: 0, length: entry.stored_size };
        let (segments, current) = match &entry.sparse {
            Some(segments) => (segments.iter(), Segment::default()),
            None => ([].iter(), whole),
        };
        Expanded { data: self.data(), entry, segments, current, position: 0 }
    }
}

impl<R: BufRead> Read for Expanded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.entry.size;
        while self.current.length == 0 && self.position < size {
            let end = Segment { offset: size, length: u64::MAX };
            self.current = self.segments.next().copied().unwrap_or(end);
        }
        let hole = self.current.offset.min(size).saturating_sub(self.position);
        if hole > 0 {
            let count = at_most(buffer.len(), hole);
            buffer[..count].fill(0);
            self.position += count as u64;
            return Ok(count);
        }
        if self.position >= size {
            return Ok(0);
        }
        let wanted = at_most(buffer.len(), self.current.length);
        let count = self.data.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            let (path, wanted, got) = (shown(&self.entry.path), size, self.position);
            return Err(TarError::ShortData { path, wanted, got }.into());
        }
        self.position += count as u64;
        self.current.offset += count as u64;
        self.current.length -= count as u64;
        Ok(count)
    }
}

/// How much of `available` can be had when there is room for `room`.
fn at_most(room: usize, available: u64) -> usize {
    usize::try_from(available).unwrap_or(usize::MAX).min(room)
}
