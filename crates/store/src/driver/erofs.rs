//! The default as root: the tar is mounted where it lies, through an index.
//!
//! Nothing is unpacked. A layer's index is mounted once, at a place below the run root that all
//! processes share, so that all containers read the same pages; stacks are made of those mounts by
//! overlay.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use image::erofs::IndexReader;
use image::folder::Marks;
use spec::ChainId;

use super::{
    Driver, DriverKind, Lasting, Made, Stacked, Top, UnpackedFolder, Users, chains_in, clone,
    must_fit, shown, top,
};
use crate::error::{Result, StoreError};
use crate::paths::{Paths, create_private};
use crate::run::{self, MOUNTING};

pub(super) struct Erofs {
    paths: Paths,
}

impl Erofs {
    pub(super) fn new(paths: Paths) -> Erofs {
        Erofs { paths }
    }

    /// The folder where a layer is mounted, mounted now if it was not.
    fn layer(&self, layer: &Stacked) -> Result<OwnedFd> {
        let target = self.paths.layer_mount(&layer.chain);
        if !sys::mount::is_mounted(&target).unwrap_or(false) {
            self.mount_layer(layer, &target)?;
        }
        sys::fs::open_folder(&target).map_err(StoreError::io("open", &target))
    }

    fn mount_layer(&self, layer: &Stacked, target: &Path) -> Result<()> {
        run::seclude(&self.paths)?;
        let _alone = run::hold(&self.paths, MOUNTING)?;
        if sys::mount::is_mounted(target).unwrap_or(false) {
            return Ok(());
        }
        create_private(target)?;
        let index = self.paths.index(&layer.chain);
        let tar = self.paths.blob(&layer.diff.0);
        let mount = sys::mount::erofs(&index, &tar, false)
            .map_err(|source| refused(layer, &index, source))?;
        sys::mount::attach(&mount, target).map_err(StoreError::mount("mount on", target))
    }
}

/// Why a layer could not be mounted, as far as its files tell: the kernel's number alone does not.
fn refused(layer: &Stacked, index: &Path, source: io::Error) -> StoreError {
    let chain = layer.chain;
    match (source.kind(), File::open(index).map(IndexReader::open)) {
        (io::ErrorKind::NotFound, Err(_)) => StoreError::NoIndex(chain),
        (io::ErrorKind::NotFound, _) => StoreError::NoLayer(chain),
        (_, Ok(Err(source))) => StoreError::Index { chain, source },
        _ => StoreError::Mount { driver: DriverKind::Erofs, source },
    }
}

impl Driver for Erofs {
    fn kind(&self) -> DriverKind {
        DriverKind::Erofs
    }

    fn keeps_tar(&self) -> bool {
        true
    }

    fn begin(&self, _aside: &Path) -> Result<Option<UnpackedFolder>> {
        Ok(None)
    }

    fn adopt(&self, _layer: Made<'_>) -> Result<()> {
        // The store keeps the tar and its index for every driver's sake; that is all there is.
        Ok(())
    }

    fn has(&self, layer: &Stacked) -> bool {
        self.paths.index(&layer.chain).exists() && self.paths.blob(&layer.diff.0).exists()
    }

    fn view(&self, stack: &[Stacked], users: Option<Users<'_>>) -> Result<OwnedFd> {
        let mount = |source| StoreError::Mount { driver: DriverKind::Erofs, source };
        if let [only] = stack {
            self.layer(only)?;
            let target = self.paths.layer_mount(&only.chain);
            return clone(DriverKind::Erofs, &target, users);
        }
        must_fit(stack.len(), 0)?;
        let layers = stack.iter().map(|layer| self.layer(layer)).collect::<Result<Vec<_>>>()?;
        let layers = shown(layers, users)?;
        let lower: Vec<_> = layers.iter().rev().map(|layer| layer.as_fd()).collect();
        sys::mount::overlay(&lower, None, &[]).map_err(mount)
    }

    fn branch(&self, stack: &[Stacked], folder: &Path) -> Result<()> {
        let below = stack.last().map(|layer| self.layer(layer)).transpose()?;
        top::branch(below.as_ref().map(AsFd::as_fd), folder)
    }

    fn writable(
        &self,
        stack: &[Stacked],
        folder: &Path,
        lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd> {
        let layers = stack.iter().map(|layer| self.layer(layer)).collect::<Result<Vec<_>>>()?;
        let layers = shown(layers, users)?;
        top::mount(&self.paths, &layers, folder, Marks::Trusted, lasting, users)
    }

    fn top(&self, folder: &Path) -> Top {
        Top::Changes { folder: top::upper(folder), work: top::work(folder), marks: Marks::Trusted }
    }

    fn rest(&self, stack: &[Stacked]) {
        for layer in stack {
            // What was read stays in memory as the mount's; the tar's own pages are a second copy.
            // They are a cache: if they cannot go, nothing is lost.
            let _ = File::open(self.paths.blob(&layer.diff.0))
                .and_then(|tar| sys::fs::drop_cache(&tar));
        }
    }

    fn remove(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        let target = self.paths.layer_mount(chain);
        if target.exists() {
            let _alone = run::hold(&self.paths, MOUNTING)?;
            while sys::mount::is_mounted(&target).unwrap_or(false) {
                sys::mount::detach(&target).map_err(StoreError::mount("unmount", &target))?;
            }
            let _ = fs::remove_dir(&target);
        }
        Ok(Vec::new())
    }

    fn data(&self, stack: &[Stacked]) -> Option<BTreeMap<String, String>> {
        let path = |path: PathBuf| path.display().to_string();
        let mut data = BTreeMap::new();
        if let Some((top, below)) = stack.split_last() {
            data.insert("UpperDir".to_owned(), path(self.paths.layer_mount(&top.chain)));
            data.insert("Index".to_owned(), path(self.paths.index(&top.chain)));
            data.insert("Tar".to_owned(), path(self.paths.blob(&top.diff.0)));
            let lower: Vec<_> = below
                .iter()
                .rev()
                .map(|layer| path(self.paths.layer_mount(&layer.chain)))
                .collect();
            if !lower.is_empty() {
                data.insert("LowerDir".to_owned(), lower.join(":"));
            }
        }
        Some(data)
    }

    fn kept(&self) -> Result<Vec<ChainId>> {
        chains_in(&self.paths.run().join("layers"))
    }
}
