//! How a place and its file are kept: in 24 bytes, because a layer may have a million of them.
//!
//! What many files have in common (owner, attributes, the upper halves of size and time) is kept
//! once, as [`Traits`]. A hard link is a place that names the place of its file.

use std::hash::BuildHasher;

use super::{
    Content, Inode, LINKED, LayerTree, S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, S_IFREG, SPARSE,
    TreeError,
};

/// Blocks of a tar: where a file's bytes start is told in them.
pub(super) const BLOCK: u64 = 512;

/// A name in a folder, and the file that it is a name of.
#[derive(Clone, Copy, Default)]
pub(super) struct Node {
    pub(super) parent: u32,
    /// The lower half of the size.
    size: u32,
    /// The lower half of the modification time's seconds.
    seconds: u32,
    /// A link's target, a device's number, a block of the tar, or a place in the list of sparse
    /// files.
    word: u32,
    traits: u32,
    mode: u16,
    pub(super) flags: u8,
}

/// What files have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Traits {
    uid: u32,
    gid: u32,
    xattrs: u32,
    size_high: u32,
    seconds_high: i32,
}

impl Node {
    pub(super) fn new(parent: u32) -> Node {
        Node { parent, ..Node::default() }
    }

    /// Makes it a further name of the file at another place.
    pub(super) fn link_to(&mut self, file: u32) {
        self.word = file;
        self.flags |= LINKED;
    }

    /// The place that has the file, if that is not this one.
    pub(super) fn linked_to(&self) -> Option<u32> {
        (self.flags & LINKED != 0).then_some(self.word)
    }

    fn put(&mut self, inode: &Inode, traits: u32) {
        (self.mode, self.traits) = (inode.mode as u16, traits);
        (self.size, self.seconds) = (inode.size as u32, inode.mtime as u32);
        self.flags &= !SPARSE;
        self.word = match inode.content {
            Content::None => 0,
            Content::Tar(offset) => (offset / BLOCK) as u32,
            Content::Sparse(number) => {
                self.flags |= SPARSE;
                number
            }
            Content::Link(offset, _) => offset,
            Content::Device(major, minor) => (major << 20) | minor,
        };
    }
}

impl LayerTree {
    /// Kind and permission bits of the file at a place.
    pub(super) fn mode_at(&self, id: u32) -> u32 {
        u32::from(self.nodes[self.file_at(id) as usize].mode)
    }

    /// The place that has the file which this place names.
    pub(super) fn file_at(&self, id: u32) -> u32 {
        self.nodes[id as usize].linked_to().unwrap_or(id)
    }

    pub(super) fn inode_at(&self, id: u32) -> Inode {
        let file = self.file_at(id) as usize;
        let node = &self.nodes[file];
        let traits = &self.traits[node.traits as usize];
        let size = u64::from(traits.size_high) << 32 | u64::from(node.size);
        let mode = u32::from(node.mode);
        let content = match mode & S_IFMT {
            S_IFREG if node.flags & SPARSE != 0 => Content::Sparse(node.word),
            S_IFREG if size > 0 => Content::Tar(u64::from(node.word) * BLOCK),
            S_IFLNK => Content::Link(node.word, node.size),
            S_IFCHR | S_IFBLK => Content::Device(node.word >> 20, node.word & 0xf_ffff),
            _ => Content::None,
        };
        Inode {
            mode,
            uid: traits.uid,
            gid: traits.gid,
            mtime: i64::from(traits.seconds_high) << 32 | i64::from(node.seconds),
            mtime_nanos: self.nanos.get(file).copied().unwrap_or(0),
            size,
            content,
            xattrs: traits.xattrs,
        }
    }

    /// Puts a file at a place.
    pub(super) fn put_inode(&mut self, id: u32, inode: &Inode) -> Result<(), TreeError> {
        let traits = self.keep_traits(Traits {
            uid: inode.uid,
            gid: inode.gid,
            xattrs: inode.xattrs,
            size_high: (inode.size >> 32) as u32,
            seconds_high: (inode.mtime >> 32) as i32,
        })?;
        self.nodes[id as usize].put(inode, traits);
        self.put_nanos(id as usize, inode.mtime_nanos)
    }

    fn put_nanos(&mut self, id: usize, nanos: u32) -> Result<(), TreeError> {
        let more = (id + 1).saturating_sub(self.nanos.len());
        if more > 0 && nanos == 0 {
            return Ok(());
        }
        self.claim_memory(more * size_of::<u32>())?;
        self.nanos.resize(self.nanos.len() + more, 0);
        self.nanos[id] = nanos;
        Ok(())
    }

    fn keep_traits(&mut self, traits: Traits) -> Result<u32, TreeError> {
        // Neighbours are mostly alike.
        if self.traits.get(self.last_traits as usize) == Some(&traits) {
            return Ok(self.last_traits);
        }
        let hash = self.hasher.hash_one(traits);
        let (kept, hasher) = (&self.traits, &self.hasher);
        let found = self.traits_table.find(hash, |at| kept[*at as usize] == traits).copied();
        self.last_traits = match found {
            Some(at) => at,
            None => {
                let at = kept.len() as u32;
                let hash_of = |at: &u32| hasher.hash_one(kept[*at as usize]);
                self.traits_table.insert_unique(hash, at, hash_of);
                self.traits.push(traits);
                self.claim_memory(size_of::<Traits>() + 8)?;
                at
            }
        };
        Ok(self.last_traits)
    }
}
