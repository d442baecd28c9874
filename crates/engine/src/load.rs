//! Images out of an archive, a layout or a stream.
//!
//! Layers are unpacked side by side and put on their stacks from the bottom up. The images become
//! visible together, when all of them are whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use image::archive::{
    ArchiveError, Bundle, Bundled, BundledLayer, FolderBundle, TarBundle, read_bundle,
};
use image::codec::{Codec, expand};
use spec::{ChainId, DiffId, ImageId, MediaType, Platform, Reference, Timestamp};
use store::{
    Expected, ImageRecord, LayerRecord, Layers, Lease, ManifestRef, NameRecord, Store, StoreError,
    Unpacked,
};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::progress::{Progress, Reported};
use crate::stream::Streamed;

/// A request to load.
pub struct Load {
    /// Where from.
    pub source: LoadSource,
    /// Only images of these platforms; all of them if empty.
    pub platforms: Vec<Platform>,
    /// Only the image that the archive calls so, or `@N` for the Nth of them from 0. An only image
    /// without a name is given this one.
    pub called: Option<String>,
}

/// Where images come from.
pub enum LoadSource {
    /// An archive in a file, compressed or not.
    File(File),
    /// An archive in a stream.
    Stream(Box<dyn Read + Send>),
    /// An OCI layout, or skopeo's `dir:` form, in a folder.
    Folder(PathBuf),
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// Its names.
    pub names: Vec<Reference>,
    /// The names that other images lost to it, with their ids.
    pub displaced: Vec<(Reference, ImageId)>,
}

/// Somewhere layers come from.
pub(crate) trait LayerSource: Sync {
    /// As many layers are unpacked at once.
    fn workers(&self) -> usize;

    /// Reads a layer and checks it.
    fn unpack(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        progress: &dyn Progress,
    ) -> Result<Unpacked>;
}

/// As many layers of an archive are unpacked at once.
const WORKERS: usize = 2;

impl Engine {
    /// Loads all images of an archive.
    pub fn load(&self, load: Load, progress: &dyn Progress) -> Result<Vec<Loaded>> {
        let lease = self.store.lease()?;
        let archive = match load.source {
            LoadSource::Folder(path) => Archive::Lying(Box::new(FolderBundle::open(&path)?)),
            LoadSource::File(file) => self.open_archive(&lease, file, progress)?,
            LoadSource::Stream(stream) => self.read_stream(&lease, stream, progress)?,
        };
        let mut images = read_bundle(archive.bundle())?;
        if !load.platforms.is_empty() {
            images = select(images, &load.platforms)?;
        }
        if images.is_empty() {
            return Err(ArchiveError::NoImages.into());
        }
        if let Some(word) = &load.called {
            images = called(images, word)?;
        }
        let made = self.unpack_all(&lease, &archive, &images, progress)?;
        let loaded = self.publish(&lease, &images, made, &BTreeSet::new())?;
        for image in &loaded {
            let id = image.id.to_string();
            let name = image.names.first().map_or_else(|| id.clone(), Reference::familiar);
            self.store.record_event("image", "load", &id, &[("name", &name)]);
        }
        Ok(loaded)
    }

    /// A plain archive is read where it lies; a compressed one is a stream.
    fn open_archive(&self, lease: &Lease, file: File, progress: &dyn Progress) -> Result<Archive> {
        let mut head = [0; 16];
        let is_file = file.metadata().map_err(EngineError::Read)?.is_file();
        let bytes = match is_file {
            true => std::os::unix::fs::FileExt::read_at(&file, &mut head, 0)
                .map_err(EngineError::Read)?,
            false => 0,
        };
        if is_file && Codec::detect(&head[..bytes]) == Codec::None {
            return Ok(Archive::Lying(Box::new(TarBundle::open(file)?)));
        }
        self.read_stream(lease, Box::new(file), progress)
    }

    fn read_stream(
        &self,
        lease: &Lease,
        stream: Box<dyn Read + Send>,
        progress: &dyn Progress,
    ) -> Result<Archive> {
        let (_, mut plain) = expand(stream).map_err(EngineError::Read)?;
        Ok(Archive::Passed(Streamed::read(&self.store, lease, &mut plain, progress)?))
    }

