//! Mends what a check found, with what is there.

use std::collections::BTreeSet;

use spec::ChainId;

use super::{CheckReport, Cure};
use crate::Store;
use crate::arrive::Keep;
use crate::error::{Result, StoreError};
use crate::remove::remove_all;
use crate::tables::{LayerRecord, Tables};

impl Store {
    pub(super) fn repair(&self, report: &mut CheckReport) -> Result<()> {
        let mut rebuild = BTreeSet::new();
        for fault in &report.faults {
            match &fault.cure {
                Cure::None | Cure::Sweep => {}
                Cure::Rebuild(chain) => drop(rebuild.insert(*chain)),
                Cure::ForgetBlob(chain) => self.change::<_, StoreError>(|tables| {
                    if let Some(record) = tables.layers.layers.get_mut(chain) {
                        record.blob = None;
                    }
                    Ok(())
                })?,
                Cure::ForgetManifest(id) => self.change_images::<_, StoreError>(|images| {
                    if let Some(record) = images.images.get_mut(id) {
                        record.manifest = None;
                    }
                    Ok(())
                })?,
                Cure::ForgetIndex(name) => self.change_images::<_, StoreError>(|images| {
                    if let Some(record) = images.names.get_mut(name) {
                        record.index = None;
                    }
                    Ok(())
                })?,
            }
        }
        // From the bottom up: a layer takes its implied folders from those below it.
        let tables = self.tables()?;
        let height = |chain: &ChainId| tables.layers.stack(Some(*chain)).map_or(0, |s| s.len());
        let mut rebuild: Vec<ChainId> = rebuild.into_iter().collect();
        rebuild.sort_by_key(height);
        for chain in rebuild {
            // What cannot be mended is found again by the check that follows.
            let _ = self.rebuild(&chain);
        }
        // What was forgotten is needed by nothing either.
        self.collect().map(drop)
    }

    /// Makes a layer's forms again from whichever one is good. Nothing is thrown away before what
    /// takes its place has been read and found to be right.
    fn rebuild(&self, chain: &ChainId) -> Result<()> {
        let tables = self.tables()?;
        let layers = &tables.layers;
        let record = layers.layers.get(chain).ok_or(StoreError::NoLayer(*chain))?;
        let record = with_any_blob(record, &tables);
        let lease = self.lease()?;
        lease.protect_chain(chain)?;
        let from_tar = self.has_blob(&record.diff.0) && self.blob_fault(&record.diff.0)?.is_none();
        let (mut file, expected) = match from_tar {
            true => self.best_form(&record)?,
            false => self.blob_form(&record)?,
        };
        let keep = if from_tar { Keep::Nothing } else { Keep::Tar };
        let unpacked = self.read_layer(&lease, &mut file, expected, keep)?;
        for victim in self.driver().remove(chain)? {
            remove_all(&victim)?;
        }
        let (_, mut renewed) = self.adopt_layer(&lease, unpacked, record.parent, layers)?;
        renewed.blob = record.blob;
        self.change::<_, StoreError>(|tables| {
            tables.layers.layers.insert(*chain, renewed);
            Ok(())
        })
    }
}

/// A layer's record with the compressed blob that any record of the same tar has.
pub(super) fn with_any_blob(record: &LayerRecord, tables: &Tables) -> LayerRecord {
    let mut record = record.clone();
    if record.blob.is_none() {
        let same = tables.layers.layers.values().filter(|other| other.diff == record.diff);
        record.blob = same.filter_map(|other| other.blob.clone()).next();
    }
    record
}
