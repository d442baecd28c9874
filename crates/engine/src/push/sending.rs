//! One name on its way: layers side by side, the configuration, and the manifest last.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;

use image::chunked::Cuts;
use registry::{Begun, RegistryError, Repository, Sent, Target};
use spec::{
    Annotations, Compression, Descriptor, DiffId, Digest, Document, Manifest, MediaType, Platform,
    Reference,
};
use store::{Lease, Tables};

use super::elsewhere::Elsewhere;
use super::{Labelled, Named, Parcel, Part, Pushed, Repack};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::pack::{LayerCoding, Packer, Plain, Squeeze};
use crate::progress::{Progress, Reported};

/// As many layers are sent at once.
const WORKERS: usize = 3;
/// A stream that was cut is sent again so often: it cannot go on where it ended.
const ATTEMPTS: u32 = 3;
/// What registries say where a document is put and something that it needs is not there.
const MISSED: [&str; 3] = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
/// As docker says it.
const NOT_WHOLE: &str = "Not all multiplatform-content is present and only the available \
                         single-platform image was pushed";

/// What of a push is the same for all its names.
pub(super) struct Sending<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: &'a Lease,
    pub(super) repository: &'a Repository<'a>,
    pub(super) elsewhere: &'a Elsewhere,
    pub(super) repack: Option<Repack>,
    pub(super) progress: &'a dyn Progress,
}

