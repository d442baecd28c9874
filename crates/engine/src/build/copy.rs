//! `COPY` and `ADD`: which file goes where, and the layer that comes of it.
//!
//! First a plan: every path of the layer with what stands there. Then one pass over the plan reads
//! each file where it is and writes it into the layer's tar, which is hashed and indexed as it
//! passes. No file is materialised.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use ::build::change::Moment;
use ::build::instruction::CopyFlags;
use ::build::key::Listing;
use image::codec::expand;
use image::tar::{Entry, EntryKind, Limits, TarReader, TarWriter, Time};
use sys::fs::FileType;

use super::below::Below;
use super::older::Older;
use super::permissions::changed_mode;
use super::place::{Chosen, FOLDER_MODE, Identity, Item, ItemSource, join};
use crate::container::Accounts;
use crate::error::{EngineError, Result};

/// What is copied, before it is known where to.
#[derive(Clone, Default)]
pub(super) struct Gathered {
    /// Files and folders.
    pub(super) chosen: Vec<Chosen>,
    /// Archives that are unpacked, each alone.
    pub(super) archives: Vec<Archive>,
    /// What a key tells file by file, in the order of the sources.
    pub(super) listed: Vec<Listed>,
    /// The latest time that files of repositories were asked to have.
    pub(super) time: Option<i64>,
}

/// An archive that is unpacked.
#[derive(Clone)]
pub(super) struct Archive {
    pub(super) chosen: Chosen,
    /// So many of the files and folders come before it.
    pub(super) after: usize,
}

/// Something gathered, by its place among its like.
#[derive(Clone, Copy)]
pub(super) enum Listed {
    Chosen(usize),
    Archive(usize),
}

/// So much of what was read for a key is kept for the layer.
const KEPT_BYTES: u64 = 32 << 20;

impl Gathered {
    /// Tells each file, for a key.
    pub(super) fn list(&mut self) -> Result<Listing> {
        let (mut listing, mut room) = (Listing::default(), KEPT_BYTES);
        for listed in &self.listed {
            match listed {
                Listed::Chosen(at) => self.chosen[*at].list(&mut listing, &mut room)?,
                Listed::Archive(at) => {
                    self.archives[*at].chosen.list_items(&mut listing, &mut room)?;
                }
            }
        }
        Ok(listing)
    }

    /// Adds an archive, after all that there is.
    pub(super) fn add_archive(&mut self, chosen: Chosen) {
        let after = self.chosen.len();
        self.archives.push(Archive { chosen, after });
    }
}

/// Where and how.
#[derive(Clone, Copy)]
pub(super) struct Placing<'a> {
    /// The absolute path; one that ends in a slash is a folder.
    pub(super) target: &'a str,
    /// The owner of everything.
    pub(super) owner: Option<(u32, u32)>,
    /// How the instruction was written.
    pub(super) flags: &'a CopyFlags,
    /// No time is later, and context files have this one.
    pub(super) epoch: i64,
    /// The time of everything, if it is to have one of its own.
    pub(super) created: Option<Moment>,
}

/// What stands at a path of the layer.
enum Planned {
    /// A folder that was not there and had to be made.
    Folder((u32, u32)),
    /// A file, a folder, a link: this one of what was chosen, and whether nothing was there.
    Item { chosen: usize, item: usize, is_new: bool },
}

/// A layer's paths and what stands there.
pub(super) struct Plan<'a> {
    placing: Placing<'a>,
    below: Below<'a>,
    chosen: Vec<Chosen>,
    planned: BTreeMap<Vec<u8>, Planned>,
    archives: Vec<(Vec<u8>, Archive)>,
    /// A folder that is known to be there.
    there: Vec<u8>,
    /// Where files may be that have not changed.
    older: Option<Older>,
}

