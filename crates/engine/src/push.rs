//! Images to a registry. What came from a registry goes back as it came; what is new is compressed
//! while it is sent, and what is there already is not sent at all.

use std::collections::BTreeMap;

use registry::{Access, Client};
use spec::{
    Descriptor, DiffId, Digest, Document, ImageId, Manifest, MediaType, Platform, Reference,
};
use store::{ImageRecord, LayerRecord, ManifestRef, Tables};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::pack::LayerCoding;
use crate::progress::Progress;

mod elsewhere;
mod sending;

use elsewhere::Elsewhere;
use sending::Sending;

/// A request to push.
#[derive(Clone, Debug)]
pub struct PushImage {
    /// The name, with a tag.
    pub name: Reference,
    /// All tags of the repository.
    pub all_tags: bool,
    /// Only the image for this platform, where a name has several.
    pub platform: Option<Platform>,
    /// How layers are compressed; by default as before, and with gzip the first time.
    pub repack: Option<Repack>,
}

/// How layers are to be compressed that a registry is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repack {
    /// By what.
    pub coding: LayerCoding,
    /// How hard.
    pub level: Option<i32>,
    /// Whether what came compressed is compressed anew, and does not go as it came.
    pub force: bool,
}

/// A name that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// The digest of what it now stands for.
    pub digest: Digest,
    /// How long that document is.
    pub bytes: u64,
    /// What it is.
    pub media_type: MediaType,
}

/// A layer to be sent.
struct Part {
    diff: DiffId,
    record: LayerRecord,
    /// What the registry is to have, where it is known before the layer is compressed.
    known: Option<Descriptor>,
    /// It is compressed on its way; else the blob goes that is known.
    is_packed: bool,
}

/// An image to be sent.
struct Parcel {
    id: ImageId,
    config_bytes: Vec<u8>,
    parts: Vec<Part>,
    /// The manifest it came with.
    manifest: Option<(Vec<u8>, MediaType)>,
}

/// A document that a name stands for.
struct Labelled {
    bytes: Vec<u8>,
    media_type: MediaType,
}

impl Engine {
    /// Pushes an image, or all tags of a repository. `told` hears of each when it is there.
    pub fn push(
        &self,
        client: &Client,
        push: &PushImage,
        progress: &dyn Progress,
        told: &mut dyn FnMut(&Pushed),
    ) -> Result<()> {
        let lease = self.store.lease()?;
        let names = self.names_to_push(push)?;
        let named = self.store.images()?.names;
        let chosen = names.iter().filter_map(|name| named.get(&name.to_string()));
        self.protect(&lease, chosen.clone().flat_map(|record| record.images()))?;
        for kept in chosen.flat_map(|record| record.index.iter().chain(&record.manifest)) {
            lease.protect_blob(&kept.digest)?;
        }
        // Looked at only now: what is here and protected stays.
        let tables = self.store.tables()?;
        let elsewhere = Elsewhere::of(self, &tables, &push.name);
        let repository = client.repository(&push.name, Access::Push)?;
        let repository = repository.mounting_from(&elsewhere.repositories());
        for name in names {
            let sending = Sending {
                engine: self,
                lease: &lease,
                repository: &repository,
                elsewhere: &elsewhere,
                repack: push.repack,
                progress,
            };
            let sent = sending.name(&tables, &name, push.platform.as_ref());
            client
                .take_warnings()
                .iter()
                .for_each(|text| progress.note(&format!("Warning: {text}")));
            let (pushed, ids) = sent?;
            self.remember(&lease, &name, pushed.digest, &ids)?;
            told(&pushed);
        }
        Ok(())
    }

    /// Pushes an image under its digest alone, to the repository of a name.
    pub(crate) fn push_by_digest(
        &self,
        client: &Client,
        name: &Reference,
        id: ImageId,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let lease = self.store.lease()?;
        self.protect(&lease, [id])?;
        let tables = self.store.tables()?;
        let missing = || EngineError::NoSuchImage(id.to_string());
        let record = tables.images.images.get(&id).ok_or_else(missing)?;
        let elsewhere = Elsewhere::of(self, &tables, name);
        let repository = client.repository(name, Access::Push)?;
        let repository = repository.mounting_from(&elsewhere.repositories());
        let sending = Sending {
            engine: self,
            lease: &lease,
            repository: &repository,
            elsewhere: &elsewhere,
            repack: None,
            progress,
        };
        let parcel = self.parcel(&tables, id, record, record.manifest.as_deref(), None)?;
        let label = sending.parcel(parcel, None)?;
        let (digest, bytes) = (Digest::of(&label.bytes), label.bytes.len() as u64);
        let media_type = label.media_type.clone();
        self.remember(&lease, name, digest, &[(id, label)])?;
        Ok(Pushed { tag: digest.to_string(), digest, bytes, media_type })
    }

