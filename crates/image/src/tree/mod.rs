//! A layer as a tree of files, made from its tar one entry at a time.
//!
//! Every driver asks this tree where an entry goes, so that all of them accept, refuse and place
//! the same things. A layer stands on its own: its paths are resolved among its own entries and
//! never against the layers below, as docker does when it unpacks a layer into a folder.
//!
//! Nothing here touches a file. What a name means:
//! - leading `/` and `..` stay inside the root;
//! - a link on the way to an entry is followed inside the layer; one that leads nowhere is refused;
//! - parents that the tar does not list are *implied*: their owner and mode come from the layers
//!   below when the layer is put on a stack, or are `root:root 0755`;
//! - the same name twice is refused, since what it means would depend on who reads it;
//! - `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` all they have in a folder; so does
//!   a device 0:0, which overlay takes for a mark.
//!
//! When all entries are in, [`LayerTree::settle`] puts the tree on the layers below it.

mod add;
mod by_name;
mod inode;
mod name_list;
mod names;
mod node;
mod settle;
mod xattr;

#[cfg(test)]
mod tests;

pub use add::Placed;
pub use names::clean;
pub use settle::{Attributes, Below, Bottom, Shown};

use std::hash::BuildHasher;

use by_name::ByName;
use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;
use name_list::NameList;
use node::{Node, Traits};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;

/// A place in the tree: a name in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// The root of the layer.
    pub const ROOT: NodeId = NodeId(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a layer's tree refuses, in the words of the person who made the layer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TreeError {
    #[error("duplicates of file paths not supported: {0}")]
    Duplicate(String),
    #[error("{0} hides a file of its own layer")]
    HidesOwn(String),
    #[error("{0} hides no file by its name")]
    BadWhiteout(String),
    #[error("{path}: its folder {parent} is not a folder in this layer")]
    ParentNotFolder { path: String, parent: String },
    #[error("{path}: its folder leads through a link that leads nowhere in this layer")]
    DanglingParent { path: String },
    #[error("{path}: too many links on the way")]
    LinkLoop { path: String },
    #[error("{path}: hard link to {target}, which is not in this layer")]
    NoLinkTarget { path: String, target: String },
    #[error("{path}: hard link to a folder or a device marker")]
    BadLinkTarget { path: String },
    #[error("{path}: a name in it is longer than 255 bytes")]
    LongName { path: String },
    #[error("{path}: a zero byte in a name or a link")]
    NulInName { path: String },
    #[error("{path}: more than {limit} folders deep")]
    TooDeep { path: String, limit: usize },
    #[error("{path}: {what} {value} is out of range")]
    OutOfRange { path: String, what: &'static str, value: String },
    #[error("{path}: devices are not allowed here")]
    DeviceRefused { path: String },
    #[error("{path}: unknown kind of entry {kind:?}")]
    UnknownKind { path: String, kind: char },
    #[error("{path}: its extended attributes take {bytes} bytes, more than {limit}")]
    LargeXattrs { path: String, bytes: usize, limit: usize },
    #[error("{path}: its extended attribute {name} is malformed")]
    BadXattr { path: String, name: String },
    #[error("its names and attributes take more than {limit} bytes of memory")]
    TooMuchMemory { limit: usize },
    #[error("more than {limit} entries")]
    TooManyEntries { limit: usize },
    #[error("its files claim {bytes} bytes in all, more than the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
}

/// What a layer may hold.
#[derive(Clone, Copy, Debug)]
pub struct TreeLimits {
    /// Entries, implied folders included.
    pub entries: usize,
    /// The apparent size of all files together: a sparse file may claim what it does not hold.
    pub apparent_bytes: u64,
    /// Folders in folders.
    pub depth: usize,
    /// Extended attributes of one file, names and values.
    pub xattr_bytes: usize,
    /// Memory for all of it: entries, names, links, attributes, maps of sparse files.
    pub memory: usize,
    /// Whether block and character devices may be in it.
    pub devices: bool,
}

impl Default for TreeLimits {
    fn default() -> Self {
        TreeLimits {
            entries: crate::tar::MAX_ENTRIES as usize,
            apparent_bytes: 1 << 40,
            depth: 1024,
            xattr_bytes: 192 << 10,
            memory: 1 << 30,
            devices: true,
        }
    }
}

/// Where a file's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nowhere: a folder, a device, an empty file.
    None,
    /// In the tar, from this byte on, as they are.
    Tar(u64),
    /// In the tar, in pieces: a sparse file; the number is its place in the list of sparse files.
    Sparse(u32),
    /// A link's target: offset and length in the tree's own memory.
    Link(u32, u32),
    /// A device: major and minor.
    Device(u32, u32),
}

