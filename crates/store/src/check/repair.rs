//! Mends what a check found, with what is there.

use std::collections::BTreeSet;
use std::fs::File;

use spec::{ChainId, Digest, ImageConfig, ImageId};

use super::images::recounted;
use super::layer::causes;
use super::{CheckReport, Cure, Fault};
use crate::Store;
use crate::arrive::Keep;
use crate::error::{Result, StoreError};
use crate::layers::Place;
use crate::lease;
use crate::remove::remove_all;
use crate::tables::{LayerRecord, Layers};
use sys::lock::Mode;

impl Store {
    pub(super) fn repair(&self, report: &mut CheckReport) -> Result<()> {
        // Who may only look is told so once, and not with every fault.
        let lock = self.paths().lock();
        File::options().write(true).open(&lock).map_err(StoreError::io("write", &lock))?;
        for fault in &report.faults {
            match &fault.cure {
                Cure::ForgetManifest(id) => self.change_images::<_, StoreError>(|images| {
                    if let Some(record) = images.images.get_mut(id) {
                        record.manifest = None;
                    }
                    Ok(())
                })?,
                Cure::ForgetOriginals(name) => self.change_images::<_, StoreError>(|images| {
                    if let Some(record) = images.names.get_mut(name) {
                        (record.index, record.manifest) = (None, None);
                    }
                    Ok(())
                })?,
                Cure::None
                | Cure::Renew
                | Cure::Recount(_)
                | Cure::Sweep
                | Cure::ForgetBlob(_)
                | Cure::Rebuild(_) => {}
            }
        }
        self.cure_layer(&mut report.faults);
        // Layers are what their records say by now.
        for fault in &report.faults {
            if let Cure::Recount(id) = &fault.cure {
                self.recount(id)?;
            }
        }
        // What was forgotten is needed by nothing either.
        self.collect().map(drop)
    }

    /// Writes down what an image's configuration and layers say.
    fn recount(&self, id: &ImageId) -> Result<()> {
        let Ok(config) = ImageConfig::parse(&self.read_document(&id.0)?) else { return Ok(()) };
        self.change::<_, StoreError>(|tables| {
            if let Some(record) = tables.images.images.get_mut(id)
                && let Some(right) = recounted(record, &config, &tables.layers)
            {
                *record = right;
            }
            Ok(())
        })
    }

    /// Mends layers, and notes with each fault what stood in the way.
    pub(crate) fn cure_layer(&self, faults: &mut [Fault]) {
        let note = |faults: &mut [Fault], cure: &Cure, error: StoreError| {
            let same = faults.iter_mut().filter(|fault| fault.cure == *cure);
            same.for_each(|fault| fault.obstacle = Some(causes(&error)));
        };
        let mut forget = BTreeSet::new();
        let mut rebuild = BTreeSet::new();
        for fault in &*faults {
            match &fault.cure {
                Cure::ForgetBlob(blob) => drop(forget.insert(*blob)),
                Cure::Rebuild(chain) => drop(rebuild.insert(*chain)),
                _ => {}
            }
        }
        for blob in forget {
            if let Err(error) = self.forget_bad_blob(blob) {
                note(faults, &Cure::ForgetBlob(blob), error);
            }
        }
        // From the bottom up: a layer takes its implied folders from those below it.
        let layers = self.tables().map(|tables| tables.layers).unwrap_or_default();
        let height = |chain: &ChainId| layers.stack(Some(*chain)).map_or(0, |stack| stack.len());
        let mut rebuild: Vec<ChainId> = rebuild.into_iter().collect();
        rebuild.sort_by_key(height);
        for chain in rebuild {
            if let Err(error) = self.rebuild(&chain) {
                note(faults, &Cure::Rebuild(chain), error);
            }
        }
    }

    /// Lets go of a compressed blob that is not what its name says, whoever counts on it.
    fn forget_bad_blob(&self, blob: Digest) -> Result<()> {
        self.forget_blobs(&BTreeSet::from([blob]))?;
        let bin = {
            let _alone = lease::hold(self.paths(), Mode::Exclusive)?;
            self.throw_away(&[self.paths().blob(&blob)])?
        };
        bin.map_or(Ok(()), |bin| remove_all(&bin))
    }

    /// Says in the records that these compressed blobs are not kept.
    pub(crate) fn forget_blobs(&self, blobs: &BTreeSet<Digest>) -> Result<()> {
        self.change::<_, StoreError>(|tables| {
            for record in tables.layers.layers.values_mut() {
                if record.blob.as_ref().is_some_and(|blob| blobs.contains(&blob.digest)) {
                    record.blob = None;
                }
            }
            Ok(())
        })
    }

    /// Makes a layer's forms again from whichever one is good. They are made aside and take the
    /// place of the old ones when all that was read is known to be right.
    fn rebuild(&self, chain: &ChainId) -> Result<()> {
        let lease = self.lease()?;
        lease.protect_chain(chain)?;
        let tables = self.tables()?;
        let layers = &tables.layers;
        let record = layers.layers.get(chain).ok_or(StoreError::NoLayer(*chain))?;
        let mut record = with_any_blob(record, layers);
        // What is to be mended may be the numbers themselves.
        record.bytes = self.blob_bytes(&record.diff.0).unwrap_or(record.bytes);
        if let Some(blob) = &mut record.blob {
            lease.protect_blob(&blob.digest)?;
            blob.bytes = self.blob_bytes(&blob.digest).unwrap_or(blob.bytes);
        }
        let from_tar = self.has_blob(&record.diff.0) && self.blob_fault(&record.diff.0)?.is_none();
        let (mut file, expected) = match from_tar {
            true => self.best_form(&record)?,
            false => self.blob_form(&record)?,
        };
        let keep = if from_tar { Keep::Nothing } else { Keep::Tar };
        let unpacked = self.read_layer(&lease, &mut file, expected, keep)?;
        let (_, mut renewed) =
            self.place_layer(&lease, unpacked, record.parent, layers, Place::Again)?;
        renewed.blob = record.blob;
        self.change::<_, StoreError>(|tables| {
            tables.layers.layers.insert(*chain, renewed);
            Ok(())
        })
    }

    /// Who reads a layer's files at this moment. What lies below their mounts may not be replaced.
    pub(crate) fn user_of(&self, chain: &ChainId, layers: &Layers) -> Result<Option<String>> {
        let stands = |top: Option<ChainId>| layers.closure(top).contains(chain);
        if let Some(view) = self.views()?.into_iter().find(|view| stands(view.top)) {
            return Ok(Some(format!("the mount at {}", view.path.display())));
        }
        let mut users = Vec::new();
        for name in self.mounted_snapshots()? {
            match self.snapshot(&name) {
                Ok(snapshot) if stands(snapshot.below) => users.push(name),
                Ok(_) | Err(StoreError::NoSnapshot(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(users.first().map(|name| format!("snapshot {name}")))
    }
}

/// A layer's record with the compressed blob that any record of the same tar has.
pub(super) fn with_any_blob(record: &LayerRecord, layers: &Layers) -> LayerRecord {
    let mut record = record.clone();
    if record.blob.is_none() {
        let same = layers.layers.values().filter(|other| other.diff == record.diff);
        record.blob = same.filter_map(|other| other.blob.clone()).next();
    }
    record
}
