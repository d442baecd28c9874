//! How one entry of a tar becomes a place in the tree.

use std::hash::BuildHasher;

use super::by_name::ByName;
use super::name_list::NameList;
use super::names::{Start, clean, clean_from, shown};
use super::{
    Content, DEAD, EXPLICIT, Inode, LayerTree, NAMED_FROM_ROOT, Node, NodeId, OPAQUE, REPLACES,
    S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, TreeError, WHITEOUT, implied_folder,
};
use crate::tar::{Entry, EntryKind};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// As many links as Linux follows on one path.
const MAX_LINKS: usize = 40;
/// What one place takes besides its name's letters: itself with its file, its part of what finds it.
pub(super) const NODE_MEMORY: usize = size_of::<Node>() + NameList::MEMORY + ByName::MEMORY;

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// It means nothing to the tree (left-overs of other storage drivers, a nameless file).
    Skipped,
    /// A file, a folder or whatever else now stands here.
    At(NodeId),
    /// As `At`, under a second name of a file that the layer already has.
    Linked {
        /// The new name.
        at: NodeId,
        /// The name it was linked to.
        to: NodeId,
    },
    /// This name of the layers below is hidden.
    Hidden(NodeId),
    /// All that the layers below have in this folder is hidden.
    Opaque(NodeId),
}

impl LayerTree {
    /// Takes one entry, or says why the layer is refused.
    pub fn add(&mut self, entry: &Entry) -> Result<Placed, TreeError> {
        self.entries += 1;
        let (start, parts) = clean_from(&entry.path);
        let Some((last, above)) = parts.split_last() else {
            return self.add_root(entry);
        };
        self.check_names(&entry.path, &parts)?;
        if last.starts_with(WHITEOUT_META_PREFIX) {
            if *last != OPAQUE_MARKER {
                return Ok(Placed::Skipped);
            }
            let (folder, _) = self.folder(&entry.path, above)?;
            self.nodes[folder.index()].flags |= OPAQUE;
            return Ok(Placed::Opaque(folder));
        }
        if parts[0].starts_with(WHITEOUT_META_PREFIX) {
            return Ok(Placed::Skipped);
        }
        let (folder, direct) = self.folder(&entry.path, above)?;
        if let Some(hidden) = last.strip_prefix(WHITEOUT_PREFIX) {
            return self.hide(entry, folder, hidden);
        }
        let start = if direct { start } else { Start::Root };
        self.check_duplicate(entry, folder, last, start, direct)?;
        // What overlay takes for a mark must not be a file for another driver.
        if entry.kind == (EntryKind::Char { major: 0, minor: 0 }) {
            return self.hide(entry, folder, last);
        }
        self.place(entry, folder, last, start)
    }

    fn add_root(&mut self, entry: &Entry) -> Result<Placed, TreeError> {
        if entry.kind != EntryKind::Directory {
            return Ok(Placed::Skipped);
        }
        if self.nodes[0].flags & EXPLICIT != 0 {
            return Err(TreeError::Duplicate(shown(&entry.path)));
        }
        let inode = self.make_inode(entry)?;
        self.put_inode(0, &inode)?;
        self.nodes[0].flags |= EXPLICIT;
        Ok(Placed::At(NodeId::ROOT))
    }

    fn check_names(&self, path: &[u8], parts: &[&[u8]]) -> Result<(), TreeError> {
        if parts.iter().any(|part| part.len() > 255) {
            return Err(TreeError::LongName { path: shown(path) });
        }
        if path.contains(&0) {
            return Err(TreeError::NulInName { path: shown(path) });
        }
        self.check_depth(path, parts.len())
    }

    fn check_depth(&self, path: &[u8], depth: usize) -> Result<(), TreeError> {
        match depth > self.limits.depth {
            true => Err(TreeError::TooDeep { path: shown(path), limit: self.limits.depth }),
            false => Ok(()),
        }
    }