/// One file, under however many names.
#[derive(Clone, Copy, Debug)]
pub struct Inode {
    /// Kind and permission bits as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds of the modification time.
    pub mtime: i64,
    /// Nanoseconds of it.
    pub mtime_nanos: u32,
    /// Apparent size.
    pub size: u64,
    /// Where its bytes are.
    pub content: Content,
    /// Offset in the tree's attribute memory, plus one.
    xattrs: u32,
}

const EXPLICIT: u8 = 1;
const NAMED_FROM_ROOT: u8 = 2;
const OPAQUE: u8 = 4;
const WHITEOUT: u8 = 8;
const DEAD: u8 = 16;
/// A whiteout of the same name came first: nothing of the layers below shows through.
const REPLACES: u8 = 32;
/// The file's bytes lie in the tar in pieces.
const SPARSE: u8 = 64;
/// A further name of a file that another place has.
const LINKED: u8 = 128;

/// The data pieces of one sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseFile {
    /// Where in the tar its stored bytes start.
    pub data_offset: u64,
    /// (offset in the file, length) of each piece, in the order in which they are stored.
    pub pieces: Vec<(u64, u64)>,
}

/// A layer's files, names and attributes. See the module's page for what it accepts.
pub struct LayerTree {
    nodes: Vec<Node>,
    names: NameList,
    /// Nanoseconds of modification times, up to the last place that has any: in most layers none
    /// has.
    nanos: Vec<u32>,
    links: Vec<u8>,
    xattrs: Vec<u8>,
    sparse: Vec<SparseFile>,
    /// Places by folder and name, until the tree is settled.
    table: ByName,
    traits: Vec<Traits>,
    traits_table: HashTable<u32>,
    last_traits: u32,
    /// Each list of attributes once, by where it stands: many files have the same.
    lists: HashTable<u32>,
    hasher: DefaultHashBuilder,
    limits: TreeLimits,
    memory: usize,
    apparent_bytes: u64,
    entries: u64,
}

/// A folder that the tar did not list gets these.
const IMPLIED_MODE: u32 = 0o040_755;

impl LayerTree {
    /// A tree with nothing but an implied root.
    pub fn new(limits: TreeLimits) -> LayerTree {
        let mut tree = LayerTree {
            nodes: Vec::new(),
            names: NameList::default(),
            nanos: Vec::new(),
            links: Vec::new(),
            xattrs: Vec::new(),
            sparse: Vec::new(),
            table: ByName::default(),
            traits: Vec::new(),
            traits_table: HashTable::new(),
            last_traits: 0,
            lists: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            limits,
            memory: 0,
            apparent_bytes: 0,
            entries: 0,
        };
        tree.push(Node::default(), &[]);
        tree.put_inode(0, &implied_folder()).expect("a root takes no memory worth a limit");
        tree
    }

    /// How many entries of the tar it has taken.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The number of places ever made; some may be gone again.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The sum of the files' apparent sizes.
    pub fn apparent_bytes(&self) -> u64 {
        self.apparent_bytes
    }

    /// How much memory it takes, about.
    pub fn memory_bytes(&self) -> usize {
        self.memory
    }

    /// Whether the file at a place has extended attributes.
    pub fn has_xattrs(&self, node: NodeId) -> bool {
        self.inode(node).xattrs != 0
    }

