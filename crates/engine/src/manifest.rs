//! The manifest or index of an image that is here.

use spec::{Digest, MediaType, Platform};

use crate::Engine;
use crate::error::Result;
use crate::find::find;

/// A manifest or an index, byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestDocument {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its type.
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// The full name that was asked for.
    pub name: String,
    /// What the image runs on.
    pub platform: Platform,
}

impl Engine {
    /// What a name stands for: its index if it has one, else its manifest, made now if it came
    /// without.
    pub fn manifest(&self, name: &str) -> Result<ManifestDocument> {
        let tables = self.store.tables()?;
        let found = find(&tables.images, name)?;
        let record = &tables.images.images[&found.id];
        let named = found.name.as_ref().and_then(|name| tables.images.names.get(name));
        let of_name = named.and_then(|named| named.index.as_ref().or(named.manifest.as_ref()));
        let shown = found.name.clone().unwrap_or_else(|| found.id.to_string());
        if let Some(own) = of_name.or(record.manifest.as_ref()) {
            // Also where its layers are kept in another form: it is what a registry knows.
            let bytes = self.store.read_document(&own.digest)?;
            let (media_type, digest) = (own.media_type.clone(), own.digest);
            let platform = record.platform.platform();
            return Ok(ManifestDocument { bytes, media_type, digest, name: shown, platform });
        }
        let image = self.archive_image(&tables, found.id, record, Vec::new())?;
        let (bytes, media_type) = image.manifest;
        let digest = Digest::of(&bytes);
        Ok(ManifestDocument { bytes, media_type, digest, name: shown, platform: image.platform })
    }
}
