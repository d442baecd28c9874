//! Where `COPY` and `ADD` take files from: a folder of the host, or the mounted files of a stage or
//! an image. Files are looked at in place; nothing is copied before its layer is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ::build::change::Exact;
use ::build::ignore::Ignore;
use ::build::key::Listing;
use sys::fs::{FileType, Stat};

use super::fetch::Unchanged;
use super::hashes::{Hash, Hashes};
use super::passing::Passing;
use crate::error::{EngineError, Result};

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
}

/// A file that was chosen.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) source: ItemSource,
    pub(super) stat: ItemStat,
    /// The target of a link.
    pub(super) link: Vec<u8>,
}

/// Where its bytes are.
#[derive(Clone)]
pub(super) enum ItemSource {
    /// In a place, at this path from its top.
    Placed(Arc<Place>, Arc<[u8]>),
    /// Here.
    Bytes(Arc<[u8]>),
    /// Here, of a file of the context at this path, which was read before.
    Read(Arc<[u8]>, Arc<[u8]>),
    /// In a file of the context whose hash is made while it is written.
    Passing(Arc<Passing>),
    /// In a file of ours that was fetched.
    Fetched(Arc<std::fs::File>),
    /// Still on the web, and known from before.
    Unchanged(Arc<Unchanged>),
}

/// What is told of a file.
#[derive(Clone, Copy)]
pub(super) struct ItemStat {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) bytes: u64,
    /// Its time, if that is to be kept.
    pub(super) time: Option<(i64, u32)>,
    /// Its time.
    pub(super) modified: (i64, u32),
    pub(super) device: u64,
    /// Which file it is, where it has several names.
    pub(super) shared: Option<(u64, u64)>,
}

/// Files under a source, by their path from it; a single file has its own name.
#[derive(Clone, Default)]
pub(super) struct Chosen {
    pub(super) items: BTreeMap<Vec<u8>, Item>,
    /// Whether the source is a folder, whose contents are meant.
    pub(super) is_folder: bool,
    /// What `--parents` keeps of the source's path: all, or what follows a `/./` in it.
    pub(super) path: Vec<u8>,
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
        let item = self.item(&self.root, &real, &stat, &real)?;
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        Ok(Chosen { items: [(name, item)].into(), is_folder: false, path })
    }

    /// A path with the links above its last name followed; nothing for the top.
    fn real_above(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = at.map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]));
        Ok(if name.is_empty() { None } else { Some(join(&self.real(above, 0)?, name)) })
    }

    /// The paths that a source names.
    fn paths(&self, source: &str, deep: bool) -> Result<Vec<Vec<u8>>> {
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
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let mut chosen = Chosen { is_folder, path: path.clone(), ..Chosen::default() };
        if !is_folder {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let told = if kept.is_empty() { name } else { kept };
            if !exclude.excludes(&String::from_utf8_lossy(told)) {
                let item = self.item(&self.root, &real, &stat, &real)?;
                chosen.items.insert(name.to_vec(), item);
            }
            return Ok(chosen);
        }
        let mut top = self.item(&self.root, &real, &stat, &real)?;
        if self.context.is_some() && real.is_empty() {
            top.stat.mode = FOLDER_MODE;
        }
        chosen.items.insert(Vec::new(), top);
        let folder = sys::fs::folder_beneath(&self.root, at).map_err(self.failed(&real))?;
        let waiting = Vec::new();
        let mut walk = Walk { place: self, exclude, kept, chosen: &mut chosen, waiting };
        walk.folder(&folder, &mut real.clone(), &mut Vec::new(), 0)?;
        Ok(chosen)
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
            return self.real(&whole, depth + 1);
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
        let text = String::from_utf8_lossy(path);
        self.context.as_ref().is_some_and(|own| own.ignore.excludes(&text))
    }

    fn item(
        self: &Arc<Place>,
        folder: impl AsFd,
        name: &[u8],
        stat: &Stat,
        path: &[u8],
    ) -> Result<Item> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let link = match kind {
            FileType::Symlink => sys::fs::read_link(folder, name).map_err(self.failed(path))?,
            _ => Vec::new(),
        };
        let foreign = self.context.is_none();
        let stat = ItemStat {
            kind,
            mode: stat.st_mode & 0o7777,
            owner: if foreign { (stat.st_uid, stat.st_gid) } else { (0, 0) },
            bytes: if kind == FileType::RegularFile { stat.st_size as u64 } else { 0 },
            time: foreign.then_some((stat.st_mtime, stat.st_mtime_nsec as u32)),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            device: stat.st_rdev,
            shared: (foreign && stat.st_nlink > 1 && kind != FileType::Directory)
                .then_some((stat.st_dev, stat.st_ino)),
        };
        Ok(Item { source: ItemSource::Placed(self.clone(), path.into()), stat, link })
    }

    pub(super) fn failed(&self, path: &[u8]) -> impl FnOnce(io::Error) -> EngineError + use<> {
        let path = format!("{}/{}", self.name, String::from_utf8_lossy(path));
        EngineError::io("read", path)
    }

    /// What is in a file of a context, as a listing tells it. What was read to know that is kept for
    /// the layer, if there is room.
    fn content(&self, item: &mut Item, room: &mut u64) -> Result<String> {
        let shown = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = match &item.source {
            ItemSource::Placed(_, path) => path.clone(),
            ItemSource::Passing(passing) => {
                return Ok(passing.hash().map(shown).unwrap_or_default());
            }
            _ => return Ok(String::new()),
        };
        let Some(own) = &self.context else { return Ok(String::new()) };
        let stat = sys::fs::stat(&self.root, &*path).map_err(self.failed(&path))?;
        let found = own.hashes.of(&self.root, &path, &stat, room).map_err(self.failed(&path))?;
        let (hash, bytes) = found;
        if let Some(bytes) = bytes {
            // What was hashed is what is written, whatever becomes of the file.
            item.stat.bytes = bytes.len() as u64;
            item.source = ItemSource::Read(path, bytes);
        }
        Ok(shown(hash))
    }
}