    /// The folder named by these parts, made if the layer has not got it yet, and whether the way
    /// to it led through no link.
    fn folder(&mut self, path: &[u8], parts: &[&[u8]]) -> Result<(NodeId, bool), TreeError> {
        let mut at = NodeId::ROOT;
        let mut links = 0;
        let mut direct = true;
        for (index, part) in parts.iter().enumerate() {
            let Some(next) = self.child(at, part) else {
                at = self.imply(at, part)?;
                continue;
            };
            at = match self.mode(next) & S_IFMT {
                S_IFDIR => next,
                S_IFLNK => {
                    direct = false;
                    let found = self.follow(next, &mut links);
                    if links > MAX_LINKS {
                        return Err(TreeError::LinkLoop { path: shown(path) });
                    }
                    found.ok_or_else(|| TreeError::DanglingParent { path: shown(path) })?
                }
                _ => {
                    let parent = shown(&parts[..=index].join(&b'/'));
                    return Err(TreeError::ParentNotFolder { path: shown(path), parent });
                }
            };
        }
        if !direct {
            // A way through links may be deeper than its name.
            self.check_depth(path, self.depth(at) + 1)?;
        }
        Ok((at, direct))
    }

    fn depth(&self, node: NodeId) -> usize {
        let mut depth = 0;
        let mut at = node;
        while at != NodeId::ROOT {
            (at, depth) = (self.parent(at), depth + 1);
        }
        depth
    }

    /// The folder that a link leads to inside this layer, if it does.
    fn follow(&self, link: NodeId, links: &mut usize) -> Option<NodeId> {
        *links += 1;
        if *links > MAX_LINKS {
            return None;
        }
        let target = self.link_target(link);
        let mut at = if target.first() == Some(&b'/') { NodeId::ROOT } else { self.parent(link) };
        for part in target.split(|byte| *byte == b'/') {
            at = match part {
                b"" | b"." => at,
                b".." => self.parent(at),
                part => {
                    let next = self.child(at, part)?;
                    match self.mode(next) & S_IFMT {
                        S_IFDIR => next,
                        S_IFLNK => self.follow(next, links)?,
                        _ => return None,
                    }
                }
            };
        }
        Some(at)
    }

    /// The place that a hard link names; links on the way are followed, the last one is not.
    fn find(&self, name: &[u8]) -> Option<NodeId> {
        let parts = clean(name);
        let (last, above) = parts.split_last()?;
        let mut at = NodeId::ROOT;
        let mut links = 0;
        for part in above {
            let next = self.child(at, part)?;
            at = match self.mode(next) & S_IFMT {
                S_IFDIR => next,
                S_IFLNK => self.follow(next, &mut links)?,
                _ => return None,
            };
        }
        self.child(at, last)
    }

