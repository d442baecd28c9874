//! Reads an index back without mounting it: for `image diff`, `why`, `files` and `system check`.
//!
//! The file is our own, but the disk is not to be trusted: every offset is checked against the
//! file's length, and a malformed index is an error, never a panic.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::folder::{Entries, read_block};
use super::format::{
    BLOCK, BLOCK_BITS, FORMAT_EXTENDED, INODE_BYTES, LAYOUT_INLINE, LAYOUT_PLAIN, MAGIC, NID_UNIT,
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET,
    XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES, decode_device, join_xattr,
};

/// An inode's address in the index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nid(pub(super) u64);

impl Nid {
    /// Its place among all that the index has room for.
    pub(crate) fn place(self) -> u64 {
        self.0
    }
}

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum IndexError {
    #[error("cannot read the index")]
    Read(#[source] io::Error),
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
}

/// What the index says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInode {
    /// Kind and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size; for a folder the bytes of its names.
    pub size: u64,
    /// Names.
    pub links: u32,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// A device's major and minor number.
    pub device: Option<(u32, u32)>,
    /// Where a file's data starts in the tar, if it lies there.
    pub tar_offset: Option<u64>,
    nid: Nid,
    pub(super) layout: u16,
    pub(super) start: u64,
    xattr_bytes: u64,
}

impl IndexInode {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.mode & S_IFMT == S_IFDIR
    }

    /// Whether it hides what the layers below have under its name.
    pub fn is_whiteout(&self) -> bool {
        self.mode & S_IFMT == S_IFCHR && self.device == Some((0, 0))
    }

    /// Whether it is an ordinary file.
    pub fn is_file(&self) -> bool {
        self.mode & S_IFMT == S_IFREG
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// Where what does not fill a block stands.
    pub(super) fn behind(&self) -> u64 {
        self.nid.0 * NID_UNIT + INODE_BYTES + self.xattr_bytes
    }

    /// The file's number within its index, the same for all its hard links.
    pub fn nid(&self) -> Nid {
        self.nid
    }
}

/// An index opened for reading.
pub struct IndexReader {
    file: File,
    bytes: u64,
    root: Nid,
    tar_start: u64,
    inodes: u64,
}

