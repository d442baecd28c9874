//! Puts an unpacked layer on a copy of the tree below it.

use std::io;
use std::os::fd::AsFd;

use sys::fs::{FileType, Stat};

use super::{Place, dress, remove, remove_xattr};
use crate::folder::Marks;

/// A folder of the layer that the walk is in.
struct Level {
    /// Its attributes before its files were moved out.
    stat: Stat,
    /// The folders in it that are still to come.
    folders: Vec<Vec<u8>>,
}

/// Moves what a layer holds into a full tree on the same file system, which becomes what the two
/// stacked would look like. The layer's folder is used up: only empty folders and marks are left.
///
/// Files are replaced and never written to, so other names of what lay below keep their data.
pub fn merge(layer: impl AsFd, tree: impl AsFd, marks: Marks) -> io::Result<()> {
    let (mut from, mut to) = (Place::at(layer)?, Place::at(tree)?);
    let mut levels = vec![level(&from, &to, marks)?];
    while let Some(top) = levels.last_mut() {
        if let Some(name) = top.folders.pop() {
            from.enter(&name)?;
            to.enter(&name)?;
            levels.push(level(&from, &to, marks)?);
            continue;
        }
        // Nothing more is put into it, so its time stays.
        dress(from.folder(), &top.stat, to.folder(), b".")?;
        levels.pop();
        if !levels.is_empty() {
            from.leave()?;
            to.leave()?;
        }
    }
    Ok(())
}

/// Merges the files of one folder and makes room for the folders in it.
fn level(from: &Place, to: &Place, marks: Marks) -> io::Result<Level> {
    let mut level = Level { stat: from.stat()?, folders: Vec::new() };
    if take_opaque(from, marks)? {
        for (name, _) in sys::fs::names(to.folder())? {
            remove(to.folder(), &name)?;
        }
    }
    for (name, _) in sys::fs::names(from.folder())? {
        let stat = sys::fs::stat(from.folder(), name.as_slice())?;
        if is_whiteout(&stat) {
            remove(to.folder(), &name)?;
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            make_room(to, &name)?;
            level.folders.push(name);
        } else {
            // A rename replaces a file, but not a folder.
            remove(to.folder(), &name)?;
            sys::fs::rename(from.folder(), name.as_slice(), to.folder(), name.as_slice())?;
        }
    }
    Ok(level)
}

/// Whether the layer's folder hides what is below it. Its mark goes, so that nobody copies it.
fn take_opaque(from: &Place, marks: Marks) -> io::Result<bool> {
    let found = sys::fs::xattrs(from.folder())?;
    let opaque = found.iter().any(|(name, value)| name == marks.opaque() && value == b"y");
    if opaque {
        remove_xattr(from.folder(), marks.opaque())?;
    }
    Ok(opaque)
}

/// Sees to it that a folder has this name.
fn make_room(to: &Place, name: &[u8]) -> io::Result<()> {
    match sys::fs::stat(to.folder(), name) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        Ok(_) => {
            remove(to.folder(), name)?;
            sys::fs::make_folder(to.folder(), name, 0o700)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sys::fs::make_folder(to.folder(), name, 0o700)
        }
        Err(error) => Err(error),
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
