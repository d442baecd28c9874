//! Images and names taken away.

use std::collections::BTreeSet;
use std::path::PathBuf;

use runtime::state::State;
use spec::{ChainId, ContainerId, FullName, ImageId, Platform};
use store::{Collected, ImageRecord, Images, Layers, NameRecord};

use crate::error::{EngineError, Result};
use crate::filter::ImageFilter;
use crate::find::{Found, find_for};
use crate::{Engine, Summary};

/// A request to remove images or some of their names.
#[derive(Clone, Debug, Default)]
pub struct RemoveImages {
    /// Names and ids.
    pub names: Vec<String>,
    /// Also where several repositories name it, or a view shows it.
    pub force: bool,
    /// Leave its nameless parents.
    pub no_prune: bool,
    /// Where a name has several images, those of these platforms; else the first.
    pub platforms: Vec<Platform>,
}

/// Something that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Untagged(String),
    /// An image or a layer, by its id.
    Deleted(String),
}

impl Removed {
    /// Docker's document about it.
    pub fn document(&self) -> serde_json::Value {
        match self {
            Removed::Untagged(name) => serde_json::json!({ "Untagged": name }),
            Removed::Deleted(id) => serde_json::json!({ "Deleted": id }),
        }
    }
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

/// What a removal takes away for one image.
struct Step {
    image: ImageId,
    /// Names, as people know them.
    untagged: Vec<String>,
    /// Images, each with the stack that it had: the image and its nameless parents.
    gone: Vec<(ImageId, Option<ChainId>)>,
    /// Whether it is mounted, to be looked into.
    mounted: bool,
}

impl Engine {
    /// Removes names one after the other, and with the last name of an image the image; gives what
    /// went with each. All of it is one change of the store, and one name's error is no other's.
    pub fn remove(&self, request: &RemoveImages) -> Result<Vec<Result<Vec<Removed>>>> {
        let ((steps, layers), mut collected) = self.store.remove_images(|images| {
            // Nobody else changes anything now: who uses an image here is who uses it.
            let users = self.image_users()?;
            let views: Vec<_> =
                self.store.views()?.into_iter().map(|view| (view.image, view.path)).collect();
            let layers = self.store.tables()?.layers;
            let mut steps = Vec::new();
            for name in &request.names {
                for platform in one_or_each(&request.platforms) {
                    let wanted = Wanted { name, platform, request };
                    steps.push(wanted.remove(images, &users, &views));
                }
            }
            Ok::<_, EngineError>((steps, layers))
        })?;
        let mut unmounted = false;
        for step in steps.iter().flatten().filter(|step| step.mounted) {
            self.store.unmount_view(step.image, true)?;
            unmounted = true;
        }
        if unmounted {
            // What the views held back goes with them.
            collected.layers.extend(self.store.collect()?.layers);
        }
        let mut told = self.account(steps.iter().flatten(), &layers, &collected).into_iter();
        // Only what was not refused has something to tell.
        let told = steps.into_iter().map(|step| step.map(|_| told.next().unwrap_or_default()));
        Ok(told.collect())
    }

    /// Removes all images that nothing needs.
    pub fn prune_images(&self, request: &PruneImages) -> Result<Pruned> {
        let (filters, all) = prune_filters(request)?;
        let ((steps, layers), collected) = self.store.remove_images(|images| {
            // Nobody else changes anything now: what nothing needs here, nothing needs.
            let layers = self.store.tables()?.layers;
            let unneeded = self.unneeded(images, &filters, all)?;
            let steps: Vec<Step> = unneeded.into_iter().map(|id| take_away(images, id)).collect();
            Ok::<_, EngineError>((steps, layers))
        })?;
        let removed = self.account(steps.iter(), &layers, &collected).concat();
        let rest = self.store.collect()?;
        let mut bytes = collected.bytes + rest.bytes;
        if request.compressed {
            bytes += self.store.evict_blobs()?.bytes;
        }
        self.store.record_event("image", "prune", "", &[("reclaimed", &bytes.to_string())]);
        Ok(Pruned { removed, bytes })
    }

