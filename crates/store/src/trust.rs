//! Layers fit for use. Bytes of layers are not synced when they are written; after another boot,
//! what is not known to be on disk is looked at before anybody reads it, each form by itself.
//!
//! A form that is bad is made again from one that is good, or forgotten if nothing needs it. Only a
//! layer of which no good form is left is refused. Whatever reads a layer comes through here:
//! mounts, snapshots, listings, comparisons, archives that are written, and images that come again.

use std::cell::LazyCell;

use spec::{ChainId, DiffId};

use crate::Store;
use crate::driver::Stacked;
use crate::error::{Result, StoreError};
use crate::tables::{LayerRecord, Layers};

/// The kernel's name for this boot, read when it is first needed.
struct Boot(LazyCell<Result<String, std::io::Error>>);

impl Boot {
    fn new() -> Boot {
        Boot(LazyCell::new(sys::host::boot_id))
    }

    /// Whether a layer was written in another boot and is not known to be on disk.
    fn is_doubtful(&self, record: &LayerRecord) -> bool {
        let Some(written) = &record.unsynced else { return false };
        // Which boot this is cannot be told: better to look once too often.
        self.0.as_ref().map_or(true, |boot| boot != written)
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
    /// so that whoever brings them again counts on no others.
    pub fn keep_fit(
        &self,
        layers: &mut Layers,
        diffs: impl IntoIterator<Item = DiffId>,
    ) -> Result<()> {
        let boot = Boot::new();
        for diff in diffs {
            let same = layers.layers.iter().filter(|(_, record)| record.diff == diff);
            let doubtful = same.filter(|(_, record)| boot.is_doubtful(record));
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
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
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
        if let Some(fault) = faults.into_iter().next() {
            let why = format!("{} since the machine stopped before it was on disk", fault.why);
            return Err(StoreError::Damaged { what: fault.what, why });
        }
        let found = record.unsynced.clone();
        if Boot::new().is_doubtful(&record) {
            record.unsynced = None;
            // Where this cannot be written, as on a read-only disk, the next use looks again.
            let _ = self.change::<_, StoreError>(|tables| {
                let known = tables.layers.layers.get_mut(chain);
                if let Some(known) = known.filter(|known| known.unsynced == found) {
                    known.unsynced = None;
                }
                Ok(())
            });
        }
        Ok(record)
    }
}
