//! What lies under a digest: a small object that says of which pieces a blob is, or has its bytes
//! in it. It alone decides whether there is the blob, and is only ever written over the writing that
//! was read before.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use bytes::Bytes;
use registry::ObjectReader;
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use crate::error::Result;
use crate::names::UploadId;

/// A part of a blob that lies in an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Its name among the pieces of its upload.
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// What lies under a digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Random: some stores know a writing by the hash of its bytes, and no two must be alike.
    pub(super) writing: String,
    /// How long the blob is.
    pub(super) bytes: u64,
    /// The upload that its pieces are of; none where the bytes are behind this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<Piece>,
    /// The collector wants to take it: no manifest may count on it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) retired: bool,
    #[serde(skip)]
    pub(super) inline: Bytes,
}

impl Entry {
    /// An upload's pieces as a blob.
    pub(super) fn of_upload(
        writing: String,
        id: &UploadId,
        bytes: u64,
        pieces: Vec<Piece>,
    ) -> Entry {
        // A blob of no bytes has no pieces, and so no upload's.
        let upload = (!pieces.is_empty()).then(|| id.to_string());
        Entry { writing, bytes, upload, pieces, retired: false, inline: Bytes::new() }
    }

    /// Whether it is made of that upload's pieces.
    pub(super) fn is_of(&self, id: &UploadId) -> bool {
        self.upload.as_deref() == Some(id.as_str())
    }

    /// One line of JSON, and then whatever bytes there are.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("an entry is made of strings and numbers");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.inline);
        bytes
    }

    /// Reads an entry; an object of no bytes is where one was.
    pub(super) fn read(bytes: &Bytes) -> std::result::Result<Option<Entry>, serde_json::Error> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return if bytes.is_empty() { Ok(None) } else { serde_json::from_slice(bytes) };
        };
        let mut entry: Entry = serde_json::from_slice(&bytes[..end])?;
        entry.inline = bytes.slice(end + 1..);
        Ok(Some(entry))
    }

    /// Its bytes.
    pub(super) fn content(self, bucket: &Bucket) -> Content {
        let folder = self.upload.map(|upload| folder(&upload)).unwrap_or_default();
        Content { bucket: bucket.clone(), folder, pieces: self.pieces, inline: self.inline }
    }
}

/// Where the pieces of an upload lie.
pub(super) fn folder(upload: &str) -> String {
    format!("pieces/{upload}")
}

/// A blob that lies in an object store.
pub(crate) struct Content {
    bucket: Bucket,
    folder: String,
    pieces: Vec<Piece>,
    inline: Bytes,
}

impl Content {
    pub(super) fn of(bucket: &Bucket, upload: &str, pieces: Vec<Piece>) -> Content {
        let (bucket, folder) = (bucket.clone(), folder(upload));
        Content { bucket, folder, pieces, inline: Bytes::new() }
    }

    /// Its pieces.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// A part of it. The first piece is asked for at once, so that what is not there is no answer.
    pub(crate) fn read(&self, at: u64, bytes: u64) -> Result<Box<dyn Read + Send>> {
        if self.pieces.is_empty() {
            let end = (at + bytes).min(self.inline.len() as u64);
            let range = at.min(end) as usize..end as usize;
            return Ok(Box::new(Cursor::new(self.inline.slice(range))));
        }
        let mut parts = parts(&self.pieces, at, bytes);
        let open = parts.pop_front().map(|part| self.open(&part)).transpose()?;
        let content = Content {
            bucket: self.bucket.clone(),
            folder: self.folder.clone(),
            pieces: Vec::new(),
            inline: Bytes::new(),
        };
        Ok(Box::new(PartsReader { content, parts, open }))
    }

    fn open(&self, part: &Part) -> Result<ObjectReader> {
        self.bucket.read(&format!("{}/{}", self.folder, part.name), part.at, part.bytes)
    }
}

/// What is to be read of one piece.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    at: u64,
    bytes: u64,
}

/// The parts of pieces that a part of the whole is made of.
fn parts(pieces: &[Piece], at: u64, bytes: u64) -> VecDeque<Part> {
    let (mut begin, end) = (0, at.saturating_add(bytes));
    let mut parts = VecDeque::new();
    for piece in pieces {
        let (from, to) = (at.max(begin), end.min(begin + piece.bytes));
        if from < to {
            let name = piece.name.clone();
            parts.push_back(Part { name, at: from - begin, bytes: to - from });
        }
        begin += piece.bytes;
    }
    parts
}

/// One part after the other.
struct PartsReader {
    content: Content,
    parts: VecDeque<Part>,
    open: Option<ObjectReader>,
}

impl Read for PartsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(open) = &mut self.open else { return Ok(0) };
            let count = open.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let next = self.parts.pop_front().map(|part| self.content.open(&part));
            self.open = next.transpose().map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_whole_is_parts_of_pieces() {
        let piece = |name: &str, bytes| Piece { name: name.to_owned(), bytes };
        let pieces = [piece("a", 10), piece("b", 5), piece("c", 1)];
        let check = |at, bytes, wanted: &[(&str, u64, u64)]| {
            let found = parts(&pieces, at, bytes);
            let found: Vec<_> =
                found.iter().map(|part| (part.name.as_str(), part.at, part.bytes)).collect();
            assert_eq!(found, wanted, "{at} {bytes}");
        };
        check(0, 16, &[("a", 0, 10), ("b", 0, 5), ("c", 0, 1)]);
        check(3, 2, &[("a", 3, 2)]);
        check(9, 2, &[("a", 9, 1), ("b", 0, 1)]);
        check(10, 5, &[("b", 0, 5)]);
        check(15, 9, &[("c", 0, 1)]);
        check(16, 1, &[]);
        check(4, 0, &[]);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = Entry {
            writing: "x".to_owned(),
            bytes: 4,
            upload: None,
            pieces: Vec::new(),
            retired: false,
            inline: Bytes::from_static(b"a\nb\n"),
        };
        let read = Entry::read(&entry.to_bytes().into()).unwrap().unwrap();
        assert_eq!((read.bytes, &read.inline[..], read.retired), (4, &b"a\nb\n"[..], false));
        assert!(Entry::read(&Bytes::new()).unwrap().is_none());
        assert!(Entry::read(&Bytes::from_static(b"x\n")).is_err());
    }
}
