//! Reading an archive from front to back, once.

use super::assemble::{Overrides, assemble, push_header_path};
use super::entry::{Entry, EntryKind, Limits, Segment, shown};
use super::error::{Fault, TarError};
use super::header::{BLOCK, Block, Header, ZEROS, field, until_nul};
use super::pax::Scope;
use super::sparse::{Map, MapText};
use std::io::{self, BufRead, Read};

/// Reads the entries of an archive in order, and the data of each before the next.
///
/// It never seeks, copies no data it was not asked for, and knows at any time how many bytes of the
/// stream it has consumed; so the same bytes can be hashed and stored while they pass.
pub struct TarReader<R> {
    inner: R,
    limits: Limits,
    offset: u64,
    block: Block,
    /// Stored data of the current entry that is still to come.
    remaining: u64,
    /// What fills its last block.
    padding: u64,
    /// The size a hard link declared. Nearly always no data follows and the size is its target's.
    link_data: u64,
    entries: u64,
    state: State,
    over: Overrides,
    /// The current entry's path, for errors.
    path: Vec<u8>,
    /// The body of an extended header, kept for its memory.
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    GivenUp,
}

/// What was where a header must be, and where that is.
enum Found {
    Header(u64),
    End,
    LoneZeros(u64),
    NoHeader(u64),
}

