//! The names in a folder of an index, one after another, however many there are.

use super::format::{BLOCK, DIRENT_BYTES, LAYOUT_PLAIN};
use super::reader::{u16_at, u64_at};
use super::{IndexError, IndexInode, IndexReader, Nid};

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The name.
    pub name: Vec<u8>,
    /// Its file.
    pub nid: Nid,
}

/// So many blocks are read at once.
const BLOCKS: u64 = 16;

/// The names in a folder, in order and without the dots; ends after an error.
pub struct Entries<'a> {
    index: &'a IndexReader,
    folder: IndexInode,
    /// Up to where the folder has been read.
    read_bytes: u64,
    /// Blocks that were read, and up to where they have been taken apart.
    blocks: Vec<u8>,
    taken_bytes: usize,
    names: std::vec::IntoIter<IndexEntry>,
    last: Option<Vec<u8>>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(
        index: &'a IndexReader,
        folder: &IndexInode,
    ) -> Result<Entries<'a>, IndexError> {
        if !folder.is_folder() {
            return Err(IndexError::Damaged("a file where a folder should be"));
        }
        Ok(Entries {
            index,
            folder: folder.clone(),
            read_bytes: 0,
            blocks: Vec::new(),
            taken_bytes: 0,
            names: Vec::new().into_iter(),
            last: None,
        })
    }

    fn advance(&mut self) -> Result<Option<IndexEntry>, IndexError> {
        loop {
            for entry in self.names.by_ref() {
                // Who looks for a name, or merges folders, relies on it.
                if self.last.as_ref().is_some_and(|last| *last >= entry.name) {
                    return Err(IndexError::Damaged("the names of a folder are out of order"));
                }
                let last = self.last.get_or_insert_default();
                last.clone_from(&entry.name);
                if entry.name != b"." && entry.name != b".." {
                    return Ok(Some(entry));
                }
            }
            if self.taken_bytes == self.blocks.len() && !self.read()? {
                return Ok(None);
            }
            let rest = &self.blocks[self.taken_bytes..];
            let block = &rest[..rest.len().min(BLOCK as usize)];
            let mut names = Vec::with_capacity(block.len() / 24);
            read_block(block, &mut |name, nid| {
                names.push(IndexEntry { name: name.to_vec(), nid });
                true
            })?;
            self.taken_bytes += block.len();
            self.names = names.into_iter();
        }
    }

    /// Reads the next blocks, if there are more.
    fn read(&mut self) -> Result<bool, IndexError> {
        let (folder, at) = (&self.folder, self.read_bytes);
        let tail = if folder.layout == LAYOUT_PLAIN { 0 } else { folder.size % BLOCK };
        let together = folder.size - tail;
        (self.blocks, self.taken_bytes) = match () {
            _ if at >= folder.size => return Ok(false),
            _ if at < together => {
                let bytes = (together - at).min(BLOCKS * BLOCK);
                (self.index.read(folder.start.saturating_add(at), bytes)?, 0)
            }
            _ => (self.index.read(folder.behind(), tail)?, 0),
        };
        self.read_bytes += self.blocks.len() as u64;
        Ok(true)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<IndexEntry, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.names = Vec::new().into_iter();
            self.taken_bytes = self.blocks.len();
            self.read_bytes = self.folder.size;
        }
        next.transpose()
    }
}

/// Shows each entry of one block to `each` until it answers no.
pub(super) fn read_block(
    block: &[u8],
    each: &mut dyn FnMut(&[u8], Nid) -> bool,
) -> Result<(), IndexError> {
    const DAMAGED: IndexError = IndexError::Damaged("a folder's block is malformed");
    if block.len() < DIRENT_BYTES {
        return Err(DAMAGED);
    }
    let first = usize::from(u16_at(block, 8));
    if first < DIRENT_BYTES || first % DIRENT_BYTES != 0 || first > block.len() {
        return Err(DAMAGED);
    }
    let count = first / DIRENT_BYTES;
    for index in 0..count {
        let entry = &block[index * DIRENT_BYTES..][..DIRENT_BYTES];
        let from = usize::from(u16_at(entry, 8));
        let to = match index + 1 < count {
            true => usize::from(u16_at(block, (index + 1) * DIRENT_BYTES + 8)),
            false => block.len(),
        };
        let name = block.get(from..to).ok_or(DAMAGED)?;
        // The last name of a full block ends at its first zero byte.
        let name = name.split(|byte| *byte == 0).next().unwrap_or(name);
        if !each(name, Nid(u64_at(entry, 0))) {
            break;
        }
    }
    Ok(())
}
