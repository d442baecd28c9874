//! Images and names taken away.

use std::collections::BTreeSet;

use runtime::state::State;
use spec::{ChainId, ContainerId, FullName, ImageId, Platform};
use store::{Collected, Images, Tables};

use crate::error::{EngineError, Result};
use crate::filter::ImageFilter;
use crate::find::{Found, find_for};
use crate::{Engine, Summary};

/// A request to remove one image or one of its names.
#[derive(Clone, Debug, Default)]
pub struct RemoveImages {
    /// The name or id.
    pub name: String,
    /// Also where several repositories name it, or a view shows it.
    pub force: bool,
    /// Leave its nameless parents.
    pub no_prune: bool,
    /// The image of this platform, where a name has several.
    pub platform: Option<Platform>,
}

/// Something that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Untagged(String),
    /// An image or a layer, by its id.
    Deleted(String),
}

/// A request to prune.
#[derive(Clone, Debug, Default)]
pub struct PruneImages {
    /// Every image that nothing uses, not only those without names.
    pub all: bool,
    /// Only images that match all of these.
    pub filters: Vec<ImageFilter>,
    /// Also the compressed form of layers that are kept plain too.
    pub compressed: bool,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went.
    pub removed: Vec<Removed>,
    /// How many bytes are free now.
    pub bytes: u64,
}

impl Engine {
    /// Removes a name, and with its last name the image.
    pub fn remove(&self, request: &RemoveImages) -> Result<Vec<Removed>> {
        let tables = self.store.tables()?;
        let views = self.store.views()?;
        let views: Vec<_> = views.into_iter().map(|view| (view.image, view.path)).collect();
        let users = self.image_users()?;
        let (mut unmount, mut image) = (None, None);
        let ((mut removed, gone), collected) = self.store.remove_images(|images| {
            let found = find_for(images, &request.name, request.platform.as_ref())?;
            image = Some(found.id);
            let users = Users::of(&users, found.id);
            users.allow(images, &found, request)?;
            let removed = untag(images, &found, request)?;
            if is_referenced(images, found.id) {
                return Ok::<_, EngineError>((removed, Vec::new()));
            }
            if users.running.is_some() {
                // Its name is gone, as asked; it stays as long as it runs.
                return Ok((removed, Vec::new()));
            }
            if let Some((_, path)) = views.iter().find(|(id, _)| *id == found.id) {
                if !request.force {
                    let id = found.id.0.short();
                    return Err(EngineError::Mounted { id, path: path.clone() });
                }
                unmount = Some(found.id);
            }
            let gone = delete(images, found.id, request)?;
            Ok((removed, gone))
        })?;
        if let Some(id) = unmount {
            self.store.unmount_view(id, true)?;
            // What the view held back goes with it.
            self.store.collect()?;
        }
        for name in &removed {
            if let Removed::Untagged(name) = name {
                let id = image.map(|id| id.to_string()).unwrap_or_default();
                self.store.record_event("image", "untag", &id, &[("name", name)]);
            }
        }
        for id in &gone {
            removed.push(Removed::Deleted(id.to_string()));
            self.store.record_event("image", "delete", &id.to_string(), &[]);
        }
        removed.extend(deleted_layers(&tables, &gone, &collected));
        Ok(removed)
    }