impl<'a> Plan<'a> {
    /// Says where all of it goes, in the tree below.
    pub(super) fn new(
        gathered: Gathered,
        placing: Placing<'a>,
        below: Below<'a>,
    ) -> Result<Plan<'a>> {
        let Gathered { chosen, archives: unpacked, .. } = gathered;
        let (planned, archives, there, older) = Default::default();
        let mut plan = Plan { placing, below, chosen, planned, archives, there, older };
        let target = plan.placing.target.trim_matches('/').as_bytes().to_vec();
        let target = plan.below.resolve(&target)?;
        let there = plan.below.kind(&target)?;
        let is_folder = there == Some(FileType::Directory);
        let into = plan.placing.target.ends_with('/') || is_folder || target.is_empty();
        if plan.chosen.is_empty() && unpacked.is_empty() {
            // A pattern that matched nothing.
            return Ok(plan);
        }
        if into && there.is_some_and(|_| !is_folder) && !plan.replaces() {
            return Err(no_folder(&target));
        }
        let chosen = std::mem::take(&mut plan.chosen);
        for (number, source) in chosen.iter().enumerate() {
            plan.source((number, source), &target, into)?;
        }
        plan.chosen = chosen;
        for archive in unpacked {
            plan.parents(&join(&target, b"x"))?;
            plan.archives.push((target.clone(), archive));
        }
        Ok(plan)
    }

    fn source(
        &mut self,
        (number, chosen): (usize, &Chosen),
        target: &[u8],
        into: bool,
    ) -> Result<()> {
        let Chosen { is_folder, path, .. } = chosen;
        let (is_folder, parents) = (*is_folder, self.placing.flags.parents);
        let whole = self.placing.flags.exact.as_ref().is_some_and(|exact| exact.whole_folder);
        let base = match parents {
            false if is_folder && whole && into => {
                join_all(target, path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
            }
            true => {
                let folder = if is_folder { &path[..] } else { parent(path) };
                join_all(target, folder)
            }
            false => target.to_vec(),
        };
        for (at, item) in chosen.items().iter().enumerate() {
            let inner = chosen.inner(item);
            let to = match is_folder || into || parents {
                true => join_all(&base, inner),
                false => base.clone(),
            };
            let planned = (number, at);
            self.item(to, inner.is_empty(), item.stat.kind == FileType::Directory, planned)?;
        }
        Ok(())
    }

    /// `is_top`: the folder whose contents are copied; one that is there stays as it is.
    fn item(
        &mut self,
        to: Vec<u8>,
        is_top: bool,
        is_folder: bool,
        (chosen, item): (usize, usize),
    ) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        self.parents(&to)?;
        let shown = || String::from_utf8_lossy(&to).into_owned();
        let replaces = self.replaces();
        let there = self.kind_below(&to)?;
        match (there, is_folder) {
            (Some(FileType::Directory), true) if is_top => return Ok(()),
            (Some(FileType::Directory), false) if !replaces => {
                return Err(EngineError::Refused(format!(
                    "cannot replace to directory /{} with file",
                    shown()
                )));
            }
            (Some(kind), true) if kind != FileType::Directory && !replaces => {
                return Err(EngineError::Refused(format!(
                    "cannot copy to non-directory: /{}",
                    shown()
                )));
            }
            _ => {}
        }
        if is_top && is_folder && self.planned.contains_key(&to) {
            return Ok(());
        }
        let is_new = there.is_none();
        self.planned.insert(to, Planned::Item { chosen, item, is_new });
        Ok(())
    }

    /// What is at a path below; nothing if a folder above it is new.
    fn kind_below(&self, path: &[u8]) -> Result<Option<FileType>> {
        match self.planned.get(parent(path)) {
            Some(Planned::Folder(_) | Planned::Item { is_new: true, .. }) => Ok(None),
            _ => self.below.kind(path),
        }
    }

    /// Whether what is in the way goes, whatever it is.
    fn replaces(&self) -> bool {
        self.placing.flags.exact.as_ref().is_some_and(|exact| exact.replaces)
    }

    /// Folders above a path that are not there.
    fn parents(&mut self, path: &[u8]) -> Result<()> {
        let above = parent(path);
        if above.is_empty() || above == self.there || self.planned.contains_key(above) {
            return Ok(());
        }
        match self.below.kind(above)? {
            None => {
                self.parents(above)?;
                let owner = self.placing.owner.unwrap_or((0, 0));
                self.planned.insert(above.to_vec(), Planned::Folder(owner));
            }
            Some(kind) => {
                let is_way = matches!(kind, FileType::Directory | FileType::Symlink);
                if !is_way && !self.replaces() {
                    return Err(no_folder(above));
                }
                self.there = above.to_vec();
            }
        }
        Ok(())
    }

    /// The same, with files from where they are as well.
    pub(super) fn reusing(self, older: Option<Older>) -> Plan<'a> {
        Plan { older, ..self }
    }

    /// Writes the layer: paths in their order, and then what archives have.
    pub(super) fn write(self, out: impl Write) -> Result<()> {
        self.write_turns(out, &|_, _| 0)
    }

    /// Writes it in the order of the sources, for whoever lets what comes later count.
    pub(super) fn write_in_turn(self, out: impl Write) -> Result<()> {
        self.write_turns(out, &|chosen, archives| {
            archives.iter().filter(|(_, archive)| archive.after <= chosen).count()
        })
    }

    /// Writes the files whose turn it is, then an archive, and so on. Folders that had to be made come
    /// first.
    fn write_turns(
        mut self,
        out: impl Write,
        turn: &dyn Fn(usize, &[(Vec<u8>, Archive)]) -> usize,
    ) -> Result<()> {
        let mut older = self.older.take();
        let mut tar = TarWriter::new(out);
        let mut shared: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let archives = std::mem::take(&mut self.archives);
        let mut turns: Vec<Vec<(Vec<u8>, Planned)>> = Vec::new();
        turns.resize_with(archives.len() + 1, Vec::new);
        for (path, planned) in std::mem::take(&mut self.planned) {
            let turn = match planned {
                Planned::Folder(_) => 0,
                Planned::Item { chosen, .. } => turn(chosen, &archives),
            };
            turns[turn].push((path, planned));
        }
        let mut archives = archives.into_iter();
        for turn in turns {
            for (path, planned) in turn {
                match planned {
                    Planned::Folder(owner) => {
                        let entry = folder_entry(path, owner, self.time(None));
                        append(&mut tar, &entry, &mut io::empty())?;
                    }
                    Planned::Item { chosen, item, .. } => {
                        let chosen = &self.chosen[chosen];
                        let item = (chosen, &chosen.items()[item]);
                        self.write_item(&mut tar, path, item, (&mut shared, &mut older))?;
                    }
                }
            }
            if let Some((target, archive)) = archives.next() {
                self.unpack(&mut tar, &target, &archive.chosen)?;
            }
        }
        tar.finish().and_then(|mut out| out.flush()).map_err(EngineError::Write)
    }

    fn write_item(
        &self,
        tar: &mut TarWriter<impl Write>,
        path: Vec<u8>,
        (chosen, item): (&Chosen, &Item),
        (shared, older): (&mut HashMap<(u64, u64), Vec<u8>>, &mut Option<Older>),
    ) -> Result<()> {
        let stat = &item.stat;
        let (major, minor) = (rustix::fs::major(stat.device), rustix::fs::minor(stat.device));
        let kind = match stat.kind {
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink(item.link().to_vec()),
            FileType::CharacterDevice => EntryKind::Char { major, minor },
            FileType::BlockDevice => EntryKind::Block { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            _ => EntryKind::File,
        };
        let mut first = None;
        if let Identity::Shared(system, number) = stat.identity {
            first = shared.get(&(system, number)).cloned();
            shared.entry((system, number)).or_insert_with(|| path.clone());
        }
        let (uid, gid) = self.placing.owner.unwrap_or(stat.owner);
        let mode = match (&self.placing.flags.chmod, stat.kind) {
            (_, FileType::Symlink) => 0o777,
            (Some(change), kind) => changed_mode(change, stat.mode, kind == FileType::Directory)?,
            (None, _) => stat.mode,
        };
        let path = if kind == EntryKind::Directory { [&path[..], b"/"].concat() } else { path };
        let entry = Entry {
            path,
            kind: first.clone().map_or(kind, EntryKind::Hardlink),
            mode,
            uid: uid.into(),
            gid: gid.into(),
            mtime: self.time(chosen.time().or(stat.keeps_time.then_some(stat.modified))),
            size: if first.is_some() { 0 } else { stat.bytes },
            xattrs: if first.is_some() { Vec::new() } else { chosen.xattrs(item)? },
            ..Entry::default()
        };
        if entry.size == 0 {
            return append(tar, &entry, &mut io::empty());
        }
        let known = older.as_mut().zip(chosen.known(item));
        match known.and_then(|(older, hash)| older.take(&entry.path, entry.size, &hash)) {
            Some(content) => append(tar, &entry, &mut content.as_slice()),
            None => append(tar, &entry, &mut chosen.open(item)?),
        }
    }

    /// The time that everything is to have, or one that is to be kept if it is not too late; else the
    /// epoch.
    fn time(&self, time: Option<(i64, u32)>) -> Time {
        match (self.placing.created, time) {
            (Some((seconds, nanos)), _) => Time { seconds, nanos },
            (None, Some((seconds, nanos))) if seconds < self.placing.epoch => {
                Time { seconds, nanos }
            }
            _ => Time { seconds: self.placing.epoch, nanos: 0 },
        }
    }

    /// A path with the links that lead to its folder followed.
    fn meant(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Ok(join(&self.below.resolve(parent(path))?, name))
    }

    /// Writes an archive's entries below a folder. Links of the tree below are followed, so that a
    /// `lib` that is a link stays one.
    fn unpack(
        &mut self,
        tar: &mut TarWriter<impl Write>,
        target: &[u8],
        archive: &Chosen,
    ) -> Result<()> {
        let failed = |error: io::Error| EngineError::Read(error);
        let wrong = |error: image::tar::TarError| EngineError::Read(io::Error::other(error));
        let Some(item) = archive.first() else { return Ok(()) };
        let (_, plain) = expand(archive.open(item)?).map_err(failed)?;
        let mut reader = TarReader::new(BufReader::new(plain), Limits::default());
        while let Some(read) = reader.next().map_err(wrong)? {
            let mut entry = read.clone();
            let Some(inner) = clean(&entry.path) else { continue };
            let mut path = self.meant(&join_all(target, &inner))?;
            let there = self.below.kind(&path)?;
            if entry.kind == EntryKind::Directory {
                // A link to a folder stands for it.
                if there == Some(FileType::Symlink) {
                    path = self.below.resolve(&path)?;
                }
                path.push(b'/');
            }
            if let EntryKind::Hardlink(link) = &entry.kind {
                let Some(link) = clean(link) else { continue };
                entry.kind = EntryKind::Hardlink(self.meant(&join_all(target, &link))?);
            }
            entry.path = path;
            entry.sparse = None;
            if let Some((uid, gid)) = self.placing.owner {
                (entry.uid, entry.gid) = (uid.into(), gid.into());
            }
            // What is packed keeps its permissions, whatever `--chmod` says.
            (entry.uname, entry.gname, entry.atime, entry.ctime) = Default::default();
            entry.mtime = self.time(Some((entry.mtime.seconds, entry.mtime.nanos)));
            append(tar, &entry, &mut reader.expanded(&read))?;
        }
        Ok(())
    }
}

