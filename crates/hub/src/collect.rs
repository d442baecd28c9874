//! The collector: takes what nobody needs, while everybody goes on reading and writing.
//!
//! What was written or asked for within the grace time stays, so whoever pushes has that long from a
//! blob to the manifest that needs it. Everything else is looked at without holding anything up; for
//! each thing that is to go, the collector has its turn for the moment of one last look and one
//! removal. A manifest that is put beside it makes what it needs young before that look, or comes
//! after it and is told what is missing: no manifest ever stands on a blob that was taken.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use spec::Digest;

use crate::contents::Contents;
use crate::error::Result;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::storage::paths;

/// What the collector may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// What is younger stays.
    pub grace: Duration,
    /// Uploads that nobody went on with for so long are given up.
    pub uploads: Duration,
    /// Manifests without a tag go too, unless an index or a subject that stays has them.
    pub untagged: bool,
}

impl Default for Garbage {
    fn default() -> Garbage {
        let day = Duration::from_secs(24 * 3600);
        Garbage { grace: day, uploads: 7 * day, untagged: false }
    }
}

/// What the collector took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests without a tag.
    pub manifests: u64,
    /// Blobs whose bytes are gone.
    pub blobs: u64,
    /// The length of those blobs.
    pub bytes: u64,
    /// Uploads that were given up.
    pub uploads: u64,
}

/// What is old: untouched for the grace time, and since before the collector began to find out what
/// is needed.
struct Old {
    grace: Duration,
    began: Instant,
}

impl Old {
    fn than(grace: Duration) -> Old {
        Old { grace, began: Instant::now() }
    }

    fn is(&self, age: Option<Duration>) -> bool {
        // The times of files are as coarse as the kernel's ticks.
        const TICK: Duration = Duration::from_millis(50);
        age.is_some_and(|age| age >= self.grace && age >= self.began.elapsed() + TICK)
    }
}

impl Hub {
    /// Takes what nobody needs.
    pub(crate) fn collect(&self, garbage: &Garbage) -> Result<Collected> {
        let mut collected = Collected::default();
        let oldest = Old::than(garbage.grace);
        for (id, age) in self.storage.uploads()? {
            if age >= garbage.uploads && !self.is_at_work(&id) {
                self.storage.remove_upload(&id)?;
                self.sessions().remove(&id);
                collected.uploads += 1;
            }
        }
        let mut needed = HashSet::new();
        for name in self.repositories()? {
            if garbage.untagged {
                collected.manifests += self.collect_manifests(&name, garbage)?;
            }
            self.collect_links(&name, garbage, &mut needed)?;
        }
        let mut old = Vec::new();
        self.storage.blobs(&mut |digest, age| {
            if age >= garbage.grace && !needed.contains(&digest) {
                old.push(digest);
            }
            Ok(())
        })?;
        for digest in old {
            if let Some(bytes) = self.collect_blob(&digest, &oldest)? {
                collected.blobs += 1;
                collected.bytes += bytes;
            }
        }
        Ok(collected)
    }

    /// Whether a request writes to an upload right now.
    fn is_at_work(&self, id: &crate::names::UploadId) -> bool {
        let session = self.sessions().get(id).cloned();
        session.is_some_and(|session| session.try_lock().is_err())
    }

    /// The manifests that a repository's documents lead to, and all they need.
    fn needed(&self, name: &RepositoryName) -> Result<HashSet<Digest>> {
        let mut needed = HashSet::new();
        let mut add = |digest: Digest| -> Result<()> {
            if !needed.insert(digest) {
                return Ok(());
            }
            let bytes = self.manifest_bytes(&digest)?;
            let contents = bytes.and_then(|bytes| Contents::read(&bytes, None).ok());
            needed.extend(
                contents.iter().flat_map(|contents| &contents.blobs).map(|blob| blob.digest),
            );
            Ok(())
        };
        for text in self.storage.list(&paths::manifests(name))? {
            text.parse().map_or(Ok(()), &mut add)?;
        }
        // A tag that another server put while its manifest was deleted still leads somewhere.
        for tag in self.storage.list(&paths::tags(name))? {
            let found = self.descriptor(&format!("{}/{tag}", paths::tags(name)))?;
            found.map_or(Ok(()), |found| add(found.digest))?;
        }
        Ok(needed)
    }