    /// Removes all images that nothing needs.
    pub fn prune_images(&self, request: &PruneImages) -> Result<Pruned> {
        let tables = self.store.tables()?;
        let mut used: BTreeSet<ImageId> =
            self.store.views()?.into_iter().map(|view| view.image).collect();
        used.extend(self.image_users()?.into_iter().map(|(image, ..)| image));
        let (filters, all) = prune_filters(request)?;
        let list = crate::ListImages { all: true, filters, pattern: None };
        let matching: BTreeSet<ImageId> = self.listed(&list)?.rows().map(|row| row.id).collect();
        let ((mut removed, gone), collected) = self.store.remove_images(|images| {
            let mut removed = Vec::new();
            let mut gone = Vec::new();
            let parents: BTreeSet<ImageId> =
                images.images.values().filter_map(|record| record.parent).collect();
            for id in &matching {
                let names: Vec<String> = images.names_of(*id).map(str::to_owned).collect();
                let wanted = all || (names.is_empty() && !parents.contains(id));
                if !wanted || used.contains(id) {
                    continue;
                }
                for name in names {
                    images.names.remove(&name);
                    removed.push(Removed::Untagged(familiar(&name)));
                }
                images.images.remove(id);
                gone.push(*id);
            }
            Ok::<_, EngineError>((removed, gone))
        })?;
        for id in &gone {
            removed.push(Removed::Deleted(id.to_string()));
            self.store.record_event("image", "delete", &id.to_string(), &[]);
        }
        removed.extend(deleted_layers(&tables, &gone, &collected));
        let rest = self.store.collect()?;
        let mut bytes = collected.bytes + rest.bytes;
        if request.compressed {
            bytes += self.store.evict_blobs()?.bytes;
        }
        self.store.record_event("image", "prune", "", &[("reclaimed", &bytes.to_string())]);
        Ok(Pruned { removed, bytes })
    }
}

impl Engine {
    /// The image of each container, the container, and whether it runs.
    fn image_users(&self) -> Result<Vec<(ImageId, ContainerId, bool)>> {
        let user = |(summary, state): (Summary, State)| {
            (summary.image, summary.id, state.status.is_alive())
        };
        Ok(self.summaries()?.into_iter().map(user).collect())
    }
}

/// Containers of an image: one that runs, one that does not.
struct Users {
    running: Option<ContainerId>,
    stopped: Option<ContainerId>,
}

impl Users {
    fn of(all: &[(ImageId, ContainerId, bool)], image: ImageId) -> Users {
        let first = |alive: bool| {
            let mut of_image = all.iter().filter(|(id, _, runs)| *id == image && *runs == alive);
            of_image.next().map(|(_, container, _)| *container)
        };
        Users { running: first(true), stopped: first(false) }
    }

    /// Whether an image may go, or its last name. Docker's rules, in its words.
    fn allow(&self, images: &Images, found: &Found, request: &RemoveImages) -> Result<()> {
        let id = found.id.0.short();
        if found.name.is_some() {
            let names: Vec<String> = images.names_of(found.id).map(str::to_owned).collect();
            let user = self.running.or(self.stopped).filter(|_| !request.force && names.len() <= 1);
            return match user {
                None => Ok(()),
                Some(container) => Err(EngineError::NameUsed {
                    name: request.name.clone(),
                    container: container.short(),
                    id,
                }),
            };
        }
        match (self.running, self.stopped) {
            (Some(container), _) => {
                Err(EngineError::UsedByRunning { id, container: container.short() })
            }
            (None, Some(container)) if !request.force => {
                Err(EngineError::UsedByStopped { id, container: container.short() })
            }
            _ => Ok(()),
        }
    }
}

/// The filters that pruning knows. `dangling` is no condition here: it says how far to go.
fn prune_filters(request: &PruneImages) -> Result<(Vec<ImageFilter>, bool)> {
    let (mut filters, mut all) = (Vec::new(), request.all);
    for filter in &request.filters {
        let unknown = |name: &str| Err(EngineError::Filter(name.to_owned()));
        match filter {
            ImageFilter::Dangling(only) => all = !only,
            ImageFilter::Label(..) | ImageFilter::NotLabel(..) | ImageFilter::Until(_) => {
                filters.push(filter.clone());
            }
            ImageFilter::Before(_) => return unknown("before"),
            ImageFilter::Since(_) => return unknown("since"),
            ImageFilter::Reference(_) => return unknown("reference"),
        }
    }
    Ok((filters, all))
}

