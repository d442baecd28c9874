//! What has been changed in a writable top that is a whole tree, told by comparing all of it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use sys::fs::{FileType, Stat};

use super::{Altered, MAX_DEPTH, UpperError};
use crate::erofs::IndexInode;
use crate::folder::Ownership;
use crate::merged::{Change, Merge, Merged};

/// What was changed in a whole tree that began as what a stack shows.
///
/// A file counts as changed when its kind, permissions, owner, size, time or device differ, as with
/// docker's drivers of this sort; contents are not read. What is not of the stack and yet was there
/// from the beginning is what `is_given` says of a path and what is found there.
pub fn changes_of_whole(
    folder: impl AsFd,
    below: &Merged,
    owners: &Ownership,
    is_given: &dyn Fn(&[u8], &Stat) -> bool,
) -> Result<Vec<Altered>, UpperError> {
    let mut walk = Whole { below, owners, is_given, path: Vec::new(), found: Vec::new() };
    walk.folder(folder, below.root()?.as_ref(), 0)?;
    Ok(walk.found)
}

struct Whole<'a> {
    below: &'a Merged,
    owners: &'a Ownership,
    is_given: &'a dyn Fn(&[u8], &Stat) -> bool,
    path: Vec<u8>,
    found: Vec<Altered>,
}

impl Whole<'_> {
    fn folder(
        &mut self,
        folder: impl AsFd,
        below: Option<&Merge>,
        depth: usize,
    ) -> Result<(), UpperError> {
        let folder = folder.as_fd();
        if depth > MAX_DEPTH {
            let text = format!("more than {MAX_DEPTH} folders deep");
            return Err(self.read_error(io::Error::other(text)));
        }
        let mut old: BTreeMap<Vec<u8>, Merge> = match below {
            Some(below) => self.below.entries(below)?.collect::<Result<_, _>>()?,
            None => BTreeMap::new(),
        };
        old.retain(|_, merge| self.owners.can_have(merge.top().inode.mode));
        let names = sys::fs::names(folder).map_err(|error| self.read_error(error))?;
        let mut all: BTreeMap<Vec<u8>, Option<Option<Merge>>> = BTreeMap::new();
        for (name, _) in names {
            let before = old.remove(&name);
            all.insert(name, Some(before));
        }
        all.extend(old.into_keys().map(|name| (name, None)));
        for (name, state) in all {
            let length = self.path.len();
            self.path.push(b'/');
            self.path.extend(&name);
            match state {
                Some(before) => self.entry(folder, &name, before.as_ref(), depth)?,
                None => self.note(Change::Deleted),
            }
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: impl AsFd,
        name: &[u8],
        old: Option<&Merge>,
        depth: usize,
    ) -> Result<(), UpperError> {
        let folder = folder.as_fd();
        let stat = sys::fs::stat(folder, name).map_err(|error| self.read_error(error))?;
        let here = if old.is_some() { Change::Changed } else { Change::Added };
        let is_same = match old {
            Some(old) => !self.differs(&stat, &old.top().inode)?,
            None => (self.is_given)(&self.path, &stat),
        };
        let place = self.found.len();
        if !is_same {
            self.note(here);
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        let inner =
            sys::fs::folder_beneath(folder, name).map_err(|error| self.read_error(error))?;
        let old = old.filter(|old| old.top().inode.is_folder());
        self.folder(&inner, old, depth + 1)?;
        if is_same && self.found.len() > place {
            // A folder in which something changed counts as changed.
            self.found.insert(place, Altered { path: self.path.clone(), change: here });
        }
        Ok(())
    }

    fn differs(&self, now: &Stat, before: &IndexInode) -> Result<bool, UpperError> {
        let owner = self.owners.on_disk(before.uid, before.gid);
        let owner = owner.map_err(|error| self.read_error(error))?;
        let device = (rustix::fs::major(now.st_rdev), rustix::fs::minor(now.st_rdev));
        let is_device = before.device.is_some();
        Ok(now.st_mode != self.owners.mode_on_disk(before.mode)
            || (now.st_uid, now.st_gid) != owner
            || (now.st_mtime, now.st_mtime_nsec as u32) != before.mtime
            || (is_device && before.device != Some(device))
            || (!before.is_folder() && !is_device && now.st_size as u64 != before.size))
    }

    fn note(&mut self, change: Change) {
        self.found.push(Altered { path: self.path.clone(), change });
    }

    fn read_error(&self, source: io::Error) -> UpperError {
        let path = if self.path.is_empty() { b"/".to_vec() } else { self.path.clone() };
        UpperError::Read { path, source }
    }
}
