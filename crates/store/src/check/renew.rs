//! The two documents made again, when they cannot be read, from what they named.
//!
//! A layer follows from its bytes and the name of its index, which is the stack that it ends; an
//! image from its configuration. Only names are nowhere else but in the journal: what that has
//! forgotten comes back without. Lost are names with digests, the indexes of several platforms,
//! and which image was made from which.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::path::Path;

use image::codec::Codec;
use image::layer::{Taps, read_layer};
use serde::de::IgnoredAny;
use spec::{ChainId, DiffId, Digest, Document, ImageConfig, ImageId, Reference, Timestamp};
use sys::lock::Mode;

use crate::blobs::{DOCUMENT_BYTES, Ingest};
use crate::error::{Result, StoreError};
use crate::events::{Event, IMAGE, NAMES};
use crate::tables::{ImageRecord, Images, LayerBlob, LayerRecord, Layers, ManifestRef, NameRecord};
use crate::{EventFilter, Store, document, lease, tables};

/// So many images are named one by one.
const SHOWN: usize = 8;

/// A layer's content, as one of its forms has it.
struct Content {
    bytes: u64,
    entries: u64,
    blob: Option<LayerBlob>,
}

/// A document among the blobs.
enum Found {
    Manifest(Digest, ManifestRef),
    Image(ImageId, Box<ImageConfig>),
}

impl Store {
    /// Makes again whichever of the two documents is damaged; what was there is kept beside it.
    /// Until then nobody else can do anything, so nobody is kept waiting. Returns what may be missing.
    pub(super) fn renew_documents(&self) -> Result<Option<String>> {
        let _alone = lease::hold(self.paths(), Mode::Exclusive)?;
        let layers = match tables::read_layers(self.paths()) {
            Err(StoreError::Damaged { .. }) => {
                let layers = self.find_layers()?;
                replace(&self.paths().layers(), &document::to_bytes(&layers))?;
                layers
            }
            other => other?,
        };
        match tables::read_images(self.paths()) {
            Err(StoreError::Damaged { .. }) => {
                let (images, untold) = self.find_images(&layers)?;
                replace(&self.paths().images(), &images.to_bytes())?;
                Ok(untold.missing())
            }
            other => other.map(|_| None),
        }
    }

    /// Every layer of which both a good form and the index of a stack are here.
    fn find_layers(&self) -> Result<Layers> {
        let present = self.present()?;
        let indexes: BTreeSet<ChainId> = present.indexes.into_iter().collect();
        let mut contents = BTreeMap::new();
        for (digest, _) in &present.blobs {
            let Some((diff, content)) = self.read_content(digest) else { continue };
            match contents.get(&diff) {
                Some(Content { blob: Some(_), .. }) => {}
                _ => drop(contents.insert(diff, content)),
            }
        }
        let boot = sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?;
        let mut layers = Layers::default();
        // A stack's id follows from the one below and the layer: each is tried on each.
        let mut tops = vec![None];
        while let Some(parent) = tops.pop() {
            for (diff, content) in &contents {
                let chain = ChainId::extend(parent, *diff);
                if !indexes.contains(&chain) || layers.layers.contains_key(&chain) {
                    continue;
                }
                let path = self.paths().index(&chain);
                let file = std::fs::File::open(&path).map_err(StoreError::io("open", &path))?;
                let index = crate::index::digest(&file, spec::Algorithm::Sha256);
                let record = LayerRecord {
                    parent,
                    diff: *diff,
                    bytes: content.bytes,
                    entries: content.entries,
                    index: index.map_err(StoreError::io("read", &path))?,
                    blob: content.blob.clone(),
                    unsynced: Some(boot.clone()),
                };
                layers.layers.insert(chain, record);
                tops.push(Some(chain));
            }
        }
        Ok(layers)
    }

    /// What a blob holds, if it is a layer and what its name says.
    fn read_content(&self, blob: &Digest) -> Option<(DiffId, Content)> {
        if self.read_json(blob).is_some() {
            return None;
        }
        let mut file = self.open_blob(blob).ok()?;
        let mut head = Vec::new();
        (&file).take(16).read_to_end(&mut head).and_then(|_| file.rewind()).ok()?;
        let codec = Codec::detect(&head);
        let mut stored = Ingest::nowhere(blob.algorithm());
        let mut plain = Ingest::nowhere(spec::Algorithm::Sha256);
        let taps = Taps { stored: &mut stored, plain: &mut plain };
        let tree = read_layer(&mut file, codec, taps, None, self.limits()).ok()?;
        let (stored, plain) = (stored.arrived(), plain.arrived());
        if stored.digest != *blob {
            return None;
        }
        let (came, blob) = match codec {
            Codec::None => (stored, None),
            _ => (plain, Some(LayerBlob { digest: stored.digest, bytes: stored.bytes })),
        };
        Some((DiffId(came.digest), Content { bytes: came.bytes, entries: tree.entries(), blob }))
    }