    fn hide(&mut self, entry: &Entry, folder: NodeId, name: &[u8]) -> Result<Placed, TreeError> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(TreeError::BadWhiteout(shown(&entry.path)));
        }
        if let Some(own) = self.child(folder, name) {
            let path = shown(&entry.path);
            return Err(match self.is_whiteout(own) {
                true => TreeError::Duplicate(path),
                false => TreeError::HidesOwn(path),
            });
        }
        let mut inode = implied_folder();
        inode.mode = S_IFCHR;
        inode.content = Content::Device(0, 0);
        let node = self.insert(folder, name, inode)?;
        self.nodes[node.index()].flags |= EXPLICIT | WHITEOUT;
        Ok(Placed::Hidden(node))
    }

    fn check_duplicate(
        &self,
        entry: &Entry,
        folder: NodeId,
        name: &[u8],
        start: Start,
        direct: bool,
    ) -> Result<(), TreeError> {
        let Some(own) = self.child(folder, name) else { return Ok(()) };
        let flags = self.nodes[own.index()].flags;
        let same_start = (flags & NAMED_FROM_ROOT != 0) == (start == Start::Root);
        if direct && same_start && flags & EXPLICIT != 0 && flags & WHITEOUT == 0 {
            return Err(TreeError::Duplicate(shown(&entry.path)));
        }
        Ok(())
    }

    /// Puts the entry at its place; what stood there goes, except that a folder takes a folder's
    /// attributes and keeps its children.
    fn place(
        &mut self,
        entry: &Entry,
        folder: NodeId,
        name: &[u8],
        start: Start,
    ) -> Result<Placed, TreeError> {
        let target = match &entry.kind {
            EntryKind::Hardlink(target) => Some(self.link_node(entry, target)?),
            _ => None,
        };
        let inode = if target.is_none() { Some(self.make_inode(entry)?) } else { None };
        let mut flags = EXPLICIT | if start == Start::Root { NAMED_FROM_ROOT } else { 0 };
        if let Some(old) = self.child(folder, name) {
            let old_mode = self.mode(old) & S_IFMT;
            match &inode {
                Some(inode) if old_mode == S_IFDIR && inode.mode & S_IFMT == S_IFDIR => {
                    self.put_inode(old.0, inode)?;
                    self.nodes[old.index()].flags |= flags;
                    return Ok(Placed::At(old));
                }
                _ => {}
            }
            if self.is_whiteout(old) {
                flags |= REPLACES;
            }
            if target == Some(old) {
                return Ok(Placed::Skipped);
            }
            self.detach(old);
            // What stood there goes first, and may take the link's target with it.
            if let (Some(node), EntryKind::Hardlink(target)) = (target, &entry.kind)
                && !self.is_live(node)
            {
                let (path, target) = (shown(&entry.path), shown(target));
                return Err(TreeError::NoLinkTarget { path, target });
            }
        }
        let node = match (inode, target) {
            (Some(inode), _) => self.insert(folder, name, inode)?,
            (None, Some(target)) => {
                let node = self.insert_name(folder, name)?;
                let file = self.file_at(target.0);
                self.nodes[node.index()].link_to(file);
                node
            }
            (None, None) => unreachable!("an entry is a file of its own or a link to one"),
        };
        self.nodes[node.index()].flags |= flags;
        Ok(match target {
            Some(to) => Placed::Linked { at: node, to },
            None => Placed::At(node),
        })
    }

    fn link_node(&self, entry: &Entry, target: &[u8]) -> Result<NodeId, TreeError> {
        let found = self.find(target).filter(|node| !self.is_whiteout(*node)).ok_or_else(|| {
            TreeError::NoLinkTarget { path: shown(&entry.path), target: shown(target) }
        })?;
        if self.mode(found) & S_IFMT == S_IFDIR {
            return Err(TreeError::BadLinkTarget { path: shown(&entry.path) });
        }
        Ok(found)
    }

    fn imply(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId, TreeError> {
        self.insert(parent, name, implied_folder())
    }

    pub(super) fn insert(
        &mut self,
        parent: NodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<NodeId, TreeError> {
        let node = self.insert_name(parent, name)?;
        self.put_inode(node.0, &inode)?;
        Ok(node)
    }

    fn insert_name(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId, TreeError> {
        if self.nodes.len() >= self.limits.entries {
            return Err(TreeError::TooManyEntries { limit: self.limits.entries });
        }
        self.claim_memory(NODE_MEMORY + name.len())?;
        Ok(self.push(Node::new(parent.0), name))
    }

    pub(super) fn push(&mut self, node: Node, name: &[u8]) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.names.push(name);
        let (nodes, names, hasher) = (&self.nodes, &self.names, &self.hasher);
        self.table.push(|id| {
            let node = &nodes[id as usize];
            (node.flags & DEAD == 0).then(|| hasher.hash_one((node.parent, names.get(id))))
        });
        id
    }

    pub(super) fn detach(&mut self, node: NodeId) {
        let hash = self.hash(self.nodes[node.index()].parent, self.name(node));
        self.table.remove(hash, node.0);
        self.nodes[node.index()].flags |= DEAD;
    }
}
