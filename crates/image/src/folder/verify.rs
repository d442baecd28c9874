//! Is a folder still what was unpacked into it?
//!
//! Names and attributes are compared with the layer's index, or with the merged indexes of a
//! stack; contents with the layer itself, while it is read once more.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use super::{Marks, Ownership};
use crate::erofs::{IndexInode, Nid};
use crate::layer::FileSink;
use crate::merged::{Merge, Merged, Origin};
use crate::tar::Entry;
use crate::tree::{LayerTree, NodeId, Placed};

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
/// How much is compared at once.
const BUFFER_BYTES: usize = 128 << 10;
/// Times that every file system here can keep: the years from 1970 to 2446.
const TIMES: std::ops::Range<i64> = 0..15_032_385_536;

/// What a folder holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// The files of one layer and its marks, written in this way.
    Layer(Marks),
    /// All that a stack shows.
    Stack,
}

/// The first thing that differs between a folder and what `merged` says of it: the index of its
/// layer alone, or those of its stack.
///
/// In the folder of a stack, the contents of files that the topmost layer did not bring are
/// compared with those in `below`, the folder of the stack below it, if it is there.
pub fn difference(
    folder: impl AsFd,
    merged: &Merged,
    holds: Holds,
    owners: &Ownership,
    below: Option<OwnedFd>,
) -> io::Result<Option<String>> {
    let Some(root) = merged.root().map_err(io::Error::other)? else { return Ok(None) };
    let mut verify =
        Verify { merged, holds, owners, files: HashMap::new(), numbers: HashMap::new() };
    if let Some(why) = verify.entry(folder.as_fd(), b".", root.top())? {
        return Ok(Some(why));
    }
    verify.folder(folder.as_fd(), below, &root, 0)
}

struct Verify<'a> {
    merged: &'a Merged,
    holds: Holds,
    owners: &'a Ownership,
    /// The file on disk that stands for a file of a layer, and the other way round.
    files: HashMap<(usize, Nid), u64>,
    numbers: HashMap<u64, (usize, Nid)>,
}

fn has_other_time(stat: &rustix::fs::Stat, inode: &IndexInode) -> bool {
    let time = (stat.st_mtime, stat.st_mtime_nsec as u32);
    TIMES.contains(&inode.mtime.0) && time != inode.mtime
}

/// As deep as layers may be.
const MAX_DEPTH: usize = 2048;

