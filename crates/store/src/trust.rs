//! Layers fit for use. Bytes of layers are not synced when they are written; after another boot,
//! what is not known to be on disk is looked at before anybody reads it, each form by itself.
//!
//! A form that is bad is made again from one that is good, or forgotten if nothing needs it. Only a
//! layer of which no good form is left is refused. Whatever reads a layer comes through here:
//! mounts, snapshots, listings, comparisons, archives that are written, and images that come again.
//!
//! That a layer is damaged is remembered in its record, whoever found it out. From then on it is
//! looked at whenever it is used, and replaced by the first that comes again.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicBool;

use spec::{ChainId, DiffId, Digest};

use crate::Store;
use crate::driver::Stacked;
use crate::error::{Result, StoreError};
use crate::tables::{LayerRecord, Layers};

/// What the record of a layer says in the place of a boot when no good form of it was found.
const DAMAGED: &str = "damaged";

/// The kernel's name for this boot, read when it is first needed.
struct Boot(LazyCell<Result<String, std::io::Error>>);

impl Boot {
    fn new() -> Boot {
        Boot(LazyCell::new(sys::host::boot_id))
    }

    /// Whether a layer was written in another boot and is not known to be on disk, or is known to be
    /// damaged.
    fn is_doubtful(&self, record: &LayerRecord) -> bool {
        let Some(written) = &record.unsynced else { return false };
        // Which boot this is cannot be told: better to look once too often.
        self.0.as_ref().map_or(true, |boot| boot != written)
    }
}

impl LayerRecord {
    /// Whether it can be used as it is.
    pub(crate) fn is_well(&self) -> bool {
        !Boot::new().is_doubtful(self)
    }

    /// Whether no good form of it was found when somebody looked.
    fn is_damaged(&self) -> bool {
        self.unsynced.as_deref() == Some(DAMAGED)
    }
}

impl Layers {
    /// Notes a layer that has come, which others may stand on.
    pub fn note(&mut self, chain: ChainId, record: LayerRecord) {
        self.layers.insert(chain, record);
        self.arrived.insert(chain);
    }

    /// Adds all that these stacks stand on, as it was noted. Of what was here before, somebody may
    /// have found meanwhile that it is damaged: only what has come says something new.
    pub fn add_stacks(&mut self, noted: &Layers, tops: impl IntoIterator<Item = ChainId>) {
        for (chain, record) in noted.stack_records(tops) {
            match noted.arrived.contains(&chain) {
                true => self.add(chain, record.clone()),
                false => self.layers.insert_new(chain, || record.clone()),
            }
        }
    }

    /// Adds a layer that has come. One that is here stays, unless it is damaged.
    pub fn add(&mut self, chain: ChainId, record: LayerRecord) {
        match self.layers.get_mut(&chain) {
            Some(known) if known.is_damaged() => *known = record,
            Some(_) => {}
            None => drop(self.layers.insert(chain, record)),
        }
    }
}

impl Store {
    /// The layers of a stack, bottom first, each fit for use, with their records as they are then.
    pub fn fit(
        &self,
        top: Option<ChainId>,
        layers: &Layers,
    ) -> Result<Vec<(ChainId, LayerRecord)>> {
        let boot = Boot::new();
        let mut list = Vec::new();
        for (chain, record) in layers.stack(top)? {
            let record = match boot.is_doubtful(record) {
                true => self.verify_layer(&chain, record, layers)?,
                false => record.clone(),
            };
            list.push((chain, record));
        }
        Ok(list)
    }

    /// Whether all layers of a stack can be used as they are.
    pub(crate) fn is_fit(&self, top: Option<ChainId>, layers: &Layers) -> Result<bool> {
        let boot = Boot::new();
        Ok(!layers.stack(top)?.iter().any(|(_, record)| boot.is_doubtful(record)))
    }

    /// The layers of a stack as a driver wants them, bottom first, each fit for use.
    pub fn stacked(&self, top: Option<ChainId>, layers: &Layers) -> Result<Vec<Stacked>> {
        let fit = self.fit(top, layers)?.into_iter();
        Ok(fit.map(|(chain, record)| Stacked { chain, diff: record.diff }).collect())
    }

