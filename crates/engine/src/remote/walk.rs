//! The walk from one end to the other: what a document needs comes before it, and what is there
//! already does not come at all.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use registry::{RegistryError, RemoteDocument, Target};
use spec::{Descriptor, Digest, Document, Hasher, ImageConfig, Index, MediaType, Platform};

use super::ends::{End, Role};
use crate::error::{EngineError, Result};
use crate::progress::{Progress, Reported};

/// As many blobs are moved at once.
const WORKERS: usize = 3;
/// Indexes in indexes, and referrers of referrers, are followed so deep.
pub(super) const MAX_NESTING: usize = 4;
/// What cosign puts beside an image, under tags made of its digest.
const BESIDE: [&str; 3] = ["sig", "att", "sbom"];

/// A copy on its way.
pub(super) struct Walk<'a> {
    from: &'a dyn End,
    to: &'a dyn End,
    referrers: bool,
    progress: &'a dyn Progress,
    moved_bytes: AtomicU64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        from: &'a dyn End,
        to: &'a dyn End,
        referrers: bool,
        progress: &'a dyn Progress,
    ) -> Walk<'a> {
        Walk { from, to, referrers, progress, moved_bytes: AtomicU64::new(0) }
    }

    /// How many bytes of blobs had to be moved so far.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes.load(Ordering::Relaxed)
    }

    /// The image of a document for one platform.
    pub(super) fn chosen(
        &self,
        document: RemoteDocument,
        wanted: &Platform,
    ) -> Result<RemoteDocument> {
        choose(self.from, document, wanted)
    }

    /// Takes a document over, with all that it needs before it and, if asked for, what refers to it
    /// after it.
    pub(super) fn document(&self, document: &RemoteDocument, role: Role<'_>) -> Result<()> {
        self.document_at(document, role, 0)
    }

    fn document_at(&self, document: &RemoteDocument, role: Role<'_>, depth: usize) -> Result<()> {
        if depth > MAX_NESTING {
            let why = "documents lead to documents without end".to_owned();
            return Err(refused(document, why));
        }
        let parsed = parse(document)?;
        let target = match role {
            Role::Named(target) => target.clone(),
            Role::Inner | Role::Loose => Target::Digest(document.digest),
        };
        let is_there = self.to.head(&target)? == Some(document.digest);
        match parsed {
            // Who has a manifest has its blobs.
            Document::Manifest(_) if is_there => {}
            Document::Manifest(manifest) => {
                let layers = manifest.layers.into_iter().filter(|layer| !is_elsewhere(layer));
                let blobs: Vec<Descriptor> = [manifest.config].into_iter().chain(layers).collect();
                self.blobs(&blobs)?;
            }
            // An index may be held in part.
            Document::Index(index) => self.index(&index, depth)?,
        }
        let short = document.digest.short();
        match is_there {
            true => self.progress.note(&format!("{short}: Manifest already exists")),
            false => {
                self.to.take_document(role, document)?;
                self.progress.note(&format!("{short}: Manifest copied"));
            }
        }
        match self.referrers {
            true => self.followers(document.digest, depth),
            false => Ok(()),
        }
    }

    fn index(&self, index: &Index, depth: usize) -> Result<()> {
        for entry in &index.manifests {
            let target = Target::Digest(entry.digest);
            let is_image = !entry.media_type.is_index();
            if is_image && !self.referrers && self.to.head(&target)?.is_some() {
                continue;
            }
            let inner = self.from.document(&target)?;
            self.document_at(&inner, Role::Inner, depth + 1)?;
        }
        Ok(())
    }

    /// What refers to a document: by the protocol, and by cosign's tags.
    fn followers(&self, digest: Digest, depth: usize) -> Result<()> {
        for entry in self.from.referrers(&digest)? {
            let follower = self.from.document(&Target::Digest(entry.digest))?;
            self.document_at(&follower, Role::Loose, depth + 1)?;
        }
        for kind in BESIDE {
            let tag = format!("{}-{}.{kind}", digest.algorithm().as_str(), digest.hex());
            let target = Target::Tag(tag);
            if self.from.head(&target)?.is_some() {
                let follower = self.from.document(&target)?;
                self.document_at(&follower, Role::Named(&target), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Moves blobs side by side, each once.
    fn blobs(&self, blobs: &[Descriptor]) -> Result<()> {
        let mut unique: Vec<&Descriptor> = Vec::new();
        for blob in blobs {
            if !unique.iter().any(|known| known.digest == blob.digest) {
                unique.push(blob);
            }
        }
        let (queue, failure) = (Mutex::new(unique.iter()), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(unique.len()) {
                scope.spawn(|| {
                    while lock(&failure).is_none() {
                        let Some(blob) = lock(&queue).next() else { return };
                        if let Err(error) = self.blob(blob) {
                            lock(&failure).get_or_insert(error);
                        }
                    }
                });
            }
        });
        match failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn blob(&self, blob: &Descriptor) -> Result<()> {
        let short = blob.digest.short();
        if self.to.has_blob(blob)? {
            self.progress.note(&format!("{short}: Already exists"));
            return Ok(());
        }
        let open = |at: u64| -> Result<Box<dyn Read + '_>> {
            let inner = self.from.blob(blob, at)?;
            let item = self.progress.begin(&short, "Copying", Some(blob.size - at));
            let reported = Reported { inner, item };
            // Only who has seen all of it can tell.
            let hasher = (at == 0).then(|| Hasher::new(blob.digest.algorithm()));
            Ok(Box::new(Checked { inner: reported, left: blob.size - at, hasher, blob }))
        };
        let moved = self.to.take_blob(blob, &open)?;
        if moved {
            self.moved_bytes.fetch_add(blob.size, Ordering::Relaxed);
        }
        self.progress.note(&format!("{short}: {}", if moved { "Copied" } else { "Mounted" }));
        Ok(())
    }
}

/// A blob that is not what its digest says ends before its last byte: nobody gets all of it.
struct Checked<'a, R> {
    inner: R,
    left: u64,
    hasher: Option<Hasher>,
    blob: &'a Descriptor,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            let (wanted, got) = (self.blob.digest, hasher.finish());
            if got != wanted {
                let url = wanted.to_string();
                return Err(io::Error::other(RegistryError::WrongDigest { url, wanted, got }));
            }
        }
        Ok(count)
    }
}

