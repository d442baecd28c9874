//! A walk through a folder that was chosen, with all that is in it.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::build::ignore::Ignore;
use sys::fs::FileType;

use super::{Chosen, Item, MAX_DEPTH, Place, join, push};
use crate::error::Result;

/// A walk through a folder.
pub(super) struct Walk<'a> {
    pub(super) place: &'a Arc<Place>,
    pub(super) exclude: &'a Ignore,
    /// What stands before a path where it is told what is left out.
    pub(super) kept: &'a [u8],
    pub(super) chosen: &'a mut Chosen,
    /// Folders that are left out unless something in them is not.
    pub(super) waiting: Vec<(Vec<u8>, Item)>,
}

impl Walk<'_> {
    /// `path` is from the place's top, `inner` from the source.
    pub(super) fn folder(
        &mut self,
        folder: &OwnedFd,
        path: &mut Vec<u8>,
        inner: &mut Vec<u8>,
        depth: usize,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            let words = format!("more than {MAX_DEPTH} folders deep");
            return Err(self.place.failed(path)(io::Error::other(words)));
        }
        let names = sys::fs::names(folder).map_err(self.place.failed(path))?;
        for (name, _) in names {
            let (before, inner_before) = (path.len(), inner.len());
            push(path, &name);
            push(inner, &name);
            self.entry(folder, &name, path, inner, depth)?;
            path.truncate(before);
            inner.truncate(inner_before);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        inner: &mut Vec<u8>,
        depth: usize,
    ) -> Result<()> {
        let stat = match sys::fs::stat(folder, name) {
            // It went while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(self.place.failed(path))?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = kind == FileType::Directory;
        let out = self.place.is_excluded(path) || self.exclude.excludes(&self.told(inner));
        if out && (!is_folder || self.skips(path, inner)) || kind == FileType::Socket {
            return Ok(());
        }
        let item = self.place.item(folder, name, &stat, path)?;
        match out {
            true => self.waiting.push((inner.clone(), item)),
            false => {
                self.chosen.items.extend(self.waiting.drain(..));
                self.chosen.items.insert(inner.clone(), item);
            }
        }
        if is_folder {
            let opened = sys::fs::folder_beneath(folder, name);
            self.folder(&opened.map_err(self.place.failed(path))?, path, inner, depth + 1)?;
            self.waiting.retain(|(waiting, _)| waiting != inner);
        }
        Ok(())
    }

    fn skips(&self, path: &[u8], inner: &[u8]) -> bool {
        let text = String::from_utf8_lossy(path);
        let of_context =
            self.place.context.as_ref().is_some_and(|own| own.ignore.skips_folder(&text));
        of_context || self.exclude.skips_folder(&self.told(inner))
    }

    /// A path as patterns of `--exclude` mean it.
    fn told<'b>(&self, inner: &'b [u8]) -> Cow<'b, str> {
        match self.kept.is_empty() {
            true => String::from_utf8_lossy(inner),
            false => Cow::Owned(String::from_utf8_lossy(&join(self.kept, inner)).into_owned()),
        }
    }
}
