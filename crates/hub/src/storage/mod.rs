//! Where a registry keeps its bytes: documents by path, blobs by digest, uploads by name.
//!
//! Paths are made of checked names only ([`paths`]). Whatever a call acknowledges is durable.

mod folder;
pub(crate) mod paths;

pub(crate) use folder::Folder;

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use spec::Digest;

use crate::error::Result;
use crate::names::UploadId;
use crate::upstream::Following;

/// A blob that can be sent.
pub(crate) enum Blob {
    /// A file of so many bytes.
    File { file: File, bytes: u64 },
    /// One that the registry behind this one has, of which only the length is wanted.
    Elsewhere { bytes: u64 },
    /// One that is just coming from there.
    Arriving { following: Following, bytes: u64 },
}

impl Blob {
    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Blob::File { bytes, .. } | Blob::Elsewhere { bytes } | Blob::Arriving { bytes, .. } => {
                *bytes
            }
        }
    }
}

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

    /// Removes a blob's bytes.
    fn remove_blob(&self, digest: &Digest) -> Result<bool>;

    /// How long ago a blob was written or touched.
    fn blob_age(&self, digest: &Digest) -> Result<Option<Duration>>;

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

    /// Reads what there is of an upload.
    fn read_upload(&self, id: &UploadId) -> Result<Box<dyn Read + Send>>;

    /// Makes an upload's bytes a blob. The upload is over then.
    fn keep_upload(&self, id: &UploadId, digest: &Digest) -> Result<()>;

    /// Forgets an upload.
    fn remove_upload(&self, id: &UploadId) -> Result<()>;

    /// All uploads, and how long ago each was begun or grew.
    fn uploads(&self) -> Result<Vec<(UploadId, Duration)>>;

    /// Holds the collector off while a document is written that needs what it might take.
    fn hold(&self) -> Result<Hold>;

    /// The collector's turn: nobody else has a hold.
    fn hold_alone(&self) -> Result<Hold>;
}
