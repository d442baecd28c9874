//! Layers that take their place on a stack, and what is known of them afterwards.
//!
//! Adoption goes from the bottom up, because a folder that a layer only implies has the attributes
//! that the layers below gave it.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use image::erofs::{IndexReader, write_index};
use image::tree::LayerTree;
use spec::{Algorithm, ChainId, DiffId};

use crate::Store;
use crate::arrive::{Expected, Keep, Unpacked};
use crate::below::Stack;
use crate::blobs::{Aside, Durability, Ingest};
use crate::driver::{Made, Stacked};
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::remove::remove_all;
use crate::tables::{LayerBlob, LayerRecord, Layers};
use crate::{index, lease, tables};
use sys::lock::Mode;

/// Where a layer is placed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where nothing is.
    New,
    /// Where one was damaged, unless somebody else has replaced it meanwhile.
    Healed,
    /// Where there is one, whatever it is.
    Again,
}

impl Store {
    /// Gives a layer its place on the stack `parent`, which is in `layers`, and its record. What is
    /// there already stays, unless it was left out of `layers` because it is damaged.
    pub fn adopt_layer(
        &self,
        lease: &Lease,
        unpacked: Unpacked,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<(ChainId, LayerRecord)> {
        let chain = ChainId::extend(parent, unpacked.diff);
        let place = if layers.damaged.contains(&chain) { Place::Healed } else { Place::New };
        self.place_layer(lease, unpacked, parent, layers, place)
    }

    /// As `adopt_layer`. What is there already is replaced only when all that takes its place is
    /// ready beside it.
    pub(crate) fn place_layer(
        &self,
        lease: &Lease,
        unpacked: Unpacked,
        parent: Option<ChainId>,
        layers: &Layers,
        place: Place,
    ) -> Result<(ChainId, LayerRecord)> {
        let kept_blob = unpacked.kept_blob();
        let Unpacked { diff, bytes, mut tree, tar, blob, folder, .. } = unpacked;
        let chain = ChainId::extend(parent, diff);
        // The new stack has no record that would lead the collector to the one below.
        for stack in parent.iter().chain([&chain]) {
            lease.protect_chain(stack)?;
        }
        lease.protect_blob(&diff.0)?;
        if let Some(blob) = &kept_blob {
            lease.protect_blob(&blob.digest)?;
        }
        tree.settle(&mut Stack::new(self, parent, layers)?)?;
        let aside = self.write_index(lease, &tree, chain, diff, bytes, tar.as_ref())?;
        let index = index::digest(aside.file(), Algorithm::Sha256)
            .map_err(StoreError::io("read", aside.path()))?;
        let bin = match place {
            Place::New if folder.is_none() => None,
            Place::New => self.clear_stale(lease, &Stacked { chain, diff })?,
            Place::Healed | Place::Again => self.clear_known(&chain, place, layers)?,
        };
        aside.publish(&self.paths.index(&chain))?;
        for kept in [tar, blob].into_iter().flatten() {
            kept.commit(&self.paths, Durability::Lazy)?;
        }
        self.driver.adopt(Made { chain, parent, tree: &tree, folder })?;
        if let Some(bin) = bin {
            remove_all(&bin)?;
        }
        let unsynced = Some(sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?);
        let entries = tree.entries();
        Ok((chain, LayerRecord { parent, diff, bytes, entries, index, blob: kept_blob, unsynced }))
    }

    /// Removes what somebody left who died between placing this layer and recording it: nothing
    /// says that its bytes ever reached the disk.
    fn clear_stale(&self, lease: &Lease, layer: &Stacked) -> Result<Option<PathBuf>> {
        if !self.driver.has(layer) {
            return Ok(None);
        }
        let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let recorded = self.tables()?.layers.layers.contains_key(&layer.chain);
        if recorded || lease::protected(&self.paths, Some(lease))?.chains.contains(&layer.chain) {
            // Or it belongs to one who is well and was quicker.
            return Ok(None);
        }
        self.throw_away(&self.driver.remove(&layer.chain)?)
    }

    /// Removes what is in the place of a layer that takes it again. Nobody begins to use it meanwhile,
    /// and who uses it keeps it.
    fn clear_known(
        &self,
        chain: &ChainId,
        place: Place,
        layers: &Layers,
    ) -> Result<Option<PathBuf>> {
        let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let now = self.tables()?.layers.layers;
        if place == Place::Healed && now.get(chain).is_some_and(LayerRecord::is_well) {
            return Ok(None);
        }
        match self.user_of(chain, layers)? {
            Some(user) => Err(StoreError::InUse { chain: *chain, user }),
            None => self.throw_away(&self.driver.remove(chain)?),
        }
    }

    /// Gives a layer its place on the stack `parent` and its record, unless one that is fit for use is
    /// there already.
    pub fn adopt_unless_here(
        &self,
        lease: &Lease,
        unpacked: Unpacked,
        parent: Option<ChainId>,
    ) -> Result<Option<(ChainId, LayerRecord)>> {
        let diff = unpacked.diff();
        let chain = ChainId::extend(parent, diff);
        // Protected first and looked for then: what is there now stays there.
        lease.protect_chain(&chain)?;
        let mut layers = tables::read_layers(&self.paths)?;
        self.keep_fit(&mut layers, [diff])?;
        match layers.layers.contains_key(&chain) {
            true => Ok(None),
            false => self.adopt_layer(lease, unpacked, parent, &layers).map(Some),
        }
    }

    /// Puts a layer that is here already on another stack, from what is kept of it.
    pub fn reuse_layer(
        &self,
        lease: &Lease,
        known: &LayerRecord,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<(ChainId, LayerRecord)> {
        lease.protect_blob(&known.diff.0)?;
        if let Some(blob) = &known.blob {
            lease.protect_blob(&blob.digest)?;
        }
        let (mut file, expected) = self.best_form(known)?;
        let from_tar = expected.blob == Some(known.diff.0);
        let keep = if from_tar { Keep::Nothing } else { Keep::Tar };
        let unpacked = self.read_layer(lease, &mut file, expected, keep)?;
        let (chain, mut record) = self.adopt_layer(lease, unpacked, parent, layers)?;
        record.blob = known.blob.clone();
        if known.unsynced.is_some() {
            // The blob is as old as it was.
            record.unsynced = known.unsynced.clone();
        }
        Ok((chain, record))
    }

    /// The form of a layer that is quickest to read: its tar, or else its blob.
    pub(crate) fn best_form(&self, record: &LayerRecord) -> Result<(File, Expected)> {
        match self.open_blob(&record.diff.0) {
            Ok(file) => {
                let (blob, blob_bytes) = (Some(record.diff.0), Some(record.bytes));
                Ok((file, Expected { blob, blob_bytes, diff: Some(record.diff) }))
            }
            Err(_) if record.blob.is_some() => self.blob_form(record),
            Err(error) => Err(error),
        }
    }

    /// A layer's compressed form.
    pub(crate) fn blob_form(&self, record: &LayerRecord) -> Result<(File, Expected)> {
        let Some(LayerBlob { digest, bytes }) = &record.blob else {
            return Err(StoreError::NoBlob(record.diff.0));
        };
        let (blob, blob_bytes) = (Some(*digest), Some(*bytes));
        Ok((self.open_blob(digest)?, Expected { blob, blob_bytes, diff: Some(record.diff) }))
    }

    /// Opens a layer's index.
    pub fn open_index(&self, chain: &ChainId) -> Result<IndexReader> {
        let path = self.paths.index(chain);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoIndex(*chain),
            _ => StoreError::Io { doing: "open", path, source },
        })?;
        IndexReader::open(file).map_err(|source| StoreError::Index { chain: *chain, source })
    }