/// The image of a document for one platform.
pub(super) fn choose(
    from: &dyn End,
    mut document: RemoteDocument,
    wanted: &Platform,
) -> Result<RemoteDocument> {
    for _ in 0..=MAX_NESTING {
        match parse(&document)? {
            Document::Manifest(manifest) => {
                let config = small(from, &manifest.config)?;
                let actual = ImageConfig::parse(&config).map_err(EngineError::Config)?.platform();
                return match actual.matches(wanted) {
                    true => Ok(document),
                    false => Err(EngineError::NoMatchingManifest { wanted: wanted.to_string() }),
                };
            }
            Document::Index(index) => {
                let none = || EngineError::NoMatchingManifest { wanted: wanted.to_string() };
                let entry = index.best(wanted).ok_or_else(none)?;
                document = from.document(&Target::Digest(entry.digest))?;
            }
        }
    }
    Err(refused(&document, "its indexes lead to indexes, and to no image".to_owned()))
}

/// A small blob, whole and checked.
pub(super) fn small(from: &dyn End, blob: &Descriptor) -> Result<Vec<u8>> {
    let (url, limit) = (blob.digest.to_string(), spec::MAX_CONFIG_BYTES as u64);
    if blob.size > limit {
        return Err(RegistryError::TooLarge { url, what: "a configuration", limit }.into());
    }
    let mut bytes = Vec::new();
    let read = from.blob(blob, 0)?.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| failed(error, &url))?;
    let mut hasher = Hasher::new(blob.digest.algorithm());
    hasher.update(&bytes);
    match hasher.finish() {
        got if got == blob.digest => Ok(bytes),
        got => Err(RegistryError::WrongDigest { url, wanted: blob.digest, got }.into()),
    }
}

/// What broke a stream, where it is known.
fn failed(error: io::Error, url: &str) -> EngineError {
    match error.downcast::<RegistryError>() {
        Ok(error) => error.into(),
        Err(error) => EngineError::io("read", url)(error),
    }
}

pub(super) fn parse(document: &RemoteDocument) -> Result<Document> {
    Document::parse(&document.bytes).map_err(|error| refused(document, error.to_string()))
}

fn refused(document: &RemoteDocument, why: String) -> EngineError {
    EngineError::NoImage { name: document.digest.to_string(), why }
}

/// Whether a layer is not to be kept by registries, or has its bytes elsewhere.
fn is_elsewhere(layer: &Descriptor) -> bool {
    layer.media_type.is_foreign() || !layer.urls.is_empty()
}

/// Whether an entry of an index is a document itself, and not an artifact's blob.
pub(super) fn is_document(media_type: &MediaType) -> bool {
    media_type.is_index() || media_type.is_manifest()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
