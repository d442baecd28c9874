//! The collector: takes what nobody needs, while everybody goes on reading and writing.
//!
//! What was written or asked for within the grace time stays, so whoever pushes has that long from a
//! blob to the manifest that needs it. Everything else is looked at without holding anything up; for
//! each thing that is to go, the collector has its turn for the moment of one last look and one
//! removal. A manifest that is put beside it makes what it needs young before that look, or comes
//! after it and is told what is missing: no manifest ever stands on a blob that was taken.
//!
//! Where nobody can be held off, because several machines have one store, what goes is taken first,
//! and looked at once more before it is gone. Whoever puts a manifest looks for what it needs after
//! it was written: if that look came before the taking, the second look here finds the manifest.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use spec::Digest;

use crate::error::Result;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::storage::{Place, Taken, Thing, paths};

mod again;
mod needs;

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
    tick: Duration,
}

impl Old {
    fn is(&self, age: Duration) -> bool {
        age >= self.grace && age >= self.began.elapsed() + self.tick
    }
}

impl Hub {
    /// Takes what nobody needs.
    pub(crate) fn collect(&self, garbage: &Garbage) -> Result<Collected> {
        self.storage.turn()?;
        let collected = self.collect_in_turn(garbage);
        self.storage.turn_over();
        collected
    }

    fn collect_in_turn(&self, garbage: &Garbage) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut taken = Vec::new();
        let old = self.old(garbage)?;
        for (id, age) in self.storage.uploads()? {
            if age >= garbage.uploads && !self.is_at_work(&id) {
                self.storage.turn()?;
                self.storage.remove_upload(&id)?;
                self.sessions().remove(&id);
                collected.uploads += 1;
            }
        }
        let mut needed = HashSet::new();
        for name in self.repositories()? {
            self.storage.turn()?;
            if garbage.untagged {
                self.collect_manifests(&name, garbage, &mut taken)?;
            }
            self.collect_links(&name, garbage, &mut needed, &mut taken)?;
        }
        let mut blobs = Vec::new();
        self.storage.blobs(&mut |digest, age| {
            if age >= old.grace && !needed.contains(&digest) {
                blobs.push(digest);
            }
            Ok(())
        })?;
        for digest in blobs {
            self.storage.turn()?;
            taken.extend(self.storage.take(&Thing::Blob(digest), &|age| old.is(age))?);
        }
        if !self.storage.has_lock() {
            self.look_again(&mut taken)?;
        }
        for Taken { thing, bytes, .. } in &taken {
            match thing {
                Thing::Manifest(..) => collected.manifests += 1,
                Thing::Blob(_) => {
                    collected.blobs += 1;
                    collected.bytes += bytes;
                }
                Thing::Link(..) => {}
            }
        }
        Ok(collected)
    }

    /// What is old from now on. Who was between touching something and the document that needs it
    /// has written that by now.
    fn old(&self, garbage: &Garbage) -> Result<Old> {
        let _alone = self.storage.hold_alone()?;
        let grace = match garbage.grace {
            // Nothing is promised.
            Duration::ZERO => Duration::ZERO,
            grace => grace + self.storage.slack(),
        };
        Ok(Old { grace, began: Instant::now(), tick: self.storage.tick() })
    }

    /// Whether a request writes to an upload right now.
    fn is_at_work(&self, id: &crate::names::UploadId) -> bool {
        let session = self.sessions().get(id).cloned();
        session.is_some_and(|session| session.try_write().is_err())
    }

    /// Takes blobs out of a repository that none of its manifests needs, and adds what the
    /// repository has then.
    fn collect_links(
        &self,
        name: &RepositoryName,
        garbage: &Garbage,
        all: &mut HashSet<Digest>,
        taken: &mut Vec<Taken>,
    ) -> Result<()> {
        let old = self.old(garbage)?;
        let needed = self.needed(name)?;
        for text in self.storage.list(&paths::blob_links(name))? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            let link = || self.storage.take(&Thing::Link(name.clone(), digest), &|age| old.is(age));
            let link = if needed.contains(&digest) { None } else { link()? };
            match link {
                Some(link) => taken.push(link),
                None => drop(all.insert(digest)),
            }
        }
        all.extend(needed);
        Ok(())
    }

    /// Takes old manifests that no tag leads to.
    fn collect_manifests(
        &self,
        name: &RepositoryName,
        garbage: &Garbage,
        taken: &mut Vec<Taken>,
    ) -> Result<()> {
        let old = self.old(garbage)?;
        let reached = self.reached(name)?;
        for text in self.storage.list(&paths::manifests(name))? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            if reached.contains(&digest) {
                continue;
            }
            let thing = Thing::Manifest(name.clone(), digest);
            let Some(manifest) = self.storage.take(&thing, &|age| old.is(age))? else { continue };
            taken.push(manifest);
            if let Some(subject) = self.contents(&digest)?.and_then(|contents| contents.subject) {
                self.storage.remove(&paths::referrer(name, &subject.digest, &digest))?;
            }
        }
        Ok(())
    }
}

/// Collects in a place that a server may have open at the same time. What is no registry is not made
/// one for that.
pub fn collect(place: impl Into<Place>, garbage: &Garbage) -> Result<Collected> {
    let storage = place.into().open_there()?;
    let access = crate::access::Access::default();
    let hub = Hub::new(storage, access, crate::hub::Mode::Writable, None, Default::default());
    hub.collect(garbage)
}