    pub(crate) fn write_index(
        &self,
        lease: &Lease,
        tree: &LayerTree,
        chain: ChainId,
        diff: DiffId,
        tar_bytes: u64,
        tar: Option<&Ingest>,
    ) -> Result<Aside> {
        let aside = Aside::create(lease.aside())?;
        // A layer that is here already has its tar under its digest.
        let kept = File::open(self.paths.blob(&diff.0)).ok();
        let tar = tar.and_then(Ingest::file).or(kept.as_ref());
        let written = write_index(tree, identity(chain), tar, tar_bytes, aside.file());
        written.map_err(StoreError::io("write", aside.path()))?;
        Ok(aside)
    }

    /// Makes durable what was written lazily in this boot, and says so in the records.
    pub fn settle(&self) -> Result<usize> {
        let boot = sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?;
        let tables = self.tables()?;
        let waiting: Vec<ChainId> = tables
            .layers
            .layers
            .iter()
            .filter(|(_, record)| record.unsynced.as_ref() == Some(&boot))
            .map(|(chain, _)| *chain)
            .collect();
        if waiting.is_empty() {
            return Ok(0);
        }
        let root = self.paths.root();
        let file = File::open(root).map_err(StoreError::io("open", root))?;
        sys::fs::sync_file_system(&file).map_err(StoreError::io("sync", root))?;
        self.shrink(|tables| {
            for chain in &waiting {
                if let Some(record) = tables.layers.layers.get_mut(chain) {
                    record.unsynced = None;
                }
            }
        })?;
        Ok(waiting.len())
    }
}

/// A file system UUID for an index: half of the stack's own digest.
fn identity(chain: ChainId) -> [u8; 16] {
    chain.0.bytes()[..16].try_into().expect("a digest has at least 32 bytes")
}