    /// The images that match and that neither a container nor a view has; without `all`, only those
    /// that have no name and on which no other stands.
    fn unneeded(
        &self,
        images: &Images,
        filters: &[ImageFilter],
        all: bool,
    ) -> Result<Vec<ImageId>> {
        let mut used: BTreeSet<ImageId> =
            self.store.views()?.into_iter().map(|view| view.image).collect();
        used.extend(self.image_users()?.into_iter().map(|(image, ..)| image));
        let conditions = self.conditions(images, filters)?;
        let named: BTreeSet<ImageId> =
            images.names.values().flat_map(|record| record.images()).collect();
        let parents: BTreeSet<ImageId> =
            images.images.values().filter_map(|record| record.parent).collect();
        let mut unneeded = Vec::new();
        for (id, record) in &images.images {
            let is_named = named.contains(id);
            let wanted = all || (!is_named && !parents.contains(id));
            if wanted && !used.contains(id) && self.passes(id, record, is_named, &conditions)? {
                unneeded.push(*id);
            }
        }
        Ok(unneeded)
    }

    /// What went with each step, in docker's order, written down as events too: names, images, and
    /// the layers that nothing needed from then on, each image's from the top.
    fn account<'a>(
        &self,
        steps: impl DoubleEndedIterator<Item = &'a Step>,
        layers: &Layers,
        collected: &Collected,
    ) -> Vec<Vec<Removed>> {
        let mut dropped: BTreeSet<ChainId> = collected.layers.iter().copied().collect();
        // A layer goes with the last image that stands on it.
        let steps: Vec<(&Step, Vec<ChainId>)> = steps
            .rev()
            .map(|step| {
                let stacks = step.gone.iter().flat_map(|(_, top)| layers.stack(*top));
                let chains = stacks.flat_map(|stack| stack.into_iter().rev().map(|(it, _)| it));
                (step, chains.filter(|chain| dropped.remove(chain)).collect())
            })
            .collect();
        steps.into_iter().rev().map(|(step, chains)| self.account_step(step, &chains)).collect()
    }

    fn account_step(&self, step: &Step, chains: &[ChainId]) -> Vec<Removed> {
        let mut removed = Vec::new();
        for name in &step.untagged {
            self.store.record_event("image", "untag", &step.image.to_string(), &[("name", name)]);
            removed.push(Removed::Untagged(name.clone()));
        }
        for (id, _) in &step.gone {
            self.store.record_event("image", "delete", &id.to_string(), &[]);
            removed.push(Removed::Deleted(id.to_string()));
        }
        removed.extend(chains.iter().map(|chain| Removed::Deleted(chain.to_string())));
        removed
    }
}

/// Each platform; none in particular where none was named.
fn one_or_each(platforms: &[Platform]) -> Vec<Option<&Platform>> {
    match platforms {
        [] => vec![None],
        some => some.iter().map(Some).collect(),
    }
}

/// One name that shall go.
struct Wanted<'a> {
    name: &'a str,
    platform: Option<&'a Platform>,
    request: &'a RemoveImages,
}

impl Wanted<'_> {
    /// Takes it away. Nothing is changed by what is refused.
    fn remove(
        &self,
        images: &mut Images,
        users: &[(ImageId, ContainerId, bool)],
        views: &[(ImageId, PathBuf)],
    ) -> Result<Step> {
        let found = find_for(images, self.name, self.platform)?;
        let users = Users::of(users, found.id);
        users.allow(images, &found, self)?;
        let before = Kept::of(images, found.id);
        let done = self.untag_and_delete(images, &found, &users, views);
        if done.is_err() {
            before.put_back(images);
        }
        done
    }

    fn untag_and_delete(
        &self,
        images: &mut Images,
        found: &Found,
        users: &Users,
        views: &[(ImageId, PathBuf)],
    ) -> Result<Step> {
        let untagged = untag(images, found, self)?;
        let mut step = Step { image: found.id, untagged, gone: Vec::new(), mounted: false };
        // While a container runs its image stays, without a name, as asked.
        if is_referenced(images, found.id) || users.running.is_some() {
            return Ok(step);
        }
        let view = views.iter().find(|(id, _)| *id == found.id);
        if let Some((_, path)) = view.filter(|_| !self.request.force) {
            let id = found.id.0.short();
            return Err(EngineError::Mounted { id, path: path.clone() });
        }
        step.mounted = view.is_some();
        step.gone = delete(images, found.id, self.request)?;
        Ok(step)
    }
}

