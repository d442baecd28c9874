//! Images from a registry. Layers come side by side, and each is hashed, unpacked and put on its
//! stack while it arrives; what is here already is not fetched again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use image::archive::{Bundled, BundledLayer, Original};
use registry::{Access, BlobReader, Client, RegistryError, RemoteDocument, Repository, Target};
use spec::{
    Descriptor, Digest, Document, ImageConfig, ImageId, Index, Manifest, Platform, Reference,
};
use store::{Expected, IMAGE, Lease, LeftOver, Store, Unpacked};

mod assemble;
mod words;

use self::assemble::Assembled;
use self::words::{is_aside, is_fetched, pull_error};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::load::{LayerSource, is_usable};
use crate::progress::{Progress, Reported};

/// A request to pull.
#[derive(Clone, Debug)]
pub struct PullImage {
    /// The name, with a tag or a digest.
    pub name: Reference,
    /// All tags of the repository instead of the name's own.
    pub all_tags: bool,
    /// What it is to run on; by default this machine.
    pub platform: Option<Platform>,
}

/// An image that was pulled.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulled {
    /// The name it was pulled by.
    pub name: Reference,
    /// The image.
    pub id: ImageId,
    /// The digest of what the name stands for in the registry: a manifest, or an index.
    pub digest: Digest,
    /// Whether the name stood for something else before, or for nothing.
    pub newer: bool,
}

/// The name of nothing, which images begin from.
const SCRATCH: &str = "scratch";
/// As many layers come at once; as many as docker lets.
const WORKERS: usize = 3;
/// Indexes in indexes are followed so deep.
const MAX_NESTING: usize = 4;

impl Engine {
    /// Pulls an image, or all of a repository. `told` hears of each when it is here.
    pub fn pull(
        &self,
        client: &Client,
        pull: &PullImage,
        progress: &dyn Progress,
        told: &mut dyn FnMut(&Pulled),
    ) -> Result<()> {
        if pull.name.familiar_name() == SCRATCH {
            return Err(EngineError::Refused(format!("'{SCRATCH}' is a reserved name")));
        }
        let denied = |error| pull_error(&pull.name, error);
        let names = match pull.all_tags {
            false => vec![pull.name.clone()],
            true => {
                let repository = client.repository(&pull.name, Access::Pull).map_err(denied)?;
                let tags = repository.tags().map_err(denied)?;
                let name = pull.name.without_digest().without_tag();
                let named = |tag: &String| {
                    let failed = |source| EngineError::Reference { text: tag.clone(), source };
                    name.with_tag(tag).map_err(failed)
                };
                tags.iter().filter(|tag| !is_aside(tag)).map(named).collect::<Result<_>>()?
            }
        };
        for name in names {
            // A rule may be about one tag alone.
            let repository = client.repository(&name, Access::Pull).map_err(denied)?;
            let one = PullImage { name, ..pull.clone() };
            let pulled = self.pull_one(&repository, &one, progress);
            client
                .take_warnings()
                .iter()
                .for_each(|text| progress.note(&format!("Warning: {text}")));
            let pulled = pulled?;
            told(&pulled);
            if !pull.all_tags {
                self.tell_other_platform(&pulled, pull, progress)?;
            }
        }
        Ok(())
    }

    /// Says that an image which is alone is for another platform than was asked for.
    fn tell_other_platform(
        &self,
        pulled: &Pulled,
        pull: &PullImage,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some(wanted) = &pull.platform else { return Ok(()) };
        let actual = self.config(pulled.id)?.platform();
        if !actual.matches(wanted) {
            progress.note(&format!(
                "WARNING: image with reference {} was found but its platform ({actual}) does not \
                 match the specified platform ({wanted})",
                pulled.name
            ));
        }
        Ok(())
    }

