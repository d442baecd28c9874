//! What stands behind the parts of a zstd:chunked layer, in frames that decoders pass over: a table
//! of what is where, the tar's bytes without its files' contents, and where those two are.
//!
//! With the second of them a reader that has all files makes the tar again, bit for bit.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use serde::Serialize;
use spec::{Annotations, Digest, Hasher, Timestamp};

use super::CHUNKED;
use super::cuts::{Cuts, Part, Plain, content_bytes, own_limits, plain};
use super::said::of_table;
use crate::codec::{Codec, Encoder, encoder};
use crate::tar::{Entry, EntryKind, TarReader, Time};

/// A frame that decoders pass over begins so.
const SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// The kind of table that this one is.
pub(super) const KIND: u64 = 1;
/// So much of a tar goes into one record of its bytes.
const RECORD_BYTES: u64 = 1 << 20;

/// The end of a layer, and what its descriptor says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The layer's last bytes.
    pub bytes: Vec<u8>,
    /// Where the table is and which bytes it is of: without them nobody looks for it.
    pub annotations: Annotations,
}

impl Ending {
    /// Reads so many bytes of a tar once more for what its table says. `packed` gives how long each
    /// part became, when it is known.
    pub fn of(
        (file, bytes): (&File, u64),
        cuts: &Cuts,
        packed: &mut dyn Iterator<Item = u64>,
    ) -> io::Result<Ending> {
        let places = Places { parts: cuts.parts(), packed, at: 0 };
        let (mut table, mut split) = (Packed::new()?, Packed::new()?);
        let end = Walk { file, places, position: 0 }.run(bytes, &mut table, &mut split)?;
        let split = split.finish()?;
        write!(table, "],\"tarSplitDigest\":\"{}\"}}", Digest::of(&split.0))?;
        Ok(Ending::join(end, &table.finish()?, &split))
    }

    fn join(end: u64, table: &(Vec<u8>, u64), split: &(Vec<u8>, u64)) -> Ending {
        let ((table, table_plain), (split, split_plain)) = (table, split);
        let table_at = end + 8;
        let split_at = table_at + table.len() as u64 + 8;
        let (table_bytes, split_bytes) = (table.len() as u64, split.len() as u64);
        let numbers =
            [table_at, table_bytes, *table_plain, KIND, split_at, split_bytes, *split_plain];
        let mut places = numbers.map(u64::to_le_bytes).concat();
        places.extend_from_slice(CHUNKED);
        let bytes = [table, split, &places].map(|content| skipped(content)).concat();
        let annotations = of_table(table, &numbers[..4], &numbers[4..], true);
        Ending { bytes, annotations }
    }
}

fn skipped(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    [&SKIPPED[..], &length, content].concat()
}

/// Where parts are in the layer.
struct Places<'a> {
    parts: &'a [Part],
    packed: &'a mut dyn Iterator<Item = u64>,
    at: u64,
}

impl Places<'_> {
    /// The next part, and where it begins.
    fn next(&mut self) -> io::Result<Option<(Part, u64)>> {
        let Some((part, rest)) = self.parts.split_first() else { return Ok(None) };
        // Whoever packs gave up; nobody waits for this any more.
        let packed = self.packed.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let at = self.at;
        (self.parts, self.at) = (rest, at + packed);
        Ok(Some((*part, at)))
    }

    fn skip_headers(&mut self) -> io::Result<()> {
        while self.parts.first().is_some_and(|part| !part.is_content) {
            self.next()?;
        }
        Ok(())
    }
}

/// A chunk of a file, where it is and what it is.
struct Chunk {
    at: u64,
    bytes: u64,
    digest: Digest,
}

/// A file's content as the table has it.
#[derive(Default)]
struct Content {
    chunks: Vec<Chunk>,
    end: u64,
    digest: Option<Digest>,
    crc: Option<[u8; 8]>,
}

struct Walk<'a> {
    file: &'a File,
    places: Places<'a>,
    /// How many records of the tar's bytes there are.
    position: u64,
}

