//! Puts a layer's files into a folder, in the form that overlay wants for its lower folders.
//!
//! The tree has decided where everything goes, so no path out of the layer is ever resolved: each
//! folder is opened below its parent, and links are never followed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

mod owners;
mod verify;

pub use owners::Ownership;
pub use verify::{ContentCheck, Holds, difference};

use crate::layer::FileSink;
use crate::tar::Entry;
use crate::tree::{Content, LayerTree, NodeId, Placed};

const S_IFMT: u32 = 0o170_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;

/// As many folders as are kept open at once.
const OPEN_FOLDERS: usize = 128;
/// How much of a file is copied at once.
const BUFFER_BYTES: usize = 128 << 10;

/// How overlay's marks are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marks {
    /// As root: a device 0:0 hides, `trusted.overlay.opaque` covers.
    Trusted,
    /// Without: `user.overlay.` attributes, as overlay's `userxattr` option reads them.
    User,
}

impl Marks {
    /// The attribute of a folder that hides what is below it.
    pub fn opaque(self) -> &'static [u8] {
        match self {
            Marks::Trusted => b"trusted.overlay.opaque",
            Marks::User => b"user.overlay.opaque",
        }
    }
}

/// A folder that a layer is unpacked into.
pub struct FolderSink {
    root: OwnedFd,
    marks: Option<Marks>,
    owners: Ownership,
    open: HashMap<u32, OwnedFd>,
    buffer: Vec<u8>,
}

impl FolderSink {
    /// Unpacks into this folder, which must be empty; without marks, what the layer hides of
    /// those below is left to the caller.
    pub fn new(root: OwnedFd, marks: Option<Marks>, owners: Ownership) -> FolderSink {
        FolderSink { root, marks, owners, open: HashMap::new(), buffer: Vec::new() }
    }

    /// Makes the folders and marks that no entry stands for, and gives all folders their
    /// attributes, deepest first, now that nothing is put into them any more. Call it when the
    /// tree is settled.
    pub fn finish(mut self, tree: &LayerTree) -> io::Result<()> {
        let sorted = tree.sorted();
        for &node in &sorted {
            if tree.is_whiteout(node) {
                if self.marks.is_none() {
                    continue;
                }
                let folder = self.folder(tree, tree.parent(node))?;
                sys::fs::make_node(folder, tree.name(node), S_IFCHR, (0, 0))?;
            } else if tree.is_implied(node) {
                self.folder(tree, node)?;
            }
        }
        for &node in sorted.iter().rev().filter(|node| tree.is_folder(**node)) {
            let (marks, owners) = (self.marks, self.owners.clone());
            let parent = self.folder(tree, tree.parent(node))?;
            if let Some(marks) = marks.filter(|_| tree.is_opaque(node)) {
                let folder = sys::fs::open_path(parent, tree.name(node))?;
                sys::fs::set_xattr(&folder, marks.opaque(), b"y")?;
            }
            attributes(parent, tree, node, &owners, tree.name(node))?;
        }
        attributes(&self.root, tree, NodeId::ROOT, &self.owners, b".")
    }

    fn folder(&mut self, tree: &LayerTree, node: NodeId) -> io::Result<&OwnedFd> {
        if node == NodeId::ROOT {
            return Ok(&self.root);
        }
        let key = tree.inode_number(node);
        if !self.open.contains_key(&key) {
            let name = tree.name(node);
            let above = self.folder(tree, tree.parent(node))?;
            let opened = match sys::fs::folder_beneath(above, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tree.is_implied(node) => {
                    sys::fs::make_folder(above, name, 0o700)?;
                    sys::fs::folder_beneath(above, name)?
                }
                other => other?,
            };
            if self.open.len() >= OPEN_FOLDERS {
                self.open.clear();
            }
            self.open.insert(key, opened);
        }
        Ok(&self.open[&key])
    }

    fn put_at(
        &mut self,
        tree: &LayerTree,
        node: NodeId,
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        if node == NodeId::ROOT || !self.owners.can_have(tree.inode(node).mode) {
            return Ok(());
        }
        let (owners, mut buffer) = (self.owners.clone(), std::mem::take(&mut self.buffer));
        buffer.resize(BUFFER_BYTES, 0);
        let folder = self.folder(tree, tree.parent(node))?;
        let result = match tree.is_folder(node) {
            true => put_folder(folder, tree.name(node)),
            false => put_file(folder, tree, node, entry, data, &mut buffer)
                .and_then(|()| attributes(folder, tree, node, &owners, tree.name(node))),
        };
        self.buffer = buffer;
        result
    }
}

