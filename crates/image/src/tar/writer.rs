//! Writing archives: the same entries give the same bytes, everywhere and always.
//!
//! An entry is written as plain ustar when that can hold it, otherwise with one pax header of sorted
//! records before it. No clock, user or machine gets into an archive. Sparse files are written
//! plain, holes as zeros: a layer's digest must not depend on how a file system keeps a file.

use super::blocks::padding_of;
use super::entry::{Entry, EntryKind, Time, shown};
use super::error::TarError;
use super::header::{BLOCK, Block, ZEROS, checksum, field};
use super::pax::push_record;
use super::xattr;
use std::io::{self, Read, Write};
use std::ops::Range;

/// How much data is copied at a time.
const COPY: usize = 64 * 1024;

/// More in one pax header than this and Go's reader refuses the archive.
const MAX_PAX_BYTES: usize = 1 << 20;

/// Writes an archive, entry after entry.
pub struct TarWriter<W> {
    inner: W,
    headers: Vec<u8>,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive at the stream's current place.
    pub fn new(inner: W) -> TarWriter<W> {
        TarWriter { inner, headers: Vec::new(), buffer: Vec::new() }
    }

    /// Writes an entry and, for a file, exactly `entry.size` bytes of `data`.
    ///
    /// A file that has grown since its size was taken is cut there. One that has shrunk is an
    /// error, and the archive is lost: its header is already written.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.headers.clear();
        encode_header(entry, &mut self.headers)?;
        self.inner.write_all(&self.headers)?;
        let size = data_size(entry);
        self.copy(entry, size, data)?;
        self.inner.write_all(&ZEROS[..padding_of(size) as usize])
    }

    fn copy(&mut self, entry: &Entry, size: u64, data: &mut dyn Read) -> io::Result<()> {
        let mut left = size;
        if left > 0 {
            self.buffer.resize(COPY, 0);
        }
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(COPY).min(COPY);
            let count = match data.read(&mut self.buffer[..wanted]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                let path = shown(&entry.path);
                return Err(TarError::ShortData { path, wanted: size, got: size - left }.into());
            }
            self.inner.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Ends the archive with two blocks of zeros and gives the stream back.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }
}

/// How many bytes of zeros follow so many bytes of data.
pub fn padding(size: u64) -> u64 {
    padding_of(size)
}

/// Only files have data; any size another kind has is not its own.
fn data_size(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File => entry.size,
        _ => 0,
    }
}

/// Adds the header of an entry to `out`: one block, or with a pax header before it some more.
pub fn encode_header(entry: &Entry, out: &mut Vec<u8>) -> Result<(), TarError> {
    let unwritable = |reason| TarError::Unwritable { path: shown(&entry.path), reason };
    let mut draft = Draft::new(entry).map_err(unwritable)?;
    if let Some(body) = draft.take_records().map_err(unwritable)? {
        push_pax_header(&entry.path, &body, out);
    }
    out.extend_from_slice(draft.seal());
    Ok(())
}

/// A header under way, and the records for all that it cannot hold.
struct Draft {
    block: Block,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether a text is not UTF-8, which pax must be told.
    is_binary: bool,
}

