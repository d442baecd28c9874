//! Images and names: their documents, and what they stand on.

use spec::{ChainId, Digest, Document, ImageConfig, ImageId};

use super::renew::image_record;
use super::{CheckReport, Cure, Fault, reason};
use crate::Store;
use crate::tables::{ImageRecord, Images, Layers, NameRecord, Tables};

impl Store {
    /// What is wrong with images and names themselves.
    pub(super) fn check_images(&self, tables: &Tables, report: &mut CheckReport) {
        for (id, record) in &tables.images.images {
            report.blobs += 1 + usize::from(record.manifest.is_some());
            report.faults.extend(self.image_faults(id, record, &tables.layers));
        }
        for (name, record) in &tables.images.names {
            report.faults.extend(self.name_faults(name, record, &tables.images));
        }
    }

    fn image_faults(&self, id: &ImageId, record: &ImageRecord, layers: &Layers) -> Vec<Fault> {
        let mut faults = Vec::new();
        let what = format!("image {}", id.0.short());
        let config = match self.read_document(&id.0) {
            Ok(bytes) => ImageConfig::parse(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(reason(error)),
        };
        match config {
            Err(why) => {
                faults.push(Fault::new(format!("the configuration of {what}"), why, Cure::None));
            }
            Ok(config) if ChainId::of(&config.rootfs.diff_ids) != record.top => {
                let why = "its layers are not those of its configuration";
                faults.push(Fault::new(what.clone(), why, Cure::None));
            }
            Ok(config) => {
                let right = recounted(record, &config, layers);
                if right.is_some_and(|right| !right.is_written_like(record)) {
                    let why = "it says something else than its configuration and its layers";
                    let what = format!("the record of {what}");
                    faults.push(Fault::new(what, why, Cure::Recount(*id)));
                }
            }
        }
        if let Some(top) = record.top.filter(|top| !layers.layers.contains_key(top)) {
            let why = format!("its topmost layer {} is not here", top.0.short());
            faults.push(Fault::new(what.clone(), why, Cure::None));
        }
        let manifest = record.manifest.as_ref();
        if let Some(why) = manifest.and_then(|manifest| self.document_fault(&manifest.digest)) {
            let what = format!("the manifest of {what}");
            faults.push(Fault::new(what, why, Cure::ForgetManifest(*id)));
        }
        faults
    }

    fn name_faults(&self, name: &str, record: &NameRecord, images: &Images) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (kind, own) in [("index", &record.index), ("manifest", &record.manifest)] {
            let own = own.as_ref();
            if let Some(why) = own.and_then(|own| self.document_fault(&own.digest)) {
                let what = format!("the {kind} of {name}");
                faults.push(Fault::new(what, why, Cure::ForgetOriginals(name.to_owned())));
            }
        }
        for id in record.images().filter(|id| !images.images.contains_key(id)) {
            let why = format!("it stands for {}, which is not here", id.0.short());
            faults.push(Fault::new(format!("name {name}"), why, Cure::None));
        }
        faults
    }

    /// What is wrong with a manifest or an index.
    fn document_fault(&self, digest: &Digest) -> Option<String> {
        match self.read_document(digest) {
            Ok(bytes) => Document::parse(&bytes).err().map(|error| error.to_string()),
            Err(error) => Some(reason(error)),
        }
    }
}

/// A record with what follows from the configuration and the layers as they have it, if the layers are
/// here.
pub(super) fn recounted(
    record: &ImageRecord,
    config: &ImageConfig,
    layers: &Layers,
) -> Option<ImageRecord> {
    let ImageRecord { created, layers, platform, .. } = image_record(config, layers)?;
    Some(ImageRecord { created, layers, platform, ..record.clone() })
}
