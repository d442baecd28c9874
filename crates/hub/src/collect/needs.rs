//! What a repository's manifests need, and which manifests its tags lead to.

use std::collections::HashSet;

use spec::Digest;

use crate::contents::Contents;
use crate::error::Result;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::storage::paths;

impl Hub {
    /// The manifests that a repository's documents lead to, and all they need.
    pub(super) fn needed(&self, name: &RepositoryName) -> Result<HashSet<Digest>> {
        let mut needed = HashSet::new();
        for text in self.storage.list(&paths::manifests(name))? {
            text.parse().map_or(Ok(()), |digest| self.add_needs(digest, &mut needed))?;
        }
        // A tag that another server put while its manifest was deleted still leads somewhere.
        for tag in self.storage.list(&paths::tags(name))? {
            let found = self.descriptor(&format!("{}/{tag}", paths::tags(name)))?;
            found.map_or(Ok(()), |found| self.add_needs(found.digest, &mut needed))?;
        }
        Ok(needed)
    }

    /// Adds a manifest and all it needs.
    pub(super) fn add_needs(&self, digest: Digest, needed: &mut HashSet<Digest>) -> Result<()> {
        if needed.insert(digest) {
            let contents = self.contents(&digest)?;
            let blobs = contents.iter().flat_map(|contents| &contents.blobs);
            needed.extend(blobs.map(|blob| blob.digest));
        }
        Ok(())
    }

    /// The manifests that tags lead to: themselves, by an index, or by what they are about.
    pub(super) fn reached(&self, name: &RepositoryName) -> Result<HashSet<Digest>> {
        let mut next = Vec::new();
        for tag in self.storage.list(&paths::tags(name))? {
            let found = self.descriptor(&format!("{}/{tag}", paths::tags(name)))?;
            next.extend(found.map(|found| found.digest));
        }
        self.reached_from(name, next)
    }

    /// Manifests, and those that they lead to.
    pub(super) fn reached_from(
        &self,
        name: &RepositoryName,
        mut next: Vec<Digest>,
    ) -> Result<HashSet<Digest>> {
        let mut reached = HashSet::new();
        while let Some(digest) = next.pop() {
            if reached.insert(digest) {
                let contents = self.contents(&digest)?;
                let inner = contents.into_iter().flat_map(|contents| contents.manifests);
                next.extend(inner.map(|entry| entry.digest));
                let about = self.storage.list(&paths::referrers(name, &digest))?;
                next.extend(about.iter().filter_map(|text| text.parse::<Digest>().ok()));
            }
        }
        Ok(reached)
    }

    /// The manifests that the indexes of a repository lead to.
    pub(super) fn listed(&self, name: &RepositoryName) -> Result<HashSet<Digest>> {
        let mut listed = Vec::new();
        for text in self.storage.list(&paths::manifests(name))? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            let inner = self.contents(&digest)?.into_iter().flat_map(|contents| contents.manifests);
            listed.extend(inner.map(|entry| entry.digest));
        }
        self.reached_from(name, listed)
    }

    /// What a manifest needs, as far as it can be read.
    pub(super) fn contents(&self, digest: &Digest) -> Result<Option<Contents>> {
        let bytes = self.manifest_bytes(digest)?;
        Ok(bytes.and_then(|bytes| Contents::read(&bytes, None).ok()))
    }
}
