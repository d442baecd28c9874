//! The reader and the writer, against each other, other programs, and bad intentions.

mod damage;
mod headers;
mod overrides;
mod programs;
mod roundtrip;

use super::entry::*;
use super::header::{BLOCK, Block, ZEROS, checksum, field};
use super::*;
use std::io::{BufRead, Read};
use std::ops::Range;

/// An entry and its stored data.
type Member = (Entry, Vec<u8>);

/// Reads a whole archive, and checks what must hold of any: places are where they say, in order.
fn read_all<R: BufRead>(archive: R) -> Result<Vec<Member>, TarError> {
    let mut reader = TarReader::new(archive, Limits::default());
    let mut members: Vec<Member> = Vec::new();
    while let Some(entry) = reader.next()? {
        assert_eq!(reader.offset(), entry.data_offset);
        assert!(entry.header_offset < entry.data_offset);
        assert_eq!(entry.header_offset % BLOCK as u64, 0);
        assert_eq!(entry.data_offset % BLOCK as u64, 0);
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data).map_err(|error| TarError::try_from(error).unwrap())?;
        assert_eq!(data.len() as u64, entry.stored_size);
        if let Some((before, _)) = members.last() {
            assert!(before.data_offset + before.stored_size <= entry.header_offset);
        }
        members.push((entry, data));
    }
    let end = reader.offset();
    assert!(reader.finish()? >= end);
    assert!(reader.next()?.is_none());
    Ok(members)
}

/// Reads an archive in memory, and checks that the places in it are true.
fn read_bytes(archive: &[u8]) -> Result<Vec<Member>, TarError> {
    let members = read_all(archive)?;
    for (entry, data) in &members {
        let start = entry.data_offset as usize;
        assert!(archive[start..start + data.len()] == data[..]);
    }
    Ok(members)
}

/// Reads an archive of one entry.
#[track_caller]
fn read_one(archive: &[u8]) -> Entry {
    let mut members = read_bytes(archive).unwrap();
    assert_eq!(members.len(), 1);
    members.remove(0).0
}

/// A header made by hand, right until something is changed.
#[derive(Clone)]
struct Raw(Block);

impl Raw {
    /// A ustar header.
    fn new(kind: u8, name: &str, size: usize) -> Raw {
        Raw(ZEROS)
            .text(field::NAME, name)
            .text(field::MODE, "0000644")
            .text(field::SIZE, &format!("{size:011o}"))
            .text(field::MAGIC, "ustar\x0000")
            .text(field::TYPE..field::TYPE + 1, "\0")
            .byte(field::TYPE, kind)
    }

    /// The same header as GNU tar marks its own.
    fn gnu(self) -> Raw {
        self.text(field::MAGIC, "ustar  \0")
    }

    fn bytes(mut self, at: Range<usize>, bytes: &[u8]) -> Raw {
        self.0[at.clone()].fill(0);
        self.0[at][..bytes.len()].copy_from_slice(bytes);
        self
    }

    fn text(self, at: Range<usize>, text: &str) -> Raw {
        self.bytes(at, text.as_bytes())
    }

    fn byte(mut self, at: usize, byte: u8) -> Raw {
        self.0[at] = byte;
        self
    }

    /// The header with its checksum, and data in whole blocks.
    fn with(mut self, data: &[u8]) -> Vec<u8> {
        let sum = checksum(&self.0);
        self.0[field::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn alone(self) -> Vec<u8> {
        self.with(b"")
    }
}

/// An extended header with these records.
fn pax(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        super::pax::push_record(&mut body, key.as_bytes(), value);
    }
    Raw::new(kind, "PaxHeaders/x", body.len()).with(&body)
}

/// The parts of an archive and its end.
fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.extend_from_slice(&[0; 2 * BLOCK]);
    bytes
}

/// Reads what cannot be read, and returns why.
#[track_caller]
fn refuse(archive: &[u8]) -> TarError {
    let error = read_bytes(archive).expect_err("must be refused");
    assert!(!error.to_string().is_empty());
    error
}
