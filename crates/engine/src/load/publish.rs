//! Images that are whole become visible, all at once.

use std::collections::BTreeSet;

use image::archive::{Bundled, Original};
use spec::{ChainId, ImageId, MediaType, Platform, Reference, Timestamp};
use store::{ImageRecord, Layers, Lease, ManifestRef, NameRecord, Tables};

use super::Loaded;
use crate::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// Makes the images visible, all at once.
    pub(crate) fn publish(
        &self,
        lease: &Lease,
        images: &[Bundled],
        layers: Layers,
        repo_digests: &BTreeSet<String>,
    ) -> Result<Vec<Loaded>> {
        let now = Timestamp::now();
        let mut records = Vec::new();
        let mut indexes = Vec::new();
        for image in images {
            let id = ImageId(self.store.put_document(lease, &image.config_bytes)?);
            let manifest = self.put_original(lease, image.manifest.as_ref())?;
            let top = ChainId::of(&image.config.rootfs.diff_ids);
            let sizes = layers.stack(top)?.iter().map(|(_, layer)| layer.bytes).collect();
            let record = ImageRecord {
                top,
                created: image.config.created,
                tagged: (!image.names.is_empty()).then_some(now),
                layers: sizes,
                platform: image.platform().into(),
                manifest: manifest.map(Box::new),
                repo_digests: repo_digests.clone(),
                parent: None,
            };
            records.push((id, record));
            // An index stands behind a name; without one nothing would need it.
            let index = image.index.as_ref().filter(|_| !image.names.is_empty());
            indexes.push(self.put_original(lease, index)?);
        }
        self.store.change(|tables| {
            // Only what these images stand on, which the lease protects: of the rest, some may have
            // gone while the layers were read.
            tables.layers.add_stacks(&layers, records.iter().filter_map(|r| r.1.top));
            let mut loaded = Vec::new();
            for ((image, (id, record)), index) in images.iter().zip(&records).zip(&indexes) {
                let came = (record.manifest.as_deref(), index.as_ref());
                let known = tables.images.images.remove(id);
                let merged = merge(known, record.clone());
                tables.images.images.insert(*id, merged);
                let mut displaced = Vec::new();
                for name in &image.names {
                    displaced.extend(name_image(tables, name, *id, came));
                }
                loaded.push(Loaded { id: *id, names: image.names.clone(), displaced });
            }
            Ok::<_, EngineError>(loaded)
        })
    }

    fn put_original(
        &self,
        lease: &Lease,
        original: Option<&Original>,
    ) -> Result<Option<ManifestRef>> {
        let Some(original) = original else { return Ok(None) };
        let digest = self.store.put_document(lease, &original.bytes)?;
        let media_type: MediaType = original.media_type.clone();
        Ok(Some(ManifestRef { digest, media_type, size: original.bytes.len() as u64 }))
    }
}

/// What was known of an image stays known when it comes again.
fn merge(known: Option<ImageRecord>, new: ImageRecord) -> ImageRecord {
    let Some(known) = known else { return new };
    ImageRecord {
        tagged: new.tagged.or(known.tagged),
        manifest: known.manifest.or(new.manifest),
        repo_digests: known.repo_digests.into_iter().chain(new.repo_digests).collect(),
        parent: known.parent,
        ..new
    }
}

/// Gives an image a name. Images of one index share the name: the one for this machine stands for
/// it. Returns the image that lost the name.
fn name_image(
    tables: &mut Tables,
    name: &Reference,
    id: ImageId,
    (manifest, index): (Option<&ManifestRef>, Option<&ManifestRef>),
) -> Option<(Reference, ImageId)> {
    let images = &tables.images.images;
    let host = Platform::host();
    let rank =
        |id: &ImageId| images.get(id).and_then(|record| record.platform.platform().rank(&host));
    let text = name.to_string();
    let before = tables.images.names.get(&text).cloned();
    let record = match (&before, index) {
        (Some(record), Some(index)) if record.index.as_deref() == Some(index) => {
            let mut all: Vec<ImageId> = record.images().chain([id]).collect();
            all.dedup();
            all.sort_by_key(|id| rank(id).unwrap_or(u32::MAX));
            let mut unique = Vec::new();
            for id in all {
                if !unique.contains(&id) {
                    unique.push(id);
                }
            }
            let (image, index) = (unique.remove(0), Some(index.clone().into()));
            let attached = record.attached.clone();
            NameRecord { index, others: unique, attached, ..NameRecord::of(image) }
        }
        (_, index) => {
            let own = images.get(&id).and_then(|record| record.manifest.as_deref());
            let manifest = manifest.filter(|manifest| own != Some(manifest));
            let boxed = |kept: Option<&ManifestRef>| kept.cloned().map(Box::new);
            let (index, manifest) = (boxed(index), boxed(manifest));
            NameRecord { index, manifest, ..NameRecord::of(id) }
        }
    };
    let displaced = before
        .filter(|before| record.images().all(|id| id != before.image))
        .map(|before| (name.clone(), before.image));
    tables.images.names.insert(text, record);
    displaced
}
