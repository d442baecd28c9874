//! A walk through a folder that was chosen, with all that is in it.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::build::ignore::Ignore;
use sys::fs::FileType;

use super::{Chosen, Item, MAX_DEPTH, Place, join};
use crate::error::Result;

/// A walk through a folder.
pub(super) struct Walk<'a> {
    pub(super) place: &'a Arc<Place>,
    pub(super) exclude: &'a Ignore,
    /// What stands before a path where it is told what is left out.
    pub(super) kept: &'a [u8],
    pub(super) chosen: &'a mut Chosen,
    /// Folders that are left out unless something in them is not.
    pub(super) waiting: Vec<Item>,
}

/// The names in a folder, one after another, in order.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    list: Vec<Name>,
}

/// One of them.
struct Name {
    /// Its first letters as a number, which tells most names apart.
    start: u64,
    at: Range<usize>,
    kind: FileType,
}

impl Names {
    fn read(folder: &OwnedFd) -> io::Result<Names> {
        let mut names = Names::default();
        sys::fs::each_name(folder, |name, kind| {
            let at = names.bytes.len();
            names.bytes.extend(name);
            let mut start = [0; 8];
            let count = name.len().min(start.len());
            start[..count].copy_from_slice(&name[..count]);
            let (start, at) = (u64::from_be_bytes(start), at..names.bytes.len());
            names.list.push(Name { start, at, kind });
        })?;
        let Names { bytes, list } = &mut names;
        list.sort_unstable_by(|one, other| {
            let all = || bytes[one.at.clone()].cmp(&bytes[other.at.clone()]);
            one.start.cmp(&other.start).then_with(all)
        });
        Ok(names)
    }
}

impl Walk<'_> {
    /// Takes all that is in a folder just opened, whose path is at `path` among those that were
    /// chosen.
    pub(super) fn folder(
        &mut self,
        folder: &OwnedFd,
        path: Range<usize>,
        depth: usize,
    ) -> Result<()> {
        let failed = || self.place.failed(&self.chosen.paths[path.clone()]);
        if depth > MAX_DEPTH {
            let words = format!("more than {MAX_DEPTH} folders deep");
            return Err(failed()(io::Error::other(words)));
        }
        let names = Names::read(folder).map_err(failed())?;
        for Name { at: name, kind, .. } in names.list {
            let paths = &mut self.chosen.paths;
            let start = paths.len();
            paths.extend_from_within(path.clone());
            if !path.is_empty() {
                paths.push(b'/');
            }
            paths.extend(&names.bytes[name.clone()]);
            if !self.entry(folder, &names.bytes[name], kind, start, depth)? {
                self.chosen.paths.truncate(start);
            }
        }
        Ok(())
    }

    /// Takes one name, with what is in it; its path is the last, and begins at `start`. Whether its
    /// path is still wanted.
    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &[u8],
        kind: FileType,
        start: usize,
        depth: usize,
    ) -> Result<bool> {
        let path = &self.chosen.paths[start..];
        let out = self.is_out(path);
        // Some file systems do not say what it is before it is looked at.
        let is_other = !matches!(kind, FileType::Directory | FileType::Unknown);
        if kind == FileType::Socket || out && is_other {
            return Ok(false);
        }
        let stat = match sys::fs::stat(folder, name) {
            // It went while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(self.place.failed(path))?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = kind == FileType::Directory;
        if out && (!is_folder || self.skips(path)) || kind == FileType::Socket {
            return Ok(false);
        }
        let at = self.chosen.last_path(start)?;
        let item = self.place.item(folder, name, &stat, (path, at))?;
        match out {
            true => self.waiting.push(item),
            false => {
                self.chosen.items.append(&mut self.waiting);
                self.chosen.items.push(item);
            }
        }
        if is_folder {
            let opened = sys::fs::folder_beneath(folder, name);
            let opened = opened.map_err(self.place.failed(&self.chosen.paths[start..]))?;
            self.folder(&opened, start..self.chosen.paths.len(), depth + 1)?;
            self.waiting.pop_if(|waiting| waiting.path == at);
        }
        Ok(true)
    }

    fn is_out(&self, path: &[u8]) -> bool {
        let exclude = || !self.exclude.is_empty() && self.exclude.excludes(&self.told(path));
        self.place.is_excluded(path) || exclude()
    }

    fn skips(&self, path: &[u8]) -> bool {
        let text = String::from_utf8_lossy(path);
        let of_context =
            self.place.context.as_ref().is_some_and(|own| own.ignore.skips_folder(&text));
        of_context || self.exclude.skips_folder(&self.told(path))
    }

    /// A path as patterns of `--exclude` mean it.
    fn told<'b>(&self, path: &'b [u8]) -> Cow<'b, str> {
        let inner = &path[self.chosen.above..];
        match self.kept.is_empty() {
            true => String::from_utf8_lossy(inner),
            false => Cow::Owned(String::from_utf8_lossy(&join(self.kept, inner)).into_owned()),
        }
    }

    /// Brings all that was taken into the order of its paths. A name goes before what is in it and
    /// there may be others between: `a`, `a.c`, `a/b`. So most of it is in order already.
    pub(super) fn finish(self) {
        let Chosen { paths, items, .. } = self.chosen;
        items.sort_by(|one, other| one.path_in(paths).cmp(other.path_in(paths)));
    }
}