/// All that untagging an image changes, as it was.
struct Kept {
    id: ImageId,
    record: Option<ImageRecord>,
    names: Vec<(String, NameRecord)>,
}

impl Kept {
    fn of(images: &Images, id: ImageId) -> Kept {
        let of_it = images.names.iter().filter(|(_, record)| record.images().any(|it| it == id));
        let names = of_it.map(|(name, record)| (name.clone(), record.clone())).collect();
        Kept { id, record: images.images.get(&id).cloned(), names }
    }

    fn put_back(self, images: &mut Images) {
        for (name, record) in self.names {
            images.names.insert(name, record);
        }
        if let Some(record) = self.record {
            images.images.insert(self.id, record);
        }
    }
}

/// Takes an image away with all its names.
fn take_away(images: &mut Images, id: ImageId) -> Step {
    let untagged = untag_all(images, id);
    let top = images.images.remove(&id).and_then(|record| record.top);
    Step { image: id, untagged, gone: vec![(id, top)], mounted: false }
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
    fn allow(&self, images: &Images, found: &Found, wanted: &Wanted<'_>) -> Result<()> {
        let id = found.id.0.short();
        if found.name.is_some() {
            let names: Vec<String> = images.names_of(found.id).map(str::to_owned).collect();
            let user =
                self.running.or(self.stopped).filter(|_| !wanted.request.force && names.len() <= 1);
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
fn untag(images: &mut Images, found: &Found, wanted: &Wanted<'_>) -> Result<Vec<String>> {
    match &found.name {
        Some(name) if found.by_digest => {
            if let Some(record) = images.images.get_mut(&found.id) {
                record.repo_digests.remove(name);
            }
            Ok(vec![familiar_digest(name)])
        }
        Some(name) => {
            let mut removed = vec![familiar(name)];
            drop_name(images, name, found.id, wanted.platform.is_some());
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
            if !wanted.request.force && !is_single(images, found.id, &names) {
                return Err(EngineError::ManyNames { id: found.id.0.short() });
            }
            Ok(untag_all(images, found.id))
        }
    }
}

/// Takes an image from all its names, and gives those that are gone.
fn untag_all(images: &mut Images, id: ImageId) -> Vec<String> {
    let names: Vec<String> = images.names_of(id).map(str::to_owned).collect();
    let mut gone = Vec::new();
    for name in names {
        drop_name(images, &name, id, true);
        if !images.names.contains_key(&name) {
            gone.push(familiar(&name));
        }
    }
    gone.extend(drop_digests(images, id, |_| true));
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

/// Takes an image from a name; with `only`, the name's images for other platforms stay.
fn drop_name(images: &mut Images, name: &str, id: ImageId, only: bool) {
    let Some(mut record) = images.names.remove(name) else { return };
    let mut rest: Vec<ImageId> = record.images().filter(|other| *other != id).collect();
    if only && !rest.is_empty() {
        record.image = rest.remove(0);
        record.others = rest;
        (record.index, record.manifest) = (None, None);
        images.names.insert(name.to_owned(), record);
    }
}

/// Takes away the digests that an image is known by, as far as they are `meant`.
fn drop_digests(images: &mut Images, id: ImageId, meant: impl Fn(&str) -> bool) -> Vec<String> {
    let Some(record) = images.images.get_mut(&id) else { return Vec::new() };
    let digests = std::mem::take(&mut record.repo_digests).into_iter();
    let (gone, kept) = digests.partition::<BTreeSet<String>, _>(|full| meant(full));
    record.repo_digests = kept;
    gone.iter().map(|full| familiar_digest(full)).collect()
}

/// The repository of a name with a digest.
fn digest_repository(full: &str) -> &str {
    full.split_once('@').map_or(full, |(name, _)| name)
}

/// Takes an image away, and its nameless parents after it.
fn delete(
    images: &mut Images,
    id: ImageId,
    request: &RemoveImages,
) -> Result<Vec<(ImageId, Option<ChainId>)>> {
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
        gone.push((id, record.top));
        next = record.parent.filter(|parent| {
            !request.no_prune
                && images.names_of(*parent).next().is_none()
                && !has_children(images, *parent)
        });
    }
    Ok(gone)
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