impl<R: BufRead> TarReader<R> {
    /// Starts at the first byte of an archive that is not compressed.
    pub fn new(inner: R, limits: Limits) -> TarReader<R> {
        TarReader {
            inner,
            limits,
            offset: 0,
            block: ZEROS,
            remaining: 0,
            padding: 0,
            link_data: 0,
            entries: 0,
            state: State::Reading,
            over: Overrides::default(),
            path: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The next entry, or nothing after the last. Skips what is left of the one before.
    // An `Iterator` could not lend the entry's data between two calls.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut entry = Entry::default();
        Ok(self.next_into(&mut entry)?.then_some(entry))
    }

    /// As `next`, into an entry whose memory is used again; false after the last.
    ///
    /// When it returns false or an error, what the entry holds means nothing.
    pub fn next_into(&mut self, entry: &mut Entry) -> Result<bool, TarError> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(false),
            State::GivenUp => return Err(TarError::GivenUp),
        }
        let found = self.advance(entry);
        match found {
            Ok(true) => {}
            Ok(false) => self.state = State::Ended,
            Err(_) => self.state = State::GivenUp,
        }
        found
    }

    /// The current entry's stored data: all of it, or what is left.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    /// How many bytes of the stream are consumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Consumes everything to the end of the stream and returns the stream's length.
    ///
    /// What follows the end of an archive is part of a layer's digest, whatever it is.
    pub fn finish(&mut self) -> Result<u64, TarError> {
        self.remaining = 0;
        self.padding = 0;
        self.state = State::Ended;
        self.skip(u64::MAX)?;
        Ok(self.offset)
    }

    /// The stream, where reading stopped.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn advance(&mut self, entry: &mut Entry) -> Result<bool, TarError> {
        if !self.skip_entry()? {
            return Ok(false);
        }
        self.over.forget_local();
        let mut first_header = None;
        loop {
            let Some(at) = self.read_header()? else {
                return Ok(false);
            };
            let kind = Header(&self.block).kind();
            match kind {
                b'g' => self.read_records(at, Scope::Archive)?,
                b'x' | b'X' => self.read_records(at, Scope::Entry)?,
                b'L' | b'K' => self.read_long_name(at, kind)?,
                _ => {
                    entry.header_offset = first_header.unwrap_or(at);
                    return self.take_entry(at, entry).map(|()| true);
                }
            }
            if kind != b'g' {
                self.over.has_local = true;
                first_header.get_or_insert(at);
            }
        }
    }

    /// Passes over the current entry's data and padding; false if the stream ends right after the
    /// data, where Go sees the archive's end.
    fn skip_entry(&mut self) -> Result<bool, TarError> {
        let padding = std::mem::take(&mut self.padding);
        let missing = self.skip(self.remaining + padding)?;
        if missing > padding {
            return Err(self.truncated("data"));
        }
        self.remaining = 0;
        Ok(missing == 0)
    }

    /// Consumes so many bytes, or fewer at the end of the stream; returns how many were missing.
    fn skip(&mut self, count: u64) -> Result<u64, TarError> {
        let mut left = count;
        while left > 0 {
            let available = fill(&mut self.inner, self.offset)?.len();
            if available == 0 {
                break;
            }
            let step = usize::try_from(left).map_or(available, |left| left.min(available));
            self.consume(step);
            left -= step as u64;
        }
        Ok(left)
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.offset += count as u64;
    }

    /// Reads a block; false if the stream has ended before it.
    fn read_block(&mut self) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            let available = fill(&mut self.inner, self.offset)?;
            let step = available.len().min(BLOCK - filled);
            if step == 0 && filled == 0 {
                return Ok(false);
            }
            if step == 0 {
                return Err(TarError::TruncatedHeader {
                    offset: self.offset,
                });
            }
            self.block[filled..filled + step].copy_from_slice(&available[..step]);
            self.consume(step);
            filled += step;
        }
        Ok(true)
    }

    /// Reads a block of a sparse map, which cannot be missing.
    fn read_map_block(&mut self) -> Result<(), TarError> {
        match self.read_block() {
            Ok(true) => Ok(()),
            Ok(false) | Err(TarError::TruncatedHeader { .. }) => Err(self.truncated("sparse map")),
            Err(error) => Err(error),
        }
    }

    /// Reads a header and returns where it starts; nothing at the archive's end.
    fn read_header(&mut self) -> Result<Option<u64>, TarError> {
        let link_data = std::mem::take(&mut self.link_data).next_multiple_of(BLOCK as u64);
        let start = self.offset;
        let mut found = self.look_for_header()?;
        if link_data > 0 && matches!(found, Found::LoneZeros(_) | Found::NoHeader(_)) {
            found = self.look_after_link_data(start, link_data)?;
        }
        match found {
            Found::Header(at) => Ok(Some(at)),
            Found::End => Ok(None),
            Found::LoneZeros(offset) => Err(TarError::LoneZeroBlock { offset }),
            Found::NoHeader(offset) => Err(TarError::Checksum { offset }),
        }
    }

    /// Reads the block where a header must be, and the one after it if it is zeros.
    ///
    /// The end is two blocks of zeros, or the end of the stream, or one and then the other.
    fn look_for_header(&mut self) -> Result<Found, TarError> {
        let at = self.offset;
        if !self.read_block()? {
            return Ok(Found::End);
        }
        if self.block != ZEROS {
            return Ok(match Header(&self.block).checksum_matches() {
                true => Found::Header(at),
                false => Found::NoHeader(at),
            });
        }
        Ok(match self.read_block()? && self.block != ZEROS {
            true => Found::LoneZeros(at),
            false => Found::End,
        })
    }

    /// Looks again after the data of a hard link, which began where no header was found.
    ///
    /// A hard link may declare the size of its target or store the data once more; nothing tells
    /// which, except that what follows is a header or is not. The data is the target's: skip it.
    fn look_after_link_data(&mut self, start: u64, length: u64) -> Result<Found, TarError> {
        let consumed = self.offset - start;
        if consumed > length {
            // All the data was one block of zeros: the block after it is already here.
            return Ok(match Header(&self.block).checksum_matches() {
                true => Found::Header(start + length),
                false => Found::LoneZeros(start),
            });
        }
        if self.skip(length - consumed)? > 0 {
            return Err(self.truncated("data"));
        }
        self.look_for_header()
    }

    /// Reads an extended header's records.
    fn read_records(&mut self, at: u64, scope: Scope) -> Result<(), TarError> {
        self.read_body(at, self.limits.max_pax_bytes, "bytes of extended header")?;
        let records = match scope {
            Scope::Entry => {
                self.over.local = Default::default();
                &mut self.over.local
            }
            Scope::Archive => &mut self.over.wide,
        };
        records
            .read(&self.body, scope)
            .map_err(|fault| fault.at(at, &self.path))
    }

    /// Reads GNU's long path or link target.
    fn read_long_name(&mut self, at: u64, kind: u8) -> Result<(), TarError> {
        // Writers count a last NUL, and some fill the block with more.
        let limit = (self.limits.max_path + BLOCK) as u64;
        self.read_body(at, limit, "bytes of path")?;
        let into = match kind {
            b'L' => &mut self.over.long_name,
            _ => &mut self.over.long_link,
        };
        into.clear();
        into.extend_from_slice(until_nul(&self.body));
        Ok(())
    }

    /// Reads what follows the header in `block` into `body`, with its padding.
    fn read_body(&mut self, at: u64, limit: u64, what: &'static str) -> Result<(), TarError> {
        let header = Header(&self.block);
        self.path.clear();
        push_header_path(header, &mut self.path);
        let size = header
            .size("size", field::SIZE)
            .map_err(|fault| fault.at(at, &self.path))?;
        if size > limit {
            return Err(Fault::Limit { what, limit }.at(at, &self.path));
        }
        self.remaining = size;
        self.padding = padding_of(size);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.resize(size as usize, 0);
        let read = self.data().read_exact(&mut body);
        self.body = body;
        let offset = self.offset;
        read.map_err(|error| {
            TarError::try_from(error).unwrap_or_else(|source| TarError::Read { offset, source })
        })?;
        // Missing padding shows when the next header is missing too.
        self.skip_entry().map(|_| ())
    }

    /// Fills the entry from the header in `block` and all that was said before it.
    fn take_entry(&mut self, at: u64, entry: &mut Entry) -> Result<(), TarError> {
        self.entries += 1;
        let header = Header(&self.block);
        let assembled = match self.entries > self.limits.max_entries {
            true => Err(Fault::Limit {
                what: "entries",
                limit: self.limits.max_entries,
            }),
            false => assemble(header, &self.over, &self.limits, entry),
        };
        self.path.clear();
        self.path.extend_from_slice(&entry.path);
        let declared = assembled.map_err(|fault| fault.at(at, &self.path))?;
        entry.size = match entry.kind {
            EntryKind::File | EntryKind::Other(_) => declared,
            _ => 0,
        };
        if matches!(entry.kind, EntryKind::Hardlink(_)) {
            self.link_data = declared;
        }
        entry.stored_size = entry.size;
        entry.sparse = None;
        self.padding = padding_of(entry.size);
        if entry.kind == EntryKind::File {
            self.take_sparse(at, entry)?;
        }
        self.remaining = entry.stored_size;
        entry.data_offset = self.offset;
        Ok(())
    }

    /// Reads a sparse file's map, wherever it is.
    fn take_sparse(&mut self, at: u64, entry: &mut Entry) -> Result<(), TarError> {
        let is_old = Header(&self.block).kind() == b'S';
        let version = self.over.local.sparse.version;
        let has_records = self.over.local.sparse.map.is_some() || version != (None, None);
        if !is_old && !has_records {
            return Ok(());
        }
        let mut map = Map::new(&self.limits);
        if is_old {
            let size = Header(&self.block).size("real size", field::GNU_REAL_SIZE);
            entry.size = size.map_err(|fault| fault.at(at, &self.path))?;
            self.read_old_map(at, &mut map)?;
        } else {
            match version {
                (None, None) | (Some(0), Some(0 | 1)) => self.take_record_map(at, &mut map)?,
                (Some(1), Some(0)) => {
                    entry.stored_size -= self.read_text_map(at, entry, &mut map)?
                }
                _ => return Err(self.fault(at, Fault::Sparse("its version is not known"))),
            }
            entry.size = self.over.local.sparse.size.unwrap_or(entry.size);
        }
        let segments = map.finish(entry.size, entry.stored_size);
        entry.sparse = Some(segments.map_err(|fault| fault.at(at, &self.path))?);
        Ok(())
    }

    fn read_old_map(&mut self, at: u64, map: &mut Map) -> Result<(), TarError> {
        let mut more = map
            .take_header(Header(&self.block))
            .map_err(|fault| self.fault(at, fault))?;
        while more {
            self.read_map_block()?;
            more = map
                .take_continuation(&self.block)
                .map_err(|fault| self.fault(at, fault))?;
        }
        Ok(())
    }

    fn take_record_map(&mut self, at: u64, map: &mut Map) -> Result<(), TarError> {
        let records = &mut self.over.local.sparse;
        let segments: Vec<Segment> = records.map.take().unwrap_or_default();
        map.take_records(segments, records.pieces)
            .map_err(|fault| self.fault(at, fault))
    }

    /// Reads the map that takes the place of the first data, and returns how long it is.
    fn read_text_map(&mut self, at: u64, entry: &Entry, map: &mut Map) -> Result<u64, TarError> {
        let mut text = MapText::new();
        let mut length = 0;
        let mut more = true;
        while more {
            length += BLOCK as u64;
            if length > entry.stored_size {
                let reason = "its map is longer than its data";
                return Err(self.fault(at, Fault::Sparse(reason)));
            }
            self.read_map_block()?;
            more = text
                .take(&self.block, map)
                .map_err(|fault| self.fault(at, fault))?;
        }
        Ok(length)
    }

    fn fault(&self, at: u64, fault: Fault) -> TarError {
        fault.at(at, &self.path)
    }

    fn truncated(&self, part: &'static str) -> TarError {
        TarError::Truncated {
            offset: self.offset,
            part,
            path: shown(&self.path),
        }
    }
}

