//! Where `COPY` and `ADD` take files from: a folder of the host, or the mounted files of a stage or
//! an image. Files are looked at in place; nothing is copied before its layer is written.

mod item;
mod walk;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ::build::change::Exact;
use ::build::ignore::Ignore;
use sys::fs::{FileType, Stat};

use super::hashes::{Hash, Hashes, Seen};
use crate::error::{EngineError, Result};

pub(super) use item::{Chosen, Identity, Item, ItemSource, ItemStat};
use walk::Walk;

/// A tree of files to take from.
pub(super) struct Place {
    /// Its top.
    pub(super) root: OwnedFd,
    /// What messages call it.
    pub(super) name: String,
    /// A context's own facts; the files of an image keep their owners and times instead.
    pub(super) context: Option<ContextFacts>,
}

/// What is special about a context: some files are left out, and what is in the others is
/// remembered.
pub(super) struct ContextFacts {
    pub(super) ignore: Ignore,
    pub(super) hashes: Hashes,
    /// The time that its files are to have, if they are to have one of their own.
    pub(super) time: Option<i64>,
}

/// Folders in folders are followed so deep.
const MAX_DEPTH: usize = 1024;
/// A new folder's permissions, and those of a context's top, whatever the host's folder has.
pub(super) const FOLDER_MODE: u32 = 0o755;

impl Place {
    /// Chooses what a source means: a path, perhaps a pattern, from the top. A pattern may mean
    /// nothing; a path that does is an error.
    pub(super) fn choose(self: &Arc<Place>, source: &str, exclude: &Ignore) -> Result<Vec<Chosen>> {
        let paths = self.paths(source, false)?;
        paths.into_iter().map(|path| self.choose_one(path, exclude, b"")).collect()
    }

    /// The same for `--parents`: `**` means folders in folders too, and what is left out is told by
    /// the paths that are kept.
    pub(super) fn choose_with_parents(
        self: &Arc<Place>,
        source: &str,
        exclude: &Ignore,
    ) -> Result<Vec<Chosen>> {
        let names = |text: &str| text.split('/').filter(|part| !matches!(*part, "" | ".")).count();
        let dropped = source.find("/./").map_or(0, |at| names(&source[..at]));
        let chosen = |path: Vec<u8>| {
            let kept = path.split(|byte| *byte == b'/').skip(dropped).collect::<Vec<_>>();
            let kept = kept.join(&b'/');
            let mut chosen = self.choose_one(path, exclude, &kept)?;
            chosen.path = kept;
            Ok(chosen)
        };
        self.paths(source, true)?.into_iter().map(chosen).collect()
    }

    /// The same where more is said than `COPY` can.
    pub(super) fn choose_exactly(
        self: &Arc<Place>,
        source: &str,
        exclude: &Ignore,
        exact: &Exact,
    ) -> Result<Vec<Chosen>> {
        let clean = ::build::config::absolute("/", source);
        let clean = clean.trim_start_matches('/');
        let paths = match exact.is_literal || !has_pattern(clean) {
            true => vec![clean.as_bytes().to_vec()],
            false => self.expand(clean, false)?,
        };
        if paths.is_empty() && exact.must_match {
            return Err(self.missing(clean.as_bytes()));
        }
        let chosen = |path: Vec<u8>| match exact.keeps_link && self.is_link(&path)? {
            true => self.choose_link(path),
            false => self.choose_one(path, exclude, b""),
        };
        paths.into_iter().map(chosen).collect()
    }

    /// Whether a path is a link, once the links above it are followed.
    fn is_link(&self, path: &[u8]) -> Result<bool> {
        let Some(real) = self.real_above(path)? else { return Ok(false) };
        let stat = sys::fs::stat(&self.root, real.as_slice()).map_err(|_| self.missing(path))?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }

    /// A link itself.
    fn choose_link(self: &Arc<Place>, path: Vec<u8>) -> Result<Chosen> {
        let real = self.real_above(&path)?.unwrap_or_default();
        let stat = sys::fs::stat(&self.root, real.as_slice()).map_err(|_| self.missing(&path))?;
        let mut chosen = self.chosen(&real, path);
        chosen.items.push(self.first_item(&chosen, &stat)?);
        Ok(chosen)
    }

