//! Unpacks a tar into a folder: what `cp` brings. No link in the way is followed, so nothing beyond
//! the folder is reached, whatever the archive or the folder holds.

use std::ffi::OsStr;
use std::io::{self, BufRead};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

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

/// How files come to a place that was named.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    /// Whose they become.
    pub(crate) owner: Owner,
    /// Who those are outside, where the folder's users are seen from there: whoever is in the tar is
    /// inside.
    pub(crate) users: Option<&'a IdMaps>,
    /// Whether a file takes the place of a folder of its name, and a folder that of a file.
    pub(crate) replaces: bool,
}

/// Whose files become that are unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever unpacks them.
    Maker,
    /// Whose they are in the tar.
    Own,
    /// This user and group.
    Always(u32, u32),
}

impl Owner {
    fn kept(are_kept: bool) -> Owner {
        if are_kept { Owner::Own } else { Owner::Maker }
    }
}

/// The same to a place that was named. An entry that leads out of it is an error.
pub(crate) fn extract_for(reader: impl BufRead, folder: impl AsFd, how: How<'_>) -> Result<u64> {
    let all = || unpack(reader, folder, how, &clean, true);
    let Some((user, group)) = how.users.and_then(IdMaps::root) else { return all() };
    // Nobody else may make files there.
    sys::owner::making_for(user, group, all).map_err(EngineError::Write)?
}

/// The same with another path for each: none for what is left out.
pub(crate) fn extract_as(
    reader: impl BufRead,
    folder: impl AsFd,
    owners: bool,
    rename: &Rename<'_>,
) -> Result<u64> {
    let how = How { owner: Owner::kept(owners), users: None, replaces: false };
    unpack(reader, folder, how, rename, false)
}

/// Where an entry goes instead of to its own path, if anywhere.
type Rename<'a> = dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a;

impl How<'_> {
    /// The user and group of an entry, if it is given to them.
    fn owner_of(&self, entry: &Entry) -> io::Result<Option<(u32, u32)>> {
        let (user, group) = match self.owner {
            Owner::Maker => return Ok(None),
            Owner::Own => (number(entry.uid)?, number(entry.gid)?),
            Owner::Always(user, group) => (user, group),
        };
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
    how: How<'_>,
    rename: &Rename<'_>,
    is_strict: bool,
) -> Result<u64> {
    let folder = folder.as_fd();
    let mut tar = TarReader::new(reader, Limits::default());
    let (mut bytes, mut folders) = (0, Vec::new());
    while let Some(entry) = tar.next().map_err(|error| EngineError::Read(error.into()))? {
        let Some(path) = rename(&entry.path) else {
            if is_strict && leads_out(&entry.path) {
                let path = String::from_utf8_lossy(&entry.path);
                let words = format!("{path:?} is outside of where it is unpacked");
                return Err(EngineError::Read(io::Error::other(words)));
            }
            continue;
        };
        if let EntryKind::Directory = entry.kind {
            folders.push((path.clone(), entry.clone()));
        }
        let placed = place(&mut tar, folder, &path, &entry, how, rename);
        placed.map_err(|error| wrong(&path, error))?;
        bytes += entry.size;
    }
    // Last, since whatever came into a folder changed its time.
    for (path, entry) in folders.iter().rev() {
        let open = sys::fs::folder_beneath(folder, path.as_slice());
        open.and_then(|open| finish(open, entry, how)).map_err(|error| wrong(path, error))?;
    }
    Ok(bytes)
}

fn wrong(path: &[u8], error: io::Error) -> EngineError {
    let name = String::from_utf8_lossy(path).into_owned();
    match error.get_ref().is_some_and(|inner| inner.is::<OtherKind>()) {
        true => EngineError::Refused(format!("{error}: {name}")),
        false => EngineError::io("write", name)(error),
    }
}

/// What is there is a folder and what comes is none, or the other way round.
#[derive(Debug, thiserror::Error)]
enum OtherKind {
    #[error("cannot overwrite directory with non-directory")]
    Folder,
    #[error("cannot overwrite non-directory with directory")]
    File,
}

/// A path without what does not name anything; none if nothing is left, or it leads out.
pub(crate) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    resolved(path).filter(|parts| !parts.is_empty()).map(|parts| parts.join(&b'/'))
}