    /// Every image whose configuration and layers are here, with the names that the journal knows.
    fn find_images(&self, layers: &Layers) -> Result<(Images, Untold)> {
        let mut images = Images::default();
        let mut manifests = BTreeMap::new();
        for (digest, _) in self.present()?.blobs {
            match self.read_found(&digest) {
                Some(Found::Manifest(config, manifest)) => drop(manifests.insert(config, manifest)),
                Some(Found::Image(id, config)) => {
                    let record = image_record(&config, layers);
                    record.into_iter().for_each(|record| drop(images.images.insert(id, record)));
                }
                None => {}
            }
        }
        for (config, manifest) in manifests {
            if let Some(record) = images.images.get_mut(&ImageId(config)) {
                record.manifest = Some(Box::new(manifest));
            }
        }
        let mut events = self.events(EventFilter::default())?;
        let mut untold =
            Untold { images: images.images.keys().copied().collect(), has_digests: false };
        while let Some(event) = events.next_ready()? {
            if let Some(id) = name_as_told(&mut images, &event) {
                untold.images.remove(&id);
                untold.has_digests |= event.action == "pull" && images.images.contains_key(&id);
            }
        }
        Ok((images, untold))
    }

    fn read_found(&self, digest: &Digest) -> Option<Found> {
        let bytes = self.read_json(digest)?;
        match Document::parse(&bytes) {
            Ok(document) => {
                let (media_type, size) = (document.media_type(), bytes.len() as u64);
                let Document::Manifest(manifest) = document else { return None };
                let kept = ManifestRef { digest: *digest, media_type, size };
                Some(Found::Manifest(manifest.config.digest, kept))
            }
            Err(_) => {
                #[derive(serde::Deserialize)]
                struct Probe {
                    #[serde(rename = "rootfs")]
                    _rootfs: IgnoredAny,
                }
                serde_json::from_slice::<Probe>(&bytes).ok()?;
                let config = ImageConfig::parse(&bytes).ok()?;
                Some(Found::Image(ImageId(*digest), Box::new(config)))
            }
        }
    }

    /// A blob's bytes, if it is a good document of JSON.
    fn read_json(&self, digest: &Digest) -> Option<Vec<u8>> {
        let mut file = self.open_blob(digest).ok()?;
        let mut first = [0];
        file.read_exact(&mut first).ok()?;
        if first != *b"{" || file.metadata().ok()?.len() > DOCUMENT_BYTES {
            return None;
        }
        let bytes = self.read_document(digest).ok()?;
        serde_json::from_slice::<IgnoredAny>(&bytes).is_ok().then_some(bytes)
    }
}

/// What the journal does not say of images that are here.
struct Untold {
    /// Those of which it does not know how they came: they may have had any name.
    images: BTreeSet<ImageId>,
    /// Whether registries knew some of them by digests.
    has_digests: bool,
}

impl Untold {
    fn missing(&self) -> Option<String> {
        let mut all: Vec<String> = self.images.iter().take(SHOWN).map(|id| id.0.short()).collect();
        let more = self.images.len().saturating_sub(all.len());
        all.extend((more > 0).then(|| format!("{more} more")));
        let names = (!all.is_empty()).then(|| {
            let images = if self.images.len() == 1 { "image" } else { "images" };
            format!("names of {images} {}, older than the journal of events", all.join(", "))
        });
        let digests = self.has_digests.then(|| "names with digests".to_owned());
        let missing: Vec<String> = names.into_iter().chain(digests).collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}

/// Puts a document in the place of a damaged one, which is kept aside.
fn replace(path: &Path, document: &[u8]) -> Result<()> {
    match std::fs::rename(path, path.with_extension("json.damaged")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => other.map_err(StoreError::io("rename", path))?,
    }
    document::write_bytes(path, document)
}

/// An image as its configuration has it, if all its layers are here.
pub(super) fn image_record(config: &ImageConfig, layers: &Layers) -> Option<ImageRecord> {
    let top = ChainId::of(&config.rootfs.diff_ids);
    let stack = layers.stack(top).ok()?;
    Some(ImageRecord {
        top,
        created: config.created,
        tagged: None,
        layers: stack.iter().map(|(_, layer)| layer.bytes).collect(),
        platform: config.platform().into(),
        manifest: None,
        repo_digests: BTreeSet::new(),
        parent: None,
    })
}

/// Does to the names what an event says that was done to them. Returns the image that came, or got a
/// name, with it.
fn name_as_told(images: &mut Images, event: &Event) -> Option<ImageId> {
    if event.kind != "image" {
        return None;
    }
    let said = |key: &str| event.actor.attributes.get(key).map(String::as_str);
    let (id, names) = match event.action.as_str() {
        // The actor of a pull is the name.
        // Journals of before have it as `image`.
        "pull" => (said(IMAGE).or(said("image")), Some(event.actor.id.as_str())),
        _ => (Some(event.actor.id.as_str()), said(NAMES).or(said("name"))),
    };
    let id = id?.parse::<ImageId>().ok()?;
    let names = names.filter(|names| *names != event.actor.id || event.action == "pull");
    let names = names.into_iter().flat_map(|names| names.split(' '));
    let names = names.filter_map(|name| Reference::parse(name).ok());
    let names = names.filter(|name| name.digest().is_none()).map(|name| name.with_default_tag());
    for name in names {
        match event.action.as_str() {
            "load" | "import" | "pull" | "tag" => {
                let record = images.images.get_mut(&id)?;
                let nanos = event.time_nano.rem_euclid(1_000_000_000) as u32;
                record.tagged = Some(Timestamp::from_unix(event.time, nanos));
                images.names.insert(name.to_string(), NameRecord::of(id));
            }
            "untag" => drop(images.names.remove(&name.to_string())),
            _ => {}
        }
    }
    if event.action == "delete" {
        images.names.retain(|_, record| record.image != id);
    }
    matches!(event.action.as_str(), "load" | "import" | "pull" | "tag").then_some(id)
}