/// What a layer says of a file that is gone begins with this.
const HIDES: &[u8] = b".wh.";

/// What is wrong where a folder is wanted and something else is there.
fn no_folder(path: &[u8]) -> EngineError {
    let shown = String::from_utf8_lossy(path);
    let words = format!("cannot copy into /{shown}: it already exists but is not a directory");
    EngineError::Refused(words)
}

/// One folder as a layer's entry.
fn folder_entry(path: Vec<u8>, (uid, gid): (u32, u32), mtime: Time) -> Entry {
    Entry {
        path: [&path[..], b"/"].concat(),
        kind: EntryKind::Directory,
        mode: FOLDER_MODE,
        uid: uid.into(),
        gid: gid.into(),
        mtime,
        ..Entry::default()
    }
}

fn append(tar: &mut TarWriter<impl Write>, entry: &Entry, data: &mut dyn Read) -> Result<()> {
    let path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
    if path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(HIDES)) {
        return Err(EngineError::UnkeepableName(String::from_utf8_lossy(path).into_owned()));
    }
    tar.append(entry, data).map_err(EngineError::Write)
}

/// Whether a file is an archive: something that opens as a tar with one entry at least, by its
/// content and whatever its name is.
pub(super) fn is_archive(chosen: &Chosen) -> bool {
    let Some(item) = chosen.first() else { return false };
    if item.stat.kind != FileType::RegularFile || item.stat.bytes == 0 {
        return false;
    }
    let Ok(reader) = chosen.open(item) else { return false };
    let Ok((_, plain)) = expand(reader) else { return false };
    let mut tar = TarReader::new(BufReader::new(plain), Limits::default());
    matches!(tar.next(), Ok(Some(_)))
}

