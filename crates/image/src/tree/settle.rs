//! A layer takes its place on a stack: what depends on the layers below is decided.
//!
//! - A folder that the tar did not list gets the attributes that the layers below gave it.
//! - Marks that hide nothing go: a mount would show them, since nothing below is merged with them.
//! - An opaque root becomes one mark for each name below, because overlay merges all roots.

use super::by_name::ByName;
use super::{
    EXPLICIT, LayerTree, NodeId, OPAQUE, REPLACES, S_IFCHR, S_IFDIR, S_IFMT, TreeError, WHITEOUT,
    implied_folder,
};
use crate::tree::Content;

/// A folder's attributes as another layer has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Kind and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds of the modification time.
    pub mtime: i64,
    /// Nanoseconds of it.
    pub mtime_nanos: u32,
    /// Extended attributes but for overlay's own.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the layers below show at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder(Attributes),
    /// Anything else.
    File,
}

/// The layers below, merged.
pub trait Below {
    /// Why they cannot be looked at.
    type Error: From<TreeError>;

    /// What they show at a path, given as cleaned parts.
    fn at(&mut self, path: &[&[u8]]) -> Result<Shown, Self::Error>;

    /// The names in their root.
    fn root_names(&mut self) -> Result<Vec<Vec<u8>>, Self::Error>;
}

/// No layers.
pub struct Bottom;

impl Below for Bottom {
    type Error = TreeError;

    fn at(&mut self, _: &[&[u8]]) -> Result<Shown, TreeError> {
        Ok(Shown::Nothing)
    }

    fn root_names(&mut self) -> Result<Vec<Vec<u8>>, TreeError> {
        Ok(Vec::new())
    }
}

impl LayerTree {
    /// Puts the tree on the layers below it. Afterwards it is what a driver keeps.
    pub fn settle<B: Below>(&mut self, below: &mut B) -> Result<(), B::Error> {
        let root_was_opaque = self.nodes[0].flags & OPAQUE != 0;
        if root_was_opaque {
            self.nodes[0].flags &= !OPAQUE;
            self.spell_out_root(below)?;
        }
        // The marks of folders are taken away last: until then they say what is covered.
        let mut useless = Vec::new();
        for index in 0..self.nodes.len() as u32 {
            let node = NodeId(index);
            let flags = self.nodes[node.index()].flags;
            let implied = flags & (EXPLICIT | WHITEOUT) == 0;
            let marked = self.is_opaque(node);
            if !(implied || marked || flags & WHITEOUT != 0) || !self.is_live(node) {
                continue;
            }
            let shown = match self.is_covered(node) {
                true => Shown::Nothing,
                false => {
                    let path = self.path(node);
                    below.at(&super::clean(&path))?
                }
            };
            let fresh = root_was_opaque && node != NodeId::ROOT;
            match shown {
                Shown::Folder(_) if implied && fresh => {}
                Shown::Folder(attributes) if implied => self.inherit(node, attributes)?,
                Shown::Nothing if flags & WHITEOUT != 0 => self.detach(node),
                Shown::Nothing | Shown::File if marked => useless.push(node),
                _ => {}
            }
        }
        for node in useless {
            self.nodes[node.index()].flags &= !(OPAQUE | REPLACES);
        }
        // Nothing is looked up by its name any more.
        self.table = ByName::default();
        Ok(())
    }

    fn spell_out_root<B: Below>(&mut self, below: &mut B) -> Result<(), B::Error> {
        for name in below.root_names()? {
            match self.child(NodeId::ROOT, &name) {
                // A mark that was there is from now on one of these.
                Some(own) if self.is_whiteout(own) => self.nodes[own.index()].flags &= !EXPLICIT,
                Some(own) => self.nodes[own.index()].flags |= OPAQUE,
                None => {
                    let mut inode = implied_folder();
                    (inode.mode, inode.content) = (S_IFCHR, Content::Device(0, 0));
                    let node = self.insert(NodeId::ROOT, &name, inode)?;
                    self.nodes[node.index()].flags |= WHITEOUT;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing of the layers below can show at a place, because a folder above it hides
    /// all that is below.
    fn is_covered(&self, node: NodeId) -> bool {
        let mut at = node;
        while at != NodeId::ROOT {
            at = self.parent(at);
            if self.is_opaque(at) {
                return true;
            }
        }
        false
    }

    fn inherit(&mut self, node: NodeId, below: Attributes) -> Result<(), TreeError> {
        let xattrs = self.pack_xattrs(&below.xattrs)?;
        let mut inode = self.inode(node);
        inode.mode = S_IFDIR | (below.mode & !S_IFMT);
        (inode.uid, inode.gid) = (below.uid, below.gid);
        (inode.mtime, inode.mtime_nanos) = (below.mtime, below.mtime_nanos);
        inode.xattrs = xattrs;
        self.put_inode(node.0, &inode)
    }
}