    fn pull_one(
        &self,
        repository: &Repository<'_>,
        pull: &PullImage,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        let name = &pull.name;
        let target = target(name);
        // What a digest says, no tag says better: docker leaves it out.
        let shown = if name.digest().is_some() { name.without_tag() } else { name.clone() };
        let said = name.digest().map_or_else(|| target.to_string(), |_| shown.to_string());
        let lease = self.store.lease()?;
        let failed = |error| pull_error(name, error);
        let document = repository.document(&target).map_err(failed)?;
        progress.note(&format!("{said}: Pulling from {}", name.path()));
        let digest = document.digest;
        let image = self.describe(repository, &lease, document, pull)?;
        self.judge(repository, name, digest, &image)?;
        let chunked = chunked(&image);
        let remote = Remote { repository, chunked, stop: AtomicBool::new(false) };
        self.announce(&image, progress)?;
        let images = [image];
        let layers = self.unpack_all(&lease, &remote, &images, progress)?;
        let id = images[0].id();
        let before = self.store.images()?.names.get(&name.to_string()).map(|record| record.image);
        let known = format!("{}@{digest}", name.name());
        let newer = match name.digest() {
            None => before != Some(id),
            Some(_) => {
                let images = self.store.images()?.images;
                images.get(&id).is_none_or(|record| !record.repo_digests.contains(&known))
            }
        };
        self.publish(&lease, &images, layers, &BTreeSet::from([known]))?;
        let familiar = name.familiar();
        let attributes = [("name", name.familiar_name()), (IMAGE, id.to_string())];
        let attributes = attributes.each_ref().map(|(key, value)| (*key, value.as_str()));
        self.image_event_of("pull", &familiar, id, &attributes);
        Ok(Pulled { name: shown, id, digest, newer })
    }

    /// Refuses what the policy does not let in. What the name stands for may be signed, or the image
    /// out of it.
    fn judge(
        &self,
        repository: &Repository<'_>,
        name: &Reference,
        digest: Digest,
        image: &Bundled,
    ) -> Result<()> {
        let Some(policy) = self.settings.registry.policy()? else { return Ok(()) };
        let inner = image.manifest.as_ref().map(|own| Digest::of(&own.bytes));
        policy.judge(repository, name, inner.into_iter().chain([digest]))
    }

    /// What an image consists of: its manifest, out of an index if need be, and its configuration.
    fn describe(
        &self,
        repository: &Repository<'_>,
        lease: &Lease,
        document: RemoteDocument,
        pull: &PullImage,
    ) -> Result<Bundled> {
        let name = &pull.name;
        let failed = |error| pull_error(name, error);
        let (mut document, mut index) = (document, None);
        let manifest = 'found: {
            for _ in 0..=MAX_NESTING {
                match parse(name, &document)? {
                    Document::Manifest(manifest) => break 'found manifest,
                    Document::Index(inner) => {
                        let entry = choose(&inner, pull)?;
                        let next = Target::Digest(entry.digest);
                        let outer = std::mem::replace(
                            &mut document,
                            repository.document(&next).map_err(failed)?,
                        );
                        index.get_or_insert_with(|| original(outer, &Document::Index(inner)));
                    }
                }
            }
            return Err(refused(name, "its indexes lead to indexes, and to no image"));
        };
        if !manifest.config.media_type.is_config() {
            let kind = &manifest.config.media_type;
            return Err(refused(name, &format!("it is no image but {kind}")));
        }
        if let Some(layer) = manifest.layers.iter().find(|layer| !is_fetched(&layer.media_type)) {
            let kind = &layer.media_type;
            return Err(EngineError::Refused(format!("unsupported media type {kind}")));
        }
        let config_bytes = self.configuration(repository, lease, &manifest, name)?;
        let config = ImageConfig::parse(&config_bytes).map_err(EngineError::Config)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let (layers, diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
            let why = format!("its manifest has {layers} layers, its configuration {diffs}");
            return Err(refused(name, &why));
        }
        // An image that is alone comes whatever it is for, as docker pulls it; who asked for a platform
        // hears that it is for another.
        let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
        let layers = layers.map(|(layer, diff)| layer_of(layer, *diff)).collect();
        let names = if name.digest().is_some() { Vec::new() } else { vec![name.clone()] };
        let manifest = Some(original(document, &Document::Manifest(manifest)));
        Ok(Bundled { names, tag: None, config_bytes, config, manifest, index, layers })
    }

    /// An image's configuration: from here, if it is here.
    fn configuration(
        &self,
        repository: &Repository<'_>,
        lease: &Lease,
        manifest: &Manifest,
        name: &Reference,
    ) -> Result<Vec<u8>> {
        let Descriptor { digest, size, .. } = &manifest.config;
        if lease.protect_blob(digest)?
            && let Ok(bytes) = self.store.read_document(digest)
        {
            return Ok(bytes);
        }
        let bytes = repository.small_blob(*digest, *size, spec::MAX_CONFIG_BYTES as u64);
        bytes.map_err(|error| pull_error(name, error))
    }

    /// Says of each layer what will become of it.
    fn announce(&self, image: &Bundled, progress: &dyn Progress) -> Result<()> {
        let mut known = self.store.tables()?.layers;
        self.store.keep_fit(&mut known, image.layers.iter().map(|layer| layer.diff))?;
        let mut seen = BTreeSet::new();
        for layer in &image.layers {
            let is_here =
                known.by_diff(layer.diff).is_some_and(|layer| is_usable(&self.store, layer));
            let what = if is_here { "Already exists" } else { "Pulling fs layer" };
            if seen.insert(layer.diff) {
                progress.note(&format!("{}: {what}", short(layer)));
            }
        }
        Ok(())
    }
}