/// Whether a path ends beyond where it begins.
fn leads_out(path: &[u8]) -> bool {
    resolved(path).is_none()
}

/// The parts of a path that name something; none if it leads out. Above the root is the root.
fn resolved(path: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_some() || path.starts_with(b"/") => {}
            b".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts)
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
    how: How<'_>,
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
        Some(FileType::Directory) if how.replaces => {
            sys::fs::remove_tree(&parent, OsStr::from_bytes(name))?;
        }
        Some(FileType::Directory) => return Err(io::Error::other(OtherKind::Folder)),
        Some(_) if is_folder && !how.replaces => return Err(io::Error::other(OtherKind::File)),
        Some(_) => sys::fs::remove_file(&parent, name)?,
        None => {}
    }
    match &entry.kind {
        EntryKind::Directory => return sys::fs::make_folder(&parent, name, 0o700),
        EntryKind::File => {
            let mut file = sys::fs::create_new(&parent, name, 0o600)?;
            io::copy(&mut tar.expanded(entry), &mut file)?;
            return finish(&file, entry, how);
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
    if let Some((user, group)) = how.owner_of(entry)? {
        sys::fs::set_owner(&parent, name, user, group)?;
    }
    sys::fs::set_mtime(&parent, name, entry.mtime.seconds, entry.mtime.nanos)
}

/// Gives a file or a folder its owner, its permissions, its attributes and its time. It is open, so
/// that nobody can put a link in its place meanwhile.
fn finish(made: impl AsFd, entry: &Entry, how: How<'_>) -> io::Result<()> {
    use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
    if let Some((user, group)) = how.owner_of(entry)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_and_some_lead_out() {
        let check = |path: &[u8], expected: Option<&[u8]>, out: bool| {
            assert_eq!((clean(path).as_deref(), leads_out(path)), (expected, out));
        };
        check(b"a//./b/", Some(b"a/b"), false);
        check(b"a/../b", Some(b"b"), false);
        check(b"/../b", Some(b"b"), false);
        check(b"./", None, false);
        check(b"a/..", None, false);
        check(b"../b", None, true);
        check(b"a/../../b", None, true);
    }

    /// What is unpacked over a folder `d` with a file in it, and a file `f`.
    fn unpacked(path: &[u8], kind: EntryKind, replaces: bool) -> (Result<u64>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("d/x"), "x").unwrap();
        std::fs::write(folder.path().join("f"), "x").unwrap();
        let mut tar = image::tar::TarWriter::new(Vec::new());
        let entry = Entry { path: path.to_vec(), kind, mode: 0o755, ..Entry::default() };
        tar.append(&entry, &mut io::empty()).unwrap();
        let how = How { owner: Owner::Maker, users: None, replaces };
        let open = sys::fs::open_folder(folder.path()).unwrap();
        (extract_for(tar.finish().unwrap().as_slice(), open, how), folder)
    }

    #[test]
    fn a_file_takes_a_folders_place_where_that_is_asked_for() {
        let said = |result: Result<u64>| result.map_err(|error| error.to_string());
        let words = "cannot overwrite directory with non-directory: d";
        assert_eq!(said(unpacked(b"d", EntryKind::File, false).0), Err(words.to_owned()));
        let words = "cannot overwrite non-directory with directory: f";
        assert_eq!(said(unpacked(b"f", EntryKind::Directory, false).0), Err(words.to_owned()));
        let (done, folder) = unpacked(b"d", EntryKind::File, true);
        done.unwrap();
        assert!(folder.path().join("d").is_file());
        let (done, folder) = unpacked(b"f", EntryKind::Directory, true);
        done.unwrap();
        assert!(folder.path().join("f").is_dir() && folder.path().join("d/x").exists());
    }

    #[test]
    fn what_leads_out_is_told_and_not_left_away() {
        let (out, folder) = unpacked(b"a/../../out", EntryKind::File, true);
        assert!(matches!(out, Err(EngineError::Read(_))), "{out:?}");
        assert!(!folder.path().parent().unwrap().join("out").exists());
        let (inside, folder) = unpacked(b"a/../in", EntryKind::File, true);
        inside.unwrap();
        assert!(folder.path().join("in").exists());
    }
}
