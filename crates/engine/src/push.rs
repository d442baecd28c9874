//! Images to a registry. What came from a registry goes back as it came; what is new is compressed
//! while it is sent, and what is there already is not sent at all.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;

use registry::{Access, Begun, Client, RegistryError, Repository, Sent, Target};
use spec::{
    Compression, Descriptor, DiffId, Digest, Document, ImageConfig, ImageId, Manifest, MediaType,
    Platform, Reference,
};
use store::{ImageRecord, LayerRecord, ManifestRef, Tables};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::pack::Packer;
use crate::progress::{Progress, Reported};

/// A request to push.
#[derive(Clone, Debug)]
pub struct PushImage {
    /// The name, with a tag.
    pub name: Reference,
    /// All tags of the repository.
    pub all_tags: bool,
    /// Only the image for this platform, where a name has several.
    pub platform: Option<Platform>,
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
}

/// As many layers are sent at once.
const WORKERS: usize = 3;
/// A stream that was cut is sent again so often: it cannot go on where it ended.
const ATTEMPTS: u32 = 3;

/// A layer to be sent.
struct Part {
    diff: DiffId,
    /// What the registry is to have, where it is known before the layer is compressed.
    known: Option<Descriptor>,
    /// The plain tar is here, and is compressed on its way; else the blob is.
    tar_bytes: Option<u64>,
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
        let chosen = chosen.flat_map(|record| record.images().map(|id| (id, Vec::new()))).collect();
        self.protect(&lease, chosen)?;
        // Looked at only now: what is here and protected stays.
        let tables = self.store.tables()?;
        let elsewhere = Elsewhere::of(self, &tables, &push.name);
        let repository = client.repository(&push.name, Access::Push)?;
        let repository = repository.mounting_from(&elsewhere.repositories());
        for name in names {
            let sending =
                Sending { engine: self, repository: &repository, elsewhere: &elsewhere, progress };
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
        self.store.change_images(|all| {
            for (id, manifest) in documents {
                let Some(record) = all.images.get_mut(&id) else { continue };
                record.manifest = Some(manifest);
                record.repo_digests.insert(format!("{}@{digest}", name.name()));
            }
            Ok::<_, EngineError>(())
        })?;
        let familiar = name.familiar();
        let attributes = name.familiar_name();
        self.store.record_event("image", "push", &familiar, &[("name", &attributes)]);
        Ok(())
    }

    /// What has to be there before an image's manifest.
    fn parcel(&self, tables: &Tables, id: ImageId, record: &ImageRecord) -> Result<Parcel> {
        let config_bytes = self.store.read_document(&id.0)?;
        let stack = tables.layers.stack(record.top)?;
        let own = self.own_manifest(id, record, stack.len())?;
        let known = own.as_ref().map(|(_, manifest)| manifest.layers.clone());
        let parts = stack.iter().enumerate().map(|(at, (_, layer))| {
            self.part(layer, known.as_ref().and_then(|layers| layers.get(at)))
        });
        let parts = parts.collect();
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
        record: &ImageRecord,
        layers: usize,
    ) -> Result<Option<(Vec<u8>, Manifest)>> {
        let Some(manifest) = &record.manifest else { return Ok(None) };
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

    /// A layer in the form in which it is kept.
    fn part(&self, layer: &LayerRecord, wanted: Option<&Descriptor>) -> Part {
        let diff = layer.diff;
        if let Some(wanted) = wanted.filter(|wanted| self.store.has_blob(&wanted.digest)) {
            return Part { diff, known: Some(wanted.clone()), tar_bytes: None };
        }
        let kept = self.layer_descriptor(layer);
        match kept.digest == diff.0 {
            false => Part { diff, known: Some(kept), tar_bytes: None },
            true => Part { diff, known: wanted.cloned(), tar_bytes: Some(layer.bytes) },
        }
    }
}

/// What of a push is the same for all its names.
struct Sending<'a> {
    engine: &'a Engine,
    repository: &'a Repository<'a>,
    elsewhere: &'a Elsewhere,
    progress: &'a dyn Progress,
}

/// What a name stands for now, and the manifests of its images.
type Named = (Pushed, Vec<(ImageId, Labelled)>);

