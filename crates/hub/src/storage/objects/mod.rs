//! A registry in an object store, which several servers may have at once.
//!
//! There is no lock across machines. What decides is written only over the writing that was read
//! before, so of two who come together one is told; what may be large lies under names that nobody
//! else ever has. What the collector takes, it marks first and looks once more before it deletes:
//! who puts a manifest writes it and then looks at the marks, so one of the two sees the other.
//! docs/registry.md draws it; docs/decisions/0041-object-stores.md says why.

mod bucket;
mod ends;
mod entry;
mod retired;
#[cfg(test)]
mod tests;
mod uploads;

pub use bucket::Bucket;
pub(crate) use entry::Content;

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use registry::ObjectVersion as Version;
use spec::Digest;

use self::entry::Entry;
use self::retired::OurTurn;
use super::{Appended, Blob, Hold, IsOld, Storage, Taken, Thing, Watch, folder, paths};
use crate::error::{HubError, Result};
use crate::names::UploadId;

/// Somebody is in the way so often only where something is wrong.
const ATTEMPTS: usize = 64;

/// A registry in an object store.
pub(crate) struct Objects {
    bucket: Bucket,
    /// The collector's turn, while this process has it.
    turn: Mutex<Option<OurTurn>>,
}

impl Objects {
    /// Opens a store, and makes it a registry's if it is not one.
    pub(crate) fn open(bucket: Bucket) -> Result<Objects> {
        let objects = Objects { bucket, turn: Mutex::default() };
        let fresh = folder::Format::document();
        objects.bucket.put_over(paths::FORMAT, None, [fresh.as_slice(), b"\n"].concat())?;
        let format = objects.read(paths::FORMAT)?.unwrap_or(fresh);
        folder::Format::check(&format, paths::FORMAT.as_ref())?;
        Ok(objects)
    }

    /// What lies under a digest, and which writing it is.
    fn entry(&self, digest: &Digest) -> Result<(Option<Entry>, Option<Version>, Duration)> {
        let path = blob_key(digest);
        let Some(object) = self.bucket.get(&path)? else { return Ok((None, None, Duration::ZERO)) };
        let entry = Entry::read(&object.bytes);
        let entry = entry.map_err(|source| HubError::Damaged { path, source })?;
        Ok((entry, Some(object.version), object.age))
    }

    /// Writes an entry again, over that writing.
    fn rewrite(&self, digest: &Digest, entry: Entry, over: Option<&Version>) -> Result<bool> {
        let entry = Entry { writing: random()?, ..entry };
        self.bucket.put_over(&blob_key(digest), over, entry.to_bytes())
    }
}

