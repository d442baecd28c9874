//! What is written down of a push: what the registry calls the images, and the manifests that they
//! have there, so that the next push knows what need not be made again.

use spec::{Digest, Document, ImageId, Reference};
use store::{Images, ManifestRef};

use super::{Labelled, Named};
use crate::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// Writes down what the registry calls these images, and the manifests they have there.
    pub(super) fn remember(&self, name: &Reference, named: &Named) -> Result<()> {
        let lease = self.store.lease()?;
        let mut documents = Vec::new();
        for (id, Labelled { bytes, media_type }) in &named.images {
            let (media_type, size) = (media_type.clone(), bytes.len() as u64);
            let digest = self.store.put_document(&lease, bytes)?;
            documents.push((*id, ManifestRef { digest, media_type, size }));
        }
        let (full, digest) = (name.to_string(), named.pushed.digest);
        // What a document took the place of is needed by nobody any more.
        self.store.remove_images(|all| {
            for (id, manifest) in documents {
                let Some(record) = all.images.get_mut(&id) else { continue };
                record.repo_digests.insert(format!("{}@{digest}", name.name()));
                match &record.manifest {
                    None => record.manifest = Some(manifest.into()),
                    Some(own) => {
                        let is_own = **own == manifest;
                        self.remember_of_name(all, &full, id, manifest, is_own);
                    }
                }
            }
            Ok::<_, EngineError>(())
        })?;
        let familiar = name.familiar();
        let attributes = name.familiar_name();
        let own = [("name", attributes.as_str())];
        match named.images.first() {
            Some((id, _)) => self.image_event_of("push", &familiar, *id, &own),
            None => self.store.record_event("image", "push", &familiar, &own),
        }
        Ok(())
    }

    /// What an image is under one name is so under that name alone: its other names go as they did.
    /// A name with an index keeps it, and what else its images were pushed as beside it.
    fn remember_of_name(
        &self,
        all: &mut Images,
        full: &str,
        id: ImageId,
        manifest: ManifestRef,
        is_own: bool,
    ) {
        let Some(named) = all.names.get_mut(full) else { return };
        if named.index.is_none() {
            named.manifest = (!is_own && named.image == id).then(|| manifest.into());
            return;
        }
        let is_of = |digest: &Digest| self.image_of_manifest(digest) == Some(id);
        let in_index = self.named_by(named.index.as_deref());
        named.attached.retain(|digest| in_index.contains(digest) || !is_of(digest));
        if !is_own && !named.attached.contains(&manifest.digest) {
            named.attached.push(manifest.digest);
        }
    }

    /// The image that a kept manifest is of.
    fn image_of_manifest(&self, manifest: &Digest) -> Option<ImageId> {
        let bytes = self.store.read_document(manifest).ok()?;
        match Document::parse(&bytes).ok()? {
            Document::Manifest(manifest) => Some(ImageId(manifest.config.digest)),
            Document::Index(_) => None,
        }
    }

    /// The documents that a kept index names.
    fn named_by(&self, index: Option<&ManifestRef>) -> Vec<Digest> {
        let bytes = index.and_then(|index| self.store.read_document(&index.digest).ok());
        match bytes.map(|bytes| Document::parse(&bytes)) {
            Some(Ok(Document::Index(index))) => {
                index.manifests.iter().map(|entry| entry.digest).collect()
            }
            _ => Vec::new(),
        }
    }
}
