//! Unpacks a tar into a folder: what `cp` brings. No link in the way is followed, so nothing beyond
//! the folder is reached, whatever the archive or the folder holds.

use std::io::{self, BufRead};
use std::os::fd::{AsFd, OwnedFd};

use image::tar::{Entry, EntryKind, Limits, TarReader};
use spec::IdMaps;
use sys::fs::FileType;

use crate::error::{EngineError, Result};

/// The bits of `st_mode` that say what a node is.
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;

/// Unpacks everything and says how many bytes of files that were. With `owners` files keep theirs.
pub(crate) fn extract(reader: impl BufRead, folder: impl AsFd, owners: bool) -> Result<u64> {
    extract_as(reader, folder, owners, &clean)
}

/// The same into a folder whose users are seen from outside: whoever is in the tar is inside.
pub(crate) fn extract_for(
    reader: impl BufRead,
    folder: impl AsFd,
    owners: bool,
    users: Option<&IdMaps>,
) -> Result<u64> {
    let owners = Owners { are_kept: owners, users };
    let Some((user, group)) = users.and_then(IdMaps::root) else {
        return unpack(reader, folder, owners, &clean);
    };
    // Nobody else may make files there.
    sys::owner::making_for(user, group, || unpack(reader, folder, owners, &clean))
        .map_err(EngineError::Write)?
}

/// The same with another path for each: none for what is left out.
pub(crate) fn extract_as(
    reader: impl BufRead,
    folder: impl AsFd,
    owners: bool,
    rename: &Rename<'_>,
) -> Result<u64> {
    unpack(reader, folder, Owners { are_kept: owners, users: None }, rename)
}

/// Where an entry goes instead of to its own path, if anywhere.
type Rename<'a> = dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a;

/// Whose the files become.
#[derive(Clone, Copy)]
struct Owners<'a> {
    are_kept: bool,
    users: Option<&'a IdMaps>,
}

impl Owners<'_> {
    /// The user and group of an entry, if it is given to them.
    fn of(&self, entry: &Entry) -> io::Result<Option<(u32, u32)>> {
        if !self.are_kept {
            return Ok(None);
        }
        let (user, group) = (number(entry.uid)?, number(entry.gid)?);
        match self.users {
            None => Ok(Some((user, group))),
            Some(users) => {
                let beyond = || io::Error::other(format!("nobody is {user}:{group} inside"));
                users.outside(user, group).ok_or_else(beyond).map(Some)
            }
        }
    }
}

fn unpack(
    reader: impl BufRead,
    folder: impl AsFd,
    owners: Owners<'_>,
    rename: &Rename<'_>,
) -> Result<u64> {
    let folder = folder.as_fd();
    let mut tar = TarReader::new(reader, Limits::default());
    let (mut bytes, mut folders) = (0, Vec::new());
    while let Some(entry) = tar.next().map_err(|error| EngineError::Read(error.into()))? {
        let Some(path) = rename(&entry.path) else { continue };
        if let EntryKind::Directory = entry.kind {
            folders.push((path.clone(), entry.clone()));
        }
        let placed = place(&mut tar, folder, &path, &entry, owners, rename);
        placed.map_err(|error| wrong(&path, error))?;
        bytes += entry.size;
    }
    // Last, since whatever came into a folder changed its time.
    for (path, entry) in folders.iter().rev() {
        let open = sys::fs::folder_beneath(folder, path.as_slice());
        open.and_then(|open| finish(open, entry, owners)).map_err(|error| wrong(path, error))?;
    }
    Ok(bytes)
}

fn wrong(path: &[u8], error: io::Error) -> EngineError {
    EngineError::io("write", String::from_utf8_lossy(path).into_owned())(error)
}

/// A path without what does not name anything; none if nothing is left, or it leads out.
pub(crate) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<&[u8]> = parts.collect();
    (!parts.is_empty() && parts.iter().all(|part| *part != b"..")).then(|| parts.join(&b'/'))
}