impl FileSink for FolderSink {
    fn put(
        &mut self,
        tree: &LayerTree,
        placed: Placed,
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        match placed {
            // Which marks are needed is known when the tree is settled.
            Placed::Skipped | Placed::Hidden(_) | Placed::Opaque(_) => Ok(()),
            Placed::At(node) => self.put_at(tree, node, entry, data),
            Placed::Linked { to, .. } if !self.owners.can_have(tree.inode(to).mode) => Ok(()),
            Placed::Linked { at, to } => {
                let from = self.folder(tree, tree.parent(to))?.try_clone()?;
                let into = self.folder(tree, tree.parent(at))?;
                retry_over(into, tree.name(at), || {
                    sys::fs::hard_link(&from, tree.name(to), into, tree.name(at))
                })
            }
        }
    }
}

/// Makes a folder; it may have been implied before it was listed. A file in its place goes.
fn put_folder(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let there = || sys::fs::folder_beneath(folder, name).is_ok();
    match sys::fs::make_folder(folder, name, 0o700) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && there() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            sys::fs::remove_tree(folder, as_os(name))?;
            sys::fs::make_folder(folder, name, 0o700)
        }
        other => other,
    }
}

fn put_file(
    folder: &OwnedFd,
    tree: &LayerTree,
    node: NodeId,
    entry: &Entry,
    data: &mut dyn Read,
    buffer: &mut [u8],
) -> io::Result<()> {
    let (inode, name) = (tree.inode(node), tree.name(node));
    let device = match inode.content {
        Content::Device(major, minor) => (major, minor),
        _ => (0, 0),
    };
    let mut made = None;
    retry_over(folder, name, || {
        match inode.mode & S_IFMT {
            S_IFLNK => sys::fs::make_link(tree.link_target(node), folder, name)?,
            S_IFREG => made = Some(sys::fs::create_new(folder, name, 0o600)?),
            _ => sys::fs::make_node(folder, name, inode.mode, device)?,
        }
        Ok(())
    })?;
    made.map_or(Ok(()), |file| fill(file, entry, data, buffer))
}

/// Runs `make`; if something is in its place, removes that and runs it again.
fn retry_over(
    folder: &OwnedFd,
    name: &[u8],
    mut make: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            sys::fs::remove_tree(folder, as_os(name))?;
            make()
        }
        other => other,
    }
}

fn fill(mut file: File, entry: &Entry, data: &mut dyn Read, buffer: &mut [u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let Some(segments) = &entry.sparse else {
        loop {
            match data.read(buffer)? {
                0 => return Ok(()),
                bytes => file.write_all(&buffer[..bytes])?,
            }
        }
    };
    file.set_len(entry.size)?;
    for segment in segments {
        let (mut at, mut left) = (segment.offset, segment.length);
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let bytes = data.read(&mut buffer[..wanted])?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_all_at(&buffer[..bytes], at)?;
            (at, left) = (at + bytes as u64, left - bytes as u64);
        }
    }
    Ok(())
}

/// Sets owner, mode, attributes and time, in the order in which none undoes another.
fn attributes(
    folder: impl AsFd,
    tree: &LayerTree,
    node: NodeId,
    owners: &Ownership,
    name: &[u8],
) -> io::Result<()> {
    let folder = folder.as_fd();
    let inode = tree.inode(node);
    let (uid, gid) = owners.on_disk(inode.uid, inode.gid)?;
    sys::fs::set_owner(folder, name, uid, gid)?;
    if inode.mode & S_IFMT != S_IFLNK {
        sys::fs::set_mode(folder, name, owners.mode_on_disk(inode.mode) & 0o7777)?;
    }
    let mut xattrs = tree.xattrs(node);
    xattrs.retain(|(name, _)| owners.can_have_xattr(name));
    if !xattrs.is_empty() {
        let file = sys::fs::open_path(folder, name)?;
        for (name, value) in xattrs {
            set_xattr(&file, name, value)?;
        }
    }
    sys::fs::set_mtime(folder, name, inode.mtime, inode.mtime_nanos)
}

/// Sets an attribute; one that this file system cannot keep at all is left out, as docker does.
fn set_xattr(file: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    match sys::fs::set_xattr(file, name, value) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

fn as_os(name: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}
