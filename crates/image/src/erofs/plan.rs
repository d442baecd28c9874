//! Where everything in an index stands.
//!
//! Of each file only its place is kept. All else is found again in each pass over the tree, because
//! there may be a million of them: it follows from the place and from what stands before it.

use std::collections::HashMap;
use std::io;

use super::format::{
    BLOCK, DIRENT_BYTES, INODE_BYTES, INODES_OFFSET, NID_UNIT, XATTR_ENTRY_BYTES,
    XATTR_HEADER_BYTES, split_xattr,
};
use crate::tree::{Content, LayerTree, NodeId};

/// The overlay file system's mark of a folder that hides what is below it.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
const UNPLACED: u32 = u32::MAX;

/// Where one inode stands and how its data is laid out.
pub(super) struct Place {
    /// Where it starts, in bytes.
    pub(super) at: u64,
    /// What its extended attributes take.
    pub(super) xattr_bytes: u64,
    /// Its bytes that stand in the index itself.
    pub(super) own_bytes: u64,
    /// Whether what does not fill a block stands right behind it.
    pub(super) inlined: bool,
    /// The first of its data blocks, counted from the start of its area.
    pub(super) block: u64,
    /// How many blocks of a sparse file there are in their area.
    sparse_blocks: u64,
}

impl Place {
    fn end(&self) -> u64 {
        let tail = if self.inlined { self.own_bytes % BLOCK } else { 0 };
        self.at + INODE_BYTES + self.xattr_bytes + tail
    }

    /// The blocks of its own bytes that do not stand behind it.
    pub(super) fn own_blocks(&self) -> u64 {
        if self.inlined { self.own_bytes / BLOCK } else { self.own_bytes.div_ceil(BLOCK) }
    }
}

/// A folder and where its children stand in the sorted list.
#[derive(Clone, Copy)]
pub(super) struct Folder {
    node: NodeId,
    from: u32,
    to: u32,
}

/// A file of the tree, and what is in it if it is a folder.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) node: NodeId,
    pub(super) folder: Option<Folder>,
}

/// The blocks of each area that are given out.
#[derive(Default)]
pub(super) struct Used {
    pub(super) blocks: u64,
    pub(super) sparse: u64,
}

impl Used {
    fn take(&mut self, place: &Place) {
        self.blocks += place.own_blocks();
        self.sparse += place.sparse_blocks;
    }
}

/// What must be known before the first byte is written.
pub(super) struct Plan<'a> {
    pub(super) tree: &'a LayerTree,
    /// All places but the root, by folder and then by name.
    sorted: Vec<NodeId>,
    /// Folders in the order in which they are written.
    folders: Vec<Folder>,
    /// Where each file stands, in units of 32 bytes.
    nids: Vec<u32>,
    /// How many names a file has besides its first one.
    pub(super) more_names: HashMap<u32, u32>,
    pub(super) inodes: u64,
    pub(super) end: u64,
    pub(super) used: Used,
}

impl<'a> Plan<'a> {
    /// Gives every inode its place: a folder, then what is in it, then folder by folder.
    pub(super) fn new(tree: &'a LayerTree) -> Plan<'a> {
        let mut plan = Plan {
            tree,
            sorted: tree.sorted(),
            folders: Vec::new(),
            nids: vec![UNPLACED; tree.node_count()],
            more_names: HashMap::new(),
            inodes: 0,
            end: INODES_OFFSET,
            used: Used::default(),
        };
        let runs = plan.runs();
        plan.place(NodeId::ROOT, &runs);
        let mut next = 0;
        while let Some(Folder { from, to, .. }) = plan.folders.get(next).copied() {
            for index in from..to {
                let child = plan.sorted[index as usize];
                let file = tree.inode_number(child);
                match plan.nids[file as usize] == UNPLACED {
                    true => plan.place(child, &runs),
                    false => *plan.more_names.entry(file).or_insert(0) += 1,
                }
            }
            next += 1;
        }
        plan
    }

    /// For each folder that is not empty: where its children start in the sorted list.
    fn runs(&self) -> Vec<(NodeId, u32)> {
        let mut runs: Vec<(NodeId, u32)> = Vec::new();
        for (index, node) in self.sorted.iter().enumerate() {
            let folder = self.tree.parent(*node);
            if runs.last().is_none_or(|(last, _)| *last != folder) {
                runs.push((folder, index as u32));
            }
        }
        runs
    }

    fn place(&mut self, node: NodeId, runs: &[(NodeId, u32)]) {
        let folder = self.tree.is_folder(node).then(|| {
            let found = runs.binary_search_by_key(&node.index(), |(folder, _)| folder.index());
            let start = |run: usize| runs.get(run).map_or(self.sorted.len() as u32, |run| run.1);
            let (from, to) = found.map_or((0, 0), |run| (start(run), start(run + 1)));
            Folder { node, from, to }
        });
        self.folders.extend(folder);
        let item = Item { node, folder };
        let own_bytes = self.own_bytes(item);
        let (header, tail) = (INODE_BYTES + self.xattr_bytes(node), own_bytes % BLOCK);
        let mut at = self.end.next_multiple_of(NID_UNIT);
        if tail > 0 && !fits_behind(at + header, tail) && header + tail <= BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        let place = self.placed(node, at, own_bytes, &self.used);
        self.nids[self.tree.inode_number(node) as usize] = (at / NID_UNIT) as u32;
        self.inodes += 1;
        self.end = place.end();
        self.used.take(&place);
    }

    /// How an inode that stands here is laid out, when so much is used before it.
    fn placed(&self, node: NodeId, at: u64, own_bytes: u64, used: &Used) -> Place {
        let xattr_bytes = self.xattr_bytes(node);
        let inlined = fits_behind(at + INODE_BYTES + xattr_bytes, own_bytes % BLOCK);
        let inode = self.tree.inode(node);
        let is_sparse = matches!(inode.content, Content::Sparse(_));
        let (block, sparse_blocks) = match is_sparse {
            true => (used.sparse, inode.size.div_ceil(BLOCK)),
            false => (used.blocks, 0),
        };
        Place { at, xattr_bytes, own_bytes, inlined, block, sparse_blocks }
    }

    pub(super) fn nid(&self, node: NodeId) -> u32 {
        self.nids[self.tree.inode_number(node) as usize]
    }

    /// Shows every inode and its place, in the order in which they stand.
    pub(super) fn each(
        &self,
        each: &mut dyn FnMut(Item, &Place) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut used, mut last) = (Used::default(), 0);
        let mut folders = self.folders.iter().copied();
        let named = self.folders.iter().flat_map(|folder| self.children(*folder));
        for &node in std::iter::once(&NodeId::ROOT).chain(named) {
            // What stands before the last one is the file of an earlier name.
            let nid = self.nid(node);
            if nid <= last {
                continue;
            }
            last = nid;
            let folder = if self.tree.is_folder(node) { folders.next() } else { None };
            let item = Item { node, folder };
            let at = u64::from(nid) * NID_UNIT;
            let place = self.placed(node, at, self.own_bytes(item), &used);
            used.take(&place);
            each(item, &place)?;
        }
        Ok(())
    }

