//! Where a registry keeps its bytes: documents by path, blobs by digest, uploads by name.
//!
//! Paths are made of checked names only ([`paths`]). Whatever a call acknowledges is durable.

mod folder;
mod objects;
pub(crate) mod paths;

pub(crate) use folder::Folder;
pub use objects::Bucket;
pub(crate) use objects::Objects;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spec::Digest;

use crate::error::{HubError, Result};
use crate::names::{RepositoryName, UploadId};
use crate::upstream::Following;

/// A blob that can be sent.
pub(crate) enum Blob {
    /// A file of so many bytes.
    File { file: File, bytes: u64 },
    /// One in an object store.
    Objects { content: objects::Content, bytes: u64 },
    /// One that the registry behind this one has, of which only the length is wanted.
    Elsewhere { bytes: u64 },
    /// One that is just coming from there.
    Arriving { following: Following, bytes: u64 },
}

impl Blob {
    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Blob::File { bytes, .. }
            | Blob::Objects { bytes, .. }
            | Blob::Elsewhere { bytes }
            | Blob::Arriving { bytes, .. } => *bytes,
        }
    }

    /// Its bytes from a place on; nothing where they are not here yet.
    pub(crate) fn into_reader(self, at: u64) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(match self {
            Blob::File { mut file, .. } => {
                let failed = |source| HubError::Read { path: "a blob".into(), source };
                file.seek(SeekFrom::Start(at)).map_err(failed)?;
                Some(Box::new(file))
            }
            Blob::Objects { content, bytes } => Some(content.read(at, bytes.saturating_sub(at))?),
            Blob::Elsewhere { .. } | Blob::Arriving { .. } => None,
        })
    }
}

/// Where a registry is to keep everything.
#[derive(Clone)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// An object store, which other servers may have too.
    Bucket(Bucket),
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Place {
        Place::Folder(path)
    }
}

impl Place {
    /// Opens what is there, and makes it a registry's if it is not one.
    pub(crate) fn open(self) -> Result<Arc<dyn Storage>> {
        Ok(match self {
            Place::Folder(path) => Arc::new(Folder::open(&path)?),
            Place::Bucket(bucket) => Arc::new(Objects::open(bucket)?),
        })
    }

    /// Opens what must be a registry's already.
    pub(crate) fn open_there(self) -> Result<Arc<dyn Storage>> {
        match &self {
            Place::Folder(path) if !path.join(paths::FORMAT).exists() => {
                Err(HubError::Nothing { path: path.clone() })
            }
            _ => self.open(),
        }
    }
}

/// What the collector may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// That a repository has a blob.
    Link(RepositoryName, Digest),
    /// That a repository has a manifest.
    Manifest(RepositoryName, Digest),
    /// A blob's bytes.
    Blob(Digest),
}

impl Thing {
    /// The document that it is, if it is one.
    pub(crate) fn path(&self) -> Option<String> {
        match self {
            Thing::Link(name, digest) => Some(paths::blob_link(name, digest)),
            Thing::Manifest(name, digest) => Some(paths::manifest(name, digest)),
            Thing::Blob(_) => None,
        }
    }
}

/// What the collector took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// The storage's own name for it.
    pub(crate) id: String,
    pub(crate) thing: Thing,
    /// How long the blob was, where that is known.
    pub(crate) bytes: u64,
    /// What the document said, should it be needed again.
    pub(crate) document: Option<String>,
    /// The upload that the blob came by.
    pub(crate) upload: Option<String>,
}

/// Whether something of that age is old.
pub(crate) type IsOld<'a> = dyn Fn(Duration) -> bool + 'a;

/// How far an upload got.
pub(crate) struct Appended {
    /// The bytes that came and are durable now.
    pub(crate) bytes: u64,
    /// Why no more came, if that was not the end.
    pub(crate) cut: Option<io::Error>,
}

/// Sees the bytes as they pass.
pub(crate) type Watch<'a> = dyn FnMut(&[u8]) + 'a;