    /// The names that are meant, each with its tag.
    fn names_to_push(&self, push: &PushImage) -> Result<Vec<Reference>> {
        let images = self.store.images()?;
        let prefix = format!("{}:", push.name.name());
        let tags: Vec<Reference> = images
            .names
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .map(|name| crate::tag::parse(name))
            .collect::<Result<_>>()?;
        if tags.is_empty() {
            let name = push.name.familiar_name();
            return Err(EngineError::NothingToPush(name));
        }
        if push.all_tags {
            return Ok(tags);
        }
        let name = push.name.without_digest().with_default_tag();
        match images.names.contains_key(&name.to_string()) {
            true => Ok(vec![name]),
            false => Err(EngineError::NoTag(name.familiar())),
        }
    }

    /// Writes down what the registry calls these images, and the manifests they have there.
    fn remember(
        &self,
        lease: &store::Lease,
        name: &Reference,
        digest: Digest,
        images: &[(ImageId, Labelled)],
    ) -> Result<()> {
        let mut documents = BTreeMap::new();
        for (id, Labelled { bytes, media_type }) in images {
            let (media_type, size) = (media_type.clone(), bytes.len() as u64);
            let digest = self.store.put_document(lease, bytes)?;
            documents.insert(*id, ManifestRef { digest, media_type, size });
        }
        let full = name.to_string();
        self.store.change_images(|all| {
            for (id, manifest) in documents {
                let Some(record) = all.images.get_mut(&id) else { continue };
                record.repo_digests.insert(format!("{}@{digest}", name.name()));
                match all.names.get_mut(&full).and_then(|named| named.manifest.as_mut()) {
                    // The image's other names keep the manifest that they came with.
                    Some(own) => **own = manifest,
                    None => record.manifest = Some(manifest.into()),
                }
            }
            Ok::<_, EngineError>(())
        })?;
        let familiar = name.familiar();
        let attributes = name.familiar_name();
        self.store.record_event("image", "push", &familiar, &[("name", &attributes)]);
        Ok(())
    }

    /// What has to be there before an image's manifest.
    fn parcel(
        &self,
        tables: &Tables,
        id: ImageId,
        record: &ImageRecord,
        manifest: Option<&ManifestRef>,
        repack: Option<&Repack>,
    ) -> Result<Parcel> {
        let config_bytes = self.store.read_document(&id.0)?;
        let stack = tables.layers.stack(record.top)?;
        let own = self.own_manifest(id, manifest, stack.len())?;
        let known = own.as_ref().map(|(_, manifest)| manifest.layers.clone());
        let parts = stack.iter().enumerate().map(|(at, (_, layer))| {
            self.part(layer, known.as_ref().and_then(|layers| layers.get(at)), repack)
        });
        let parts: Vec<Part> = parts.collect::<Result<_>>()?;
        // It says what the layers are to be no longer.
        let own = own.filter(|(_, own)| {
            let stays = |(part, layer): (&Part, &Descriptor)| part.known.as_ref() == Some(layer);
            repack.is_none() || parts.iter().zip(&own.layers).all(stays)
        });
        let manifest = own.map(|(bytes, manifest)| {
            let media_type = Document::Manifest(manifest).media_type();
            (bytes, media_type)
        });
        Ok(Parcel { id, config_bytes, parts, manifest })
    }

    /// The manifest that an image came with, if it describes the image as it is.
    fn own_manifest(
        &self,
        id: ImageId,
        manifest: Option<&ManifestRef>,
        layers: usize,
    ) -> Result<Option<(Vec<u8>, Manifest)>> {
        let Some(manifest) = manifest else { return Ok(None) };
        let bytes = self.store.read_document(&manifest.digest)?;
        match Document::parse(&bytes) {
            Ok(Document::Manifest(own))
                if own.config.digest == id.0 && own.layers.len() == layers =>
            {
                Ok(Some((bytes, own)))
            }
            _ => Ok(None),
        }
    }

    /// A layer in the form in which it is kept, or in the one that is asked for.
    fn part(
        &self,
        layer: &LayerRecord,
        wanted: Option<&Descriptor>,
        repack: Option<&Repack>,
    ) -> Result<Part> {
        let (diff, record) = (layer.diff, layer.clone());
        let is_asked = |known: &&Descriptor| repack.is_none_or(|asked| asked.coding.is_of(known));
        // What came compressed goes as it came, unless somebody insists.
        let may_go = |known: &&Descriptor| {
            let may_stay = repack.is_none_or(|asked| !asked.force && known.digest != diff.0);
            may_stay || is_asked(known)
        };
        let here = wanted.filter(|wanted| self.store.has_blob(&wanted.digest));
        if let Some(wanted) = here.filter(may_go) {
            return Ok(Part { diff, record, known: Some(wanted.clone()), is_packed: false });
        }
        let kept = self.layer_descriptor(layer)?;
        Ok(match kept.digest != diff.0 && may_go(&&kept) {
            true => Part { diff, record, known: Some(kept), is_packed: false },
            false => {
                let known = wanted.filter(is_asked).cloned();
                Part { diff, record, known, is_packed: true }
            }
        })
    }
}
