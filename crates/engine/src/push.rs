//! Images to a registry. What came from a registry goes back as it came; what is new is compressed
//! while it is sent, and what is there already is not sent at all.

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
mod indexed;
mod remember;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repack {
    /// By what; else as each layer was before, and with gzip the first time.
    pub coding: Option<LayerCoding>,
    /// How hard.
    pub level: Option<i32>,
    /// Whether what is compressed already is compressed anew, where it is otherwise compressed or
    /// how hard is asked for.
    pub force: bool,
}

impl Repack {
    /// Whether a layer that is there already is what is asked for.
    fn is_met(&self, form: &Descriptor) -> bool {
        let is_same = self.coding.is_none_or(|coding| coding.is_of(form));
        // How hard it was compressed cannot be seen.
        is_same && !(self.force && self.level.is_some())
    }
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
    /// The blob goes although it is compressed otherwise than was asked for.
    is_other: bool,
    /// How it was compressed before.
    before: Option<LayerCoding>,
}

/// An image to be sent.
struct Parcel {
    id: ImageId,
    config_bytes: Vec<u8>,
    parts: Vec<Part>,
    /// The manifest it came with.
    manifest: Option<(Vec<u8>, MediaType)>,
}

/// What a name stands for now, and the manifests of its images.
struct Named {
    pushed: Pushed,
    images: Vec<(ImageId, Labelled)>,
}

/// A document that a name stands for.
#[derive(Clone)]
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
        let pushed = self.push_names(client, push, progress, told);
        pushed.map_err(|error| match error {
            // Docker says no more of a push, neither the address nor how it was asked.
            EngineError::Registry(error) if error.is_nameless() => EngineError::NoLogin(error),
            error => error,
        })
    }

    fn push_names(
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
        for record in chosen {
            let kept = record.index.iter().chain(&record.manifest).map(|kept| &kept.digest);
            for digest in kept.chain(&record.attached) {
                lease.protect_blob(digest)?;
            }
        }
        // Looked at only now: what is here and protected stays.
        let tables = self.store.tables()?;
        let elsewhere = Elsewhere::of(self, &tables, &push.name);
        let repository = client.repository(&push.name, Access::Push)?;
        let repository = repository.mounting_from(&elsewhere.repositories());
        let mut done = Vec::new();
        let sent = names.into_iter().try_for_each(|name| {
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
            let named = sent?;
            told(&named.pushed);
            done.push((name, named));
            Ok(())
        });
        // What was pushed is remembered, whatever became of the rest; what it takes the place of may
        // go, so it is protected no longer.
        drop(lease);
        for (name, named) in &done {
            self.remember(name, named)?;
        }
        sent
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
        let pushed = Pushed { tag: digest.to_string(), digest, bytes, media_type };
        let named = Named { pushed, images: vec![(id, label)] };
        drop(lease);
        self.remember(name, &named)?;
        Ok(named.pushed)
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
            let stays = |(part, layer): (&Part, &Descriptor)| {
                let known = part.known.as_ref().map(|known| known.digest);
                known == Some(layer.digest)
            };
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
        let before = wanted.and_then(LayerCoding::of);
        let is_asked = |known: &&Descriptor| repack.is_none_or(|asked| asked.is_met(known));
        // What is compressed goes as it is, unless somebody insists.
        let may_go = |known: &&Descriptor| {
            let may_stay = repack.is_none_or(|asked| !asked.force && known.digest != diff.0);
            may_stay || is_asked(known)
        };
        let here = wanted.filter(|wanted| self.store.has_blob(&wanted.digest));
        let here = match here.filter(may_go) {
            Some(here) => Some(here.clone()),
            None => Some(self.layer_descriptor(layer)?)
                .filter(|kept| kept.digest != diff.0 && may_go(&kept)),
        };
        Ok(match here {
            Some(known) => {
                let is_other = !is_asked(&&known);
                Part { diff, record, known: Some(known), is_packed: false, is_other, before }
            }
            None => {
                let known = wanted.filter(is_asked).cloned();
                Part { diff, record, known, is_packed: true, is_other: false, before }
            }
        })
    }
}
