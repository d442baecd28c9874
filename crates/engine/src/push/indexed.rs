//! Names of images for several platforms: their index goes with them, or a new one where they are
//! compressed otherwise than they were.

use std::collections::BTreeMap;
use std::io::Read;

use registry::Target;
use spec::{Descriptor, Digest, Document, ImageId, Index, MediaType};
use store::{ManifestRef, NameRecord, Tables};

use super::Labelled;
use super::sending::Sending;
use crate::error::Result;

/// An index of which everything is here.
pub(super) struct Whole {
    label: Labelled,
    index: Index,
    /// The manifest that it has for each image.
    pub(super) manifests: BTreeMap<ImageId, ManifestRef>,
}

impl Sending<'_> {
    /// The index behind a name, if all that it names is here.
    pub(super) fn whole_index(
        &self,
        tables: &Tables,
        record: &NameRecord,
    ) -> Result<Option<Whole>> {
        let Some(kept) = &record.index else { return Ok(None) };
        let bytes = self.engine.store.read_document(&kept.digest)?;
        let Ok(Document::Index(index)) = Document::parse(&bytes) else { return Ok(None) };
        let mut manifests = BTreeMap::new();
        for entry in &index.manifests {
            if entry.is_attestation() {
                if !self.engine.store.has_blob(&entry.digest) {
                    return Ok(None);
                }
                continue;
            }
            let Some(id) = self.image_of_entry(tables, record, entry) else { return Ok(None) };
            let (digest, size) = (entry.digest, entry.size);
            manifests
                .insert(id, ManifestRef { digest, media_type: entry.media_type.clone(), size });
        }
        let label = Labelled { bytes, media_type: kept.media_type.clone() };
        Ok(Some(Whole { label, index, manifests }))
    }

    /// Which of a name's images an entry of its index is, if that is here.
    fn image_of_entry(
        &self,
        tables: &Tables,
        record: &NameRecord,
        entry: &Descriptor,
    ) -> Option<ImageId> {
        let own = |id: &ImageId| Some(tables.images.images.get(id)?.manifest.as_ref()?.digest);
        if let Some(id) = record.images().find(|id| own(id) == Some(entry.digest)) {
            return Some(id);
        }
        // Pushed under another name, the image may have got another manifest first.
        let is_attached = record.attached.contains(&entry.digest);
        let bytes = self.engine.store.read_document(&entry.digest).ok().filter(|_| is_attached)?;
        let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { return None };
        let id = ImageId(manifest.config.digest);
        record.images().find(|image| *image == id)
    }

    /// Sends the index of images that were sent, with the manifests that they have now.
    pub(super) fn index(
        &self,
        target: &Target,
        whole: Whole,
        images: &[(ImageId, Labelled)],
    ) -> Result<Labelled> {
        let now: BTreeMap<Digest, &Labelled> = images
            .iter()
            .filter_map(|(id, label)| Some((whole.manifests.get(id)?.digest, label)))
            .collect();
        let is_same = now.iter().all(|(before, label)| Digest::of(&label.bytes) == *before);
        let label = match is_same {
            true => {
                self.attestations(&whole.index)?;
                whole.label
            }
            false => self.with_manifests(whole, &now),
        };
        self.repository.put_document(target, &label.media_type, &label.bytes)?;
        Ok(label)
    }

    /// An index with other manifests in the places of those that it had.
    fn with_manifests(&self, whole: Whole, now: &BTreeMap<Digest, &Labelled>) -> Labelled {
        let mut index = whole.index;
        let before = index.manifests.len();
        index.manifests.retain(|entry| !entry.is_attestation());
        if index.manifests.len() < before {
            self.progress.note(
                "Attestations stay behind: they are about the manifests that there were before",
            );
        }
        for entry in &mut index.manifests {
            if let Some(Labelled { bytes, media_type }) = now.get(&entry.digest) {
                (entry.digest, entry.size) = (Digest::of(bytes), bytes.len() as u64);
                (entry.media_type, entry.data) = (media_type.clone(), None);
            }
        }
        // Docker's list is of docker's manifests alone.
        if index.manifests.iter().any(|entry| entry.media_type == MediaType::OciManifest) {
            index.media_type = Some(MediaType::OciIndex);
        }
        let bytes = index.to_bytes();
        Labelled { bytes, media_type: Document::Index(index).media_type() }
    }

    /// Sends what an index says of how its images were built.
    fn attestations(&self, index: &Index) -> Result<()> {
        let store = &self.engine.store;
        for entry in index.manifests.iter().filter(|entry| entry.is_attestation()) {
            let bytes = store.read_document(&entry.digest)?;
            let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { continue };
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                if self.repository.blob_bytes(&blob.digest)?.is_none() {
                    let bytes = store.read_document(&blob.digest)?;
                    let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn Read>);
                    self.repository.put_blob(&blob.digest, blob.size, None, &open)?;
                }
            }
            let target = Target::Digest(entry.digest);
            self.repository.put_document(&target, &entry.media_type, &bytes)?;
        }
        Ok(())
    }
}
