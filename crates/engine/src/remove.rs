//! Images and names taken away.

use std::collections::BTreeSet;

use spec::{ChainId, ImageId, Platform, Reference};
use store::{Collected, Images, Tables};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::{Found, find_for};
use crate::list::ImageFilter;

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
        let (mut unmount, mut image) = (None, None);
        let ((mut removed, gone), collected) = self.store.remove_images(|images| {
            let found = find_for(images, &request.name, request.platform.as_ref())?;
            image = Some(found.id);
            let removed = untag(images, &found, request)?;
            let named = images.names_of(found.id).next().is_some();
            if named {
                return Ok::<_, EngineError>(((removed, Vec::new()), Vec::new()));
            }
            if let Some((_, path)) = views.iter().find(|(id, _)| *id == found.id) {
                if !request.force {
                    let id = found.id.0.short();
                    return Err(EngineError::Mounted { id, path: path.clone() });
                }
                unmount = Some(found.id);
            }
            let gone = delete(images, found.id, request)?;
            Ok(((removed, gone.clone()), gone))
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
        let mounted: BTreeSet<ImageId> =
            self.store.views()?.into_iter().map(|view| view.image).collect();
        let (filters, all) = prune_filters(request)?;
        let list = crate::ListImages { all: true, filters, pattern: None };
        let matching: BTreeSet<ImageId> = self.rows(&list)?.into_iter().map(|row| row.id).collect();
        let ((mut removed, gone), collected) = self.store.remove_images(|images| {
            let mut removed = Vec::new();
            let mut gone = Vec::new();
            let parents: BTreeSet<ImageId> =
                images.images.values().filter_map(|record| record.parent).collect();
            for id in &matching {
                let names: Vec<String> = images.names_of(*id).map(str::to_owned).collect();
                let wanted = all || (names.is_empty() && !parents.contains(id));
                if !wanted || mounted.contains(id) {
                    continue;
                }
                for name in names {
                    images.names.remove(&name);
                    removed.push(Removed::Untagged(familiar(&name)));
                }
                images.images.remove(id);
                gone.push(*id);
            }
            Ok::<_, EngineError>(((removed, gone.clone()), gone))
        })?;
        for id in &gone {
            removed.push(Removed::Deleted(id.to_string()));
            self.store.record_event("image", "delete", &id.to_string(), &[]);
        }
        removed.extend(deleted_layers(&tables, &gone, &collected));
        let rest = self.store.collect()?;
        let bytes = collected.bytes + rest.bytes;
        self.store.record_event("image", "prune", "", &[("reclaimed", &bytes.to_string())]);
        Ok(Pruned { removed, bytes })
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
            if images.names_of(found.id).next().is_none() {
                removed.extend(drop_digests(images, found.id));
            }
            Ok(removed)
        }
        None => {
            let names: Vec<String> = images.names_of(found.id).map(str::to_owned).collect();
            let repository = |name: &String| Reference::parse(name).map(|name| name.name()).ok();
            let repositories: BTreeSet<_> = names.iter().filter_map(repository).collect();
            if repositories.len() > 1 && !request.force {
                return Err(EngineError::ManyNames { id: found.id.0.short() });
            }
            let mut removed = Vec::new();
            for name in names {
                removed.push(Removed::Untagged(familiar(&name)));
                drop_name(images, &name, found.id, true);
            }
            removed.extend(drop_digests(images, found.id));
            Ok(removed)
        }
    }
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

fn drop_digests(images: &mut Images, id: ImageId) -> Vec<Removed> {
    let Some(record) = images.images.get_mut(&id) else { return Vec::new() };
    let digests = std::mem::take(&mut record.repo_digests);
    digests.iter().map(|full| Removed::Untagged(familiar_digest(full))).collect()
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
    Reference::parse(name).map_or_else(|_| name.to_owned(), |name| name.familiar())
}

fn familiar_digest(full: &str) -> String {
    match full.split_once('@') {
        Some((name, digest)) => format!("{}@{digest}", familiar(name)),
        None => full.to_owned(),
    }
}
