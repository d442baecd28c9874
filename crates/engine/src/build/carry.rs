//! What the steps of a build gave goes to where other builds find it.

use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::archive::{ArchiveImage, plan_archive};
use registry::{Access, BucketKind, Target};
use spec::{Descriptor, DiffId, Document, Manifest, MediaType, Platform, Reference};

use super::assemble::Image;
use super::carried::{
    CacheConfig, CacheLayer, CachePlace, CacheRecord, CacheResult, CacheTarget, Done, INLINE,
    config_type,
};
use super::depot::Depot;
use super::fetch::without_user;
use super::output::Packing;
use super::seal::pack;
use super::session::BuildSession;
use super::tell::Teller;
use super::work::Remembered;
use crate::error::{EngineError, Result};

/// Asks for what a build would only find at its end: whether a bucket or GitHub's cache takes something.
pub(super) fn reach(
    session: &BuildSession<'_>,
    targets: &[CacheTarget],
    teller: &Teller<'_>,
) -> Result<()> {
    for target in targets {
        let CacheTarget::Place { place, ignore_error: false, .. } = target else { continue };
        let settings = session.engine.settings();
        let opened = match place {
            CachePlace::Folder { .. } | CachePlace::Registry(_) => continue,
            CachePlace::Bucket(bucket) => bucket.open(settings),
            CachePlace::Github(github) => github.open(settings),
        };
        if let Err(error) = opened.and_then(|depot| depot.reach()) {
            return teller.begin(&format!("reaching cache in {}", kind(place))).end(Err(error));
        }
    }
    Ok(())
}

/// What sort of place it is, in BuildKit's words.
fn kind(place: &CachePlace) -> &'static str {
    match place {
        CachePlace::Folder { .. } => "client directory",
        CachePlace::Registry(_) => "registry",
        CachePlace::Bucket(bucket) => store_name(bucket.kind),
        CachePlace::Github(_) => "GitHub Actions Cache",
    }
}

/// Takes what the steps gave to all places that were named.
pub(super) fn carry(
    session: &BuildSession<'_>,
    images: &[Image],
    targets: &[CacheTarget],
    teller: &Teller<'_>,
) -> Result<()> {
    for target in targets {
        let CacheTarget::Place { place, all, packing, ignore_error } = target else { continue };
        let telling = teller.begin(&format!("exporting cache to {}", kind(place)));
        let carried = bundle(session, images, *all, packing).and_then(|cache| {
            telling.note("preparing build cache for export done");
            match place {
                CachePlace::Folder { folder, tag } => {
                    let cache = ArchiveImage { tag: Some(tag.clone()), ..cache };
                    let plan = plan_archive(&[cache], &[]);
                    session.engine.write_layout(&plan, folder, true)
                }
                CachePlace::Registry(name) => push(session, &cache, name),
                CachePlace::Bucket(bucket) => {
                    let depot = bucket.open(session.engine.settings())?;
                    send(session, &cache, &*depot, bucket.at_once)
                }
                CachePlace::Github(github) => {
                    let depot = github.open(session.engine.settings())?;
                    send(session, &cache, &*depot, 1)
                }
            }
        });
        match telling.end(carried) {
            Err(_) if *ignore_error => {}
            other => other?,
        }
    }
    Ok(())
}

/// Writes which step made which layer into an image's own configuration.
pub(super) fn write_inline(session: &BuildSession<'_>, image: &mut Image) -> Result<()> {
    let diffs = image.config.rootfs.diff_ids.clone();
    let place = |diff: DiffId| diffs.iter().rposition(|own| *own == diff);
    let steps: Vec<Done> = image.done.iter().filter(|done| done.in_image).copied().collect();
    let config = CacheConfig { layers: Vec::new(), records: records(session, &steps, place)? };
    let bytes = serde_json::to_vec(&config).expect("records are strings and numbers");
    image.config.rest.insert(INLINE.to_owned(), STANDARD.encode(bytes).into());
    image.settle();
    Ok(())
}

/// The records of steps, whose layers stand where `place` says.
fn records(
    session: &BuildSession<'_>,
    steps: &[Done],
    place: impl Fn(DiffId) -> Option<usize>,
) -> Result<Vec<CacheRecord>> {
    let mut records: Vec<CacheRecord> = Vec::new();
    for Done { key, layer, .. } in steps {
        if records.iter().any(|known| known.digest == *key) {
            continue;
        }
        let Some(record) = session.engine.store().recall_step(key)? else { continue };
        let results = match layer {
            None => Vec::new(),
            Some(layer) => match place(layer.diff) {
                Some(at) => vec![CacheResult { layer: at, bytes: layer.bytes }],
                None => continue,
            },
        };
        // How long it took is no part of what it is.
        let Ok(remembered) = serde_json::from_str::<Remembered>(record.rest.get()) else {
            continue;
        };
        let rest = serde_json::value::to_raw_value(&Remembered { took: 0, ..remembered });
        let words = record.text.split(' ').map(without_user).collect::<Vec<_>>();
        let (Ok(rest), text) = (rest, words.join(" ")) else { continue };
        records.push(CacheRecord { digest: *key, results, text, rest });
    }
    // The same steps give the same document, in whatever order they were done.
    records.sort_by_key(|record| record.digest);
    Ok(records)
}