/// The folder of a path, made if it is missing, and the last name.
fn parent_of(folder: impl AsFd, path: &[u8]) -> io::Result<(OwnedFd, &[u8])> {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    let (above, name) = match slash {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b"."[..], path),
    };
    let open = |above: &[u8]| sys::fs::folder_beneath(folder.as_fd(), above);
    match open(above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (parent, name) = parent_of(folder.as_fd(), above)?;
            sys::fs::make_folder(&parent, name, 0o755)?;
            drop(parent);
            open(above).map(|parent| (parent, &path[slash.map_or(0, |at| at + 1)..]))
        }
        other => Ok((other?, name)),
    }
}

fn place(
    tar: &mut TarReader<impl BufRead>,
    folder: impl AsFd,
    path: &[u8],
    entry: &Entry,
    owners: Owners<'_>,
    rename: &Rename<'_>,
) -> io::Result<()> {
    let folder = folder.as_fd();
    let (parent, name) = parent_of(folder, path)?;
    let old = match sys::fs::stat(&parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(FileType::from_raw_mode(other?.st_mode)),
    };
    let is_folder = entry.kind == EntryKind::Directory;
    match old {
        Some(FileType::Directory) if is_folder => return Ok(()),
        Some(FileType::Directory) => {
            return Err(io::Error::other("cannot overwrite directory with non-directory"));
        }
        Some(_) if is_folder => {
            return Err(io::Error::other("cannot overwrite non-directory with directory"));
        }
        Some(_) => sys::fs::remove_file(&parent, name)?,
        None => {}
    }
    match &entry.kind {
        EntryKind::Directory => return sys::fs::make_folder(&parent, name, 0o700),
        EntryKind::File => {
            let mut file = sys::fs::create_new(&parent, name, 0o600)?;
            io::copy(&mut tar.expanded(entry), &mut file)?;
            return finish(&file, entry, owners);
        }
        EntryKind::Symlink(target) => sys::fs::make_link(target.as_slice(), &parent, name)?,
        EntryKind::Hardlink(target) => {
            let target = rename(target).ok_or_else(|| io::Error::other("a link leads out"))?;
            let (from, old) = parent_of(folder, &target)?;
            return sys::fs::hard_link(&from, old, &parent, name);
        }
        EntryKind::Char { major, minor } => {
            sys::fs::make_node(&parent, name, CHARACTER | entry.mode & 0o777, (*major, *minor))?;
        }
        EntryKind::Block { major, minor } => {
            sys::fs::make_node(&parent, name, BLOCK | entry.mode & 0o777, (*major, *minor))?;
        }
        EntryKind::Fifo => sys::fs::make_node(&parent, name, FIFO | entry.mode & 0o777, (0, 0))?,
        EntryKind::Other(_) => return Ok(()),
    }
    // A link itself, or a node: nothing here follows one.
    if let Some((user, group)) = owners.of(entry)? {
        sys::fs::set_owner(&parent, name, user, group)?;
    }
    sys::fs::set_mtime(&parent, name, entry.mtime.seconds, entry.mtime.nanos)
}

/// Gives a file or a folder its owner, its permissions, its attributes and its time. It is open, so
/// that nobody can put a link in its place meanwhile.
fn finish(made: impl AsFd, entry: &Entry, owners: Owners<'_>) -> io::Result<()> {
    use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
    if let Some((user, group)) = owners.of(entry)? {
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::fs::fchown(&made, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&made, Mode::from_raw_mode(entry.mode & 0o7777))?;
    for (key, value) in &entry.xattrs {
        sys::fs::set_xattr(&made, key, value)?;
    }
    let time = Timespec { tv_sec: entry.mtime.seconds, tv_nsec: entry.mtime.nanos.into() };
    Ok(rustix::fs::futimens(&made, &Timestamps { last_access: time, last_modification: time })?)
}

fn number(id: u64) -> io::Result<u32> {
    u32::try_from(id).map_err(io::Error::other)
}