impl Verify<'_> {
    fn folder(
        &mut self,
        folder: BorrowedFd<'_>,
        below: Option<OwnedFd>,
        merge: &Merge,
        depth: usize,
    ) -> io::Result<Option<String>> {
        if depth > MAX_DEPTH {
            return Ok(Some("its folders have no end".to_owned()));
        }
        let mut names: Vec<Vec<u8>> =
            sys::fs::names(folder)?.into_iter().map(|(name, _)| name).collect();
        names.sort();
        let entries = self.entries(merge)?;
        let mut there = names.iter().peekable();
        for (name, inner) in &entries {
            if let Some(stranger) = there.next_if(|other| *other < name) {
                return Ok(Some(format!("{} is not of the layer", stranger.escape_ascii())));
            }
            if there.next_if_eq(&name).is_none() {
                return Ok(Some(format!("{} is missing", name.escape_ascii())));
            }
            let inside = |why| Some(format!("{}: {why}", name.escape_ascii()));
            if let Some(why) = self.entry(folder, name, inner.top())? {
                return Ok(inside(why));
            }
            let is_of_top = inner.top().layer + 1 == self.merged.len();
            if let Some(below) = below.as_ref().filter(|_| inner.top().inode.is_file())
                && !is_of_top
                && !is_as_below(folder, below.as_fd(), name)?
            {
                return Ok(inside("its content has changed".to_owned()));
            }
            if inner.top().inode.is_folder() {
                let opened = sys::fs::folder_beneath(folder, name.as_slice())?;
                // What is damaged there is told of that stack.
                let below = below.as_ref();
                let below = below.and_then(|it| sys::fs::folder_beneath(it, name.as_slice()).ok());
                if let Some(why) = self.folder(opened.as_fd(), below, inner, depth + 1)? {
                    return Ok(inside(why));
                }
            }
        }
        if let Some(stranger) = there.next() {
            return Ok(Some(format!("{} is not of the layer", stranger.escape_ascii())));
        }
        let stat = sys::fs::stat(folder, b".".as_slice())?;
        let is_other = has_other_time(&stat, &merge.top().inode);
        Ok(is_other.then(|| "its time has changed".to_owned()))
    }

    fn entries(&self, folder: &Merge) -> io::Result<Vec<(Vec<u8>, Merge)>> {
        let can_have =
            |origin: &Origin| origin.inode.is_whiteout() || self.owners.can_have(origin.inode.mode);
        if self.holds == Holds::Stack {
            let entries = self.merged.entries(folder).map_err(io::Error::other)?;
            let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
            entries.retain(|(_, merge)| can_have(merge.top()));
            return Ok(entries);
        }
        // The layer alone, with its marks.
        let top = folder.top();
        let index = self.merged.layer(top.layer);
        let mut list = Vec::new();
        for entry in index.entries(&top.inode).map_err(io::Error::other)? {
            let entry = entry.map_err(io::Error::other)?;
            let inode = index.inode(entry.nid).map_err(io::Error::other)?;
            let origin = Origin { layer: top.layer, inode };
            if can_have(&origin) {
                list.push((entry.name, Merge { parts: vec![origin] }));
            }
        }
        Ok(list)
    }

    /// What is wrong with one entry, if its folder has it at all.
    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        origin: &Origin,
    ) -> io::Result<Option<String>> {
        let inode = &origin.inode;
        let stat = sys::fs::stat(folder, name)?;
        let wrong = |what: &str| Ok(Some(format!("its {what} has changed")));
        if inode.is_whiteout() {
            // A mark is a mark whoever owns it.
            let is_mark = stat.st_mode & S_IFMT == inode.mode & S_IFMT && stat.st_rdev == 0;
            return if is_mark { Ok(None) } else { wrong("kind") };
        }
        let (uid, gid) = self.owners.on_disk(inode.uid, inode.gid)?;
        if stat.st_mode & S_IFMT != inode.mode & S_IFMT {
            return wrong("kind");
        }
        if stat.st_mode != self.owners.mode_on_disk(inode.mode) {
            return wrong("mode");
        }
        if (stat.st_uid, stat.st_gid) != (uid, gid) {
            return wrong("owner");
        }
        // A folder's time says only that something in it changed: first comes what that is.
        if !inode.is_folder() && has_other_time(&stat, inode) {
            return wrong("time");
        }
        if inode.is_file() && stat.st_size as u64 != inode.size {
            return wrong("size");
        }
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        if inode.device.is_some_and(|expected| expected != device) {
            return wrong("device number");
        }
        if inode.is_link() {
            let target = self.merged.layer(origin.layer).link_target(inode);
            if sys::fs::read_link(folder, name)? != target.map_err(io::Error::other)? {
                return wrong("target");
            }
        }
        if sys::fs::xattrs(sys::fs::open_path(folder, name)?)? != self.xattrs(origin)? {
            return wrong("list of extended attributes");
        }
        // Files with one name need no remembering.
        let several = !inode.is_folder() && (inode.links > 1 || stat.st_nlink > 1);
        if several && !self.names_agree((origin.layer, inode.nid()), stat.st_ino) {
            return wrong("set of names");
        }
        Ok(None)
    }

    /// Whether the names of one file are still names of one file.
    fn names_agree(&mut self, file: (usize, Nid), number: u64) -> bool {
        *self.files.entry(file).or_insert(number) == number
            && *self.numbers.entry(number).or_insert(file) == file
    }

    fn xattrs(&self, origin: &Origin) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut list =
            self.merged.layer(origin.layer).xattrs(&origin.inode).map_err(io::Error::other)?;
        // The mark is on disk whoever wrote it, if by another name.
        let trusted = Marks::Trusted.opaque();
        list.retain(|(name, _)| name == trusted || self.owners.can_have_xattr(name));
        match self.holds {
            Holds::Stack => list.retain(|(name, _)| name != trusted),
            Holds::Layer(marks) => {
                for (name, _) in list.iter_mut().filter(|(name, _)| name == trusted) {
                    *name = marks.opaque().to_vec();
                }
            }
        }
        list.sort();
        Ok(list)
    }
}

/// Whether a file has the same bytes as the one of this name in another folder, if that has one as
/// long.
fn is_as_below(folder: BorrowedFd<'_>, below: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let mine = sys::fs::file_beneath(folder, name)?;
    let Ok(theirs) = sys::fs::file_beneath(below, name) else { return Ok(true) };
    let size = mine.metadata()?.len();
    if theirs.metadata()?.len() != size {
        return Ok(true);
    }
    let buffer = || vec![0; BUFFER_BYTES.min(usize::try_from(size).unwrap_or(usize::MAX))];
    let (mut one, mut two) = (buffer(), buffer());
    let mut at = 0;
    // Where both have holes, both have zeros.
    while let Some(start) = [&mine, &theirs]
        .into_iter()
        .map(|file| sys::fs::next_data(file, at))
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .min()
        .filter(|start| *start < size)
    {
        let length = usize::try_from(size - start).unwrap_or(usize::MAX).min(one.len());
        mine.read_exact_at(&mut one[..length], start)?;
        theirs.read_exact_at(&mut two[..length], start)?;
        if one[..length] != two[..length] {
            return Ok(false);
        }
        at = start + length as u64;
    }
    Ok(true)
}