/// Ends a hold on the storage when it is dropped.
pub(crate) struct Hold {
    _lock: Option<File>,
}

/// Where a registry keeps its bytes.
pub(crate) trait Storage: Send + Sync {
    /// A small document, if there is one.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Puts a document in the place of the one before, whole.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Removes a document, and says whether there was one.
    fn remove(&self, path: &str) -> Result<bool>;

    /// Removes a document if it still says what it said. Whoever calls has held everybody off.
    fn remove_if(&self, path: &str, seen: &[u8]) -> Result<bool>;

    /// The names directly below a path, sorted; those of folders end in a slash.
    fn list(&self, path: &str) -> Result<Vec<String>>;

    /// How long ago a document was written or touched.
    fn age(&self, path: &str) -> Result<Option<Duration>>;

    /// Makes a document new again, and says whether there is one.
    fn touch(&self, path: &str) -> Result<bool>;

    /// A blob, if there is one.
    fn blob(&self, digest: &Digest) -> Result<Option<Blob>>;

    /// Keeps a blob that is at hand and is known to have this digest.
    fn put_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()>;

    /// Makes a blob new again, and says whether there is one.
    fn touch_blob(&self, digest: &Digest) -> Result<bool>;

    /// All blobs, and how long ago each was written or touched.
    fn blobs(&self, see: &mut dyn FnMut(Digest, Duration) -> Result<()>) -> Result<()>;

    /// How many bytes of an upload there are; `None` where there is no such upload.
    fn upload_bytes(&self, id: &UploadId) -> Result<Option<u64>>;

    /// Begins an upload.
    fn begin_upload(&self, id: &UploadId) -> Result<()>;

    /// Puts bytes behind the first `at` ones of an upload.
    fn append(
        &self,
        id: &UploadId,
        at: u64,
        from: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<Appended>;

    /// So much of a stream goes behind an upload at once where it can be read only when all of that
    /// is there; nothing where it can be read while it comes.
    fn batch(&self) -> Option<u64> {
        None
    }

    /// Reads what there is of an upload, from a place on.
    fn read_upload(&self, id: &UploadId, at: u64) -> Result<Box<dyn Read + Send>>;

    /// Makes an upload's bytes a blob: so many, that were found to have the digest. The upload is
    /// over then.
    fn keep_upload(&self, id: &UploadId, digest: &Digest, bytes: u64) -> Result<()>;

    /// Forgets an upload.
    fn remove_upload(&self, id: &UploadId) -> Result<()>;

    /// All uploads, and how long ago each was begun or grew.
    fn uploads(&self) -> Result<Vec<(UploadId, Duration)>>;

    /// Holds the collector off while a document is written that needs what it might take.
    fn hold(&self) -> Result<Hold>;

    /// Nobody else has a hold.
    fn hold_alone(&self) -> Result<Hold>;

    /// Whether holds hold anybody off. Where they do not, who writes a document looks again whether
    /// what it needs is there, and the collector whether what it took is needed.
    fn has_lock(&self) -> bool {
        true
    }

    /// How coarse the times are that ages are told by.
    fn tick(&self) -> Duration {
        // The times of files are as coarse as the kernel's ticks.
        Duration::from_millis(50)
    }

    /// What is younger is not made young again by a touch: ages tell so much less.
    fn slack(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes the turn to collect, or goes on with it: an error where somebody else has it.
    fn turn(&self) -> Result<()> {
        Ok(())
    }

    /// Ends the turn to collect.
    fn turn_over(&self) {}

    /// Takes something if it is old at a last look.
    fn take(&self, thing: &Thing, is_old: &IsOld<'_>) -> Result<Option<Taken>>;

    /// What was taken and can be given back, be it by somebody who was killed since.
    fn taken(&self) -> Result<Vec<Taken>> {
        Ok(Vec::new())
    }

    /// Gives back what was taken, if it is needed after all; else it is gone.
    fn settle(&self, _taken: &Taken, _is_needed: bool) -> Result<()> {
        Ok(())
    }
}
