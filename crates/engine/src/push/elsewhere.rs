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
        for manifest in manifests(tables) {
            // What cannot be read helps nobody, and is no reason to fail.
            let Some((record, layers)) = described(engine, tables, manifest) else { continue };
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

/// All manifests that images and names have.
fn manifests(tables: &Tables) -> impl Iterator<Item = &Digest> {
    let own = tables.images.images.values().filter_map(|record| record.manifest.as_ref());
    let names = tables.images.names.values();
    let of_names = names.clone().filter_map(|name| name.manifest.as_ref());
    let attached = names.flat_map(|name| &name.attached);
    own.chain(of_names).map(|kept| &kept.digest).chain(attached)
}

/// The image that a manifest is of, and its layers as the manifest has them.
fn described<'t>(
    engine: &Engine,
    tables: &'t Tables,
    manifest: &Digest,
) -> Option<(&'t ImageRecord, Vec<(DiffId, Descriptor)>)> {
    let bytes = engine.store.read_document(manifest).ok()?;
    let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { return None };
    let id = ImageId(manifest.config.digest);
    let record = tables.images.images.get(&id)?;
    let config = ImageConfig::parse(&engine.store.read_document(&id.0).ok()?).ok()?;
    let diffs = config.rootfs.diff_ids;
    let is_whole = diffs.len() == manifest.layers.len();
    is_whole.then(|| (record, diffs.into_iter().zip(manifest.layers).collect()))
}