/// Compares the contents of a folder's files with a layer that is being read.
pub struct ContentCheck {
    root: OwnedFd,
    wrong: Vec<(NodeId, String)>,
    mine: Vec<u8>,
    theirs: Vec<u8>,
}

/// As many faults are kept: one is shown, but it may turn out that it was replaced.
const MAX_WRONG: usize = 1000;

impl ContentCheck {
    /// Looks into this folder.
    pub fn new(root: OwnedFd) -> ContentCheck {
        let buffer = || vec![0; BUFFER_BYTES];
        ContentCheck { root, wrong: Vec::new(), mine: buffer(), theirs: buffer() }
    }

    /// The first file of the finished tree whose bytes are not the layer's.
    pub fn finish(self, tree: &LayerTree) -> Option<String> {
        let mut wrong = self.wrong.into_iter().filter(|(node, _)| tree.is_live(*node));
        wrong.next().map(|(node, why)| format!("{}: {why}", tree.path(node).escape_ascii()))
    }

    fn open(&self, tree: &LayerTree, node: NodeId) -> io::Result<File> {
        // From folder to folder: a path may be longer than the kernel takes at once.
        let mut above = vec![node];
        while let Some(folder) = above.last().map(|node| tree.parent(*node))
            && folder != NodeId::ROOT
        {
            above.push(folder);
        }
        let mut folder: Option<OwnedFd> = None;
        while above.len() > 1 {
            let name = tree.name(above.pop().expect("there is more than one"));
            let from = folder.as_ref().map_or(self.root.as_fd(), |folder| folder.as_fd());
            folder = Some(sys::fs::folder_beneath(from, name)?);
        }
        let from = folder.as_ref().map_or(self.root.as_fd(), |folder| folder.as_fd());
        sys::fs::file_beneath(from, tree.name(node))
    }

    fn compare(&mut self, file: &File, entry: &Entry, data: &mut dyn Read) -> io::Result<bool> {
        let whole = [crate::tar::Segment { offset: 0, length: entry.size }];
        let segments = entry.sparse.as_deref().unwrap_or(&whole);
        let mut at = 0;
        for segment in segments {
            if !self.is_hole(file, at, segment.offset)? {
                return Ok(false);
            }
            at = segment.offset + segment.length;
            if !self.is_same(file, *segment, data)? {
                return Ok(false);
            }
        }
        self.is_hole(file, at, entry.size)
    }

    fn is_same(
        &mut self,
        file: &File,
        segment: crate::tar::Segment,
        data: &mut dyn Read,
    ) -> io::Result<bool> {
        let (mut at, mut left) = (segment.offset, segment.length);
        while left > 0 {
            let wanted = self.theirs.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let bytes = data.read(&mut self.theirs[..wanted])?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mine = &mut self.mine[..bytes];
            if file.read_exact_at(mine, at).is_err() || mine != &self.theirs[..bytes] {
                return Ok(false);
            }
            (at, left) = (at + bytes as u64, left - bytes as u64);
        }
        Ok(true)
    }

    /// Whether a stretch reads as zeros; real holes are passed over.
    fn is_hole(&mut self, file: &File, from: u64, to: u64) -> io::Result<bool> {
        let mut at = from;
        while at < to {
            match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => at = data,
                Err(rustix::io::Errno::NXIO) => return Ok(true),
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
            let left = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX);
            let chunk = left.min(4096);
            let mine = &mut self.mine[..chunk];
            if file.read_exact_at(mine, at).is_err() || mine.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += chunk as u64;
        }
        Ok(true)
    }
}

impl FileSink for ContentCheck {
    fn put(
        &mut self,
        tree: &LayerTree,
        placed: Placed,
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        let Placed::At(node) = placed else { return Ok(()) };
        if tree.inode(node).mode & S_IFMT != S_IFREG || self.wrong.len() >= MAX_WRONG {
            return Ok(());
        }
        let file = match self.open(tree, node) {
            Ok(file) => file,
            Err(error) => {
                self.wrong.push((node, format!("it cannot be opened: {error}")));
                return Ok(());
            }
        };
        if !self.compare(&file, entry, data)? {
            self.wrong.push((node, "its content has changed".to_owned()));
        }
        Ok(())
    }
}