/// Takes away the name that was given, or with an id all names, if that is allowed.
fn untag(images: &mut Images, found: &Found, request: &RemoveImages) -> Result<Vec<Removed>> {
    match &found.name {
        Some(name) if found.by_digest => {
            if let Some(record) = images.images.get_mut(&found.id) {
                record.repo_digests.remove(name);
            }
            Ok(vec![Removed::Untagged(familiar_digest(name))])
        }
        Some(name) => {
            let mut removed = vec![Removed::Untagged(familiar(name))];
            drop_name(images, name, found.id, request.platform.is_some());
            // With a repository's last tag, the digests that it is known by there go too.
            let repository = FullName::of(name).name();
            let is_its = |name| FullName::of(name).name() == repository;
            if !images.names_of(found.id).any(is_its) {
                let of_it = |full: &str| digest_repository(full) == repository;
                removed.extend(drop_digests(images, found.id, of_it));
            }
            Ok(removed)
        }
        None => {
            let names: Vec<String> = images.names_of(found.id).map(str::to_owned).collect();
            if !request.force && !is_single(images, found.id, &names) {
                return Err(EngineError::ManyNames { id: found.id.0.short() });
            }
            let mut removed = Vec::new();
            for name in names {
                removed.push(Removed::Untagged(familiar(&name)));
                drop_name(images, &name, found.id, true);
            }
            removed.extend(drop_digests(images, found.id, |_| true));
            Ok(removed)
        }
    }
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

/// Takes an image from a name; with `only`, the name's images for other platforms stay.
fn drop_name(images: &mut Images, name: &str, id: ImageId, only: bool) {
    let Some(mut record) = images.names.remove(name) else { return };
    let mut rest: Vec<ImageId> = record.images().filter(|other| *other != id).collect();
    if only && !rest.is_empty() {
        record.image = rest.remove(0);
        record.others = rest;
        record.index = None;
        images.names.insert(name.to_owned(), record);
    }
}

/// Takes away the digests that an image is known by, as far as they are `meant`.
fn drop_digests(images: &mut Images, id: ImageId, meant: impl Fn(&str) -> bool) -> Vec<Removed> {
    let Some(record) = images.images.get_mut(&id) else { return Vec::new() };
    let digests = std::mem::take(&mut record.repo_digests).into_iter();
    let (gone, kept) = digests.partition::<BTreeSet<String>, _>(|full| meant(full));
    record.repo_digests = kept;
    gone.iter().map(|full| Removed::Untagged(familiar_digest(full))).collect()
}

/// The repository of a name with a digest.
fn digest_repository(full: &str) -> &str {
    full.split_once('@').map_or(full, |(name, _)| name)
}

/// Takes an image away, and its nameless parents after it.
fn delete(images: &mut Images, id: ImageId, request: &RemoveImages) -> Result<Vec<ImageId>> {
    let has_children = |images: &Images, id: ImageId| {
        images.images.values().any(|record| record.parent == Some(id))
    };
    if has_children(images, id) {
        return match request.force {
            true => Ok(Vec::new()),
            false => Err(EngineError::HasChildren { id: id.0.short() }),
        };
    }
    let mut gone = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let Some(record) = images.images.remove(&id) else { break };
        gone.push(id);
        next = record.parent.filter(|parent| {
            !request.no_prune
                && images.names_of(*parent).next().is_none()
                && !has_children(images, *parent)
        });
    }
    Ok(gone)
}

/// The layers that went with these images, top first, as docker lists them.
fn deleted_layers(before: &Tables, gone: &[ImageId], collected: &Collected) -> Vec<Removed> {
    let dropped: BTreeSet<ChainId> = collected.layers.iter().copied().collect();
    let mut listed = BTreeSet::new();
    let mut removed = Vec::new();
    for id in gone {
        let top = before.images.images.get(id).and_then(|record| record.top);
        let stack = before.layers.stack(top).unwrap_or_default();
        for (chain, _) in stack.iter().rev() {
            if dropped.contains(chain) && listed.insert(*chain) {
                removed.push(Removed::Deleted(chain.to_string()));
            }
        }
    }
    removed
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