/// A manifest of all that the steps gave.
fn bundle(
    session: &BuildSession<'_>,
    images: &[Image],
    all: bool,
    packing: &Packing,
) -> Result<ArchiveImage> {
    let (store, lease) = (session.engine.store(), &session.lease);
    let done = images.iter().flat_map(|image| &image.done);
    let steps: Vec<Done> = done.filter(|done| all || done.in_image).copied().collect();
    let mut diffs: Vec<DiffId> = steps.iter().filter_map(|done| Some(done.layer?.diff)).collect();
    diffs.sort();
    diffs.dedup();
    let known = store.tables()?.layers;
    diffs.retain(|diff| known.by_diff(*diff).is_some());
    let mut layers = Vec::new();
    for diff in &diffs {
        let Some(layer) = known.by_diff(*diff) else { continue };
        layers.push(CacheLayer::new(*diff, &pack(session.engine, lease, layer, packing, true)?));
    }
    let records = records(session, &steps, |diff| diffs.binary_search(&diff).ok())?;
    let packed: Vec<Descriptor> = layers.iter().map(CacheLayer::descriptor).collect();
    let config = CacheConfig { layers, records };
    let bytes = serde_json::to_vec(&config).expect("a cache is strings and numbers");
    store.put_document(lease, &bytes)?;
    let config = Descriptor::of(config_type(), &bytes);
    let mut manifest = Manifest::new(config.clone(), packed.clone());
    manifest.media_type = Some(MediaType::OciManifest);
    let manifest = (manifest.to_bytes(), Document::Manifest(manifest).media_type());
    let platform = Platform::host();
    Ok(ArchiveImage { names: Vec::new(), tag: None, manifest, config, layers: packed, platform })
}

/// Whose store it is.
fn store_name(kind: BucketKind) -> &'static str {
    match kind {
        BucketKind::Amazon => "Amazon S3",
        BucketKind::Google => "Google Cloud Storage",
        BucketKind::Azure => "Azure Blob Storage",
    }
}

/// Sends the layers that are not there, so many at once, and then the document that names them.
fn send(
    session: &BuildSession<'_>,
    cache: &ArchiveImage,
    depot: &dyn Depot,
    at_once: usize,
) -> Result<()> {
    let store = session.engine.store();
    let next = AtomicUsize::new(0);
    let send_some = || -> Result<()> {
        while let Some(layer) = cache.layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !depot.has(layer)? {
                // Nobody there looks whether these bytes are what their name says, and none would be
                // sent in their place.
                store.verify_blob(&layer.digest)?;
                depot.put(layer, &mut store.open_blob(&layer.digest)?)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let count = at_once.min(cache.layers.len());
        let senders: Vec<_> = (0..count).map(|_| scope.spawn(send_some)).collect();
        let mut sent = senders.into_iter().map(|sender| sender.join());
        sent.try_for_each(|sent| sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut document = Vec::new();
    let read = store.open_blob(&cache.config.digest)?.read_to_end(&mut document);
    read.map_err(EngineError::Read)?;
    depot.put_document(&document)
}

/// Sends what a registry does not have, the manifest last.
fn push(session: &BuildSession<'_>, cache: &ArchiveImage, name: &Reference) -> Result<()> {
    let client = session.engine.settings().client()?;
    let repository = client.repository(name, Access::Push)?;
    for blob in cache.layers.iter().chain([&cache.config]) {
        if repository.blob_bytes(&blob.digest)?.is_some() {
            continue;
        }
        let file = session.engine.store().open_blob(&blob.digest)?;
        let open = |at: u64| {
            let mut file = file.try_clone()?;
            file.seek(SeekFrom::Start(at))?;
            Ok(Box::new(file) as Box<dyn Read>)
        };
        repository.put_blob(&blob.digest, blob.size, None, &open)?;
    }
    let (bytes, media_type) = &cache.manifest;
    let target = Target::Tag(name.tag().unwrap_or("latest").to_owned());
    repository.put_document(&target, media_type, bytes)?;
    Ok(())
}
