//! The two ends of a copy: a repository, or a folder.

use std::io::Read;

use registry::{Access, Client, RemoteDocument, Repository, Sent, Target};
use spec::{Descriptor, Digest, Reference};

use crate::error::Result;
use crate::pull::target;
use crate::sign::Policy;

/// What a document is to whoever keeps it.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// A name leads to it.
    Named(&'a Target),
    /// An index leads to it.
    Inner,
    /// Nobody else leads to it.
    Loose,
}

/// Somewhere images are.
pub(super) trait End: Sync {
    /// What the image that is meant is called here.
    fn target(&self) -> Result<Target>;

    /// A document, checked.
    fn document(&self, target: &Target) -> Result<RemoteDocument>;

    /// The digest of a document that is here.
    fn head(&self, target: &Target) -> Result<Option<Digest>>;

    /// Refuses what the policy does not let out of here, if it is about what is here.
    fn judge(&self, policy: &Policy, digests: &[Digest]) -> Result<()>;

    /// All names.
    fn tags(&self) -> Result<Vec<String>>;

    /// What refers to a document.
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>>;

    /// Whether a blob is here.
    fn has_blob(&self, blob: &Descriptor) -> Result<bool>;

    /// A blob from a place on.
    fn blob(&self, blob: &Descriptor, at: u64) -> Result<Box<dyn Read + '_>>;

    /// Takes a blob from another end. Says whether its bytes had to be moved.
    fn take_blob(&self, blob: &Descriptor, open: &Open<'_>) -> Result<bool>;

    /// Takes a document whose parts are here.
    fn take_document(&self, role: Role<'_>, document: &RemoteDocument) -> Result<()>;
}

/// Opens a blob of the other end, from a place on.
pub(super) type Open<'a> = dyn Fn(u64) -> Result<Box<dyn Read + 'a>> + Sync + 'a;

/// A repository.
pub(super) struct RegistryEnd<'a> {
    repository: Repository<'a>,
    name: Reference,
    /// The repository of the same registry from which blobs can be mounted.
    beside: Option<String>,
}

impl<'a> RegistryEnd<'a> {
    pub(super) fn to_read(client: &'a Client, name: &Reference) -> Result<RegistryEnd<'a>> {
        let repository = client.repository(name, Access::Pull)?;
        Ok(RegistryEnd { repository, name: name.clone(), beside: None })
    }

    pub(super) fn to_write(
        client: &'a Client,
        name: &Reference,
        beside: Option<&str>,
    ) -> Result<RegistryEnd<'a>> {
        let beside = beside.filter(|path| *path != name.path()).map(str::to_owned);
        let repository = client.repository(name, Access::Push)?;
        let repository = repository.mounting_from(beside.as_slice());
        Ok(RegistryEnd { repository, name: name.clone(), beside })
    }
}

impl End for RegistryEnd<'_> {
    fn target(&self) -> Result<Target> {
        Ok(target(&self.name))
    }

    fn document(&self, target: &Target) -> Result<RemoteDocument> {
        // What is missing may be what the name leads to, and not the name.
        let asked = match target {
            Target::Digest(digest) => self.name.without_tag().with_digest(*digest),
            Target::Tag(_) => self.name.clone(),
        };
        self.repository.document(target).map_err(|error| super::missing(&asked, error))
    }

    fn head(&self, target: &Target) -> Result<Option<Digest>> {
        let head = self.repository.head(target)?;
        match (head, target) {
            (None, _) => Ok(None),
            (Some(_), Target::Digest(digest)) => Ok(Some(*digest)),
            (Some(head), Target::Tag(_)) => Ok(head.digest),
        }
    }

    fn judge(&self, policy: &Policy, digests: &[Digest]) -> Result<()> {
        policy.judge(&self.repository, &self.name, digests.iter().copied())
    }

    fn tags(&self) -> Result<Vec<String>> {
        Ok(self.repository.tags()?)
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>> {
        Ok(self.repository.referrers(digest, None)?)
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.repository.blob_bytes(&blob.digest)? == Some(blob.size))
    }

    fn blob(&self, blob: &Descriptor, at: u64) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.repository.blob_from(blob.digest, blob.size, at)?))
    }

    fn take_blob(&self, blob: &Descriptor, open: &Open<'_>) -> Result<bool> {
        let open = |at| open(at).map_err(std::io::Error::other);
        let beside = self.beside.as_deref();
        let sent = self.repository.put_blob(&blob.digest, blob.size, beside, &open)?;
        Ok(sent == Sent::Whole)
    }

    fn take_document(&self, role: Role<'_>, document: &RemoteDocument) -> Result<()> {
        let by_digest = Target::Digest(document.digest);
        let target = match role {
            Role::Named(target) => target,
            Role::Inner | Role::Loose => &by_digest,
        };
        self.repository.put_document(target, &document.media_type, &document.bytes)?;
        Ok(())
    }
}