    /// The child of a folder with this name, for as long as the tree is not settled.
    fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let is_meant =
            |id: u32| self.nodes[id as usize].parent == parent.0 && self.name_at(id) == name;
        self.table.find(self.hash(parent.0, name), is_meant).map(NodeId)
    }

    /// A place's last name; the root has none.
    pub fn name(&self, node: NodeId) -> &[u8] {
        self.name_at(node.0)
    }

    /// The folder that a place is in; the root is in itself.
    pub fn parent(&self, node: NodeId) -> NodeId {
        NodeId(self.nodes[node.index()].parent)
    }

    /// A place's path from the root, without a slash in front.
    pub fn path(&self, node: NodeId) -> Vec<u8> {
        let mut parts = Vec::new();
        let mut at = node;
        while at != NodeId::ROOT {
            parts.push(self.name(at));
            at = self.parent(at);
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// The file at a place.
    pub fn inode(&self, node: NodeId) -> Inode {
        self.inode_at(node.0)
    }

    /// Kind and permission bits of the file at a place.
    pub fn mode(&self, node: NodeId) -> u32 {
        self.mode_at(node.0)
    }

    /// The file's number, less than `node_count`: two places with the same one are hard links of
    /// each other.
    pub fn inode_number(&self, node: NodeId) -> u32 {
        self.file_at(node.0)
    }

    /// Where a link leads.
    pub fn link_target(&self, node: NodeId) -> &[u8] {
        match self.inode(node).content {
            Content::Link(offset, length) => &self.links[offset as usize..][..length as usize],
            _ => &[],
        }
    }

    /// The pieces of a sparse file.
    pub fn sparse_file(&self, number: u32) -> &SparseFile {
        &self.sparse[number as usize]
    }

    /// Whether the place hides what the layers below have there.
    pub fn is_whiteout(&self, node: NodeId) -> bool {
        self.nodes[node.index()].flags & WHITEOUT != 0
    }

    /// Whether a folder hides what the layers below have in it.
    pub fn is_opaque(&self, node: NodeId) -> bool {
        self.nodes[node.index()].flags & (OPAQUE | REPLACES) != 0 && self.is_folder(node)
    }

    /// Whether this is a folder that the tar did not list, but something below it.
    pub fn is_implied(&self, node: NodeId) -> bool {
        self.nodes[node.index()].flags & (EXPLICIT | WHITEOUT) == 0
    }

    /// Whether this is a folder.
    pub fn is_folder(&self, node: NodeId) -> bool {
        self.mode(node) & S_IFMT == S_IFDIR
    }

    /// Whether the place is still part of the tree.
    pub fn is_live(&self, node: NodeId) -> bool {
        let mut at = node;
        loop {
            if self.nodes[at.index()].flags & DEAD != 0 {
                return false;
            }
            if at == NodeId::ROOT {
                return true;
            }
            at = self.parent(at);
        }
    }

    /// A file's extended attributes.
    pub fn xattrs(&self, node: NodeId) -> Vec<(&[u8], &[u8])> {
        let at = self.inode(node).xattrs;
        if at == 0 {
            return Vec::new();
        }
        let mut bytes = &self.xattrs[at as usize - 1..];
        let count = take_u32(&mut bytes);
        let mut list = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (name_len, value_len) = (take_u32(&mut bytes), take_u32(&mut bytes));
            let (name, rest) = bytes.split_at(name_len as usize);
            let (value, rest) = rest.split_at(value_len as usize);
            list.push((name, value));
            bytes = rest;
        }
        list
    }

    /// Every live place, ordered by folder and then by name, as one pass over a directory wants it.
    pub fn sorted(&self) -> Vec<NodeId> {
        let mut live = vec![false; self.nodes.len()];
        live[0] = true;
        // A node is always made after its folder, so one pass forward decides them all.
        let mut list: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            live[index] = node.flags & DEAD == 0 && live[node.parent as usize];
            if live[index] {
                list.push(NodeId(index as u32));
            }
        }
        list.sort_unstable_by(|a, b| {
            (self.parent(*a).0, self.name(*a)).cmp(&(self.parent(*b).0, self.name(*b)))
        });
        list
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    fn name_at(&self, id: u32) -> &[u8] {
        self.names.get(id)
    }

    /// Notes that so much more memory is taken, or that it is too much.
    fn claim_memory(&mut self, bytes: usize) -> Result<(), TreeError> {
        self.memory = self.memory.saturating_add(bytes);
        match self.memory > self.limits.memory {
            true => Err(TreeError::TooMuchMemory { limit: self.limits.memory }),
            false => Ok(()),
        }
    }

    /// Keeps a list of attributes, if it is not kept yet, and says where it is.
    fn pack_xattrs(&mut self, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<u32, TreeError> {
        if xattrs.is_empty() {
            return Ok(0);
        }
        let mut packed = (xattrs.len() as u32).to_le_bytes().to_vec();
        for (name, value) in xattrs {
            packed.extend((name.len() as u32).to_le_bytes());
            packed.extend((value.len() as u32).to_le_bytes());
            packed.extend(name);
            packed.extend(value);
        }
        let hash = self.hasher.hash_one(packed.as_slice());
        let kept = &self.xattrs;
        let same = |at: &u32| kept[*at as usize..].starts_with(&packed);
        if let Some(at) = self.lists.find(hash, same) {
            return Ok(at + 1);
        }
        self.claim_memory(packed.len() + 8)?;
        let at = self.xattrs.len() as u32;
        self.xattrs.extend(&packed);
        let (kept, hasher) = (&self.xattrs, &self.hasher);
        self.lists.insert_unique(hash, at, |at| hasher.hash_one(list_at(kept, *at)));
        Ok(at + 1)
    }
}

/// The bytes of a packed list of attributes.
fn list_at(kept: &[u8], at: u32) -> &[u8] {
    let whole = &kept[at as usize..];
    let mut rest = whole;
    for _ in 0..take_u32(&mut rest) {
        let (name, value) = (take_u32(&mut rest), take_u32(&mut rest));
        rest = &rest[name as usize + value as usize..];
    }
    &whole[..whole.len() - rest.len()]
}

fn implied_folder() -> Inode {
    Inode {
        mode: IMPLIED_MODE,
        uid: 0,
        gid: 0,
        mtime: 0,
        mtime_nanos: 0,
        size: 0,
        content: Content::None,
        xattrs: 0,
    }
}

fn take_u32(bytes: &mut &[u8]) -> u32 {
    let (head, rest) = bytes.split_at(4);
    *bytes = rest;
    u32::from_le_bytes(head.try_into().expect("four bytes were split off"))
}
