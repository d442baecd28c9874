//! What has been changed in the writable top of a stack, told by the top alone.

mod whole;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use sys::fs::{FileType, Stat};

use crate::erofs::IndexError;
use crate::folder::Marks;
use crate::merged::{Change, Merge, Merged};

pub use whole::changes_of_whole;

/// A path that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The path from the root, with a slash in front.
    pub path: Vec<u8>,
    /// How.
    pub change: Change,
}

/// Why changes cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum UpperError {
    /// The top cannot be read.
    #[error("cannot read {}", String::from_utf8_lossy(path))]
    Read {
        /// The path in it.
        path: Vec<u8>,
        /// Why.
        source: io::Error,
    },
    /// An index of the stack below cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Folders in folders are followed so deep.
const MAX_DEPTH: usize = 1024;

/// What is in a folder of changes, against the stack below it: parents before children, names in
/// order. Takes as long as there are changes, however large the stack is.
pub fn changes(
    folder: impl AsFd,
    marks: Marks,
    below: &Merged,
) -> Result<Vec<Altered>, UpperError> {
    let mut walk = Walk { marks, below, path: Vec::new(), found: Vec::new() };
    walk.folder(folder, below.root()?.as_ref(), false, 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    marks: Marks,
    below: &'a Merged,
    path: Vec<u8>,
    found: Vec<Altered>,
}

impl Walk<'_> {
    /// `hidden`: the folder covers what is below it, so what it does not have is gone.
    fn folder(
        &mut self,
        folder: impl AsFd,
        below: Option<&Merge>,
        hidden: bool,
        depth: usize,
    ) -> Result<(), UpperError> {
        let folder = folder.as_fd();
        if depth > MAX_DEPTH {
            let text = format!("more than {MAX_DEPTH} folders deep");
            return Err(self.read_error(io::Error::other(text)));
        }
        let names = sys::fs::names(folder).map_err(|error| self.read_error(error))?;
        let mut names: BTreeMap<Vec<u8>, bool> =
            names.into_iter().map(|(name, _)| (name, true)).collect();
        if let Some(below) = below.filter(|_| hidden) {
            for entry in self.below.entries(below)? {
                names.entry(entry?.0).or_insert(false);
            }
        }
        for (name, is_here) in names {
            let before = self.path.len();
            self.path.push(b'/');
            self.path.extend(&name);
            match is_here {
                true => self.entry(folder, &name, below, depth)?,
                false => self.note(Change::Deleted),
            }
            self.path.truncate(before);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: impl AsFd,
        name: &[u8],
        below: Option<&Merge>,
        depth: usize,
    ) -> Result<(), UpperError> {
        let folder = folder.as_fd();
        let stat = sys::fs::stat(folder, name).map_err(|error| self.read_error(error))?;
        let old = match below {
            Some(below) => self.below.child(below, name)?,
            None => None,
        };
        if is_whiteout(&stat) {
            if old.is_some() {
                self.note(Change::Deleted);
            }
            return Ok(());
        }
        self.note(if old.is_some() { Change::Changed } else { Change::Added });
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        let inner =
            sys::fs::folder_beneath(folder, name).map_err(|error| self.read_error(error))?;
        let xattrs = sys::fs::xattrs(&inner).map_err(|error| self.read_error(error))?;
        let opaque = xattrs.iter().any(|(key, value)| key == self.marks.opaque() && value == b"y");
        let old = old.filter(|old| old.top().inode.is_folder());
        self.folder(&inner, old.as_ref(), opaque, depth + 1)
    }

    fn note(&mut self, change: Change) {
        self.found.push(Altered { path: self.path.clone(), change });
    }

    fn read_error(&self, source: io::Error) -> UpperError {
        let path = if self.path.is_empty() { b"/".to_vec() } else { self.path.clone() };
        UpperError::Read { path, source }
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Bytes and entries of a tree; a file with several names counts its bytes once.
pub fn usage(folder: impl AsFd) -> io::Result<(u64, u64)> {
    let mut usage = (0, 0);
    add_usage(folder, &mut usage, &mut HashSet::new(), 0)?;
    Ok(usage)
}

/// Bytes and entries of what was added or changed in a whole tree.
pub fn usage_of_altered(folder: impl AsFd, altered: &[Altered]) -> io::Result<(u64, u64)> {
    let folder = folder.as_fd();
    let (mut usage, mut seen) = ((0, 0), HashSet::new());
    for Altered { path, .. } in altered.iter().filter(|one| one.change != Change::Deleted) {
        let (above, name) = split(path);
        let stat = sys::fs::stat(sys::fs::folder_beneath(folder, above)?, name)?;
        count(&stat, &mut usage, &mut seen);
    }
    Ok(usage)
}

/// A path from the root as a folder and a name in it.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

fn count(stat: &Stat, usage: &mut (u64, u64), seen: &mut HashSet<(u64, u64)>) {
    usage.1 += 1;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        let first = stat.st_nlink < 2 || seen.insert((stat.st_dev, stat.st_ino));
        usage.0 += if first { stat.st_size as u64 } else { 0 };
    }
}

/// Somebody may be at work there: what goes meanwhile takes no space.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn add_usage(
    folder: impl AsFd,
    usage: &mut (u64, u64),
    seen: &mut HashSet<(u64, u64)>,
    depth: usize,
) -> io::Result<()> {
    let folder = folder.as_fd();
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("more than {MAX_DEPTH} folders deep")));
    }
    let Some(names) = unless_gone(sys::fs::names(folder))? else { return Ok(()) };
    for (name, _) in names {
        let Some(stat) = unless_gone(sys::fs::stat(folder, &name))? else { continue };
        count(&stat, usage, seen);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && let Some(inner) = unless_gone(sys::fs::folder_beneath(folder, &name))?
        {
            add_usage(&inner, usage, seen, depth + 1)?;
        }
    }
    Ok(())
}