/// A walk through a folder.
struct Walk<'a> {
    place: &'a Arc<Place>,
    exclude: &'a Ignore,
    /// What stands before a path where it is told what is left out.
    kept: &'a [u8],
    chosen: &'a mut Chosen,
    /// Folders that are left out unless something in them is not.
    waiting: Vec<(Vec<u8>, Item)>,
}

impl Walk<'_> {
    /// `path` is from the place's top, `inner` from the source.
    fn folder(
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

impl Place {
    /// Whether it has a file, chosen or not.
    pub(super) fn has(&self, path: &str) -> bool {
        sys::fs::stat(&self.root, path).is_ok()
    }
}

impl Chosen {
    /// Tells what was chosen, for a key.
    pub(super) fn list(
        &mut self,
        place: &Place,
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        for (path, item) in &mut self.items {
            item.list(place, path, listing, room)?;
        }
        Ok(())
    }
}

impl Item {
    /// Tells what it is, for a key; `path` counts where it has none of its own.
    pub(super) fn list(
        &mut self,
        place: &Place,
        path: &[u8],
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        // Of the whole context, so that who reads it finds the file.
        let own: Option<Arc<[u8]>> = match &self.source {
            ItemSource::Placed(_, path) | ItemSource::Read(path, _) => Some(path.clone()),
            ItemSource::Passing(passing) => Some(passing.path.clone()),
            _ => None,
        };
        let path = String::from_utf8_lossy(own.as_deref().unwrap_or(path));
        let (kind, content) = match self.stat.kind {
            FileType::Directory => ('d', "-".to_owned()),
            FileType::Symlink => (
                'l',
                String::from_utf8_lossy(&self.link)
                    .escape_default()
                    .to_string()
                    .replace(' ', "\\x20"),
            ),
            FileType::RegularFile => ('f', place.content(self, room)?),
            _ => ('o', self.stat.device.to_string()),
        };
        let path = if path.is_empty() { "." } else { &path };
        listing.add(kind, self.stat.mode, &content, path);
        Ok(())
    }
}

impl Item {
    /// Opens its bytes.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send + '_>> {
        Ok(match &self.source {
            ItemSource::Placed(place, path) => {
                let file = sys::fs::file_beneath(&place.root, &**path);
                Box::new(file.map_err(place.failed(path))?)
            }
            ItemSource::Bytes(bytes) | ItemSource::Read(_, bytes) => Box::new(&bytes[..]),
            ItemSource::Passing(passing) => passing.open()?,
            ItemSource::Fetched(file) => {
                let io = || EngineError::io("read", "what was fetched");
                let mut file = file.try_clone().map_err(io())?;
                io::Seek::rewind(&mut file).map_err(io())?;
                Box::new(file)
            }
            ItemSource::Unchanged(_) => {
                unreachable!("what has not changed is brought before it is opened")
            }
        })
    }

    /// A file of our own making.
    pub(super) fn made(
        source: ItemSource,
        mode: u32,
        bytes: u64,
        time: Option<(i64, u32)>,
    ) -> Item {
        let stat = ItemStat {
            kind: FileType::RegularFile,
            mode,
            owner: (0, 0),
            bytes,
            time,
            modified: time.unwrap_or_default(),
            device: 0,
            shared: None,
        };
        Item { source, stat, link: Vec::new() }
    }

    /// Extended attributes, where those of the source count.
    pub(super) fn xattrs(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let ItemSource::Placed(place, path) = &self.source else { return Ok(Vec::new()) };
        if place.context.is_some() || self.stat.kind == FileType::Symlink {
            return Ok(Vec::new());
        }
        let at = if path.is_empty() { &b"."[..] } else { path };
        let read = || sys::fs::xattrs(sys::fs::open_path(&place.root, at)?);
        let mut xattrs = read().map_err(place.failed(path))?;
        xattrs.retain(|(name, _)| {
            !name.starts_with(b"trusted.overlay.") && name != b"security.selinux"
        });
        xattrs.sort();
        Ok(xattrs)
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
