//! Reading an archive from front to back, once.

use super::assemble::{Overrides, assemble, push_header_path};
use super::blocks::{Blocks, padding_of};
use super::data::Data;
use super::entry::{Entry, EntryKind, Limits, shown};
use super::error::{Fault, TarError};
use super::header::{BLOCK, Header, ZEROS, field, until_nul};
use super::pax::Scope;
use std::io::{BufRead, Read};

/// Reads the entries of an archive in order, and the data of each before the next.
///
/// It never seeks, copies no data it was not asked for, and knows at any time how many bytes of the
/// stream it has consumed; so the same bytes can be hashed and stored while they pass.
pub struct TarReader<R> {
    pub(super) blocks: Blocks<R>,
    pub(super) limits: Limits,
    /// Stored data of the current entry that is still to come.
    pub(super) remaining: u64,
    /// What fills its last block.
    padding: u64,
    /// The size a hard link declared. Nearly always no data follows and the size is its target's.
    link_data: u64,
    entries: u64,
    state: State,
    pub(super) over: Overrides,
    /// The current entry's path, for errors.
    pub(super) path: Vec<u8>,
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
            blocks: Blocks::new(inner),
            limits,
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
        Data::new(self)
    }

    /// How many bytes of the stream are consumed.
    pub fn offset(&self) -> u64 {
        self.blocks.offset
    }

    /// Consumes everything to the end of the stream and returns the stream's length.
    ///
    /// What follows the end of an archive is part of a layer's digest, whatever it is.
    pub fn finish(&mut self) -> Result<u64, TarError> {
        self.remaining = 0;
        self.padding = 0;
        self.state = State::Ended;
        self.blocks.skip(u64::MAX)?;
        Ok(self.blocks.offset)
    }

    /// The stream, where reading stopped.
    pub fn into_inner(self) -> R {
        self.blocks.inner
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
            let kind = Header(&self.blocks.block).kind();
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
        let missing = self.blocks.skip(self.remaining + padding)?;
        if missing > padding {
            return Err(self.truncated("data"));
        }
        self.remaining = 0;
        Ok(missing == 0)
    }

    /// Reads a header and returns where it starts; nothing at the archive's end.
    fn read_header(&mut self) -> Result<Option<u64>, TarError> {
        let link_data = std::mem::take(&mut self.link_data).next_multiple_of(BLOCK as u64);
        let start = self.blocks.offset;
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
        let at = self.blocks.offset;
        if !self.blocks.read_block()? {
            return Ok(Found::End);
        }
        if self.blocks.block != ZEROS {
            return Ok(match Header(&self.blocks.block).checksum_matches() {
                true => Found::Header(at),
                false => Found::NoHeader(at),
            });
        }
        Ok(match self.blocks.read_block()? && self.blocks.block != ZEROS {
            true => Found::LoneZeros(at),
            false => Found::End,
        })
    }

    /// Looks again after the data of a hard link, which began where no header was found.
    ///
    /// A hard link may declare the size of its target or store the data once more; nothing tells
    /// which, except that what follows is a header or is not. The data is the target's: skip it.
    fn look_after_link_data(&mut self, start: u64, length: u64) -> Result<Found, TarError> {
        let consumed = self.blocks.offset - start;
        if consumed > length {
            // All the data was one block of zeros: the block after it is already here.
            return Ok(match Header(&self.blocks.block).checksum_matches() {
                true => Found::Header(start + length),
                false => Found::LoneZeros(start),
            });
        }
        if self.blocks.skip(length - consumed)? > 0 {
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
        records.read(&self.body, scope).map_err(|fault| fault.at(at, &self.path))
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
        let header = Header(&self.blocks.block);
        self.path.clear();
        push_header_path(header, &mut self.path);
        let size = header.size("size", field::SIZE).map_err(|fault| fault.at(at, &self.path))?;
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
        let offset = self.blocks.offset;
        read.map_err(|error| {
            TarError::try_from(error).unwrap_or_else(|source| TarError::Read { offset, source })
        })?;
        // Missing padding shows when the next header is missing too.
        self.skip_entry().map(|_| ())
    }

    /// Fills the entry from the header in `block` and all that was said before it.
    fn take_entry(&mut self, at: u64, entry: &mut Entry) -> Result<(), TarError> {
        self.entries += 1;
        let header = Header(&self.blocks.block);
        let assembled = match self.entries > self.limits.max_entries {
            true => Err(Fault::Limit { what: "entries", limit: self.limits.max_entries }),
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
        entry.data_offset = self.blocks.offset;
        Ok(())
    }

    pub(super) fn fault(&self, at: u64, fault: Fault) -> TarError {
        fault.at(at, &self.path)
    }

    pub(super) fn truncated(&self, part: &'static str) -> TarError {
        TarError::Truncated { offset: self.blocks.offset, part, path: shown(&self.path) }
    }
}