impl Sending<'_> {
    /// Sends all that stands behind a name, and then the name.
    fn name(
        &self,
        tables: &Tables,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Named> {
        let full = name.to_string();
        let record = tables.images.names.get(&full);
        let record = record.ok_or_else(|| EngineError::NoTag(name.familiar()))?;
        let index = match platform {
            None => self.whole_index(tables, record)?,
            Some(_) => None,
        };
        let chosen = match &index {
            Some(_) => record.images().collect(),
            None => vec![crate::find::find_for(&tables.images, &full, platform)?.id],
        };
        let tag = name.tag().unwrap_or("latest").to_owned();
        let target = Target::Tag(tag.clone());
        let mut done = Vec::new();
        for id in chosen {
            let missing = || EngineError::NoSuchImage(id.to_string());
            let image = tables.images.images.get(&id).ok_or_else(missing)?;
            let parcel = self.engine.parcel(tables, id, image)?;
            let own_target = index.is_none().then_some(&target);
            done.push((id, self.parcel(parcel, own_target)?));
        }
        let label = match index {
            Some(index) => {
                self.repository.put_document(&target, &index.media_type, &index.bytes)?;
                index
            }
            None => {
                let (_, Labelled { bytes, media_type }) = &done[0];
                Labelled { bytes: bytes.clone(), media_type: media_type.clone() }
            }
        };
        let bytes = label.bytes.len() as u64;
        Ok((Pushed { tag, digest: Digest::of(&label.bytes), bytes }, done))
    }

    /// The index behind a name, if all that it names is here.
    fn whole_index(&self, tables: &Tables, record: &store::NameRecord) -> Result<Option<Labelled>> {
        let Some(index) = &record.index else { return Ok(None) };
        let bytes = self.engine.store.read_document(&index.digest)?;
        let Ok(Document::Index(document)) = Document::parse(&bytes) else { return Ok(None) };
        let here: Vec<Digest> = record
            .images()
            .filter_map(|id| Some(tables.images.images.get(&id)?.manifest.as_ref()?.digest))
            .collect();
        let is_whole = document.manifests.iter().all(|entry| here.contains(&entry.digest));
        let media_type = index.media_type.clone();
        Ok(is_whole.then_some(Labelled { bytes, media_type }))
    }

    /// Sends an image, its manifest last: under the name, or under its digest alone.
    fn parcel(&self, parcel: Parcel, target: Option<&Target>) -> Result<Labelled> {
        for part in parcel.parts.iter().rev() {
            self.progress.note(&format!("{}: Preparing", part.diff.0.short()));
        }
        if let Some((bytes, media_type)) = &parcel.manifest
            && self.is_there(target, bytes)?
        {
            for part in &parcel.parts {
                self.progress.note(&format!("{}: Layer already exists", part.diff.0.short()));
            }
            return Ok(Labelled { bytes: bytes.clone(), media_type: media_type.clone() });
        }
        let layers = self.layers(&parcel.parts)?;
        let config = parcel.id.0;
        if self.repository.blob_bytes(&config)?.is_none() {
            let bytes = &parcel.config_bytes;
            let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn Read>);
            self.repository.put_blob(&config, bytes.len() as u64, None, &open)?;
        }
        let label = labelled(parcel, layers);
        let by_digest = Target::Digest(Digest::of(&label.bytes));
        let target = target.unwrap_or(&by_digest);
        self.repository.put_document(target, &label.media_type, &label.bytes)?;
        Ok(label)
    }

    /// Whether the registry has this very document there.
    fn is_there(&self, target: Option<&Target>, bytes: &[u8]) -> Result<bool> {
        let digest = Digest::of(bytes);
        let by_digest = Target::Digest(digest);
        let head = self.repository.head(target.unwrap_or(&by_digest))?;
        Ok(head.is_some_and(|head| head.digest == Some(digest)))
    }

    /// Sends layers side by side, and says what the registry has for each.
    fn layers(&self, parts: &[Part]) -> Result<Vec<Descriptor>> {
        // The same layer twice in an image is sent once.
        let mut unique: Vec<&Part> = Vec::new();
        for part in parts {
            if !unique.iter().any(|other| other.diff == part.diff) {
                unique.push(part);
            }
        }
        let queue = Mutex::new(unique.iter());
        let sent: Mutex<BTreeMap<DiffId, Result<Descriptor>>> = Mutex::default();
        let failed = || lock(&sent).values().any(Result::is_err);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(unique.len()) {
                scope.spawn(|| {
                    while !failed() {
                        let Some(part) = lock(&queue).next() else { return };
                        let result = self.layer(part);
                        lock(&sent).insert(part.diff, result);
                    }
                });
            }
        });
        let mut sent = sent.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let first = sent.iter().find(|(_, result)| result.is_err()).map(|(diff, _)| *diff);
        if let Some(Err(error)) = first.and_then(|diff| sent.remove(&diff)) {
            return Err(error);
        }
        let described = |part: &Part| sent.get(&part.diff)?.as_ref().ok().cloned();
        Ok(parts.iter().filter_map(described).collect())
    }

    fn layer(&self, part: &Part) -> Result<Descriptor> {
        let short = part.diff.0.short();
        let candidates = part.known.iter().chain(self.elsewhere.forms(part));
        for known in candidates {
            if self.repository.blob_bytes(&known.digest)? == Some(known.size) {
                self.progress.note(&format!("{short}: Layer already exists"));
                return Ok(known.clone());
            }
            if let Some(from) = self.elsewhere.repository(&known.digest)
                && let Begun::Mounted = self.repository.begin_upload(Some((&known.digest, from)))?
            {
                self.progress.note(&format!("{short}: Mounted from {from}"));
                return Ok(known.clone());
            }
        }
        let described = match (&part.known, part.tar_bytes) {
            (Some(known), None) => {
                self.blob(&short, known)?;
                known.clone()
            }
            (_, bytes) => self.compressed(&short, part.diff, bytes.unwrap_or_default())?,
        };
        self.progress.note(&format!("{short}: Pushed"));
        Ok(described)
    }

    /// Sends a blob as it is kept.
    fn blob(&self, short: &str, known: &Descriptor) -> Result<Sent> {
        let file = self.engine.store.open_blob(&known.digest)?;
        let open = |at: u64| {
            let mut file = file.try_clone()?;
            file.seek(SeekFrom::Start(at))?;
            let item = self.progress.begin(short, "Pushing", Some(known.size));
            Ok(Box::new(Reported { inner: file.take(known.size - at), item }) as Box<dyn Read>)
        };
        Ok(self.repository.put_blob(&known.digest, known.size, None, &open)?)
    }

    /// Compresses a layer while it is sent.
    fn compressed(&self, short: &str, diff: DiffId, bytes: u64) -> Result<Descriptor> {
        let file = self.engine.store.open_blob(&diff.0)?;
        let mut attempt = 1;
        loop {
            let item = self.progress.begin(short, "Pushing", Some(bytes));
            let sent = Packer::run(&file, bytes, item, |packer| self.stream(packer));
            match sent {
                Err(RegistryError::Transport { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
                Ok((digest, size)) => {
                    return Ok(Descriptor::new(MediaType::DockerLayerGzip, digest, size));
                }
            }
        }
    }

    fn stream(&self, packer: &mut Packer<'_>) -> Result<(Digest, u64), RegistryError> {
        let Begun::Waiting(mut upload) = self.repository.begin_upload(None)? else {
            let why = "a blob is there that nobody has named".to_owned();
            return Err(RegistryError::Malformed { url: "blobs/uploads".to_owned(), why });
        };
        upload.stream(packer)?;
        let (digest, size) = packer.finish();
        upload.finish(&digest)?;
        Ok((digest, size))
    }
}

/// The manifest of what was sent: the one that the image came with, if that is what was sent; else
/// one of docker's, or of OCI's where docker has no word for a layer.
fn labelled(parcel: Parcel, layers: Vec<Descriptor>) -> Labelled {
    if let Some((bytes, media_type)) = parcel.manifest
        && let Ok(Document::Manifest(own)) = Document::parse(&bytes)
        && own.layers.iter().map(|layer| layer.digest).eq(layers.iter().map(|layer| layer.digest))
    {
        return Labelled { bytes, media_type };
    }
    let is_zstd = |layer: &Descriptor| layer.media_type.compression() == Some(Compression::Zstd);
    let is_oci = layers.iter().any(is_zstd);
    let layers = layers.into_iter().map(|layer| {
        let media_type = match (is_oci, layer.media_type.compression()) {
            (true, Some(Compression::Zstd)) => MediaType::OciLayerZstd,
            (true, Some(Compression::None)) => MediaType::OciLayer,
            (true, _) => MediaType::OciLayerGzip,
            (false, Some(Compression::None)) => MediaType::DockerLayer,
            (false, _) => MediaType::DockerLayerGzip,
        };
        Descriptor::new(media_type, layer.digest, layer.size)
    });
    let config = if is_oci { MediaType::OciConfig } else { MediaType::DockerConfig };
    let config = Descriptor::of(config, &parcel.config_bytes);
    let manifest = Manifest::new(config, layers.collect());
    let bytes = manifest.to_bytes();
    Labelled { bytes, media_type: Document::Manifest(manifest).media_type() }
}

/// What is known to be in other repositories of the same registry: blobs that can be mounted, and
/// what layers became when they were compressed for it.
struct Elsewhere {
    own: String,
    blobs: BTreeMap<Digest, String>,
    forms: BTreeMap<DiffId, Vec<Descriptor>>,
}

impl Elsewhere {
    fn of(engine: &Engine, tables: &Tables, name: &Reference) -> Elsewhere {
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
    fn repositories(&self) -> Vec<String> {
        let mut all: Vec<String> = self.blobs.values().cloned().collect();
        all.sort();
        all.dedup();
        all.retain(|name| *name != self.own);
        // A token server has to think about each.
        all.truncate(4);
        all
    }

    fn repository(&self, digest: &Digest) -> Option<&str> {
        let name = self.blobs.get(digest)?;
        (*name != self.own).then_some(name)
    }

    /// What a plain layer became before, for others.
    fn forms<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Descriptor> {
        let forms = self.forms.get(&part.diff).filter(|_| part.tar_bytes.is_some());
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