/// A repository as somewhere layers come from.
struct Remote<'a> {
    repository: &'a Repository<'a>,
    /// Layers that say where in them everything is.
    chunked: BTreeSet<Digest>,
    /// Set when one layer failed: nobody needs the others then.
    stop: AtomicBool,
}

impl LayerSource for Remote<'_> {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn unpack(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        progress: &dyn Progress,
    ) -> Result<Unpacked> {
        let unpacked = self.fetch(store, lease, layer, progress);
        if unpacked.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        unpacked
    }
}

impl Remote<'_> {
    /// Fetches a layer; what an earlier pull had of it when it was killed or cut off is not fetched
    /// again.
    fn fetch(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        progress: &dyn Progress,
    ) -> Result<Unpacked> {
        let digest = layer.blob.unwrap_or(layer.diff.0);
        let fits = |left: &LeftOver| (1..=layer.bytes.unwrap_or_default()).contains(&left.bytes());
        if let Some(left) = store.left_over(lease, &digest)?.filter(fits) {
            match self.fetch_rest(store, lease, layer, Some(&left), progress) {
                // What was left may be torn, as after a power cut: then all of it comes anew.
                Err(EngineError::Store(_)) if !self.stop.load(Ordering::Relaxed) => {}
                other => return other,
            }
        }
        if self.chunked.contains(&digest)
            && let Some(parts) = Assembled::plan(store, self.repository, layer)
        {
            match self.assemble(store, lease, layer, parts, progress) {
                // Whatever did not fit: all of it comes then.
                Err(_) if !self.stop.load(Ordering::Relaxed) => {}
                other => return other,
            }
        }
        self.fetch_rest(store, lease, layer, None, progress)
    }

    /// Puts a layer together from what is here of it and the rest. It is checked as one that came
    /// whole: what is here was only thought to be the same.
    fn assemble(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        parts: Assembled<'_>,
        progress: &dyn Progress,
    ) -> Result<Unpacked> {
        let item = progress.begin(&short(layer), "Downloading", layer.bytes);
        let inner = Wanted { inner: parts, stop: &self.stop };
        let mut reader = Reported { inner, item };
        let expected =
            Expected { blob: layer.blob, blob_bytes: layer.bytes, diff: Some(layer.diff) };
        let unpacked = store.unpack_layer(lease, &mut reader, expected)?;
        reader.item.done();
        progress.note(&format!("{}: Pull complete", short(layer)));
        Ok(unpacked)
    }

    fn fetch_rest(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        left: Option<&LeftOver>,
        progress: &dyn Progress,
    ) -> Result<Unpacked> {
        let bytes = layer.bytes.unwrap_or_default();
        let digest = layer.blob.unwrap_or(layer.diff.0);
        let blob = self.repository.blob_from(digest, bytes, left.map_or(0, LeftOver::bytes))?;
        let item = progress.begin(&short(layer), "Downloading", Some(bytes));
        let left = left.map(LeftOver::file).map(|file| (file, 0));
        let inner = Arriving { left, blob, stop: &self.stop, failed: None };
        let mut reader = Reported { inner, item };
        let expected =
            Expected { blob: Some(digest), blob_bytes: Some(bytes), diff: Some(layer.diff) };
        let unpacked = store.unpack_layer(lease, &mut reader, expected);
        match (unpacked, reader.inner.failed.take()) {
            (Ok(unpacked), _) => {
                reader.item.done();
                progress.note(&format!("{}: Pull complete", short(layer)));
                Ok(unpacked)
            }
            // What broke the stream says more than that it broke.
            (Err(_), Some(failed)) => Err(failed.into()),
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// The layers of an image that say where in them everything is.
fn chunked(image: &Bundled) -> BTreeSet<Digest> {
    let bytes = image.manifest.as_ref().map(|manifest| manifest.bytes.as_slice());
    let Some(Ok(Document::Manifest(manifest))) = bytes.map(Document::parse) else {
        return BTreeSet::new();
    };
    let says = |layer: &&Descriptor| image::chunked::is_told(&layer.annotations);
    manifest.layers.iter().filter(says).map(|layer| layer.digest).collect()
}

/// What ends when it is no longer wanted.
struct Wanted<'a, R> {
    inner: R,
    stop: &'a AtomicBool,
}

impl<R: Read> Read for Wanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("another layer failed")),
            false => self.inner.read(buffer),
        }
    }
}

