//! Many images at once: repositories, whole registries, folders. Only what is missing is moved.

use std::path::PathBuf;

use registry::Client;
use spec::{Digest, Platform, Reference, path_match};

use super::{CopyImage, Place, copy_image, end_to_read, end_to_write};
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::sign::Policy;

/// A request to make somewhere have what is elsewhere.
#[derive(Clone, Debug)]
pub struct SyncImages {
    /// Images, repositories with all their tags, folders with all their images.
    pub from: Vec<Place>,
    /// Registries of which everything is wanted.
    pub hosts: Vec<String>,
    /// Where to.
    pub to: SyncTarget,
    /// Only tags that fit the pattern.
    pub tags: Option<String>,
    /// Only images for this platform.
    pub platform: Option<Platform>,
    /// What refers to the images comes along.
    pub referrers: bool,
    /// Only tell what would be copied.
    pub dry_run: bool,
    /// Go on after an image that cannot be copied.
    pub keep_going: bool,
}

/// Where images are synced to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncTarget {
    /// `host[:port][/path]`, behind which each repository gets its own path.
    Registry(String),
    /// A folder with an OCI layout.
    Folder(PathBuf),
}

/// What became of one image.
#[derive(Debug)]
pub struct Synced {
    /// Where it was.
    pub from: Place,
    /// Where it is now.
    pub to: Place,
    /// The digest there and the bytes that were moved; nothing if it was there already, or would be
    /// copied.
    pub outcome: Result<SyncOutcome>,
}

/// What was done with one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// It was there already.
    Unchanged(Digest),
    /// It is there now, and so many bytes had to be moved.
    Copied(Digest, u64),
    /// It would be copied.
    Missing,
}

/// Copies what is missing; `told` hears of each image.
pub fn sync_images(
    client: &Client,
    policy: Option<&Policy>,
    sync: &SyncImages,
    progress: &dyn Progress,
    told: &mut dyn FnMut(&Synced),
) -> Result<()> {
    let (mut all, mut failed) = (0, 0);
    for from in wanted(client, sync)? {
        all += 1;
        let to = destination(&from, &sync.to)?;
        let outcome = one(client, policy, sync, (&from, &to), progress);
        let is_err = outcome.is_err();
        let synced = Synced { from, to, outcome };
        if is_err && !sync.keep_going {
            synced.outcome?;
            break;
        }
        failed += usize::from(is_err);
        told(&synced);
    }
    match failed {
        0 => Ok(()),
        _ => Err(EngineError::SomeFailed { failed, all }),
    }
}

fn one(
    client: &Client,
    policy: Option<&Policy>,
    sync: &SyncImages,
    (from, to): (&Place, &Place),
    progress: &dyn Progress,
) -> Result<SyncOutcome> {
    if sync.dry_run && matches!(to, Place::Layout { folder, .. } if !folder.exists()) {
        return Ok(SyncOutcome::Missing);
    }
    if sync.platform.is_none() && !sync.referrers {
        let source = end_to_read(client, from)?;
        let there = source.head(&source.target()?)?;
        let sink = end_to_write(client, to, from)?;
        if let Some(digest) = there
            && sink.head(&sink.target()?)? == Some(digest)
        {
            return Ok(SyncOutcome::Unchanged(digest));
        }
    }
    if sync.dry_run {
        return Ok(SyncOutcome::Missing);
    }
    let (from, to) = (from.clone(), to.clone());
    let copy = CopyImage { from, to, platform: sync.platform.clone(), referrers: sync.referrers };
    let copied = copy_image(client, policy, &copy, progress)?;
    Ok(SyncOutcome::Copied(copied.digest, copied.moved_bytes))
}

/// All images that are meant, one by one.
fn wanted(client: &Client, sync: &SyncImages) -> Result<Vec<Place>> {
    let mut repositories = sync.from.clone();
    for host in &sync.hosts {
        for path in client.catalog(host)? {
            repositories.push(Place::Registry(named(&format!("{host}/{path}"))?));
        }
    }
    let mut all = Vec::new();
    for place in repositories {
        match &place {
            Place::Registry(name) if name.tag().is_none() && name.digest().is_none() => {
                for tag in end_to_read(client, &place)?.tags()? {
                    let failed = |source| EngineError::Reference { text: tag.clone(), source };
                    if fits(sync, &tag)? {
                        all.push(Place::Registry(name.with_tag(&tag).map_err(failed)?));
                    }
                }
            }
            Place::Layout { folder, name: None } => {
                for name in end_to_read(client, &place)?.tags()? {
                    let tag = name.rsplit(':').next().unwrap_or_default();
                    if fits(sync, tag)? {
                        all.push(Place::Layout { folder: folder.clone(), name: Some(name) });
                    }
                }
            }
            _ => all.push(place),
        }
    }
    Ok(all)
}

fn fits(sync: &SyncImages, tag: &str) -> Result<bool> {
    let Some(pattern) = &sync.tags else { return Ok(true) };
    let bad = |_| EngineError::Input(format!("{pattern:?} is no pattern for tags"));
    path_match(pattern, tag).map_err(bad)
}

/// What an image is called at its destination.
fn destination(from: &Place, to: &SyncTarget) -> Result<Place> {
    let called = match from {
        Place::Registry(name) => name.to_string(),
        Place::Layout { name, .. } => name.clone().unwrap_or_default(),
    };
    let prefix = match to {
        SyncTarget::Folder(folder) => {
            return Ok(Place::Layout { folder: folder.clone(), name: Some(called) });
        }
        SyncTarget::Registry(prefix) => prefix.trim_end_matches('/'),
    };
    let full = match called.contains('/') {
        true => {
            let name = named(&called)?;
            let rest = name.to_string();
            let rest = rest.strip_prefix(&format!("{}/", name.domain())).unwrap_or(&rest);
            format!("{prefix}/{rest}")
        }
        // What has a tag alone is of the repository that is named.
        false => format!("{prefix}:{called}"),
    };
    Ok(Place::Registry(named(&full)?))
}

fn named(text: &str) -> Result<Reference> {
    crate::tag::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_keep_their_paths() {
        let to = |from: Place, prefix: &str| {
            destination(&from, &SyncTarget::Registry(prefix.to_owned())).unwrap().to_string()
        };
        let alpine = Place::Registry(named("alpine:3").unwrap());
        assert_eq!(to(alpine.clone(), "localhost:5000"), "localhost:5000/library/alpine:3");
        assert_eq!(to(alpine.clone(), "h.org/mirror/"), "h.org/mirror/library/alpine:3");
        let folder = |name: &str| {
            let (folder, name) = ("layout".into(), Some(name.to_owned()));
            Place::Layout { folder, name }
        };
        assert_eq!(to(folder("quay.io/me/app:1"), "h.org"), "h.org/me/app:1");
        assert_eq!(to(folder("1.0"), "h.org/me/app"), "h.org/me/app:1.0");
        let in_folder = destination(&alpine, &SyncTarget::Folder("f".into())).unwrap();
        assert_eq!(in_folder.to_string(), "oci:f:docker.io/library/alpine:3");
    }
}
