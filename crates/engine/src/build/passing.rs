//! Large files of a context that are new: written into the layer before it is known whether the layer
//! is, and hashed as they pass, so that they are read once.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use spec::{Algorithm, Hasher};

use super::copy::Gathered;
use super::hashes::{self, Hash, Seen};
use super::place::{Chosen, Identity, ItemSource, Place};
use crate::error::Result;

/// Files from this size on are worth it, and so much of them together.
const LARGE_BYTES: u64 = 128 << 10;
const WORTH_BYTES: u64 = 4 << 20;

/// A file whose hash is made while it is written.
pub(super) struct Passing {
    place: Arc<Place>,
    path: Box<[u8]>,
    seen: Seen,
    hash: OnceLock<Hash>,
}

impl Passing {
    /// What was in it, once it has passed.
    pub(super) fn hash(&self) -> Option<Hash> {
        self.hash.get().copied()
    }

    pub(super) fn open(&self) -> Result<Box<dyn Read + Send + '_>> {
        let file = sys::fs::file_beneath(&self.place.root, &*self.path);
        let inner = file.map_err(self.place.failed(&self.path))?;
        let (hasher, began) = (Hasher::new(Algorithm::Sha256), hashes::now());
        let left = self.seen.bytes;
        Ok(Box::new(Reader { passing: self, inner, hasher: Some(hasher), left, began }))
    }

    fn passed(&self, hasher: Hasher, began: i128) {
        let hash = hashes::hash_of(&hasher.finish());
        let _ = self.hash.set(hash);
        let after = sys::fs::stat(&self.place.root, &*self.path);
        let is_same = after.is_ok_and(|after| Seen::of(&after) == self.seen);
        if let Some(own) = self.place.context.as_ref().filter(|_| is_same) {
            own.hashes.learn(&self.path, self.seen, hash, began);
        }
    }
}

/// Reads a file and hashes what it reads.
struct Reader<'a> {
    passing: &'a Passing,
    inner: std::fs::File,
    /// Until all has passed.
    hasher: Option<Hasher>,
    left: u64,
    began: i128,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // What was added since the file was looked at is not written.
        let counted = count.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..counted]);
        }
        self.left -= counted as u64;
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            self.passing.passed(hasher, self.began);
        }
        Ok(count)
    }
}

impl Gathered {
    /// Turns large files that are new into such as are hashed while they pass, if they are worth it.
    /// What is to be unpacked is not among them.
    pub(super) fn let_pass(&mut self) -> bool {
        let (mut new, mut bytes) = (Vec::new(), 0);
        for (place, path, item) in self.chosen.iter_mut().flat_map(Chosen::placed_mut) {
            let Some(own) = place.context.as_ref().filter(|_| item.stat.bytes > LARGE_BYTES) else {
                continue;
            };
            let Identity::Seen(seen) = item.stat.identity else { continue };
            if !own.hashes.is_new(path, seen) {
                continue;
            }
            let (place, path, hash) = (place.clone(), path.into(), OnceLock::new());
            bytes += seen.bytes;
            new.push((item, Passing { place, path, seen, hash }));
        }
        if bytes < WORTH_BYTES {
            return false;
        }
        for (item, passing) in new {
            item.source = ItemSource::Passing(Arc::new(passing));
        }
        true
    }
}