impl Sending<'_> {
    /// Sends all that stands behind a name, and then the name.
    pub(super) fn name(
        &self,
        tables: &Tables,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Named> {
        let full = name.to_string();
        let record = tables.images.names.get(&full);
        let record = record.ok_or_else(|| EngineError::NoTag(name.familiar()))?;
        let whole = match platform {
            None => self.whole_index(tables, record)?,
            Some(_) => None,
        };
        if platform.is_none() && whole.is_none() && !record.others.is_empty() {
            self.progress.note(NOT_WHOLE);
        }
        let chosen = match &whole {
            Some(whole) => whole.manifests.keys().copied().collect(),
            None => vec![crate::find::find_for(&tables.images, &full, platform)?.id],
        };
        let tag = name.tag().unwrap_or("latest").to_owned();
        let target = Target::Tag(tag.clone());
        let mut images = Vec::new();
        for id in chosen {
            let missing = || EngineError::NoSuchImage(id.to_string());
            let image = tables.images.images.get(&id).ok_or_else(missing)?;
            let of_index = whole.as_ref().and_then(|whole| whole.manifests.get(&id));
            let of_name = record.manifest.as_deref().filter(|_| id == record.image);
            let manifest = of_index.or(of_name).or(image.manifest.as_deref());
            let parcel = self.engine.parcel(tables, id, image, manifest, self.repack.as_ref())?;
            let own_target = whole.is_none().then_some(&target);
            images.push((id, self.parcel(parcel, own_target)?));
        }
        let label = match whole {
            Some(whole) => self.index(&target, whole, &images)?,
            None => images[0].1.clone(),
        };
        let bytes = label.bytes.len() as u64;
        let (digest, media_type) = (Digest::of(&label.bytes), label.media_type);
        Ok(Named { pushed: Pushed { tag, digest, bytes, media_type }, images })
    }

    /// Sends an image, its manifest last: under the name, or under its digest alone.
    pub(super) fn parcel(&self, parcel: Parcel, target: Option<&Target>) -> Result<Labelled> {
        for part in parcel.parts.iter().rev() {
            self.progress.note(&format!("{}: Preparing", part.diff.0.short()));
        }
        if let Some((bytes, media_type)) = &parcel.manifest
            && self.is_there(target, bytes)?
            && self.put_again(target, bytes, media_type)?
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

    /// Puts a name on the document that it is on already: whether that is allowed, the registry alone
    /// knows. Not where it misses what the document needs, in
    /// whatever words it says so; what is there without a name stays as it is.
    fn put_again(
        &self,
        target: Option<&Target>,
        bytes: &[u8],
        media_type: &MediaType,
    ) -> Result<bool> {
        let Some(target) = target else { return Ok(true) };
        match self.repository.put_document(target, media_type, bytes) {
            Err(error) if MISSED.iter().any(|code| error.has_code(code)) => Ok(false),
            put => Ok(put.map(|_| true)?),
        }
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
        if let Some(known) = part.known.as_ref().filter(|_| part.is_other) {
            let coding = LayerCoding::of(known).map_or("as it is", LayerCoding::word);
            self.progress.note(&format!("{short}: Stays {coding}, unless --force-compression"));
        }
        for known in part.known.iter().chain(self.forms(part)) {
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
        let described = match &part.known {
            Some(known) if !part.is_packed => {
                self.blob(&short, known)?;
                known.clone()
            }
            _ => self.compressed(&short, part)?,
        };
        self.progress.note(&format!("{short}: Pushed"));
        Ok(described)
    }

    /// What a layer was compressed to before, and is to be again.
    fn forms<'p>(&self, part: &'p Part) -> Vec<&'p Descriptor>
    where
        Self: 'p,
    {
        let all: Vec<&Descriptor> = self.elsewhere.forms(part).collect();
        let Some(asked) = self.repack else { return all };
        let met: Vec<&Descriptor> = all.iter().copied().filter(|form| asked.is_met(form)).collect();
        let plain_zstd = Repack { coding: Some(LayerCoding::Zstd), ..asked };
        let is_chunked = asked.coding == Some(LayerCoding::ZstdChunked);
        if !met.is_empty() || !is_chunked || !all.iter().any(|form| plain_zstd.is_met(form)) {
            return met;
        }
        // It may be one of those that cannot be cut: then that is all that there will be.
        match self.can_be_cut(part) {
            true => met,
            false => all.into_iter().filter(|form| plain_zstd.is_met(form)).collect(),
        }
    }

    /// Whether a table could say what is in a layer. What cannot be read is told by whoever sends it.
    fn can_be_cut(&self, part: &Part) -> bool {
        let tar = Plain::of(self.engine, self.lease, &part.record);
        tar.map_or(true, |tar| Cuts::of(&tar.file, tar.bytes).is_some())
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
        let sent = self.repository.put_blob(&known.digest, known.size, None, &open);
        if sent.as_ref().is_err_and(RegistryError::is_about_bytes) {
            // The registry refuses what is not what its name says; then that is the cause.
            self.engine.store.verify_blob(&known.digest)?;
        }
        Ok(sent?)
    }

    /// Compresses a layer while it is sent: as asked, or else as it was before.
    fn compressed(&self, short: &str, part: &Part) -> Result<Descriptor> {
        let Repack { coding, level, .. } = self.repack.unwrap_or_default();
        let coding = coding.or(part.before).unwrap_or(LayerCoding::Gzip);
        if let Some(level) = level.filter(|level| !coding.has_level(*level)) {
            let word = coding.word();
            return Err(EngineError::Refused(format!("{word} has no compression level {level}")));
        }
        let squeeze = Squeeze { coding, level };
        let tar = Plain::of(self.engine, self.lease, &part.record)?;
        let mut attempt = 1;
        loop {
            let item = self.progress.begin(short, "Pushing", Some(tar.bytes));
            match Packer::run(&tar, squeeze, item, |packer| self.stream(packer)) {
                Err(RegistryError::Transport { .. }) if attempt < ATTEMPTS => attempt += 1,
                // The registry has lost the upload.
                Err(error) if error.is_missing() && attempt == 1 => attempt += 1,
                sent => {
                    let Some(sent) = sent? else { return Err(tar.fault(self.engine)) };
                    if !coding.is_of(&sent) {
                        let why = "No table can say what is in it, so it went as zstd alone";
                        self.progress.note(&format!("{short}: {why}"));
                    }
                    return Ok(sent);
                }
            }
        }
    }

    /// Sends what comes out. What was made of something else than the layer gets no name there.
    fn stream(&self, packer: &mut Packer<'_>) -> Result<Option<Descriptor>, RegistryError> {
        let Begun::Waiting(mut upload) = self.repository.begin_upload(None)? else {
            let why = "a blob is there that nobody has named".to_owned();
            return Err(RegistryError::Malformed { url: "blobs/uploads".to_owned(), why });
        };
        upload.stream(packer)?;
        let packed = packer.finish();
        match &packed {
            Some(packed) => upload.finish(&packed.digest)?,
            // What is not finished, a registry forgets by itself too.
            None => drop(upload.cancel()),
        }
        Ok(packed)
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
    let needs_oci = |layer: &Descriptor| {
        let is_zstd = layer.media_type.compression() == Some(Compression::Zstd);
        is_zstd || image::chunked::is_told(&layer.annotations)
    };
    let is_oci = layers.iter().any(needs_oci);
    let layers = layers.into_iter().map(|layer| {
        let media_type = match (is_oci, layer.media_type.compression()) {
            (true, Some(Compression::Zstd)) => MediaType::OciLayerZstd,
            (true, Some(Compression::None)) => MediaType::OciLayer,
            (true, _) => MediaType::OciLayerGzip,
            (false, Some(Compression::None)) => MediaType::DockerLayer,
            (false, _) => MediaType::DockerLayerGzip,
        };
        let annotations = match is_oci {
            true => image::chunked::told(&layer.annotations),
            false => Annotations::new(),
        };
        Descriptor { annotations, ..Descriptor::new(media_type, layer.digest, layer.size) }
    });
    let config = if is_oci { MediaType::OciConfig } else { MediaType::DockerConfig };
    let config = Descriptor::of(config, &parcel.config_bytes);
    let manifest = Manifest::new(config, layers.collect());
    let bytes = manifest.to_bytes();
    Labelled { bytes, media_type: Document::Manifest(manifest).media_type() }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