    /// Looks at all layers with these plain tars and leaves in `layers` those that are fit for use,
    /// so that whoever brings them again counts on no others. Of layers that are thought to be well
    /// it only looks whether all their files are there, at their length.
    pub fn keep_fit(
        &self,
        layers: &mut Layers,
        diffs: impl IntoIterator<Item = DiffId>,
    ) -> Result<()> {
        let boot = Boot::new();
        for diff in diffs {
            let same = layers.layers.iter().filter(|(_, record)| record.diff == diff);
            let doubtful = same.filter(|(chain, record)| {
                boot.is_doubtful(record) || !self.is_all_there(chain, record)
            });
            let doubtful: Vec<ChainId> = doubtful.map(|(chain, _)| *chain).collect();
            for chain in doubtful {
                match self.verify_layer(&chain, &layers.layers[&chain], layers) {
                    Ok(record) => drop(layers.layers.insert(chain, record)),
                    Err(
                        StoreError::Damaged { .. }
                        | StoreError::NoLayer(_)
                        | StoreError::NoIndex(_),
                    ) => {
                        layers.layers.remove(&chain);
                        layers.damaged.insert(chain);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether the files of each of a layer's forms are there, at their length. Nothing is read.
    fn is_all_there(&self, chain: &ChainId, record: &LayerRecord) -> bool {
        let has = |digest: &Digest, bytes: u64| {
            fs::metadata(self.paths().blob(digest)).is_ok_and(|meta| meta.len() == bytes)
        };
        let blob = record.blob.as_ref();
        let needs_tar = self.driver().keeps_tar() || blob.is_none();
        (!needs_tar || has(&record.diff.0, record.bytes))
            && blob.is_none_or(|blob| has(&blob.digest, blob.bytes))
            && self.paths().index(chain).exists()
            && self.driver().has(&Stacked { chain: *chain, diff: record.diff })
    }

    /// Looks at each of a layer's forms, mends what can be mended, and remembers the result.
    fn verify_layer(
        &self,
        chain: &ChainId,
        record: &LayerRecord,
        layers: &Layers,
    ) -> Result<LayerRecord> {
        let mut record = record.clone();
        let mut faults = self.layer_faults(chain, &record, layers)?;
        if !faults.is_empty() {
            self.cure_layer(&mut faults);
            let now = self.tables()?.layers;
            record = now.layers.get(chain).ok_or(StoreError::NoLayer(*chain))?.clone();
            faults = self.layer_faults(chain, &record, &now)?;
        }
        let is_torn = !record.is_damaged() && Boot::new().is_doubtful(&record);
        if let Some(fault) = faults.into_iter().next() {
            let _ = self.remember(&BTreeSet::from([*chain]), &BTreeSet::new());
            let when =
                if is_torn { " since the machine stopped before it was on disk" } else { "" };
            let why = format!("{}{when}", fault.why);
            return Err(StoreError::Damaged { what: fault.what, why });
        }
        if is_torn || record.is_damaged() {
            // Where this cannot be written, as on a read-only disk, the next use looks again.
            let _ = self.remember(&BTreeSet::new(), &BTreeSet::from([*chain]));
            record.unsynced = self.well(&record)?;
        }
        Ok(record)
    }

    /// Reads a blob and says whether it is what its name says. If not, the layers that have it are
    /// damaged from now on.
    pub fn verify_blob(&self, digest: &Digest) -> Result<()> {
        self.verify_blob_while(digest, &AtomicBool::new(true))
    }

    /// The same for as long as somebody wants to know.
    pub fn verify_blob_while(&self, digest: &Digest, is_wanted: &AtomicBool) -> Result<()> {
        let Some(why) = self.blob_fault_while(digest, is_wanted)? else { return Ok(()) };
        let layers = self.tables()?.layers.layers;
        let has = |record: &LayerRecord| {
            let blob = record.blob.as_ref().map(|blob| blob.digest);
            record.diff.0 == *digest || blob == Some(*digest)
        };
        let chains = layers.iter().filter(|(_, record)| has(record)).map(|(chain, _)| *chain);
        let chains: BTreeSet<ChainId> = chains.collect();
        // Where nothing can be written, those who use the layer find out for themselves.
        let _ = self.remember(&chains, &BTreeSet::new());
        let what = match chains.first() {
            Some(chain) => format!("layer {}", chain.0.short()),
            None => format!("blob {digest}"),
        };
        Err(StoreError::Damaged { what, why })
    }

    /// Says in the records which layers were found to be damaged, and which to be well.
    pub(crate) fn remember(
        &self,
        damaged: &BTreeSet<ChainId>,
        well: &BTreeSet<ChainId>,
    ) -> Result<()> {
        self.change(|tables| {
            for chain in damaged {
                if let Some(record) = tables.layers.layers.get_mut(chain) {
                    record.unsynced = Some(DAMAGED.to_owned());
                }
            }
            for chain in well {
                if let Some(record) = tables.layers.layers.get_mut(chain) {
                    record.unsynced = self.well(record)?;
                }
            }
            Ok(())
        })
    }

    /// What the record of a layer that was read and is well says of being on disk. One that was
    /// damaged has become well in this boot.
    fn well(&self, record: &LayerRecord) -> Result<Option<String>> {
        let boot = || sys::host::boot_id().map_err(StoreError::io("read", "/proc"));
        match record.is_damaged() {
            true => boot().map(Some),
            false if Boot::new().is_doubtful(record) => Ok(None),
            false => Ok(record.unsynced.clone()),
        }
    }

    /// Remembers what a check found of these layers; who was thought to be damaged may be well.
    pub(crate) fn remember_checked(&self, looked_at: &Layers, damaged: &BTreeSet<ChainId>) {
        let known = looked_at.layers.iter().filter(|(_, record)| record.is_damaged());
        let known: BTreeSet<ChainId> = known.map(|(chain, _)| *chain).collect();
        let fresh: BTreeSet<ChainId> = damaged.difference(&known).copied().collect();
        let well: BTreeSet<ChainId> = known.difference(damaged).copied().collect();
        if !fresh.is_empty() || !well.is_empty() {
            // Where nothing can be written, those who use a layer find out for themselves.
            let _ = self.remember(&fresh, &well);
        }
    }
}
