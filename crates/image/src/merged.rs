//! Looks through a stack of layers without mounting it: what is where, what differs, which layer
//! brought it.
//!
//! A folder of the merged tree is made of the same folder in some of the layers. Two images that
//! share layers share those folders, and comparing them passes over everything that no other
//! layer touches: it takes time in proportion to the difference.

mod compare;
mod walk;

pub use compare::{Change, Difference, SameContent, diff};
pub use walk::{Entries, Walk};

use crate::erofs::{IndexError, IndexInode, IndexReader};

/// How many links are followed on the way to a file: as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// A stack of indexes, bottom first.
pub struct Merged {
    layers: Vec<IndexReader>,
}

/// A file of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer's place in the stack, from the bottom.
    pub layer: usize,
    /// The file.
    pub inode: IndexInode,
}

/// Something in the merged tree: the file on top, and for a folder those below it that it merges
/// with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Top first; only folders have more than one.
    pub parts: Vec<Origin>,
}

impl Merge {
    /// The file whose attributes show.
    pub fn top(&self) -> &Origin {
        &self.parts[0]
    }
}

impl Merged {
    /// Looks through these indexes, bottom first; there must be one.
    pub fn new(layers: Vec<IndexReader>) -> Merged {
        Merged { layers }
    }

    /// The index of a layer.
    pub fn layer(&self, place: usize) -> &IndexReader {
        &self.layers[place]
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer at all.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The root of the merged tree; none without layers.
    pub fn root(&self) -> Result<Option<Merge>, IndexError> {
        let mut parts = Vec::new();
        for (layer, index) in self.layers.iter().enumerate().rev() {
            let inode = index.inode(index.root())?;
            let opaque = index.is_opaque(&inode)?;
            parts.push(Origin { layer, inode });
            if opaque {
                break;
            }
        }
        Ok((!parts.is_empty()).then_some(Merge { parts }))
    }

    /// What is in a folder, in the order of the names.
    pub fn entries(&self, folder: &Merge) -> Result<Entries<'_>, IndexError> {
        Entries::new(self, folder)
    }

    /// What has this name in a folder.
    pub fn child(&self, folder: &Merge, name: &[u8]) -> Result<Option<Merge>, IndexError> {
        let mut merge = Merge { parts: Vec::new() };
        for part in folder.parts.iter().filter(|part| part.inode.is_folder()) {
            let found = self.layers[part.layer].child(&part.inode, name)?;
            if let Some(inode) = found
                && !self.put_below(&mut merge, Origin { layer: part.layer, inode })?
            {
                break;
            }
        }
        Ok((!merge.parts.is_empty()).then_some(merge))
    }

    /// Puts what the next lower layer has under a name below what those above have there, and says
    /// whether more can show through.
    fn put_below(&self, merge: &mut Merge, origin: Origin) -> Result<bool, IndexError> {
        let inode = &origin.inode;
        let shows_more = inode.is_folder() && !self.layers[origin.layer].is_opaque(inode)?;
        // Below a folder nothing but folders count; whatever else is there ends it.
        if !inode.is_whiteout() && (merge.parts.is_empty() || inode.is_folder()) {
            merge.parts.push(origin);
        }
        Ok(shows_more)
    }

    /// What is at a path, given as cleaned parts; links are not followed.
    pub fn find(&self, parts: &[&[u8]]) -> Result<Option<Merge>, IndexError> {
        let Some(mut at) = self.root()? else { return Ok(None) };
        for part in parts {
            match self.child(&at, part)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The same path without links on the way: each is followed, below the root, as a process in
    /// the image would; what is last stays, and be it a link. Where nothing is the way is as given.
    pub fn resolve(&self, parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut pending: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
        let mut way: Vec<Vec<u8>> = Vec::new();
        let mut followed = 0;
        while let Some(part) = pending.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => way.push(part),
            }
            if pending.is_empty() {
                break;
            }
            let so_far: Vec<&[u8]> = way.iter().map(Vec::as_slice).collect();
            let Some(found) = self.find(&so_far)? else { continue };
            let Origin { layer, inode } = found.top();
            if !inode.is_link() || followed == MAX_LINKS {
                continue;
            }
            followed += 1;
            let target = self.layers[*layer].link_target(inode)?;
            match target.starts_with(b"/") {
                true => way.clear(),
                false => drop(way.pop()),
            }
            pending.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
        }
        Ok(way)
    }

    /// Every file below a folder, parents before children, names in order; `path` is the folder's.
    pub fn walk(&self, folder: &Merge, path: Vec<u8>) -> Result<Walk<'_>, IndexError> {
        Walk::new(self, folder, path)
    }
}