/// How much fills the last block of so many bytes.
pub(super) fn padding_of(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// What the stream has ready: at least a byte, unless it has ended.
fn fill<R: BufRead>(inner: &mut R, offset: u64) -> Result<&[u8], TarError> {
    // The stream is asked again for what is then in its buffer: a borrow cannot leave the loop.
    loop {
        match inner.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(TarError::Read { offset, source }),
        }
    }
    inner
        .fill_buf()
        .map_err(|source| TarError::Read { offset, source })
}

/// The stored data of an archive's current entry, and nothing beyond it.
///
/// Its errors carry a [`TarError`] where the archive is at fault.
pub struct Data<'a, R> {
    reader: &'a mut TarReader<R>,
}

impl<R> Data<'_, R> {
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
        let wanted = usize::try_from(reader.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = reader.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(self.truncated());
        }
        reader.offset += count as u64;
        reader.remaining -= count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let limit = usize::try_from(self.reader.remaining).unwrap_or(usize::MAX);
        if limit == 0 {
            return Ok(&[]);
        }
        if self.reader.inner.fill_buf()?.is_empty() {
            return Err(self.truncated());
        }
        let available = self.reader.inner.fill_buf()?;
        Ok(&available[..available.len().min(limit)])
    }

    fn consume(&mut self, count: usize) {
        debug_assert!(count as u64 <= self.reader.remaining);
        self.reader.consume(count);
        self.reader.remaining -= count as u64;
    }
}