impl Draft {
    fn new(entry: &Entry) -> Result<Draft, &'static str> {
        let mut draft = Draft { block: ZEROS, records: Vec::new(), is_binary: false };
        draft.block[field::MAGIC].copy_from_slice(b"ustar\x0000");
        draft.path(entry)?;
        if [entry.uid, entry.gid, data_size(entry)].into_iter().any(|value| value >> 63 != 0) {
            return Err("its size or owner is a number beyond 63 bits");
        }
        draft.number(field::MODE, "mode", u64::from(entry.mode & 0o7777));
        draft.number(field::UID, "uid", entry.uid);
        draft.number(field::GID, "gid", entry.gid);
        draft.number(field::SIZE, "size", data_size(entry));
        draft.mtime(entry.mtime)?;
        draft.extra_time("atime", entry.atime)?;
        draft.extra_time("ctime", entry.ctime)?;
        draft.text(field::UNAME, "uname", &entry.uname)?;
        draft.text(field::GNAME, "gname", &entry.gname)?;
        draft.kind(&entry.kind)?;
        draft.attributes(&entry.xattrs)?;
        Ok(draft)
    }

    fn path(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let path = &entry.path;
        if path.is_empty() {
            return Err("it has no path");
        }
        if entry.kind == EntryKind::File && path.ends_with(b"/") {
            return Err("a file's path ends in a slash, which some readers take for a directory");
        }
        match split_path(path).filter(|_| path.is_ascii() && !path.contains(&0)) {
            Some((prefix, name)) => {
                self.put(field::PREFIX, prefix);
                self.put(field::NAME, name);
                Ok(())
            }
            None => self.text(field::NAME, "path", path),
        }
    }

    /// Puts text into its field if the field can hold it as it is, else into a record, and what a
    /// reader that knows no pax can make use of into the field.
    fn text(&mut self, at: Range<usize>, key: &str, text: &[u8]) -> Result<(), &'static str> {
        if text.contains(&0) {
            return Err("it has a NUL in a name");
        }
        // The owners' names must end in a NUL; a path or link may fill its field.
        let room = at.len() - usize::from(key == "uname" || key == "gname");
        if text.is_ascii() && text.len() <= room {
            self.put(at, text);
            return Ok(());
        }
        self.is_binary |= std::str::from_utf8(text).is_err();
        self.record(key, text);
        self.put(at, &ascii(text, room));
        Ok(())
    }

    /// Puts a number into its field, or a 0 and the number into a record.
    fn number(&mut self, at: Range<usize>, key: &str, value: u64) {
        let digits = at.len() - 1;
        let fits = value < 1 << (3 * digits);
        if !fits {
            self.record(key, value.to_string().as_bytes());
        }
        let value = if fits { value } else { 0 };
        self.put(at, format!("{value:0digits$o}").as_bytes());
    }

    /// Whole seconds from 1970 to 2242 fit into the field.
    fn mtime(&mut self, time: Time) -> Result<(), &'static str> {
        let plain = u64::try_from(time.seconds).ok().filter(|seconds| *seconds < 1 << 33);
        self.number(field::MTIME, "mtime", plain.unwrap_or(0));
        match plain.is_none() || time.nanos != 0 {
            true => self.extra_time("mtime", Some(time)),
            false => Ok(()),
        }
    }

    fn extra_time(&mut self, key: &str, time: Option<Time>) -> Result<(), &'static str> {
        let Some(time) = time else {
            return Ok(());
        };
        if time.nanos >= 1_000_000_000 {
            return Err("a time has more than a second of nanoseconds");
        }
        self.record(key, time.to_string().as_bytes());
        Ok(())
    }

    fn kind(&mut self, kind: &EntryKind) -> Result<(), &'static str> {
        let (byte, device) = match kind {
            EntryKind::File => (b'0', (0, 0)),
            EntryKind::Hardlink(target) => {
                self.text(field::LINK, "linkpath", target)?;
                (b'1', (0, 0))
            }
            EntryKind::Symlink(target) => {
                self.text(field::LINK, "linkpath", target)?;
                (b'2', (0, 0))
            }
            EntryKind::Char { major, minor } => (b'3', (*major, *minor)),
            EntryKind::Block { major, minor } => (b'4', (*major, *minor)),
            EntryKind::Directory => (b'5', (0, 0)),
            EntryKind::Fifo => (b'6', (0, 0)),
            EntryKind::Other(_) => return Err("its type is not one that can be written"),
        };
        self.block[field::TYPE] = byte;
        self.number(field::MAJOR, "SCHILY.devmajor", u64::from(device.0));
        self.number(field::MINOR, "SCHILY.devminor", u64::from(device.1));
        Ok(())
    }

    fn attributes(&mut self, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), &'static str> {
        for (name, value) in xattrs {
            if name.is_empty() || name.contains(&0) {
                return Err("an attribute's name is empty or has a NUL in it");
            }
            if name.contains(&b'=') {
                let key = [b"LIBARCHIVE.xattr.", &xattr::escape(name)[..]].concat();
                self.records.push((key, xattr::encode_base64(value)));
            } else {
                self.records.push(([b"SCHILY.xattr.", &name[..]].concat(), value.clone()));
            }
        }
        Ok(())
    }

    fn put(&mut self, at: Range<usize>, bytes: &[u8]) {
        self.block[at][..bytes.len()].copy_from_slice(bytes);
    }

    fn record(&mut self, key: &str, value: &[u8]) {
        self.records.push((key.as_bytes().to_vec(), value.to_vec()));
    }

    /// The pax header's body, if one is needed. Readers apply its character set to what follows, so
    /// that comes first; the rest is sorted.
    fn take_records(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        if self.records.is_empty() {
            return Ok(None);
        }
        self.records.sort();
        if self.records.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("an attribute is there twice");
        }
        let mut body = Vec::new();
        if self.is_binary {
            push_record(&mut body, b"hdrcharset", b"BINARY");
        }
        self.records.iter().for_each(|(key, value)| push_record(&mut body, key, value));
        match body.len() > MAX_PAX_BYTES {
            true => Err("its names and attributes are larger than readers accept"),
            false => Ok(Some(body)),
        }
    }

    /// Adds the checksum: the header is complete.
    fn seal(&mut self) -> &Block {
        let sum = checksum(&self.block);
        self.put(field::CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
        &self.block
    }
}

/// Cuts a path into the two fields of a ustar header, if they can hold it. A path that fits into
/// one is not cut; another is cut as late as possible.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= field::NAME.len() {
        return Some((b"", path));
    }
    // The name must not be empty, so that a last slash does not count; nor may the prefix be.
    let searched = &path[..path.len().min(field::PREFIX.len() + 2) - 1];
    let cut = searched.iter().rposition(|&byte| byte == b'/').filter(|&cut| cut > 0)?;
    let (prefix, name) = (&path[..cut], &path[cut + 1..]);
    (name.len() <= field::NAME.len()).then_some((prefix, name))
}

/// What of a text can stand in a header for readers that know no pax.
fn ascii(text: &[u8], room: usize) -> Vec<u8> {
    text.iter().take(room).map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect()
}

/// Adds a pax header with this body. Its own name is only ever seen by readers that know no pax.
fn push_pax_header(path: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let trimmed = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let base = path[..trimmed].rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let mut draft = Draft { block: ZEROS, records: Vec::new(), is_binary: false };
    let mut name = b"PaxHeaders/".to_vec();
    name.extend(ascii(base, field::NAME.len() - name.len()));
    draft.put(field::NAME, &name);
    draft.block[field::MAGIC].copy_from_slice(b"ustar\x0000");
    draft.block[field::TYPE] = b'x';
    draft.number(field::MODE, "mode", 0o644);
    draft.number(field::SIZE, "size", body.len() as u64);
    for at in [field::UID, field::GID, field::MTIME, field::MAJOR, field::MINOR] {
        draft.number(at, "", 0);
    }
    out.extend_from_slice(draft.seal());
    out.extend_from_slice(body);
    out.extend_from_slice(&ZEROS[..padding_of(body.len() as u64) as usize]);
}
