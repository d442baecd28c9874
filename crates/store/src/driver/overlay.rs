//! Layers as folders, stacked by overlay: works on any kernel that has overlay, and without root.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use image::folder::{Holds, Marks, Ownership};
use spec::ChainId;

use super::{
    Driver, DriverKind, Lasting, Made, Stacked, Top, UnpackedFolder, Users, chains_in, must_fit,
    place, read_only_clone, shown, top,
};
use crate::error::{Result, StoreError};
use crate::paths::Paths;

pub(super) struct Overlay {
    paths: Paths,
    owners: Ownership,
    marks: Marks,
}

impl Overlay {
    pub(super) fn new(paths: Paths, owners: Ownership) -> Overlay {
        let marks = if owners.is_of_root() { Marks::Trusted } else { Marks::User };
        Overlay { paths, owners, marks }
    }

    fn folder(&self, chain: &ChainId) -> PathBuf {
        self.paths.folder(DriverKind::Overlay.as_str(), chain)
    }

    fn open(&self, layer: &Stacked) -> Result<OwnedFd> {
        let folder = self.folder(&layer.chain);
        sys::fs::open_folder(&folder).map_err(StoreError::io("open", &folder))
    }
}

impl Driver for Overlay {
    fn kind(&self) -> DriverKind {
        DriverKind::Overlay
    }

    fn keeps_tar(&self) -> bool {
        false
    }

    fn begin(&self, aside: &Path) -> Result<Option<UnpackedFolder>> {
        fs::create_dir(aside).map_err(StoreError::io("create", aside))?;
        UnpackedFolder::begin(aside, Some(self.marks), &self.owners).map(Some)
    }

    fn adopt(&self, layer: Made<'_>) -> Result<()> {
        let Some(UnpackedFolder { path, sink }) = layer.folder else {
            return Err(StoreError::NoLayer(layer.chain));
        };
        sink.finish(layer.tree).map_err(StoreError::io("finish", &path))?;
        let folders = self.paths.folders(DriverKind::Overlay.as_str());
        place(&path, &folders, &self.folder(&layer.chain))
    }

    fn has(&self, layer: &Stacked) -> bool {
        self.folder(&layer.chain).exists()
    }

    fn view(&self, stack: &[Stacked], users: Option<Users<'_>>) -> Result<OwnedFd> {
        let mount = |source| StoreError::Mount { driver: DriverKind::Overlay, source };
        if let [only] = stack {
            return read_only_clone(DriverKind::Overlay, &self.folder(&only.chain), users);
        }
        must_fit(stack.len(), 0)?;
        let layers = stack.iter().map(|layer| self.open(layer)).collect::<Result<Vec<_>>>()?;
        let layers = shown(layers, users)?;
        let lower: Vec<_> = layers.iter().rev().map(|layer| layer.as_fd()).collect();
        let options: &[(&str, &str)] =
            if self.marks == Marks::User { &[("userxattr", "")] } else { &[] };
        sys::mount::overlay(&lower, None, options).map_err(mount)
    }

    fn branch(&self, stack: &[Stacked], folder: &Path) -> Result<()> {
        let below = stack.last().map(|layer| self.open(layer)).transpose()?;
        top::branch(below.as_ref().map(AsFd::as_fd), folder)
    }

    fn writable(
        &self,
        stack: &[Stacked],
        folder: &Path,
        lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd> {
        let layers = stack.iter().map(|layer| self.open(layer)).collect::<Result<Vec<_>>>()?;
        let layers = shown(layers, users)?;
        top::mount(&self.paths, &layers, folder, self.marks, lasting, users)
    }

    fn top(&self, folder: &Path) -> Top {
        Top::Changes { folder: top::upper(folder), work: top::work(folder), marks: self.marks }
    }

    fn remove(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        Ok(vec![self.folder(chain)])
    }

    fn data(&self, stack: &[Stacked]) -> Option<BTreeMap<String, String>> {
        let path = |chain: &ChainId| self.folder(chain).display().to_string();
        let mut data = BTreeMap::new();
        if let Some((top, below)) = stack.split_last() {
            data.insert("UpperDir".to_owned(), path(&top.chain));
            let lower: Vec<_> = below.iter().rev().map(|layer| path(&layer.chain)).collect();
            if !lower.is_empty() {
                data.insert("LowerDir".to_owned(), lower.join(":"));
            }
        }
        Some(data)
    }

    fn kept(&self) -> Result<Vec<ChainId>> {
        chains_in(&self.paths.folders(DriverKind::Overlay.as_str()))
    }

    fn folder(&self, chain: &ChainId) -> Option<(PathBuf, Holds)> {
        Some((Overlay::folder(self, chain), Holds::Layer(self.marks)))
    }
}