impl Walk<'_> {
    /// Writes both documents, the table but for its end; gives where the parts end.
    fn run(mut self, bytes: u64, table: &mut Packed, split: &mut Packed) -> io::Result<u64> {
        let mut tar = TarReader::new(plain(self.file, bytes), own_limits());
        let mut entry = Entry::default();
        let (mut raw_from, mut is_first) = (0, true);
        table.write_all(b"{\"version\":1,\"entries\":[")?;
        while tar.next_into(&mut entry).map_err(io::Error::other)? {
            self.between(raw_from, entry.data_offset, split)?;
            raw_from = entry.data_offset + content_bytes(&entry);
            let content = self.content(&entry, &mut tar)?;
            self.record(
                &Record {
                    kind: 1,
                    name: Some(&text(&entry.path)),
                    size: content_bytes(&entry),
                    payload: content.crc.map(|crc| STANDARD.encode(crc)),
                    position: 0,
                },
                split,
            )?;
            let mode = self.mode(&entry)?;
            for row in rows(&entry, mode, &content) {
                table.write_all(if is_first { b"" } else { b"," })?;
                serde_json::to_writer(&mut *table, &row)?;
                is_first = false;
            }
        }
        self.between(raw_from, bytes, split)?;
        self.places.skip_headers()?;
        Ok(self.places.at)
    }

    /// Reads a file's content: which chunks it is of, and the sums over it.
    fn content(&mut self, entry: &Entry, tar: &mut TarReader<Plain<'_>>) -> io::Result<Content> {
        let mut content = Content::default();
        let mut left = content_bytes(entry);
        if left == 0 {
            return Ok(content);
        }
        self.places.skip_headers()?;
        let (mut whole, mut crc) = (Hasher::sha256(), Crc::new(CrcAlgorithm::Crc64GoIso));
        let mut data = tar.data();
        while left > 0 {
            let next = self.places.next()?;
            let (part, at) = next.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut hasher = Hasher::sha256();
            let mut wanted = u64::from(part.bytes);
            left -= wanted;
            let is_only = content.chunks.is_empty() && left == 0;
            while wanted > 0 {
                let seen = data.fill_buf()?;
                let seen = &seen[..seen.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
                hasher.update(seen);
                crc.update(seen);
                if !is_only {
                    whole.update(seen);
                }
                let count = seen.len();
                data.consume(count);
                wanted -= count as u64;
            }
            let digest = hasher.finish();
            content.digest = is_only.then_some(digest);
            content.chunks.push(Chunk { at, bytes: u64::from(part.bytes), digest });
        }
        content.end = self.places.at;
        content.digest = content.digest.or_else(|| Some(whole.finish()));
        content.crc = Some(crc.finalize().to_be_bytes());
        Ok(content)
    }

    /// The mode as its header has it, which some programs mix with the kind of file.
    fn mode(&self, entry: &Entry) -> io::Result<u32> {
        let mut field = [0; 8];
        let header = entry.data_offset.saturating_sub(512);
        self.file.read_exact_at(&mut field, header + 100)?;
        let digits = String::from_utf8_lossy(&field);
        let digits = digits.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        Ok(u32::from_str_radix(digits, 8).unwrap_or(entry.mode))
    }

    /// Bytes of the tar that are no file's content.
    fn between(&mut self, mut at: u64, end: u64, split: &mut Packed) -> io::Result<()> {
        while at < end {
            let mut raw = vec![0; RECORD_BYTES.min(end - at) as usize];
            self.file.read_exact_at(&mut raw, at)?;
            at += raw.len() as u64;
            let payload = Some(STANDARD.encode(&raw));
            self.record(&Record { kind: 2, name: None, size: 0, payload, position: 0 }, split)?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, split: &mut Packed) -> io::Result<()> {
        serde_json::to_writer(&mut *split, &Record { position: self.position, ..record.clone() })?;
        self.position += 1;
        split.write_all(b"\n")
    }
}

/// A record of a tar's bytes, as the program `tar-split` writes it.
#[derive(Clone, Serialize)]
struct Record<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    payload: Option<String>,
    position: u64,
}

/// A line of the table.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group_name: String,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    modified: Option<Timestamp>,
    #[serde(rename = "accesstime", skip_serializing_if = "Option::is_none")]
    accessed: Option<Timestamp>,
    #[serde(rename = "changetime", skip_serializing_if = "Option::is_none")]
    changed: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    xattrs: Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The lines for an entry: one, and one more for each further chunk.
fn rows(entry: &Entry, mode: u32, content: &Content) -> Vec<Row> {
    let name = text(&entry.path);
    let mut rows = vec![Row {
        mode: u64::from(mode),
        size: if entry.kind == EntryKind::File { entry.size } else { 0 },
        uid: entry.uid,
        gid: entry.gid,
        user_name: text(&entry.uname),
        group_name: text(&entry.gname),
        modified: Some(timestamp(&entry.mtime)),
        accessed: entry.atime.as_ref().map(timestamp),
        changed: entry.ctime.as_ref().map(timestamp),
        xattrs: entry.xattrs.iter().map(|(name, it)| (text(name), STANDARD.encode(it))).collect(),
        digest: content.digest,
        offset: content.chunks.first().map_or(0, |chunk| chunk.at),
        end_offset: content.end,
        ..kind(entry)
    }];
    if let [first, more @ ..] = content.chunks.as_slice()
        && !more.is_empty()
    {
        (rows[0].chunk_size, rows[0].chunk_digest) = (first.bytes, Some(first.digest));
        let mut chunk_offset = first.bytes;
        for Chunk { at, bytes, digest } in more {
            rows.push(Row {
                kind: "chunk",
                name: name.clone(),
                offset: *at,
                chunk_size: *bytes,
                chunk_offset,
                chunk_digest: Some(*digest),
                ..Row::default()
            });
            chunk_offset += bytes;
        }
    }
    rows[0].name = name;
    rows
}

/// What an entry is, with what belongs to that alone.
fn kind(entry: &Entry) -> Row {
    let device = |kind, major: u32, minor: u32| Row {
        kind,
        dev_major: u64::from(major),
        dev_minor: u64::from(minor),
        ..Row::default()
    };
    let link = |kind, target: &[u8]| Row { kind, link_name: Some(text(target)), ..Row::default() };
    match &entry.kind {
        EntryKind::Directory => Row { kind: "dir", ..Row::default() },
        EntryKind::Symlink(target) => link("symlink", target),
        EntryKind::Hardlink(target) => link("hardlink", target),
        EntryKind::Char { major, minor } => device("char", *major, *minor),
        EntryKind::Block { major, minor } => device("block", *major, *minor),
        EntryKind::Fifo => Row { kind: "fifo", ..Row::default() },
        EntryKind::File | EntryKind::Other(_) => Row { kind: "reg", ..Row::default() },
    }
}

/// What is no text has no table: see `Cuts::of`.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn timestamp(time: &Time) -> Timestamp {
    Timestamp::from_unix(time.seconds, time.nanos)
}

/// A document that is compressed as it is written.
struct Packed {
    encoder: Encoder<Vec<u8>>,
    plain_bytes: u64,
}

impl Packed {
    fn new() -> io::Result<Packed> {
        Ok(Packed { encoder: encoder(Codec::Zstd, None, Vec::new())?, plain_bytes: 0 })
    }

    /// The document, and how long it was.
    fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((self.encoder.finish()?, self.plain_bytes))
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encoder.write(bytes)?;
        self.plain_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
