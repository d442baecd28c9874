//! One name or id that shall go, and what goes with it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use spec::{ChainId, ContainerId, FullName, ImageId, Platform};
use store::{ImageRecord, Images, NameRecord};

use super::{RemoveImages, Step};
use crate::error::{EngineError, Result};
use crate::find::{Found, find};

/// Who works with images.
pub(super) struct InUse {
    /// The image of each container, the container, and whether it runs.
    pub(super) users: Vec<(ImageId, ContainerId, bool)>,
    /// Images that are mounted, to be looked into, and where.
    pub(super) views: Vec<(ImageId, PathBuf)>,
}

/// One name that shall go.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) platform: Option<&'a Platform>,
    pub(super) request: &'a RemoveImages,
}

impl Wanted<'_> {
    /// Takes it away. Nothing is changed by what is refused.
    pub(super) fn remove(&self, images: &mut Images, in_use: &InUse) -> Result<Step> {
        let found = find(images, self.name)?;
        let meant = self.meant(images, &found)?;
        for id in &meant {
            Users::of(in_use, *id).allow(images, &found, *id, self)?;
        }
        let before = Kept::of(images, &meant);
        let done = self.untag_and_delete(images, &found, &meant, in_use);
        if done.is_err() {
            before.put_back(images);
        }
        done
    }

    /// The images that shall go: all that the name stands for, or those among them that are for the
    /// platform and for no other. Whoever looks for an image takes one that serves; what is to be
    /// removed must be the one that was named.
    fn meant(&self, images: &Images, found: &Found) -> Result<Vec<ImageId>> {
        let mut meant = match &found.name {
            None => vec![found.id],
            Some(full) if found.by_digest => holders(images, full).map(|(id, _)| *id).collect(),
            Some(name) => images.names.get(name).map_or(vec![found.id], |it| it.images().collect()),
        };
        if let Some(wanted) = self.platform {
            let is_for = |record: &ImageRecord| record.platform.platform().rank(wanted) == Some(0);
            meant.retain(|id| images.images.get(id).is_some_and(is_for));
        }
        match (meant.is_empty(), self.platform) {
            (true, Some(wanted)) => {
                let name = self.name.to_owned();
                Err(EngineError::NoPlatform { name, wanted: wanted.to_string() })
            }
            _ => Ok(meant),
        }
    }

    fn untag_and_delete(
        &self,
        images: &mut Images,
        found: &Found,
        meant: &[ImageId],
        in_use: &InUse,
    ) -> Result<Step> {
        let image = meant.first().copied().unwrap_or(found.id);
        let untagged = self.untag(images, found, meant)?;
        let mut step =
            Step { image, untagged, labels: Vec::new(), gone: Vec::new(), mounted: Vec::new() };
        // While a container runs its image stays, without a name, as asked.
        let stays =
            |id: ImageId| is_referenced(images, id) || Users::of(in_use, id).running.is_some();
        let going: Vec<ImageId> = meant.iter().copied().filter(|id| !stays(*id)).collect();
        // All are asked before the first one goes, and its parents with it.
        for id in &going {
            if let Some((_, path)) = in_use.views.iter().find(|(viewed, _)| viewed == id) {
                if !self.request.force {
                    let id = id.0.short();
                    return Err(EngineError::Mounted { id, path: path.clone() });
                }
                step.mounted.push(*id);
            }
            if !self.request.force && has_children(images, *id) {
                return Err(EngineError::HasChildren { id: id.0.short() });
            }
        }
        for id in going.into_iter().filter(|id| !has_children(images, *id)).collect::<Vec<_>>() {
            step.gone.extend(delete(images, id, self.request));
        }
        Ok(step)
    }

    /// Takes the images from the name that was given, or with an id from all names, if that is
    /// allowed. Gives the names that stand for nothing from now on.
    fn untag(&self, images: &mut Images, found: &Found, meant: &[ImageId]) -> Result<Vec<String>> {
        let Some(name) = &found.name else {
            let names: Vec<String> = images.names_of(found.id).map(str::to_owned).collect();
            if !self.request.force && !is_single(images, found.id, &names) {
                return Err(EngineError::ManyNames { id: found.id.0.short() });
            }
            return Ok(untag_all(images, found.id));
        };
        if found.by_digest {
            return Ok(drop_digests(images, meant, |_, full| full == name));
        }
        let went = meant.iter().filter(|id| drop_name(images, name, **id)).count() > 0;
        let mut untagged: Vec<String> = went.then(|| familiar(name)).into_iter().collect();
        // With a repository's last tag, the digests that an image is known by there go too.
        let repository = FullName::of(name).name();
        let tagged: BTreeSet<ImageId> = images
            .names
            .iter()
            .filter(|(name, _)| FullName::of(name).name() == repository)
            .flat_map(|(_, record)| record.images())
            .collect();
        untagged.extend(drop_digests(images, meant, |id, full| {
            !tagged.contains(&id) && digest_repository(full) == repository
        }));
        Ok(untagged)
    }
}

