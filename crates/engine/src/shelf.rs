//! The images that are here as a registry shows them: repositories, tags, documents, blobs.

use std::collections::BTreeSet;
use std::fs::File;

use spec::{Digest, Document, FullName, MediaType};
use store::{NameRecord, Tables};

use crate::Engine;
use crate::error::Result;

/// A document that can be served: all that it names is here, but for images of other platforms that
/// an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfDocument {
    /// The tag that stands for it; one that an index leads to has none.
    pub tag: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// What it is.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Engine {
    /// The repositories that images here have names of, without their registries' hosts.
    pub fn shelf_repositories(&self) -> Result<BTreeSet<String>> {
        Ok(self.store.images()?.names.keys().map(|name| shown(name).to_owned()).collect())
    }

    /// The tags of a repository.
    pub fn shelf_tags(&self, repository: &str) -> Result<BTreeSet<String>> {
        let images = self.store.images()?;
        let names = images.names.keys().filter(|name| is_of(name, repository));
        Ok(names.map(|name| tag_of(name)).collect())
    }

    /// All documents of a repository. Where two registries have the same repository and tag, the
    /// first by name counts.
    pub fn shelf_documents(&self, repository: &str) -> Result<Vec<ShelfDocument>> {
        let tables = self.store.tables()?;
        let mut found: Vec<ShelfDocument> = Vec::new();
        for (name, record) in &tables.images.names {
            let tag = tag_of(name);
            let is_known = found.iter().any(|document| document.tag.as_ref() == Some(&tag));
            if is_of(name, repository) && !is_known {
                self.shelve(&tables, record, tag, &mut found)?;
            }
        }
        Ok(found)
    }

    fn shelve(
        &self,
        tables: &Tables,
        record: &NameRecord,
        tag: String,
        found: &mut Vec<ShelfDocument>,
    ) -> Result<()> {
        let mut tag = Some(tag);
        if let Some(index) = &record.index {
            let (digest, media_type) = (index.digest, index.media_type.clone());
            let bytes = self.store.read_document(&digest)?;
            found.push(ShelfDocument { tag: tag.take(), digest, media_type, bytes });
        }
        for id in record.images() {
            let Some(image) = tables.images.images.get(&id) else { continue };
            let image = self.archive_image(tables, id, image, Vec::new())?;
            let (bytes, media_type) = image.manifest;
            let digest = Digest::of(&bytes);
            found.push(ShelfDocument { tag: tag.take(), digest, media_type, bytes });
        }
        Ok(())
    }

    /// A blob of a repository, and how long it is.
    pub fn shelf_blob(&self, repository: &str, digest: &Digest) -> Result<Option<(File, u64)>> {
        for document in self.shelf_documents(repository)? {
            let Ok(Document::Manifest(manifest)) = Document::parse(&document.bytes) else {
                continue;
            };
            let mut blobs = manifest.layers.iter().chain([&manifest.config]);
            if blobs.any(|blob| blob.digest == *digest) {
                let file = self.store.open_blob(digest)?;
                let bytes =
                    file.metadata().map_err(crate::EngineError::io("read", "a blob"))?.len();
                return Ok(Some((file, bytes)));
            }
        }
        Ok(None)
    }
}

/// What a repository is called here: without the host, and of docker's own as people write it.
fn shown(name: &str) -> &str {
    let name = FullName::of(name);
    match name.familiar_name() {
        familiar if familiar == name.name() => path_of(name.name()),
        familiar => familiar,
    }
}

fn is_of(name: &str, repository: &str) -> bool {
    shown(name) == repository || path_of(FullName::of(name).name()) == repository
}

fn path_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, path)| path)
}

fn tag_of(name: &str) -> String {
    FullName::of(name).tag().unwrap_or("latest").to_owned()
}