    pub(super) fn children(&self, folder: Folder) -> &[NodeId] {
        &self.sorted[folder.from as usize..folder.to as usize]
    }

    /// The bytes of a file that stand in the index itself: a folder's names, a link's target.
    fn own_bytes(&self, item: Item) -> u64 {
        match (item.folder, self.tree.inode(item.node).content) {
            (Some(folder), _) => self.folder_bytes(folder),
            (None, Content::Link(_, length)) => u64::from(length),
            _ => 0,
        }
    }

    fn folder_bytes(&self, folder: Folder) -> u64 {
        let (mut full, mut used) = (0, 0);
        for (name, _) in self.folder_entries(folder) {
            let bytes = DIRENT_BYTES as u64 + name.len() as u64;
            if used + bytes > BLOCK {
                (full, used) = (full + 1, 0);
            }
            used += bytes;
        }
        full * BLOCK + used
    }

    /// A folder's names in order, its own and its parent's dots among them.
    pub(super) fn folder_entries(&self, folder: Folder) -> impl Iterator<Item = (&[u8], NodeId)> {
        let children = self.children(folder);
        let split = |name: &[u8]| children.partition_point(|child| self.tree.name(*child) < name);
        let (one, two) = (split(b"."), split(b".."));
        let named = |at: &NodeId| (self.tree.name(*at), *at);
        let (first, second) = (&children[one..two], &children[two..]);
        let before = children[..one].iter().map(named);
        before
            .chain([(b".".as_slice(), folder.node)])
            .chain(first.iter().map(named))
            .chain([(b"..".as_slice(), self.tree.parent(folder.node))])
            .chain(second.iter().map(named))
    }

    pub(super) fn xattr_entries(&self, node: NodeId) -> Vec<(u8, &[u8], &[u8])> {
        let mut list: Vec<_> = self
            .tree
            .xattrs(node)
            .into_iter()
            .filter_map(|(name, value)| split_xattr(name).map(|(index, rest)| (index, rest, value)))
            .collect();
        if self.tree.is_opaque(node) {
            let (index, rest) = split_xattr(OPAQUE.0).expect("the name has a known prefix");
            list.push((index, rest, OPAQUE.1));
        }
        list
    }

    fn xattr_bytes(&self, node: NodeId) -> u64 {
        if !self.tree.has_xattrs(node) && !self.tree.is_opaque(node) {
            return 0;
        }
        let entries = self.xattr_entries(node);
        if entries.is_empty() {
            return 0;
        }
        let entry = |rest: &[u8], value: &[u8]| {
            (XATTR_ENTRY_BYTES + rest.len() + value.len()).next_multiple_of(4)
        };
        let sum: usize = entries.iter().map(|(_, rest, value)| entry(rest, value)).sum();
        (XATTR_HEADER_BYTES + sum) as u64
    }
}

/// Whether a tail fits behind what ends there: one block must hold both of its ends.
fn fits_behind(end: u64, tail: u64) -> bool {
    tail > 0 && end % BLOCK + tail <= BLOCK
}
