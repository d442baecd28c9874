//! Each stack as one whole tree of files, made from a copy of the tree below it.
//!
//! As vfs, the copy is one file by file: it takes no more than a file system, and no rights, but
//! for mounting. As btrfs, it is a snapshot of a subvolume and shares what is not changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use image::copy;
use image::folder::{Holds, Ownership};
use spec::ChainId;

use super::{
    AsideFolder, Driver, DriverKind, Lasting, Made, Stacked, Top, UnpackedFolder, Users, chains_in,
    clone, place, read_only_clone, top,
};
use crate::error::{Result, StoreError};
use crate::paths::Paths;

pub(super) struct Whole {
    kind: DriverKind,
    paths: Paths,
    owners: Ownership,
}

impl Whole {
    /// The driver of this kind, which is vfs or btrfs.
    pub(super) fn new(kind: DriverKind, paths: Paths, owners: Ownership) -> Whole {
        Whole { kind, paths, owners }
    }

    fn tree(&self, chain: &ChainId) -> PathBuf {
        self.paths.folder(self.kind.as_str(), chain)
    }

    /// Makes an empty tree.
    fn create(&self, path: &Path) -> Result<()> {
        let made = match self.kind {
            DriverKind::Btrfs => {
                in_parent(path, |above, name| sys::btrfs::create_subvolume(above, name))
            }
            _ => fs::create_dir(path),
        };
        made.map_err(StoreError::io("create", path))
    }

    /// Makes a tree that is as the one of a stack.
    fn copy(&self, from: &ChainId, path: &Path) -> Result<()> {
        let from = self.tree(from);
        let open = |path: &Path| sys::fs::open_folder(path).map_err(StoreError::io("open", path));
        let tree = open(&from)?;
        let copied = match self.kind {
            DriverKind::Btrfs => {
                in_parent(path, |above, name| sys::btrfs::snapshot(&tree, above, name))
            }
            _ => {
                self.create(path)?;
                copy::copy_tree(&tree, open(path)?)
            }
        };
        copied.map_err(StoreError::io("copy", from))
    }

    /// Puts a layer on a copy of the tree below it.
    fn stack(&self, parent: &ChainId, layer: &Made<'_>, unpacked: &Path) -> Result<AsideFolder> {
        // It begins as the layer's own, so it is the same lease's.
        let mut path = unpacked.as_os_str().to_owned();
        path.push("-tree");
        let made = AsideFolder(PathBuf::from(path));
        self.copy(parent, &made)?;
        let merge = || {
            let (from, to) = (sys::fs::open_folder(unpacked)?, sys::fs::open_folder(&made)?);
            copy::hide(layer.tree, &to)?;
            copy::merge(&from, &to)
        };
        merge().map_err(StoreError::io("write", &made))?;
        Ok(made)
    }
}

impl Driver for Whole {
    fn kind(&self) -> DriverKind {
        self.kind
    }

    fn keeps_tar(&self) -> bool {
        false
    }

    fn begin(&self, aside: &Path) -> Result<Option<UnpackedFolder>> {
        self.create(aside)?;
        // What the layer hides goes from the copy, so there is nothing to mark.
        UnpackedFolder::begin(aside, None, &self.owners).map(Some)
    }

    fn adopt(&self, mut layer: Made<'_>) -> Result<()> {
        let Some(UnpackedFolder { path, sink }) = layer.folder.take() else {
            return Err(StoreError::NoLayer(layer.chain));
        };
        let target = self.tree(&layer.chain);
        if target.exists() {
            return Ok(());
        }
        sink.finish(layer.tree).map_err(StoreError::io("finish", &path))?;
        let folders = self.paths.folders(self.kind.as_str());
        match &layer.parent {
            None => place(&path, &folders, &target),
            Some(parent) => place(&self.stack(parent, &layer, &path)?, &folders, &target),
        }
    }

    fn has(&self, layer: &Stacked) -> bool {
        self.tree(&layer.chain).exists()
    }

    fn view(&self, stack: &[Stacked], users: Option<Users<'_>>) -> Result<OwnedFd> {
        let top = stack.last().expect("the store mounts what is empty itself");
        read_only_clone(self.kind, &self.tree(&top.chain), users)
    }

    fn branches_at_once(&self) -> bool {
        self.kind == DriverKind::Btrfs
    }

    fn branch(&self, stack: &[Stacked], folder: &Path) -> Result<()> {
        let path = tree_of(folder);
        match stack.last() {
            Some(top) => self.copy(&top.chain, &path)?,
            None => self.create(&path)?,
        }
        let fill = || {
            let root = sys::fs::open_folder(&path)?;
            if stack.is_empty() {
                sys::fs::set_mode(&root, ".", 0o755)?;
            }
            top::add_skeleton(root.as_fd())
        };
        fill().map_err(StoreError::io("write", &path))
    }

    fn writable(
        &self,
        _stack: &[Stacked],
        folder: &Path,
        _lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd> {
        clone(self.kind, &tree_of(folder), users)
    }

    fn top(&self, folder: &Path) -> Top {
        Top::Whole { folder: tree_of(folder) }
    }

    fn remove(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        Ok(vec![self.tree(chain)])
    }

    fn data(&self, _stack: &[Stacked]) -> Option<BTreeMap<String, String>> {
        // As docker's drivers of these names.
        None
    }

    fn kept(&self) -> Result<Vec<ChainId>> {
        chains_in(&self.paths.folders(self.kind.as_str()))
    }

    fn folder(&self, chain: &ChainId) -> Option<(PathBuf, Holds)> {
        Some((self.tree(chain), Holds::Stack))
    }
}

fn tree_of(folder: &Path) -> PathBuf {
    folder.join("tree")
}

/// Does something with a name in an open folder.
fn in_parent(
    path: &Path,
    act: impl FnOnce(&OwnedFd, &std::ffi::OsStr) -> std::io::Result<()>,
) -> std::io::Result<()> {
    match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) => act(&sys::fs::open_folder(above)?, name),
        _ => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}