impl IndexReader {
    /// Opens an index and checks that it is one of ours.
    pub fn open(file: File) -> Result<IndexReader, IndexError> {
        let bytes = file.metadata().map_err(IndexError::Read)?.len();
        let mut reader = IndexReader { file, bytes, root: Nid(0), tar_start: 0, inodes: 0 };
        let sb = reader.read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES as u64 + BLOCK / 4)?;
        if u32_at(&sb, 0) != MAGIC || sb[12] != BLOCK_BITS {
            return Err(IndexError::Damaged("no superblock"));
        }
        reader.root = Nid(u64::from(u16_at(&sb, 14)));
        reader.inodes = u64_at(&sb, 16);
        reader.tar_start = u64::from(u32_at(&sb, 36));
        if reader.tar_start * BLOCK != bytes {
            return Err(IndexError::Damaged("it is longer or shorter than it says"));
        }
        Ok(reader)
    }

    /// The root folder.
    pub fn root(&self) -> Nid {
        self.root
    }

    /// How many files it describes.
    pub fn inode_count(&self) -> u64 {
        self.inodes
    }

    /// What it says of a file.
    pub fn inode(&self, nid: Nid) -> Result<IndexInode, IndexError> {
        let mut raw = [0; INODE_BYTES as usize];
        self.fill(&mut raw, nid.0.saturating_mul(NID_UNIT))?;
        let format = u16_at(&raw, 0);
        if format & FORMAT_EXTENDED == 0 || format >> 1 > LAYOUT_INLINE {
            return Err(IndexError::Damaged("an inode of another form"));
        }
        let mode = u32::from(u16_at(&raw, 4));
        let word = u32_at(&raw, 16);
        let icount = u64::from(u16_at(&raw, 2));
        let xattr_bytes =
            if icount == 0 { 0 } else { XATTR_HEADER_BYTES as u64 + (icount - 1) * 4 };
        let is_device = matches!(mode & S_IFMT, S_IFCHR | S_IFBLK);
        let size = u64_at(&raw, 8);
        let in_tar = mode & S_IFMT == S_IFREG && size > 0 && u64::from(word) >= self.tar_start;
        Ok(IndexInode {
            mode,
            uid: u32_at(&raw, 24),
            gid: u32_at(&raw, 28),
            size,
            links: u32_at(&raw, 44),
            mtime: (u64_at(&raw, 32) as i64, u32_at(&raw, 40)),
            device: is_device.then(|| decode_device(word)),
            tar_offset: in_tar.then(|| (u64::from(word) - self.tar_start) * BLOCK),
            nid,
            layout: format >> 1,
            start: u64::from(word) * BLOCK,
            xattr_bytes,
        })
    }

    /// The names in a folder, in order, without the dots.
    pub fn entries(&self, folder: &IndexInode) -> Result<Entries<'_>, IndexError> {
        Entries::new(self, folder)
    }

    /// The file with this name in a folder, found by halving: the names are in order.
    pub fn child(
        &self,
        folder: &IndexInode,
        name: &[u8],
    ) -> Result<Option<IndexInode>, IndexError> {
        if !folder.is_folder() {
            return Ok(None);
        }
        // The block to look into is the last one that does not begin behind the name.
        let (mut from, mut to) = (0, folder.size.div_ceil(BLOCK));
        while to - from > 1 {
            let middle = from + (to - from) / 2;
            let mut begins_behind = false;
            read_block(&self.folder_block(folder, middle)?, &mut |first, _| {
                begins_behind = first > name;
                false
            })?;
            match begins_behind {
                true => to = middle,
                false => from = middle,
            }
        }
        if from == to {
            return Ok(None);
        }
        let mut found = None;
        read_block(&self.folder_block(folder, from)?, &mut |entry, nid| {
            if entry == name {
                found = Some(nid);
            }
            found.is_none()
        })?;
        found.map(|nid| self.inode(nid)).transpose()
    }

    /// The file at a path, given as cleaned parts; links are not followed.
    pub fn find(&self, parts: &[&[u8]]) -> Result<Option<IndexInode>, IndexError> {
        let mut at = self.inode(self.root)?;
        for part in parts {
            match self.child(&at, part)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Where a link leads.
    pub fn link_target(&self, link: &IndexInode) -> Result<Vec<u8>, IndexError> {
        if !link.is_link() {
            return Err(IndexError::Damaged("a link was expected"));
        }
        self.own_data(link)
    }

    /// Whether a file's bytes lie here and not in the tar: a sparse file's.
    fn is_sparse(&self, file: &IndexInode) -> bool {
        file.is_file() && file.size > 0 && file.tar_offset.is_none()
    }

    /// Reads bytes of a sparse file, holes as zeros; they are here if the tar was kept when the
    /// index was written.
    pub fn read_sparse(
        &self,
        file: &IndexInode,
        at: u64,
        buffer: &mut [u8],
    ) -> Result<(), IndexError> {
        let end = at.checked_add(buffer.len() as u64);
        if !self.is_sparse(file) || end.is_none_or(|end| end > file.size) {
            return Err(IndexError::Damaged("a sparse file was expected"));
        }
        self.file.read_exact_at(buffer, file.start + at).map_err(IndexError::Read)
    }

    /// Where a sparse file has data at or behind an offset; its size if only a hole follows.
    pub fn next_data(&self, file: &IndexInode, at: u64) -> Result<u64, IndexError> {
        if !self.is_sparse(file) {
            return Err(IndexError::Damaged("a sparse file was expected"));
        }
        let data = sys::fs::next_data(&self.file, file.start.saturating_add(at));
        let data = data.map_err(IndexError::Read)?.map(|data| data.saturating_sub(file.start));
        Ok(data.unwrap_or(file.size).min(file.size))
    }

    /// A file's extended attributes, overlay's mark of an opaque folder among them.
    pub fn xattrs(&self, inode: &IndexInode) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError> {
        let start = inode.nid.0 * NID_UNIT + INODE_BYTES;
        let raw = self.read(start, inode.xattr_bytes)?;
        let mut list = Vec::new();
        let mut rest = raw.get(XATTR_HEADER_BYTES..).unwrap_or(&[]);
        while rest.len() >= XATTR_ENTRY_BYTES {
            let (name_len, index) = (usize::from(rest[0]), rest[1]);
            let value_len = usize::from(u16_at(rest, 2));
            let bytes = XATTR_ENTRY_BYTES + name_len + value_len;
            let entry = rest.get(..bytes).ok_or(IndexError::Damaged("an attribute is cut off"))?;
            let (name, value) = entry[XATTR_ENTRY_BYTES..].split_at(name_len);
            let name =
                join_xattr(index, name).ok_or(IndexError::Damaged("a nameless attribute"))?;
            list.push((name, value.to_vec()));
            rest = rest.get(bytes.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(list)
    }

    /// Whether a folder hides what the layers below have in it.
    pub fn is_opaque(&self, folder: &IndexInode) -> Result<bool, IndexError> {
        if folder.xattr_bytes == 0 {
            return Ok(false);
        }
        Ok(self.xattrs(folder)?.iter().any(|(name, _)| name == b"trusted.overlay.opaque"))
    }

    /// One block of a folder's names; the last one may be shorter and stand behind the inode.
    fn folder_block(&self, folder: &IndexInode, number: u64) -> Result<Vec<u8>, IndexError> {
        let before = number * BLOCK;
        let bytes = BLOCK.min(folder.size - before);
        match folder.layout == LAYOUT_PLAIN || bytes == BLOCK {
            true => self.read(folder.start.saturating_add(before), bytes),
            false => self.read(folder.behind(), bytes),
        }
    }

    fn own_data(&self, inode: &IndexInode) -> Result<Vec<u8>, IndexError> {
        if inode.size > 1 << 30 {
            return Err(IndexError::Damaged("a link of more than a gigabyte"));
        }
        match inode.layout {
            LAYOUT_PLAIN => self.read(inode.start, inode.size),
            _ => {
                let tail = inode.size % BLOCK;
                let mut data = self.read(inode.start, inode.size - tail)?;
                data.extend(self.read(inode.behind(), tail)?);
                Ok(data)
            }
        }
    }

    pub(super) fn read(&self, at: u64, bytes: u64) -> Result<Vec<u8>, IndexError> {
        self.check_end(at, bytes)?;
        let mut buffer = vec![0; bytes as usize];
        self.fill(&mut buffer, at)?;
        Ok(buffer)
    }

    fn fill(&self, buffer: &mut [u8], at: u64) -> Result<(), IndexError> {
        self.check_end(at, buffer.len() as u64)?;
        self.file.read_exact_at(buffer, at).map_err(IndexError::Read)
    }

    fn check_end(&self, at: u64, bytes: u64) -> Result<(), IndexError> {
        match at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            true => Err(IndexError::Damaged("it points behind its end")),
            false => Ok(()),
        }
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
