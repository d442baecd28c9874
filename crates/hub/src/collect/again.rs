//! The second look where nobody can be held off: what is needed after all is given back.

use std::collections::{HashMap, HashSet};

use spec::Digest;

use crate::contents::Contents;
use crate::error::Result;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::storage::{Taken, Thing, paths};

/// What a repository has use for.
struct Uses {
    /// All that its manifests need, and they themselves.
    needed: HashSet<Digest>,
    /// The manifests that tags lead to.
    reached: HashSet<Digest>,
}

impl Hub {
    /// Looks once more at what was taken, now and by others who did not come to this, and gives back
    /// what is needed after all: that is not counted as taken.
    pub(super) fn look_again(&self, taken: &mut Vec<Taken>) -> Result<()> {
        let mut all = self.storage.taken()?;
        let known: HashSet<String> = all.iter().map(|taken| taken.id.clone()).collect();
        all.extend(taken.iter().filter(|taken| !known.contains(&taken.id)).cloned());
        if all.is_empty() {
            return Ok(());
        }
        let named = all.iter().filter_map(|taken| match &taken.thing {
            Thing::Link(name, _) | Thing::Manifest(name, _) => Some(name.clone()),
            Thing::Blob(_) => None,
        });
        let named: HashSet<RepositoryName> = named.collect();
        let (mut uses, mut blobs) = (HashMap::new(), HashSet::new());
        for name in self.repositories()?.iter().chain(&named) {
            self.storage.turn()?;
            let (mut needed, mut reached) = (self.needed(name)?, self.reached(name)?);
            let links = self.storage.list(&paths::blob_links(name))?;
            blobs.extend(links.iter().filter_map(|text| text.parse::<Digest>().ok()));
            blobs.extend(&needed);
            if named.contains(name) {
                reached.extend(self.listed(name)?);
                // What is given back needs what it needed.
                for one in &all {
                    if let Thing::Manifest(of, digest) = &one.thing
                        && of == name
                        && reached.contains(digest)
                    {
                        self.add_needs(*digest, &mut needed)?;
                    }
                }
                blobs.extend(&needed);
                uses.insert(name.clone(), Uses { needed, reached });
            }
        }
        for one in &all {
            let is_needed = match &one.thing {
                Thing::Blob(digest) => blobs.contains(digest),
                Thing::Link(name, digest) => {
                    uses.get(name).is_some_and(|uses| uses.needed.contains(digest))
                }
                Thing::Manifest(name, digest) => {
                    uses.get(name).is_some_and(|uses| uses.reached.contains(digest))
                }
            };
            self.storage.turn()?;
            self.storage.settle(one, is_needed)?;
            let is_back = match &one.thing {
                // Who put one again meanwhile may have said what it is about before that was taken.
                Thing::Manifest(name, digest) => {
                    let is_back = self.storage.age(&paths::manifest(name, digest))?.is_some();
                    if is_back {
                        self.place_referrer(name, digest)?;
                    }
                    is_back
                }
                _ => is_needed,
            };
            if is_back {
                taken.retain(|taken| taken.id != one.id);
            }
        }
        Ok(())
    }

    /// Says of a manifest that was given back what it is about.
    fn place_referrer(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        let Some(bytes) = self.manifest_bytes(digest)? else { return Ok(()) };
        let Ok(contents) = Contents::read(&bytes, None) else { return Ok(()) };
        self.keep_referrer(name, &contents, *digest, bytes.len() as u64)
    }
}
