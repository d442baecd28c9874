//! Several parts of a blob in one answer, as `multipart/byteranges` has them: each behind a few lines
//! that say which part it is.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;

use crate::blobs::BYTES;
use crate::range::Span;
use crate::storage::Blob;

/// Parts that are read one after the other, none before its turn.
pub(crate) struct Parts {
    blob: Blob,
    left: VecDeque<(String, Option<Span>)>,
    open: Box<dyn Read + Send>,
}

impl Parts {
    /// Of a file, or of what lies in an object store.
    pub(crate) fn of(blob: Blob, spans: &[Span], boundary: &str) -> Parts {
        let mut left: VecDeque<_> = spans
            .iter()
            .enumerate()
            .map(|(number, span)| {
                let before = if number == 0 { "" } else { "\r\n" };
                let range = span.named(blob.bytes());
                let lines = format!("Content-Type: {BYTES}\r\nContent-Range: {range}\r\n");
                (format!("{before}--{boundary}\r\n{lines}\r\n"), Some(*span))
            })
            .collect();
        left.push_back((format!("\r\n--{boundary}--\r\n"), None));
        Parts { blob, left, open: Box::new(io::empty()) }
    }

    /// How long all of it is.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |(lines, span): &(String, Option<Span>)| {
            lines.len() as u64 + span.map_or(0, |span| span.bytes)
        };
        self.left.iter().map(bytes).sum()
    }

    /// Goes on with the next part; false after the last.
    fn advance(&mut self) -> io::Result<bool> {
        let Some((lines, span)) = self.left.pop_front() else { return Ok(false) };
        let lines = Cursor::new(lines.into_bytes());
        self.open = match span {
            None => Box::new(lines),
            Some(span) => Box::new(lines.chain(self.part(span)?)),
        };
        Ok(true)
    }

    fn part(&self, Span { at, bytes }: Span) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.blob {
            Blob::File { file, .. } => {
                Box::new(FilePart { file: file.try_clone()?, at }.take(bytes))
            }
            Blob::Objects { content, .. } => content.read(at, bytes).map_err(io::Error::other)?,
            Blob::Elsewhere { .. } | Blob::Arriving { .. } => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        })
    }
}

impl Read for Parts {
    /// Parts are often short: as many of them as fit go together.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut held = 0;
        while held < buffer.len() {
            match self.open.read(&mut buffer[held..])? {
                0 if !self.advance()? => break,
                count => held += count,
            }
        }
        Ok(held)
    }
}

/// A file from a place on, wherever others read it.
struct FilePart {
    file: File,
    at: u64,
}

impl Read for FilePart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
