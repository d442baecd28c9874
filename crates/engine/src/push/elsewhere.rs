//! What a registry may have already: blobs of its other repositories, and layers that were compressed
//! before.

use std::collections::BTreeMap;

use spec::{Descriptor, DiffId, Digest, Document, ImageConfig, ImageId, Reference};
use store::{ImageRecord, Tables};

use super::Part;
use crate::Engine;

/// What is known to be in other repositories of the same registry: blobs that can be mounted, and
/// what layers became when they were compressed for it.
pub(super) struct Elsewhere {
    own: String,
    blobs: BTreeMap<Digest, String>,
    forms: BTreeMap<DiffId, Vec<Descriptor>>,
}

impl Elsewhere {
    pub(super) fn of(engine: &Engine, tables: &Tables, name: &Reference) -> Elsewhere {
        let own = name.path().to_owned();
        let mut found = Elsewhere { own, blobs: BTreeMap::new(), forms: BTreeMap::new() };
        let domain = format!("{}/", name.domain());
        for (id, record) in &tables.images.images {
            // An image that cannot be read helps nobody, and is no reason to fail.
            let Some(layers) = described(engine, *id, record) else { continue };
            let known = record.repo_digests.iter().filter_map(|known| {
                known.strip_prefix(&domain)?.split('@').next().map(str::to_owned)
            });
            let repositories: Vec<String> = known.collect();
            for (diff, layer) in layers {
                for repository in &repositories {
                    found.blobs.entry(layer.digest).or_insert_with(|| repository.clone());
                }
                let forms = found.forms.entry(diff).or_default();
                if !forms.contains(&layer) {
                    forms.push(layer);
                }
            }
        }
        found
    }

    /// The other repositories from which something can be mounted.
    pub(super) fn repositories(&self) -> Vec<String> {
        let mut all: Vec<String> = self.blobs.values().cloned().collect();
        all.sort();
        all.dedup();
        all.retain(|name| *name != self.own);
        // A token server has to think about each.
        all.truncate(4);
        all
    }

    pub(super) fn repository(&self, digest: &Digest) -> Option<&str> {
        let name = self.blobs.get(digest)?;
        (*name != self.own).then_some(name)
    }

    /// What a plain layer became before, for others.
    pub(super) fn forms<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Descriptor> {
        let forms = self.forms.get(&part.diff).filter(|_| part.is_packed);
        forms.into_iter().flatten().filter(|form| part.known.as_ref() != Some(form))
    }
}

/// The layers of an image as its manifest has them.
fn described(
    engine: &Engine,
    id: ImageId,
    record: &ImageRecord,
) -> Option<Vec<(DiffId, Descriptor)>> {
    let manifest = record.manifest.as_ref()?;
    let bytes = engine.store.read_document(&manifest.digest).ok()?;
    let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { return None };
    let config = ImageConfig::parse(&engine.store.read_document(&id.0).ok()?).ok()?;
    let diffs = config.rootfs.diff_ids;
    (diffs.len() == manifest.layers.len()).then(|| diffs.into_iter().zip(manifest.layers).collect())
}
