//! Images that are elsewhere: copied from registry to registry without being unpacked, looked at,
//! combined under one name, removed. No store is needed for any of it.

use std::path::PathBuf;

use registry::{Access, Client, RemoteDocument, Target};
use spec::{Digest, Platform, Reference};

use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::sign::Policy;

mod combine;
mod ends;
mod layout;
mod lists;
mod look;
mod sync;
mod walk;

pub use combine::{Combination, CombineImages, Note};
pub use lists::{ListEntry, ManifestList, ManifestLists};
pub use look::{RemoteEntry, RemoteImage};
pub use sync::{SyncImages, SyncOutcome, SyncTarget, Synced, sync_images};

use ends::{End, RegistryEnd, Role};
use layout::Layout;
use walk::Walk;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a registry.
    Registry(Reference),
    /// In a folder with an OCI layout, under a name if one is given.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// What the layout calls the image.
        name: Option<String>,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Registry(name) => write!(f, "{name}"),
            Place::Layout { folder, name: None } => write!(f, "oci:{}", folder.display()),
            Place::Layout { folder, name: Some(name) } => {
                write!(f, "oci:{}:{name}", folder.display())
            }
        }
    }
}

/// A request to copy an image.
#[derive(Clone, Debug)]
pub struct CopyImage {
    /// From where.
    pub from: Place,
    /// Where to.
    pub to: Place,
    /// Only the image for this platform, without the index around it.
    pub platform: Option<Platform>,
    /// Signatures and whatever else refers to the image come along.
    pub referrers: bool,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest, here and there.
    pub digest: Digest,
    /// How many bytes of blobs had to be moved.
    pub moved_bytes: u64,
}

/// Copies an image bit for bit, with all its platforms unless one is wanted. What is there is not
/// moved again. The policy says what may be taken out of a registry.
pub fn copy_image(
    client: &Client,
    policy: Option<&Policy>,
    copy: &CopyImage,
    progress: &dyn Progress,
) -> Result<Copied> {
    let from = end_to_read(client, &copy.from)?;
    let to = end_to_write(client, &copy.to, &copy.from)?;
    let copied = copy_between(&*from, &*to, policy, copy, progress);
    for text in client.take_warnings() {
        progress.note(&format!("Warning: {text}"));
    }
    copied
}

fn copy_between(
    from: &dyn End,
    to: &dyn End,
    policy: Option<&Policy>,
    copy: &CopyImage,
    progress: &dyn Progress,
) -> Result<Copied> {
    let walk = Walk::new(from, to, copy.referrers, progress);
    let document = from.document(&from.target()?)?;
    let whole = document.digest;
    let document = match &copy.platform {
        None => document,
        Some(wanted) => walk.chosen(document, wanted)?,
    };
    if let Some(policy) = policy {
        from.judge(policy, &[whole, document.digest])?;
    }
    let target = match (&copy.to, &copy.from) {
        (Place::Registry(name), _) => Some(crate::pull::target(name)),
        (Place::Layout { name: Some(name), .. }, _) => Some(Target::Tag(name.clone())),
        // A folder calls it what it was called, if it was called something.
        (_, Place::Registry(name)) if name.digest().is_some() => None,
        (_, Place::Registry(name)) => Some(Target::Tag(name.to_string())),
        (_, Place::Layout { .. }) => Some(from.target()?),
    };
    walk.document(&document, target.as_ref().map_or(Role::Loose, Role::Named))?;
    Ok(Copied { digest: document.digest, moved_bytes: walk.moved_bytes() })
}

/// A document of a registry, as it is there.
pub fn remote_document(client: &Client, name: &Reference) -> Result<RemoteDocument> {
    let repository = client.repository(name, Access::Pull)?;
    repository.document(&crate::pull::target(name)).map_err(|error| missing(name, error))
}

/// The digest of what a name stands for, without fetching it where the registry says it.
pub fn remote_digest(client: &Client, name: &Reference) -> Result<Digest> {
    let repository = client.repository(name, Access::Pull)?;
    let head = repository.head(&crate::pull::target(name))?;
    match head.ok_or_else(|| EngineError::NoRemote(name.to_string()))?.digest {
        Some(digest) => Ok(digest),
        None => Ok(remote_document(client, name)?.digest),
    }
}

/// Removes a name, or with a digest a manifest and all names that stand for it.
pub fn remove_remote(client: &Client, name: &Reference) -> Result<()> {
    let repository = client.repository(name, Access::Delete)?;
    let removed = repository.delete_document(&crate::pull::target(name));
    removed.map_err(|error| match name.digest() {
        None if !error.is_missing() && error.kind() == registry::RegistryErrorKind::Invalid => {
            EngineError::KeepsNames { name: name.to_string(), source: error }
        }
        _ => missing(name, error),
    })
}

/// All names of a repository.
pub fn remote_tags(client: &Client, name: &Reference) -> Result<Vec<String>> {
    Ok(client.repository(name, Access::Pull)?.tags()?)
}

pub(crate) fn missing(name: &Reference, error: registry::RegistryError) -> EngineError {
    match error.is_missing() {
        true => EngineError::NoRemote(name.to_string()),
        false => error.into(),
    }
}

fn end_to_read<'a>(client: &'a Client, place: &Place) -> Result<Box<dyn End + 'a>> {
    Ok(match place {
        Place::Registry(name) => Box::new(RegistryEnd::to_read(client, name)?),
        Place::Layout { folder, name } => Box::new(Layout::open(folder, name.clone())?),
    })
}

fn end_to_write<'a>(client: &'a Client, to: &Place, from: &Place) -> Result<Box<dyn End + 'a>> {
    Ok(match to {
        Place::Registry(name) => {
            let other = match from {
                Place::Registry(from) if from.domain() == name.domain() => Some(from.path()),
                _ => None,
            };
            Box::new(RegistryEnd::to_write(client, name, other)?)
        }
        Place::Layout { folder, name } => Box::new(Layout::create(folder, name.clone())?),
    })
}