    /// Brings every layer of these images into the store, each once.
    pub(crate) fn unpack_all(
        &self,
        lease: &Lease,
        source: &dyn LayerSource,
        images: &[Bundled],
        progress: &dyn Progress,
    ) -> Result<Layers> {
        self.protect_all(lease, images)?;
        // Looked at only now: what is here and protected stays.
        let mut layers = self.store.tables()?.layers;
        let diffs = images.iter().flat_map(|image| &image.config.rootfs.diff_ids);
        self.store.keep_fit(&mut layers, diffs.copied())?;
        let mut wanted: Vec<&BundledLayer> = Vec::new();
        for layer in images.iter().flat_map(|image| &image.layers) {
            let known =
                layers.by_diff(layer.diff).is_some_and(|layer| is_usable(&self.store, layer));
            if !known && !wanted.iter().any(|other| other.diff == layer.diff) {
                wanted.push(layer);
            }
        }
        let queue = Mutex::new(wanted.iter());
        let (send, receive) = sync_channel::<(DiffId, Result<Unpacked>)>(0);
        std::thread::scope(|scope| {
            for _ in 0..source.workers().min(wanted.len()) {
                let (send, queue) = (send.clone(), &queue);
                scope.spawn(move || {
                    loop {
                        let next =
                            queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                        let Some(layer) = next else { return };
                        let unpacked = source.unpack(&self.store, lease, layer, progress);
                        if send.send((layer.diff, unpacked)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let expected = wanted.iter().map(|layer| layer.diff).collect();
            let arriving = &mut receive.into_iter();
            let mut arrivals = Arrivals { expected, waiting: BTreeMap::new(), arriving };
            for image in images {
                self.stack_up(lease, image, &mut layers, &mut arrivals)?;
            }
            Ok(layers)
        })
    }

    /// Protects everything of these images that may be here already, on whatever stack it lies.
    fn protect_all(&self, lease: &Lease, images: &[Bundled]) -> Result<()> {
        let known = self.store.tables()?.layers;
        for image in images {
            let diffs = &image.config.rootfs.diff_ids;
            for (chain, diff) in ChainId::chain(diffs).iter().zip(diffs) {
                lease.protect_chain(chain)?;
                lease.protect_blob(&diff.0)?;
                if let Some(blob) = known.by_diff(*diff).and_then(|layer| layer.blob.as_ref()) {
                    lease.protect_blob(&blob.digest)?;
                }
            }
        }
        Ok(())
    }

    /// Puts one image's layers on each other, waiting for those that are still on their way.
    fn stack_up(
        &self,
        lease: &Lease,
        image: &Bundled,
        layers: &mut Layers,
        arrivals: &mut Arrivals<'_>,
    ) -> Result<()> {
        let mut parent = None;
        for diff in &image.config.rootfs.diff_ids {
            let chain = ChainId::extend(parent, *diff);
            if !layers.layers.contains_key(&chain) {
                let (chain, record) = match (arrivals.take(*diff)?, layers.by_diff(*diff)) {
                    (Some(unpacked), _) => {
                        self.store.adopt_layer(lease, unpacked, parent, layers)?
                    }
                    (None, Some(known)) => {
                        let known: LayerRecord = known.clone();
                        self.store.reuse_layer(lease, &known, parent, layers)?
                    }
                    (None, None) => return Err(StoreError::NoLayer(chain).into()),
                };
                layers.layers.insert(chain, record);
            }
            parent = Some(chain);
        }
        Ok(())
    }

    /// Makes the images visible, all at once.
    pub(crate) fn publish(
        &self,
        lease: &Lease,
        images: &[Bundled],
        layers: Layers,
        repo_digests: &BTreeSet<String>,
    ) -> Result<Vec<Loaded>> {
        let now = Timestamp::now();
        let mut records = Vec::new();
        let mut indexes = Vec::new();
        for image in images {
            let id = ImageId(self.store.put_document(lease, &image.config_bytes)?);
            let manifest = self.put_original(lease, image.manifest.as_ref())?;
            let top = ChainId::of(&image.config.rootfs.diff_ids);
            let sizes = layers.stack(top)?.iter().map(|(_, layer)| layer.bytes).collect();
            let record = ImageRecord {
                top,
                created: image.config.created,
                tagged: (!image.names.is_empty()).then_some(now),
                layers: sizes,
                platform: image.platform().into(),
                manifest: manifest.map(Box::new),
                repo_digests: repo_digests.clone(),
                parent: None,
            };
            records.push((id, record));
            // An index stands behind a name; without one nothing would need it.
            let index = image.index.as_ref().filter(|_| !image.names.is_empty());
            indexes.push(self.put_original(lease, index)?);
        }
        self.store.change(|tables| {
            // Only what these images stand on, which the lease protects: of the rest, some may have
            // gone while the layers were read.
            for (chain, record) in layers.stack_records(records.iter().filter_map(|r| r.1.top)) {
                tables.layers.layers.insert_new(chain, || record.clone());
            }
            let mut loaded = Vec::new();
            for ((image, (id, record)), index) in images.iter().zip(&records).zip(&indexes) {
                let known = tables.images.images.remove(id);
                let merged = merge(known, record.clone());
                tables.images.images.insert(*id, merged);
                let mut displaced = Vec::new();
                for name in &image.names {
                    displaced.extend(name_image(tables, name, *id, index.as_ref()));
                }
                loaded.push(Loaded { id: *id, names: image.names.clone(), displaced });
            }
            Ok::<_, EngineError>(loaded)
        })
    }

    fn put_original(
        &self,
        lease: &Lease,
        original: Option<&image::archive::Original>,
    ) -> Result<Option<ManifestRef>> {
        let Some(original) = original else { return Ok(None) };
        let digest = self.store.put_document(lease, &original.bytes)?;
        let media_type: MediaType = original.media_type.clone();
        Ok(Some(ManifestRef { digest, media_type, size: original.bytes.len() as u64 }))
    }
}

/// An archive, opened.
enum Archive {
    /// It can be read at any place.
    Lying(Box<dyn Bundle>),
    /// It was read from front to back, and its layers are unpacked.
    Passed(Streamed),
}

impl Archive {
    fn bundle(&self) -> &dyn Bundle {
        match self {
            Archive::Lying(bundle) => &**bundle,
            Archive::Passed(streamed) => streamed,
        }
    }
}

impl LayerSource for Archive {
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
        let expected =
            Expected { blob: layer.blob, blob_bytes: layer.bytes, diff: Some(layer.diff) };
        if let Archive::Passed(archive) = self
            && let Some(unpacked) = archive.take(&layer.part)
        {
            return Ok(store.confirm_layer(lease, unpacked?, expected)?);
        }
        let missing = || ArchiveError::Missing { name: layer.part.clone() };
        let part = self.bundle().open(&layer.part)?.ok_or_else(missing)?;
        let item = progress.begin(&layer.diff.0.short(), "Loading layer", Some(part.bytes));
        let mut reader = Reported { inner: part.reader, item };
        let unpacked = store.unpack_layer(lease, &mut reader, expected)?;
        reader.item.done();
        Ok(unpacked)
    }
}

/// Whether a layer can go on another stack: one of its forms is here.
pub(crate) fn is_usable(store: &Store, layer: &LayerRecord) -> bool {
    let blob = layer.blob.as_ref().is_some_and(|blob| store.has_blob(&blob.digest));
    blob || store.has_blob(&layer.diff.0)
}

/// Layers on their way, which come in no order.
struct Arrivals<'a> {
    /// Those that will come or have come and are not taken yet.
    expected: BTreeSet<DiffId>,
    waiting: BTreeMap<DiffId, Unpacked>,
    arriving: &'a mut dyn Iterator<Item = (DiffId, Result<Unpacked>)>,
}

impl Arrivals<'_> {
    /// Waits for a layer, if it is on its way.
    fn take(&mut self, diff: DiffId) -> Result<Option<Unpacked>> {
        if !self.expected.remove(&diff) {
            return Ok(None);
        }
        while !self.waiting.contains_key(&diff) {
            let Some((arrived, unpacked)) = self.arriving.next() else { break };
            self.waiting.insert(arrived, unpacked?);
        }
        Ok(self.waiting.remove(&diff))
    }
}

/// What was known of an image stays known when it comes again.
fn merge(known: Option<ImageRecord>, new: ImageRecord) -> ImageRecord {
    let Some(known) = known else { return new };
    ImageRecord {
        tagged: new.tagged.or(known.tagged),
        manifest: known.manifest.or(new.manifest),
        repo_digests: known.repo_digests.into_iter().chain(new.repo_digests).collect(),
        parent: known.parent,
        ..new
    }
}

/// Gives an image a name. Images of one index share the name: the one for this machine stands for
/// it. Returns the image that lost the name.
fn name_image(
    tables: &mut store::Tables,
    name: &Reference,
    id: ImageId,
    index: Option<&ManifestRef>,
) -> Option<(Reference, ImageId)> {
    let images = &tables.images.images;
    let host = Platform::host();
    let rank =
        |id: &ImageId| images.get(id).and_then(|record| record.platform.platform().rank(&host));
    let text = name.to_string();
    let before = tables.images.names.get(&text).cloned();
    let record = match (&before, index) {
        (Some(record), Some(index)) if record.index.as_deref() == Some(index) => {
            let mut all: Vec<ImageId> = record.images().chain([id]).collect();
            all.dedup();
            all.sort_by_key(|id| rank(id).unwrap_or(u32::MAX));
            let mut unique = Vec::new();
            for id in all {
                if !unique.contains(&id) {
                    unique.push(id);
                }
            }
            NameRecord {
                image: unique.remove(0),
                others: unique,
                index: Some(index.clone().into()),
            }
        }
        (_, index) => {
            NameRecord { image: id, others: Vec::new(), index: index.cloned().map(Box::new) }
        }
    };
    let displaced = before
        .filter(|before| record.images().all(|id| id != before.image))
        .map(|before| (name.clone(), before.image));
    tables.images.names.insert(text, record);
    displaced
}

/// The images that a word means.
fn called(mut images: Vec<Bundled>, word: &str) -> Result<Vec<Bundled>> {
    let missing = |images: &[Bundled]| {
        let mut known: Vec<String> = Vec::new();
        for image in images {
            known.extend(image.names.iter().map(Reference::familiar));
            known.extend(image.tag.clone().filter(|_| image.names.is_empty()));
        }
        EngineError::NotInArchive { name: word.to_owned(), known: known.join(", ") }
    };
    if let Some(number) = word.strip_prefix('@') {
        let at = number.parse().ok().filter(|at| *at < images.len());
        return Ok(vec![images.remove(at.ok_or_else(|| missing(&images))?)]);
    }
    if images.iter().any(|image| image.is_called(word)) {
        images.retain(|image| image.is_called(word));
        for image in &mut images {
            // Of an image's names only the one that was asked for is meant.
            let full = Reference::parse(word).map(Reference::with_default_tag).ok();
            if image.names.iter().any(|name| Some(name) == full.as_ref()) {
                image.names.retain(|name| Some(name) == full.as_ref());
            }
        }
        return Ok(images);
    }
    match images.as_mut_slice() {
        [image] if image.names.is_empty() && image.tag.is_none() => {
            image.names.push(crate::tag::parse(word)?.without_digest().with_default_tag());
            Ok(images)
        }
        _ => Err(missing(&images)),
    }
}

fn select(images: Vec<Bundled>, platforms: &[Platform]) -> Result<Vec<Bundled>> {
    let shown = images.first().and_then(|image| image.names.first().map(Reference::familiar));
    let mut chosen: Vec<Bundled> = Vec::new();
    for wanted in platforms {
        let before = chosen.len();
        for image in &images {
            let have = chosen.iter().any(|other| other.id() == image.id());
            if image.platform().matches(wanted) && !have {
                chosen.push(image.clone());
            }
        }
        if chosen.len() == before {
            let name = shown.clone().unwrap_or_else(|| "<none>".to_owned());
            return Err(EngineError::NoPlatform { name, wanted: wanted.to_string() });
        }
    }
    Ok(chosen)
}
