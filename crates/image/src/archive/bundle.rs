//! Parts by name: in a tar file that can be read anywhere, or in a folder.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{ArchiveError, DOCUMENT_BYTES, Parts};
use crate::tar::{EntryKind, Limits, TarReader};

/// A part, opened.
pub struct Part {
    /// Its bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many they are.
    pub bytes: u64,
}

/// Named parts that images can be made of.
pub trait Bundle: Sync {
    /// Opens a part, if there is one with this name.
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError>;

    /// Reads a document, if there is one with this name.
    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Some(part) = self.open(name)? else { return Ok(None) };
        if part.bytes > DOCUMENT_BYTES {
            return Err(ArchiveError::LargeDocument { name: name.to_owned(), bytes: part.bytes });
        }
        let mut bytes = Vec::with_capacity(part.bytes as usize);
        part.reader
            .take(DOCUMENT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|source| ArchiveError::Read { name: name.to_owned(), source })?;
        Ok(Some(bytes))
    }
}

/// The members of a tar file that can be read at any place.
pub struct TarBundle {
    file: File,
    members: Parts<Range<u64>>,
}

/// A header, and perhaps a long name before it.
const HEADER_BUFFER: usize = 4 << 10;

impl TarBundle {
    /// Finds the members of a plain tar file without reading their data.
    pub fn open(file: File) -> Result<TarBundle, ArchiveError> {
        let end = file.metadata().map_err(ArchiveError::Source)?.len();
        let mut members = Parts::default();
        let mut at = 0;
        loop {
            let slice = Slice { file: &file, at, end };
            // A reader for each header: what lies between two of them is leapt over, not read.
            let mut tar =
                TarReader::new(BufReader::with_capacity(HEADER_BUFFER, slice), Limits::default());
            let Some(entry) = tar.next().map_err(ArchiveError::Tar)? else { break };
            let data = at + entry.data_offset;
            at = (data + entry.stored_size).next_multiple_of(512);
            match entry.kind {
                EntryKind::File if entry.sparse.is_none() => {
                    members.add(&entry, data..data + entry.size)?;
                }
                _ => members.add_link(&entry)?,
            }
        }
        Ok(TarBundle { file, members })
    }

    /// Whether the archive has any member at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl Bundle for TarBundle {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        self.members.get(name).map(|place| Part::of_file(&self.file, place.clone())).transpose()
    }
}

impl Part {
    /// A piece of a file; its reader leaves the file's own position alone.
    pub fn of_file(file: &File, place: Range<u64>) -> Result<Part, ArchiveError> {
        let file = file.try_clone().map_err(ArchiveError::Source)?;
        let reader = Box::new(Slice { file, at: place.start, end: place.end });
        Ok(Part { reader, bytes: place.end - place.start })
    }
}

/// A piece of a file, read without touching the file's own position.
struct Slice<F> {
    file: F,
    at: u64,
    end: u64,
}

impl<F: Borrow<File>> Read for Slice<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let bytes = self.file.borrow().read_at(&mut buffer[..wanted], self.at)?;
        if bytes == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += bytes as u64;
        Ok(bytes)
    }
}

/// The files of a folder; links do not lead out of it.
pub struct FolderBundle {
    folder: OwnedFd,
}

impl FolderBundle {
    /// Opens a folder.
    pub fn open(path: &Path) -> Result<FolderBundle, ArchiveError> {
        let folder = sys::fs::open_folder(path).map_err(ArchiveError::Source)?;
        Ok(FolderBundle { folder })
    }
}

impl Bundle for FolderBundle {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        let failed = |source| ArchiveError::Read { name: name.to_owned(), source };
        let file = match sys::fs::file_in_root(&self.folder, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Ok(None);
        }
        Ok(Some(Part { reader: Box::new(file), bytes: meta.len() }))
    }
}