/// All that untagging some images changes, as it was.
struct Kept {
    records: Vec<(ImageId, ImageRecord)>,
    names: Vec<(String, NameRecord)>,
}

impl Kept {
    fn of(images: &Images, ids: &[ImageId]) -> Kept {
        let has_one = |record: &NameRecord| record.images().any(|id| ids.contains(&id));
        let names = images.names.iter().filter(|(_, record)| has_one(record));
        let records = ids.iter().filter_map(|id| Some((*id, images.images.get(id)?.clone())));
        Kept {
            records: records.collect(),
            names: names.map(|(name, record)| (name.clone(), record.clone())).collect(),
        }
    }

    fn put_back(self, images: &mut Images) {
        self.names.into_iter().for_each(|(name, record)| drop(images.names.insert(name, record)));
        self.records.into_iter().for_each(|(id, record)| drop(images.images.insert(id, record)));
    }
}

/// Takes an image away with all its names.
pub(super) fn take_away(images: &mut Images, id: ImageId) -> Step {
    let untagged = untag_all(images, id);
    let top = images.images.remove(&id).and_then(|record| record.top);
    Step { image: id, untagged, labels: Vec::new(), gone: vec![(id, top)], mounted: Vec::new() }
}

/// Containers of an image: one that runs, one that does not.
struct Users {
    running: Option<ContainerId>,
    stopped: Option<ContainerId>,
}

impl Users {
    fn of(in_use: &InUse, image: ImageId) -> Users {
        let first = |alive: bool| {
            let mut users = in_use.users.iter();
            let user = users.find(|(id, _, runs)| *id == image && *runs == alive);
            user.map(|(_, container, _)| *container)
        };
        Users { running: first(true), stopped: first(false) }
    }

    /// Whether an image may go, or its last name. Docker's rules, in its words.
    fn allow(
        &self,
        images: &Images,
        found: &Found,
        image: ImageId,
        wanted: &Wanted<'_>,
    ) -> Result<()> {
        let id = image.0.short();
        if found.name.is_some() {
            let is_last = images.names_of(image).count() <= 1;
            let user = self.running.or(self.stopped).filter(|_| !wanted.request.force && is_last);
            return match user {
                None => Ok(()),
                Some(container) => Err(EngineError::NameUsed {
                    name: wanted.name.to_owned(),
                    container: container.short(),
                    id,
                }),
            };
        }
        match (self.running, self.stopped) {
            (Some(container), _) => {
                Err(EngineError::UsedByRunning { id, container: container.short() })
            }
            (None, Some(container)) if !wanted.request.force => {
                Err(EngineError::UsedByStopped { id, container: container.short() })
            }
            _ => Ok(()),
        }
    }
}