    /// A path with the links above its last name followed; nothing for the top.
    fn real_above(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = at.map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]));
        Ok(if name.is_empty() { None } else { Some(join(&self.real(above, 0)?, name)) })
    }

    /// The paths that a source names.
    pub(super) fn paths(&self, source: &str, deep: bool) -> Result<Vec<Vec<u8>>> {
        let clean = ::build::config::absolute("/", source);
        let clean = clean.trim_start_matches('/');
        match has_pattern(clean) {
            true => self.expand(clean, deep),
            false => Ok(vec![clean.as_bytes().to_vec()]),
        }
    }

    fn missing(&self, path: &[u8]) -> EngineError {
        let path = String::from_utf8_lossy(path);
        EngineError::Refused(format!(
            "failed to compute cache key: failed to calculate checksum of ref {}: \"/{path}\": not found",
            self.name
        ))
    }

    /// `kept`: what stands before a path where it is told what is left out.
    fn choose_one(
        self: &Arc<Place>,
        path: Vec<u8>,
        exclude: &Ignore,
        kept: &[u8],
    ) -> Result<Chosen> {
        let real = self.real(&path, 0)?;
        if self.is_excluded(&real) && !real.is_empty() {
            let text = String::from_utf8_lossy(&real).into_owned();
            let open = self.context.as_ref().is_some_and(|own| !own.ignore.skips_folder(&text));
            let folder = sys::fs::folder_beneath(&self.root, real.as_slice());
            if !open || folder.is_err() {
                return Err(self.missing(&path));
            }
        }
        let at = if real.is_empty() { &b"."[..] } else { &real };
        let stat = sys::fs::stat(&self.root, at).map_err(|_| self.missing(&path))?;
        let mut chosen = self.chosen(&real, path);
        chosen.is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !chosen.is_folder {
            let told = if kept.is_empty() { &chosen.name } else { kept };
            if !exclude.excludes(&String::from_utf8_lossy(told)) {
                chosen.items.push(self.first_item(&chosen, &stat)?);
            }
            return Ok(chosen);
        }
        let mut top = self.first_item(&chosen, &stat)?;
        if self.context.is_some() && real.is_empty() {
            top.stat.mode = FOLDER_MODE;
        }
        chosen.items.push(top);
        let folder = sys::fs::folder_beneath(&self.root, at).map_err(self.failed(&real))?;
        let waiting = Vec::new();
        let mut walk = Walk { place: self, exclude, kept, chosen: &mut chosen, waiting };
        walk.folder(&folder, 0..real.len(), 0)?;
        walk.finish();
        Ok(chosen)
    }

    /// What a path means that leads to this one, as far as that is known before it is looked at.
    fn chosen(self: &Arc<Place>, real: &[u8], path: Vec<u8>) -> Chosen {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        let above = real.len() + usize::from(!real.is_empty());
        let (place, paths) = (Some(self.clone()), real.to_vec());
        Chosen { place, paths, name, above, path, ..Chosen::default() }
    }

    /// The file or folder that a path means.
    fn first_item(&self, chosen: &Chosen, stat: &Stat) -> Result<Item> {
        let real = chosen.paths.as_slice();
        self.item(&self.root, real, stat, (real, chosen.last_path(0)?))
    }

    /// The path that a path means when links in it are followed within the place.
    fn real(&self, path: &[u8], depth: usize) -> Result<Vec<u8>> {
        let mut real: Vec<u8> = Vec::new();
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            if part == b".." {
                let cut = real.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                real.truncate(cut);
                continue;
            }
            let mut next = real.clone();
            if !next.is_empty() {
                next.push(b'/');
            }
            next.extend(part);
            let stat =
                sys::fs::stat(&self.root, next.as_slice()).map_err(|_| self.missing(path))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                real = next;
                continue;
            }
            if depth > 40 {
                return Err(self.missing(path));
            }
            let link = sys::fs::read_link(&self.root, next.as_slice());
            let link = link.map_err(self.failed(&next))?;
            let mut whole = if link.starts_with(b"/") { Vec::new() } else { real };
            whole.push(b'/');
            whole.extend(link);
            for part in parts {
                whole.push(b'/');
                whole.extend(part);
            }
            // Whoever asked knows nothing of where a link leads.
            return self.real(&whole, depth + 1).map_err(|error| match error {
                EngineError::Refused(_) => self.missing(path),
                other => other,
            });
        }
        Ok(real)
    }

    /// Paths that match a pattern, part by part; if `deep`, `**` is any number of folders.
    fn expand(&self, pattern: &str, deep: bool) -> Result<Vec<Vec<u8>>> {
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            let mut next = Vec::new();
            for above in found {
                match part {
                    // A folder is meant with all that is in it.
                    "**" if deep && is_last => next.push(above),
                    "**" if deep => self.folders_below(above, &mut next, 0)?,
                    part if !has_pattern(part) => next.push(join(&above, part.as_bytes())),
                    part => {
                        for (name, _) in self.names(&above)? {
                            let matches = spec::path_match(part, &String::from_utf8_lossy(&name));
                            let matches = matches.map_err(|error| {
                                EngineError::Refused(format!("{error}: {pattern}"))
                            })?;
                            if matches {
                                next.push(join(&above, &name));
                            }
                        }
                    }
                }
            }
            // Two ways through folders may lead to the same.
            next.sort_unstable();
            next.dedup();
            found = next;
        }
        found.retain(|path| {
            let is_there = sys::fs::path_in_root(&self.root, path.as_slice()).is_ok()
                || sys::fs::stat(&self.root, path.as_slice()).is_ok();
            is_there && !self.is_excluded(path)
        });
        Ok(found)
    }

    /// A folder and all folders in it, links not followed.
    fn folders_below(&self, above: Vec<u8>, all: &mut Vec<Vec<u8>>, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            let words = format!("more than {MAX_DEPTH} folders deep");
            return Err(self.failed(&above)(io::Error::other(words)));
        }
        for (name, kind) in self.names(&above)? {
            let path = join(&above, &name);
            let text = String::from_utf8_lossy(&path);
            let skips = self.context.as_ref().is_some_and(|own| own.ignore.skips_folder(&text));
            let is_folder = match kind {
                // Some file systems do not say it here.
                FileType::Unknown => sys::fs::folder_beneath(&self.root, path.as_slice()).is_ok(),
                kind => kind == FileType::Directory,
            };
            if is_folder && !(self.is_excluded(&path) && skips) {
                self.folders_below(path, all, depth + 1)?;
            }
        }
        all.push(above);
        Ok(())
    }

    /// What is in a folder; nothing if it is none.
    fn names(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, FileType)>> {
        let at = if path.is_empty() { &b"."[..] } else { path };
        match sys::fs::folder_in_root(&self.root, at) {
            Ok(folder) => sys::fs::names(&folder).map_err(self.failed(path)),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        let Some(own) = &self.context else { return false };
        !own.ignore.is_empty() && own.ignore.excludes(&String::from_utf8_lossy(path))
    }

    /// `path`: its own, and where that stands among those of what was chosen.
    fn item(
        &self,
        folder: impl AsFd,
        name: &[u8],
        stat: &Stat,
        (path, at): (&[u8], (u32, u32)),
    ) -> Result<Item> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let source = match kind {
            FileType::Symlink => {
                let target = sys::fs::read_link(folder, name).map_err(self.failed(path))?;
                ItemSource::Link(target.into())
            }
            _ => ItemSource::Placed,
        };
        let foreign = self.context.is_none();
        let identity = match kind {
            FileType::RegularFile if !foreign => Identity::Seen(Seen::of(stat)),
            FileType::Directory => Identity::Any,
            _ if foreign && stat.st_nlink > 1 => Identity::Shared(stat.st_dev, stat.st_ino),
            _ => Identity::Any,
        };
        let stat = ItemStat {
            kind,
            keeps_time: foreign,
            mode: stat.st_mode & 0o7777,
            owner: if foreign { (stat.st_uid, stat.st_gid) } else { (0, 0) },
            bytes: if kind == FileType::RegularFile { stat.st_size as u64 } else { 0 },
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            device: stat.st_rdev,
            identity,
        };
        Ok(Item { path: at, source, stat })
    }

    /// Why something of it cannot be read. Nothing is put together before that is so: there may be a
    /// hundred thousand files.
    pub(super) fn failed<'a>(
        &'a self,
        path: &'a [u8],
    ) -> impl FnOnce(io::Error) -> EngineError + 'a {
        move |error| {
            let path = format!("{}/{}", self.name, String::from_utf8_lossy(path));
            EngineError::io("read", path)(error)
        }
    }

    /// What is in a file of a context, as a listing tells it. What was read to know that is kept for
    /// the layer, if there is room.
    fn content(&self, item: &mut Item, path: &[u8], room: &mut u64) -> Result<Option<Hash>> {
        if let ItemSource::Passing(passing) = &item.source {
            return Ok(passing.hash());
        }
        let (Some(own), Identity::Seen(seen)) = (&self.context, item.stat.identity) else {
            return Ok(None);
        };
        let found = own.hashes.of(&self.root, path, seen, room).map_err(self.failed(path))?;
        let (hash, bytes) = found;
        if let Some(bytes) = bytes {
            // What was hashed is what is written, whatever becomes of the file.
            item.stat.bytes = bytes.len() as u64;
            item.source = ItemSource::Bytes(bytes);
        }
        Ok(Some(hash))
    }
}

impl Place {
    /// The time that its files are to have, if they are to have one of their own.
    pub(super) fn time(&self) -> Option<i64> {
        self.context.as_ref().and_then(|own| own.time)
    }

    /// Whether it has a file, chosen or not.
    pub(super) fn has(&self, path: &str) -> bool {
        sys::fs::stat(&self.root, path).is_ok()
    }
}

/// Whether a path is a pattern.
fn has_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name);
}

/// A name below a folder.
pub(super) fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = above.to_vec();
    push(&mut path, name);
    path
}
