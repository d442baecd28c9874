//! What there is to see of an image in a registry, without pulling it.

use registry::{Access, Client, RemoteDocument, Repository, Target};
use serde_json::Value;
use spec::{Descriptor, Digest, Document, ImageConfig, Reference};

use super::missing;
use super::walk::parse;
use crate::error::{EngineError, Result};
use crate::sign::Policy;

/// An image in a registry.
pub struct RemoteImage<'a> {
    repository: Repository<'a>,
    /// The name it was asked for by.
    pub name: Reference,
    /// What the name stands for.
    pub document: RemoteDocument,
    /// The same, understood.
    pub parsed: Document,
}

/// One image among those that a name stands for.
#[derive(Clone, Debug)]
pub struct RemoteEntry {
    /// How the index lists it, with its platform; of a name without an index, what it would say.
    pub descriptor: Descriptor,
    /// Its manifest.
    pub manifest: RemoteDocument,
    /// Its configuration, as it is.
    pub config: Vec<u8>,
}

impl<'a> RemoteImage<'a> {
    /// Fetches the document that a name stands for.
    pub fn open(client: &'a Client, name: &Reference) -> Result<RemoteImage<'a>> {
        let repository = client.repository(name, Access::Pull)?;
        let document = repository.document(&crate::pull::target(name));
        let document = document.map_err(|error| missing(name, error))?;
        let parsed = parse(&document)?;
        Ok(RemoteImage { repository, name: name.clone(), document, parsed })
    }

    /// Refuses it if the policy does not let it in.
    pub(super) fn judge(&self, policy: &Policy) -> Result<()> {
        policy.judge(&self.repository, &self.name, [self.document.digest])
    }

    /// All images of the name, each with its configuration.
    pub fn images(&self) -> Result<Vec<RemoteEntry>> {
        match &self.parsed {
            Document::Manifest(_) => Ok(vec![self.entry(None, self.document.clone())?]),
            Document::Index(index) => {
                let images = index.manifests.iter().filter(|entry| {
                    !entry.is_attestation() && super::walk::is_document(&entry.media_type)
                });
                images.map(|entry| self.entry(Some(entry), self.inner(&entry.digest)?)).collect()
            }
        }
    }

    /// A document that an index leads to.
    pub fn inner(&self, digest: &Digest) -> Result<RemoteDocument> {
        Ok(self.repository.document(&Target::Digest(*digest))?)
    }

    fn entry(&self, listed: Option<&Descriptor>, manifest: RemoteDocument) -> Result<RemoteEntry> {
        let Document::Manifest(parsed) = parse(&manifest)? else {
            return Err(EngineError::IsList(manifest.digest.to_string()));
        };
        let config = self.blob(&parsed.config)?;
        let size = manifest.bytes.len() as u64;
        let plain = || Descriptor::new(manifest.media_type.clone(), manifest.digest, size);
        let mut descriptor = listed.cloned().unwrap_or_else(plain);
        if descriptor.platform.is_none() && parsed.config.media_type.is_config() {
            let config = ImageConfig::parse(&config).map_err(EngineError::Config)?;
            descriptor.platform = Some(config.platform());
        }
        Ok(RemoteEntry { descriptor, manifest, config })
    }

    fn blob(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        let limit = spec::MAX_CONFIG_BYTES as u64;
        Ok(self.repository.small_blob(blob.digest, blob.size, limit)?)
    }

    /// What is attested of an image of the index: the kind of each statement, and the statement.
    pub fn attestations(&self, image: &Digest) -> Result<Vec<(String, Value)>> {
        let Document::Index(index) = &self.parsed else { return Ok(Vec::new()) };
        let about = image.to_string();
        let of_image = |entry: &&Descriptor| {
            entry.is_attestation()
                && entry.annotations.get("vnd.docker.reference.digest") == Some(&about)
        };
        let mut found = Vec::new();
        for entry in index.manifests.iter().filter(of_image) {
            let Document::Manifest(manifest) = parse(&self.inner(&entry.digest)?)? else {
                continue;
            };
            for layer in &manifest.layers {
                let Some(kind) = layer.annotations.get("in-toto.io/predicate-type") else {
                    continue;
                };
                let statement: Value = serde_json::from_slice(&self.blob(layer)?)
                    .map_err(|error| EngineError::Input(format!("{}: {error}", layer.digest)))?;
                found.push((kind.clone(), statement["predicate"].clone()));
            }
        }
        Ok(found)
    }
}