/// Takes an image from all its names, and gives those that are gone.
fn untag_all(images: &mut Images, id: ImageId) -> Vec<String> {
    let names: Vec<String> = images.names_of(id).map(str::to_owned).collect();
    let went = names.iter().filter(|name| drop_name(images, name, id));
    let mut gone: Vec<String> = went.map(|name| familiar(name)).collect();
    gone.extend(drop_digests(images, &[id], |_, _| true));
    gone
}

/// Whether an image has at most one tag, and whatever else refers to it is of the same repository:
/// only then an id says plainly enough that all of it shall go. That is docker's rule.
fn is_single(images: &Images, id: ImageId, names: &[String]) -> bool {
    let digests = images.images.get(&id).map(|record| &record.repo_digests);
    let digests = digests.into_iter().flatten().map(|full| digest_repository(full));
    let tags = names.iter().map(|name| FullName::of(name).name());
    let repositories: BTreeSet<&str> = tags.chain(digests).collect();
    names.len() <= 1 && repositories.len() <= 1
}

/// Whether a name or a digest still stands for an image.
fn is_referenced(images: &Images, id: ImageId) -> bool {
    let digests = images.images.get(&id).is_some_and(|record| !record.repo_digests.is_empty());
    digests || images.names_of(id).next().is_some()
}

/// Takes an image from a name, and says whether the name went with it: its images for other
/// platforms keep it.
fn drop_name(images: &mut Images, name: &str, id: ImageId) -> bool {
    let Some(mut record) = images.names.remove(name) else { return false };
    let mut rest: Vec<ImageId> = record.images().filter(|other| *other != id).collect();
    if rest.is_empty() {
        return true;
    }
    record.image = rest.remove(0);
    record.others = rest;
    (record.index, record.manifest) = (None, None);
    images.names.insert(name.to_owned(), record);
    false
}

/// Takes away the digests that these images are known by, as far as they are `meant`, and gives
/// those that no image is known by any more.
fn drop_digests(
    images: &mut Images,
    ids: &[ImageId],
    meant: impl Fn(ImageId, &str) -> bool,
) -> Vec<String> {
    let mut dropped = BTreeSet::new();
    for id in ids {
        let Some(record) = images.images.get_mut(id) else { continue };
        let digests = std::mem::take(&mut record.repo_digests).into_iter();
        let (gone, kept) = digests.partition::<BTreeSet<String>, _>(|full| meant(*id, full));
        record.repo_digests = kept;
        dropped.extend(gone);
    }
    let gone = dropped.iter().filter(|full| holders(images, full).next().is_none());
    gone.map(|full| familiar_digest(full)).collect()
}

/// The images that are known by a name with a digest.
fn holders<'a>(
    images: &'a Images,
    full: &'a str,
) -> impl Iterator<Item = (&'a ImageId, &'a ImageRecord)> {
    images.images.iter().filter(move |(_, record)| record.repo_digests.contains(full))
}

/// The repository of a name with a digest.
fn digest_repository(full: &str) -> &str {
    full.split_once('@').map_or(full, |(name, _)| name)
}

fn has_children(images: &Images, id: ImageId) -> bool {
    images.images.values().any(|record| record.parent == Some(id))
}

/// Takes an image away, and its nameless parents after it.
fn delete(
    images: &mut Images,
    id: ImageId,
    request: &RemoveImages,
) -> Vec<(ImageId, Option<ChainId>)> {
    let mut gone = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let Some(record) = images.images.remove(&id) else { break };
        gone.push((id, record.top));
        next = record.parent.filter(|parent| {
            !request.no_prune
                && images.names_of(*parent).next().is_none()
                && !has_children(images, *parent)
        });
    }
    gone
}

fn familiar(name: &str) -> String {
    FullName::of(name).familiar().to_owned()
}

fn familiar_digest(full: &str) -> String {
    match full.split_once('@') {
        Some((name, digest)) => format!("{}@{digest}", familiar(name)),
        None => full.to_owned(),
    }
}
