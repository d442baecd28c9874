//! What a tar's entry says of its file, as the tree keeps it.

use super::names::shown;
use super::node::BLOCK;
use super::{
    Content, Inode, LayerTree, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, SparseFile,
    TreeError, xattr,
};
use crate::tar::{Entry, EntryKind};

impl LayerTree {
    pub(super) fn make_inode(&mut self, entry: &Entry) -> Result<Inode, TreeError> {
        let range =
            |what, value: String| TreeError::OutOfRange { path: shown(&entry.path), what, value };
        let uid = u32::try_from(entry.uid).ok().filter(|id| *id != u32::MAX);
        let gid = u32::try_from(entry.gid).ok().filter(|id| *id != u32::MAX);
        let uid = uid.ok_or_else(|| range("uid", entry.uid.to_string()))?;
        let gid = gid.ok_or_else(|| range("gid", entry.gid.to_string()))?;
        let (kind, size, content) = self.make_content(entry)?;
        // A link has no permissions of its own: every file system shows the same ones.
        let bits = if kind == S_IFLNK { 0o777 } else { entry.mode & 0o7777 };
        let (mode, xattrs) = self.keep_xattrs(entry, kind | bits)?;
        Ok(Inode {
            mode,
            uid,
            gid,
            mtime: entry.mtime.seconds,
            mtime_nanos: entry.mtime.nanos,
            size,
            content,
            xattrs,
        })
    }

    fn make_content(&mut self, entry: &Entry) -> Result<(u32, u64, Content), TreeError> {
        Ok(match &entry.kind {
            EntryKind::Directory => (S_IFDIR, 0, Content::None),
            EntryKind::Fifo => (S_IFIFO, 0, Content::None),
            EntryKind::Symlink(target) => {
                if target.is_empty() || target.len() > 4095 {
                    let (path, value) = (shown(&entry.path), target.len().to_string());
                    return Err(TreeError::OutOfRange { path, what: "length of the link", value });
                }
                if target.contains(&0) {
                    return Err(TreeError::NulInName { path: shown(&entry.path) });
                }
                self.claim_memory(target.len())?;
                let at = self.links.len() as u32;
                self.links.extend(target);
                (S_IFLNK, target.len() as u64, Content::Link(at, target.len() as u32))
            }
            EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
                if !self.limits.devices {
                    return Err(TreeError::DeviceRefused { path: shown(&entry.path) });
                }
                if *major > 0xfff || *minor > 0xf_ffff {
                    let (path, value) = (shown(&entry.path), format!("{major}:{minor}"));
                    return Err(TreeError::OutOfRange { path, what: "device number", value });
                }
                let char = matches!(entry.kind, EntryKind::Char { .. });
                let kind = if char { S_IFCHR } else { S_IFBLK };
                (kind, 0, Content::Device(*major, *minor))
            }
            EntryKind::File => {
                self.claim(entry.size)?;
                let content = match &entry.sparse {
                    Some(segments) => {
                        self.claim_memory(segments.len() * 16 + size_of::<SparseFile>())?;
                        let pieces = segments.iter().map(|s| (s.offset, s.length)).collect();
                        let number = self.sparse.len() as u32;
                        self.sparse.push(SparseFile { data_offset: entry.data_offset, pieces });
                        Content::Sparse(number)
                    }
                    None if entry.size == 0 => Content::None,
                    None => self.in_tar(entry)?,
                };
                (S_IFREG, entry.size, content)
            }
            EntryKind::Hardlink(_) => unreachable!("a hard link has no file of its own"),
            EntryKind::Other(kind) => {
                let path = shown(&entry.path);
                return Err(TreeError::UnknownKind { path, kind: *kind as char });
            }
        })
    }

    /// Where the tar has a file's bytes: within as many blocks as an index can count.
    fn in_tar(&self, entry: &Entry) -> Result<Content, TreeError> {
        let at = entry.data_offset;
        if at / BLOCK > u64::from(u32::MAX) {
            let (path, value) = (shown(&entry.path), at.to_string());
            return Err(TreeError::OutOfRange { path, what: "place in the tar", value });
        }
        Ok(Content::Tar(at))
    }

    /// Takes note of where the tar ends. The kernel reads it in whole blocks: a file that ends in one
    /// that is cut short is kept in a piece of its own.
    pub(crate) fn end_at(&mut self, bytes: u64) -> Result<(), TreeError> {
        let whole = bytes / BLOCK * BLOCK;
        if whole == bytes {
            return Ok(());
        }
        let is_cut = |inode: &Inode| match inode.content {
            Content::Tar(at) => at + inode.size > whole,
            _ => false,
        };
        // It is one of the last, but others may have been made for it before.
        let owner = |id: &u32| self.nodes[*id as usize].linked_to().is_none();
        let mut files = (0..self.nodes.len() as u32).rev().filter(owner);
        let Some(id) = files.find(|id| is_cut(&self.inode_at(*id))) else { return Ok(()) };
        let inode = self.inode_at(id);
        if let Content::Tar(data_offset) = inode.content {
            let number = self.sparse.len() as u32;
            self.sparse.push(SparseFile { data_offset, pieces: vec![(0, inode.size)] });
            self.put_inode(id, &Inode { content: Content::Sparse(number), ..inode })?;
        }
        Ok(())
    }

    fn claim(&mut self, bytes: u64) -> Result<(), TreeError> {
        let limit = self.limits.apparent_bytes;
        let total = self.apparent_bytes.saturating_add(bytes);
        if total > limit {
            return Err(TreeError::TooLarge { bytes: total, limit });
        }
        self.apparent_bytes = total;
        Ok(())
    }

    /// Keeps what a mounted layer can show of an entry's attributes, and says which mode they leave.
    fn keep_xattrs(&mut self, entry: &Entry, mode: u32) -> Result<(u32, u32), TreeError> {
        if entry.xattrs.is_empty() {
            return Ok((mode, 0));
        }
        let path = || shown(&entry.path);
        let kept = xattr::keep(mode, &entry.xattrs)
            .map_err(|name| TreeError::BadXattr { path: path(), name: shown(&name) })?;
        let list = &kept.xattrs;
        let bytes: usize = list.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        if bytes > self.limits.xattr_bytes || list.iter().any(|(_, value)| value.len() > 65535) {
            let limit = self.limits.xattr_bytes.min(65535);
            return Err(TreeError::LargeXattrs { path: path(), bytes, limit });
        }
        Ok((kept.mode, self.pack_xattrs(list)?))
    }
}
