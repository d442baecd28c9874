//! Where a layer is cut so that its files can be found in it: each file's content is compressed by
//! itself, and so is what stands between two of them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::tar::{Entry, EntryKind, Limits, TarReader};

/// No part is longer, so a long file that was changed at one place is not another file everywhere.
const PART_BYTES: u64 = 1 << 20;

/// The parts of a layer's plain tar, in order and without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    parts: Vec<Part>,
}

/// A part of a layer that is compressed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How long it is.
    pub bytes: u32,
    /// Whether it is of a file's content.
    pub is_content: bool,
}

impl Cuts {
    /// Cuts the plain tar that so many bytes of a file are. Nothing comes of one that a table has no
    /// words for, as one with sparse files or with names that are no text.
    pub fn of(file: &File, bytes: u64) -> Option<Cuts> {
        let mut cuts = Cuts::default();
        let mut tar = TarReader::new(plain(file, bytes), own_limits());
        let mut entry = Entry::default();
        let mut at = 0;
        while tar.next_into(&mut entry).ok()? {
            if !has_words(&entry) {
                return None;
            }
            let bytes = content_bytes(&entry);
            if bytes > 0 {
                cuts.push(entry.data_offset - at, false);
                cuts.push(bytes, true);
                at = entry.data_offset + bytes;
            }
        }
        let end = tar.finish().ok()?;
        cuts.push(end - at, false);
        (!cuts.parts.is_empty()).then_some(cuts)
    }

    /// The parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn push(&mut self, mut bytes: u64, is_content: bool) {
        while bytes > 0 {
            let part = bytes.min(PART_BYTES);
            self.parts.push(Part { bytes: part as u32, is_content });
            bytes -= part;
        }
    }
}

/// The layer was read before, under limits that were asked for; here it only is cut.
pub(super) fn own_limits() -> Limits {
    Limits { max_entries: u64::MAX, ..Limits::default() }
}

/// What of an entry stands in parts of its own.
pub(super) fn content_bytes(entry: &Entry) -> u64 {
    if entry.kind == EntryKind::File { entry.stored_size } else { 0 }
}

/// Whether a table can say what the entry is.
fn has_words(entry: &Entry) -> bool {
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let is_known = match &entry.kind {
        EntryKind::Other(_) => false,
        EntryKind::Symlink(target) | EntryKind::Hardlink(target) => is_text(target),
        _ => entry.sparse.is_none(),
    };
    is_known
        && is_text(&entry.path)
        && is_text(&entry.uname)
        && is_text(&entry.gname)
        && entry.xattrs.iter().all(|(name, _)| is_text(name))
}

/// A tar that is read from its start, whoever else reads the file.
pub(super) type Plain<'a> = BufReader<Span<'a>>;

pub(super) fn plain(file: &File, bytes: u64) -> Plain<'_> {
    BufReader::with_capacity(256 << 10, Span { file, at: 0, end: bytes })
}

/// A part of a file.
pub(super) struct Span<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
