//! What there is to see of an image in a registry, without pulling it.

use std::collections::{BTreeMap, BTreeSet};

use registry::{Access, Client, RemoteDocument, Repository, Target};
use serde_json::Value;
use spec::{Descriptor, Digest, Document, ImageConfig, Index, Reference};

use super::missing;
use super::walk::{MAX_NESTING, parse};
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

/// As many images and indexes are looked at for one name. No honest name has more.
const MAX_ENTRIES: usize = 1000;

/// What was met among the images of a name by now.
#[derive(Default)]
struct Looked {
    /// The indexes.
    seen: BTreeSet<Digest>,
    /// Where each manifest is in what was found.
    known: BTreeMap<Digest, usize>,
    /// How many were listed.
    entries: usize,
    found: Vec<RemoteEntry>,
}

impl RemoteEntry {
    /// The same image where it is listed once more.
    fn listed(&self, entry: &Descriptor) -> RemoteEntry {
        let mut again = RemoteEntry { descriptor: entry.clone(), ..self.clone() };
        let platform = again.descriptor.platform.take();
        again.descriptor.platform = platform.or_else(|| self.descriptor.platform.clone());
        again
    }
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

    /// All images of the name, each with its configuration; those of indexes in its index too.
    pub fn images(&self) -> Result<Vec<RemoteEntry>> {
        let Document::Index(index) = &self.parsed else {
            return Ok(vec![self.entry(None, self.document.clone())?]);
        };
        let mut looked = Looked::default();
        looked.seen.insert(self.document.digest);
        self.images_of(index, 0, &mut looked)?;
        Ok(looked.found)
    }

    /// Adds the images of an index. An index that was seen is not looked at again, and no document is
    /// fetched twice.
    fn images_of(&self, index: &Index, depth: usize, looked: &mut Looked) -> Result<()> {
        let images = index
            .manifests
            .iter()
            .filter(|entry| !entry.is_attestation() && super::walk::is_document(&entry.media_type));
        for entry in images {
            if looked.seen.contains(&entry.digest) {
                continue;
            }
            looked.entries += 1;
            if looked.entries > MAX_ENTRIES {
                let name = self.name.familiar();
                return Err(EngineError::Refused(format!(
                    "{name} lists more than {MAX_ENTRIES} images"
                )));
            }
            if let Some(known) = looked.known.get(&entry.digest) {
                let again = looked.found[*known].listed(entry);
                looked.found.push(again);
                continue;
            }
            let document = self.inner(&entry.digest)?;
            match parse(&document)? {
                Document::Index(inner) if depth < MAX_NESTING => {
                    looked.seen.insert(entry.digest);
                    self.images_of(&inner, depth + 1, looked)?;
                }
                _ => {
                    looked.known.insert(entry.digest, looked.found.len());
                    looked.found.push(self.entry(Some(entry), document)?);
                }
            }
        }
        Ok(())
    }

    /// A document that an index leads to.
    pub fn inner(&self, digest: &Digest) -> Result<RemoteDocument> {
        let document = self.repository.document(&Target::Digest(*digest));
        let asked = || self.name.without_tag().with_digest(*digest);
        document.map_err(|error| missing(&asked(), error))
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