/// A blob that remembers what the registry did wrong, and ends when it is no longer wanted.
struct Arriving<'a> {
    /// What is here of it, and how far that was read.
    left: Option<(&'a File, u64)>,
    blob: BlobReader<'a>,
    stop: &'a AtomicBool,
    failed: Option<RegistryError>,
}

impl Read for Arriving<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        if let Some((file, at)) = &mut self.left {
            match file.read_at(buffer, *at)? {
                0 => self.left = None,
                count => {
                    *at += count as u64;
                    return Ok(count);
                }
            }
        }
        self.blob.read(buffer).map_err(|error| match error.downcast::<RegistryError>() {
            Ok(failed) => {
                let shown = io::Error::other(failed.to_string());
                self.failed = Some(failed);
                shown
            }
            Err(error) => error,
        })
    }
}

/// What a name asks a registry for.
pub(crate) fn target(name: &Reference) -> Target {
    match name.digest() {
        Some(digest) => Target::Digest(digest),
        None => Target::Tag(name.tag().unwrap_or("latest").to_owned()),
    }
}

/// The image of an index that serves the platform.
fn choose<'a>(index: &'a Index, pull: &PullImage) -> Result<&'a Descriptor> {
    let host = Platform::host();
    let wanted = pull.platform.as_ref().unwrap_or(&host);
    index.best(wanted).ok_or_else(|| EngineError::NoMatchingManifest { wanted: wanted.to_string() })
}

fn parse(name: &Reference, document: &RemoteDocument) -> Result<Document> {
    Document::parse(&document.bytes).map_err(|error| refused(name, &error.to_string()))
}

fn original(document: RemoteDocument, parsed: &Document) -> Original {
    Original { bytes: document.bytes, media_type: parsed.media_type() }
}

fn layer_of(layer: &Descriptor, diff: spec::DiffId) -> BundledLayer {
    let (blob, bytes) = (Some(layer.digest), Some(layer.size));
    BundledLayer { part: layer.digest.to_string(), diff, blob, bytes }
}

fn short(layer: &BundledLayer) -> String {
    layer.blob.unwrap_or(layer.diff.0).short()
}

fn refused(name: &Reference, why: &str) -> EngineError {
    EngineError::NoImage { name: name.familiar(), why: why.to_owned() }
}
