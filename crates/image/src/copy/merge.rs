//! Puts an unpacked layer on a copy of the tree below it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use sys::fs::{FileType, Stat};

use super::{Copier, Place, dress, remove};
use crate::tree::{LayerTree, NodeId};

/// Takes away from the full tree in a folder what a layer hides of it, but for what it has itself
/// in the same place.
pub fn hide(layer: &LayerTree, folder: impl AsFd) -> io::Result<()> {
    let folder = folder.as_fd();
    // Marks of one folder stand side by side.
    let mut last: Option<(NodeId, Option<OwnedFd>)> = None;
    for node in layer.sorted() {
        if !layer.is_whiteout(node) && !layer.is_opaque(node) {
            continue;
        }
        let parent = layer.parent(node);
        let above = match last.take() {
            Some((known, opened)) if known == parent => opened,
            _ => open_below(folder, layer, parent)?,
        };
        if let Some(above) = &above {
            match layer.is_whiteout(node) {
                true => remove(above, layer.name(node))?,
                false => empty(above, layer.name(node))?,
            }
        }
        last = Some((parent, above));
    }
    Ok(())
}

/// The folder that a full tree has in the place of a layer's folder, if it has one there.
fn open_below(folder: impl AsFd, layer: &LayerTree, node: NodeId) -> io::Result<Option<OwnedFd>> {
    // From folder to folder: a path may be longer than the kernel takes at once.
    let mut way = Vec::new();
    let mut at = node;
    while at != NodeId::ROOT {
        way.push(at);
        at = layer.parent(at);
    }
    let mut opened = sys::fs::folder_beneath(folder, ".")?;
    for node in way.into_iter().rev() {
        match folder_if_any(&opened, layer.name(node))? {
            Some(inner) => opened = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(opened))
}

fn folder_if_any(folder: impl AsFd, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match sys::fs::folder_beneath(folder, name) {
        Ok(inner) => Ok(Some(inner)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

fn empty(folder: impl AsFd, name: &[u8]) -> io::Result<()> {
    let Some(inner) = folder_if_any(folder, name)? else { return Ok(()) };
    for (name, _) in sys::fs::names(&inner)? {
        remove(&inner, &name)?;
    }
    Ok(())
}

/// A folder of the layer that the walk is in.
struct Level {
    /// Its attributes before its files were moved out.
    stat: Stat,
    /// The folders in it that are still to come.
    folders: Vec<Vec<u8>>,
}

/// Moves what is in a layer's folder into a full tree on the same file system; what the layer has
/// takes the place of what is there. The layer's folder is used up.
///
/// Files are replaced and never written to, so other names of what lay below keep their data.
pub fn merge(layer: impl AsFd, tree: impl AsFd) -> io::Result<()> {
    let (mut from, mut to) = (Place::at(layer)?, Place::at(tree)?);
    let mut mover = Mover { copier: Copier::new(to.folder())?, renames: true };
    let stat = from.stat()?;
    let mut levels = vec![mover.level(&from, &to)?];
    while let Some(top) = levels.last_mut() {
        if let Some(name) = top.folders.pop() {
            from.enter(&name)?;
            to.enter(&name)?;
            levels.push(mover.level(&from, &to)?);
            continue;
        }
        let Some(Level { stat, .. }) = levels.pop().filter(|_| !levels.is_empty()) else { break };
        // Nothing more is put into it, so its time stays.
        dress(from.folder(), &stat, to.folder(), b".")?;
        from.leave()?;
        to.leave()?;
    }
    mover.copier.finish()?;
    dress(from.folder(), &stat, to.folder(), b".")
}

/// Moves files, and copies them where they cannot be moved: out of one btrfs subvolume into
/// another.
struct Mover {
    copier: Copier,
    renames: bool,
}

impl Mover {
    /// Merges the files of one folder. Folders that both sides have are left for the walk.
    fn level(&mut self, from: &Place, to: &Place) -> io::Result<Level> {
        let mut level = Level { stat: from.stat()?, folders: Vec::new() };
        for (name, kind) in sys::fs::names(from.folder())? {
            // Some file systems do not tell the kinds of what they list.
            let may_be_folder = matches!(kind, FileType::Directory | FileType::Unknown);
            if may_be_folder
                && folder_if_any(from.folder(), &name)?.is_some()
                && folder_if_any(to.folder(), &name)?.is_some()
            {
                level.folders.push(name);
                continue;
            }
            // A rename replaces a file, but not a folder.
            remove(to.folder(), &name)?;
            self.put(from, to, &name)?;
        }
        Ok(level)
    }

    fn put(&mut self, from: &Place, to: &Place, name: &[u8]) -> io::Result<()> {
        if self.renames {
            match sys::fs::rename(from.folder(), name, to.folder(), name) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.renames = false,
                other => return other,
            }
        }
        self.copier.entry(from.folder(), to.folder(), name)
    }
}
