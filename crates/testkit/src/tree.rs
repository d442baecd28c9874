//! How a file tree looks, for comparison entry by entry.

use std::collections::{BTreeMap, HashMap};

use spec::Digest;

/// What an entry is, with what belongs to that alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, by its size and the digest of its bytes.
    File(u64, Digest),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes, sorted.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The same for all names of one file.
    pub file: u64,
}

/// A whole tree: path without a slash in front to entry; the root is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its entries.
    pub nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// One line an entry, with everything that two equal trees have in common.
    pub fn lines(&self) -> BTreeMap<Vec<u8>, String> {
        let mut first: HashMap<u64, &Vec<u8>> = HashMap::new();
        for (path, node) in &self.nodes {
            if node.kind != Kind::Folder {
                first.entry(node.file).or_insert(path);
            }
        }
        let line = |path: &Vec<u8>, node: &Node| {
            let same = first.get(&node.file).filter(|first| **first != path);
            let same = same.map(|first| format!(" = {}", first.escape_ascii()));
            format!("{node}{}", same.unwrap_or_default())
        };
        self.nodes.iter().map(|(path, node)| (path.clone(), line(path, node))).collect()
    }

    /// What differs from another tree, the first few lines of it.
    pub fn differences(&self, other: &Tree) -> Vec<String> {
        let (left, right) = (self.lines(), other.lines());
        let mut list = Vec::new();
        for path in left.keys().chain(right.keys().filter(|path| !left.contains_key(*path))) {
            let (one, two) = (left.get(path), right.get(path));
            if one != two {
                let shown = |line: Option<&String>| line.map_or("-", |line| line).to_owned();
                let path = path.escape_ascii();
                list.push(format!("/{path}\n    {}\n    {}", shown(one), shown(two)));
            }
        }
        list
    }

    /// Fails, with the first differences, unless the trees are equal.
    #[track_caller]
    pub fn must_equal(&self, expected: &Tree, what: &str) {
        let differences = expected.differences(self);
        assert!(
            differences.is_empty(),
            "{what}: {} differences (expected, then found):\n{}",
            differences.len(),
            differences[..differences.len().min(20)].join("\n")
        );
    }

    /// The entry at a path.
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        self.nodes.get(path.as_ref())
    }

    /// The paths, without the root.
    pub fn paths(&self) -> Vec<String> {
        let named = self.nodes.keys().filter(|path| !path.is_empty());
        named.map(|path| path.escape_ascii().to_string()).collect()
    }

    /// The tree without extended attributes whose names `drop` picks.
    pub fn without_xattrs(mut self, drop: impl Fn(&[u8]) -> bool) -> Tree {
        self.nodes.values_mut().for_each(|node| node.xattrs.retain(|(name, _)| !drop(name)));
        self
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Node { mode, uid, gid, mtime: (seconds, nanos), xattrs, .. } = self;
        match &self.kind {
            Kind::Folder => write!(f, "folder")?,
            Kind::File(bytes, digest) => write!(f, "file of {bytes} bytes {}", digest.short())?,
            Kind::Link(target) => write!(f, "link to {}", target.escape_ascii())?,
            Kind::Char(major, minor) => write!(f, "char device {major}:{minor}")?,
            Kind::Block(major, minor) => write!(f, "block device {major}:{minor}")?,
            Kind::Fifo => write!(f, "fifo")?,
            Kind::Socket => write!(f, "socket")?,
        }
        write!(f, " {mode:04o} {uid}:{gid} {seconds}.{nanos:09}")?;
        for (name, value) in xattrs {
            write!(f, " {}={}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}