impl Storage for Objects {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.bucket.get(path)?.and_then(|object| document(&object.bytes)))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.bucket.put(path, written(bytes)?)
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let is_there = self.bucket.head(path)?.is_some_and(|listed| listed.bytes > 0);
        if is_there {
            self.bucket.delete(path)?;
        }
        Ok(is_there)
    }

    /// Nothing is deleted, for it could be something newer by then: what was there is written over
    /// with nothing.
    fn remove_if(&self, path: &str, seen: &[u8]) -> Result<bool> {
        let Some(object) = self.bucket.get(path)? else { return Ok(false) };
        let is_it = document(&object.bytes).is_some_and(|bytes| bytes == seen);
        Ok(is_it && self.bucket.put_over(path, Some(&object.version), Bytes::new())?)
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        self.bucket.names(path)
    }

    fn age(&self, path: &str) -> Result<Option<Duration>> {
        let listed = self.bucket.head(path)?.filter(|listed| listed.bytes > 0);
        Ok(listed.map(|listed| listed.age))
    }

    fn touch(&self, path: &str) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let Some(object) = self.bucket.get(path)? else { return Ok(false) };
            let Some(document) = document(&object.bytes) else { return Ok(false) };
            if object.age < self.bucket.young()
                || self.bucket.put_over(path, Some(&object.version), written(&document)?)?
            {
                return Ok(true);
            }
        }
        Err(HubError::Raced { what: path.to_owned() })
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>> {
        let entry = self.entry(digest)?.0;
        Ok(entry.map(|entry| {
            let bytes = entry.bytes;
            Blob::Objects { content: entry.content(&self.bucket), bytes }
        }))
    }

    fn put_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let entry = Entry {
            writing: random()?,
            bytes: bytes.len() as u64,
            upload: None,
            pieces: Vec::new(),
            retired: false,
            inline: Bytes::copy_from_slice(bytes),
        };
        let (key, bytes) = (blob_key(digest), Bytes::from(entry.to_bytes()));
        for _ in 0..ATTEMPTS {
            let (known, version, age) = self.entry(digest)?;
            let known = known.filter(|known| !known.retired);
            let is_placed = match known {
                Some(_) if age < self.bucket.young() => true,
                Some(known) => self.rewrite(digest, known, version.as_ref())?,
                None => self.bucket.put_over(&key, version.as_ref(), bytes.clone())?,
            };
            if is_placed {
                return Ok(());
            }
        }
        Err(HubError::Raced { what: key })
    }

    fn touch_blob(&self, digest: &Digest) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let (entry, version, age) = self.entry(digest)?;
            let Some(entry) = entry.filter(|entry| !entry.retired) else { return Ok(false) };
            if age < self.bucket.young() || self.rewrite(digest, entry, version.as_ref())? {
                return Ok(true);
            }
        }
        Err(HubError::Raced { what: digest.to_string() })
    }

    fn blobs(&self, see: &mut dyn FnMut(Digest, Duration) -> Result<()>) -> Result<()> {
        self.bucket.below("blobs", &mut |listed| {
            let mut parts = listed.key.split('/').skip(1);
            let (algorithm, hex) = (parts.next().unwrap_or_default(), parts.nth(1));
            let digest = hex.and_then(|hex| format!("{algorithm}:{hex}").parse().ok());
            match digest.filter(|_| listed.bytes > 0) {
                Some(digest) => see(digest, listed.age),
                None => Ok(()),
            }
        })
    }

    fn upload_bytes(&self, id: &UploadId) -> Result<Option<u64>> {
        self.length_of_upload(id)
    }

    fn begin_upload(&self, id: &UploadId) -> Result<()> {
        self.start_upload(id)
    }

    fn append(
        &self,
        id: &UploadId,
        at: u64,
        from: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<Appended> {
        self.grow_upload(id, at, from, watch)
    }

    fn batch(&self) -> Option<u64> {
        Some(uploads::PIECE_BYTES as u64)
    }

    fn read_upload(&self, id: &UploadId, at: u64) -> Result<Box<dyn Read + Send>> {
        let (content, bytes) = self.content_of_upload(id)?;
        content.read(at, bytes.saturating_sub(at))
    }

    fn keep_upload(&self, id: &UploadId, digest: &Digest, bytes: u64) -> Result<()> {
        self.finish_upload(id, digest, bytes)
    }

    fn remove_upload(&self, id: &UploadId) -> Result<()> {
        self.drop_upload(id)
    }

    fn uploads(&self) -> Result<Vec<(UploadId, Duration)>> {
        self.list_uploads()
    }

    fn hold(&self) -> Result<Hold> {
        Ok(Hold { _lock: None })
    }

    fn hold_alone(&self) -> Result<Hold> {
        Ok(Hold { _lock: None })
    }

    fn has_lock(&self) -> bool {
        false
    }

    fn tick(&self) -> Duration {
        self.bucket.tick()
    }

    fn slack(&self) -> Duration {
        self.bucket.young()
    }

    fn turn(&self) -> Result<()> {
        self.take_turn()
    }

    fn turn_over(&self) {
        // If that fails, it ends by itself.
        let _ = self.end_turn();
    }

    fn take(&self, thing: &Thing, is_old: &IsOld<'_>) -> Result<Option<Taken>> {
        self.retire(thing, is_old)
    }

    fn taken(&self) -> Result<Vec<Taken>> {
        self.retired()
    }

    fn settle(&self, taken: &Taken, is_needed: bool) -> Result<()> {
        self.settle_retired(taken, is_needed)
    }
}

/// A document is one line, perhaps an empty one; what was removed is not even that. A random line
/// follows: some stores know a writing by the hash of its bytes, and no two must be alike.
fn written(document: &[u8]) -> Result<Vec<u8>> {
    Ok([document, b"\n", random()?.as_bytes(), b"\n"].concat())
}

fn document(bytes: &Bytes) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some(bytes[..end].to_vec())
}

fn blob_key(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/{}/{}/{hex}", digest.algorithm(), &hex[..2])
}

/// A word that nobody else has.
fn random() -> Result<String> {
    sys::host::random_id().map_err(|source| HubError::Read { path: "/dev/urandom".into(), source })
}