/// The owner that `--chown` names, looked up in the image alone. A number without a group is its
/// own group, and what is empty is not said.
pub(super) fn owner(text: &str, accounts: &Accounts) -> Result<(u32, u32)> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let number = |text: &str| text.parse::<u32>().ok();
    let (uid, own) = match number(user) {
        Some(uid) => (uid, uid),
        None if user.is_empty() => (0, 0),
        None => accounts.owner(user).ok_or_else(|| {
            EngineError::Refused(format!("can't find uid for user {user}: no such user"))
        })?,
    };
    let gid = match group {
        None => own,
        Some(group) => number(group).or_else(|| accounts.gid(group)).ok_or_else(|| {
            EngineError::Refused(format!("can't find gid for group {group}: no such group"))
        })?,
    };
    Ok((uid, gid))
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |at| &path[..at])
}

fn join_all(above: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() { above.to_vec() } else { join(above, path) }
}

/// An archive's path without what names nothing; none if it names nothing, or leads out.
fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    (!parts.is_empty() && parts.iter().all(|part| *part != b"..")).then(|| parts.join(&b'/'))
}

/// A folder with nothing in it.
pub(super) fn empty_folder() -> Chosen {
    let mut item = Item::made(ItemSource::Bytes(Arc::default()), FOLDER_MODE, 0, None);
    item.stat.kind = FileType::Directory;
    Chosen::made(b"", item)
}

/// A document of the Dockerfile as a file.
pub(super) fn inline(name: &str, content: &str) -> Chosen {
    let bytes: Arc<[u8]> = content.as_bytes().into();
    let item = Item::made(ItemSource::Bytes(bytes), 0o644, content.len() as u64, None);
    Chosen::made(name.as_bytes(), item)
}