    /// Takes blobs out of a repository that none of its manifests needs, and adds what the
    /// repository has then.
    fn collect_links(
        &self,
        name: &RepositoryName,
        garbage: &Garbage,
        all: &mut HashSet<Digest>,
    ) -> Result<()> {
        let old = Old::than(garbage.grace);
        let needed = self.needed(name)?;
        for text in self.storage.list(&paths::blob_links(name))? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            let link = paths::blob_link(name, &digest);
            if needed.contains(&digest) || !self.take_if_old(&link, &old)? {
                all.insert(digest);
            }
        }
        all.extend(needed);
        Ok(())
    }

    /// Removes a document if it is still old when nobody else is at work.
    fn take_if_old(&self, path: &str, old: &Old) -> Result<bool> {
        if !old.is(self.storage.age(path)?) {
            return Ok(false);
        }
        let _alone = self.storage.hold_alone()?;
        Ok(old.is(self.storage.age(path)?) && self.storage.remove(path)?)
    }

    /// Removes a blob's bytes if they are still old when nobody else is at work: whoever gives a
    /// repository a blob makes it young. Gives its length.
    fn collect_blob(&self, digest: &Digest, old: &Old) -> Result<Option<u64>> {
        let _alone = self.storage.hold_alone()?;
        let is_old = old.is(self.storage.blob_age(digest)?);
        let bytes = self.storage.blob(digest)?.map(|blob| blob.bytes());
        match is_old && self.storage.remove_blob(digest)? {
            true => Ok(bytes),
            false => Ok(None),
        }
    }

    /// Removes old manifests that no tag leads to: not itself, not by an index, not by what it is
    /// about.
    fn collect_manifests(&self, name: &RepositoryName, garbage: &Garbage) -> Result<u64> {
        let old = Old::than(garbage.grace);
        let mut reached = HashSet::new();
        let mut next = Vec::new();
        for tag in self.storage.list(&paths::tags(name))? {
            let found = self.descriptor(&format!("{}/{tag}", paths::tags(name)))?;
            next.extend(found.map(|found| found.digest));
        }
        while let Some(digest) = next.pop() {
            if reached.insert(digest) {
                let bytes = self.manifest_bytes(&digest)?;
                let contents = bytes.and_then(|bytes| Contents::read(&bytes, None).ok());
                let inner = contents.into_iter().flat_map(|contents| contents.manifests);
                next.extend(inner.map(|entry| entry.digest));
                let about = self.storage.list(&paths::referrers(name, &digest))?;
                next.extend(about.iter().filter_map(|text| text.parse::<Digest>().ok()));
            }
        }
        let mut taken = 0;
        for text in self.storage.list(&paths::manifests(name))? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            let path = paths::manifest(name, &digest);
            if reached.contains(&digest) || !self.take_if_old(&path, &old)? {
                continue;
            }
            taken += 1;
            let bytes = self.manifest_bytes(&digest)?;
            let contents = bytes.and_then(|bytes| Contents::read(&bytes, None).ok());
            if let Some(subject) = contents.and_then(|contents| contents.subject) {
                self.storage.remove(&paths::referrer(name, &subject.digest, &digest))?;
            }
        }
        Ok(taken)
    }
}

/// Collects in a folder that a server may have open at the same time.
pub fn collect(root: &std::path::Path, garbage: &Garbage) -> Result<Collected> {
    let storage = std::sync::Arc::new(crate::storage::Folder::open(root)?);
    let access = crate::access::Access::default();
    let hub = Hub::new(storage, access, crate::hub::Mode::Writable, None, Default::default());
    hub.collect(garbage)
}
