//! Images and names taken away.

mod wanted;

use std::collections::BTreeSet;

use runtime::state::State;
use spec::{ChainId, ContainerId, ImageId, Platform};
use store::{Collected, Images, Layers, NAMES};

use crate::error::{EngineError, Result};
use crate::filter::ImageFilter;
use crate::told::Attributes;
use crate::{Engine, Summary};
use wanted::{InUse, Wanted, take_away};

/// A request to remove images or some of their names.
#[derive(Clone, Debug, Default)]
pub struct RemoveImages {
    /// Names and ids.
    pub names: Vec<String>,
    /// Also where several repositories name it, or a view shows it.
    pub force: bool,
    /// Leave its nameless parents.
    pub no_prune: bool,
    /// Only the images for exactly these platforms; else all that a name stands for.
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

/// What a removal takes away for one name or id.
struct Step {
    /// The image that was meant; of a name with several, the first.
    image: ImageId,
    /// Names, as people know them.
    untagged: Vec<String>,
    /// The image's labels: when it is told of, it may be gone.
    labels: Attributes,
    /// Images, each with the stack that it had: the images and their nameless parents.
    gone: Vec<(ImageId, Option<ChainId>)>,
    /// Those of them that are mounted, to be looked into.
    mounted: Vec<ImageId>,
}

impl Engine {
    /// Removes names one after the other, and with the last name of an image the image; gives what
    /// went with each. All of it is one change of the store, and one name's error is no other's.
    pub fn remove(&self, request: &RemoveImages) -> Result<Vec<Result<Vec<Removed>>>> {
        let ((steps, layers), mut collected) = self.store.remove_images(|images| {
            // Nobody else changes anything now: who uses an image here is who uses it.
            let users = self.image_users()?;
            let views = self.store.views()?.into_iter().map(|view| (view.image, view.path));
            let in_use = InUse { users, views: views.collect() };
            let layers = self.store.tables()?.layers;
            let mut steps = Vec::new();
            for name in &request.names {
                for platform in one_or_each(&request.platforms) {
                    let wanted = Wanted { name, platform, request };
                    let step = wanted.remove(images, &in_use);
                    steps.push(step.map(|step| self.with_labels(step)));
                }
            }
            Ok::<_, EngineError>((steps, layers))
        })?;
        let mounted: Vec<ImageId> =
            steps.iter().flatten().flat_map(|step| step.mounted.iter().copied()).collect();
        for image in &mounted {
            self.store.unmount_view(*image, true)?;
        }
        if !mounted.is_empty() {
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
            let steps: Vec<Step> =
                unneeded.into_iter().map(|id| self.with_labels(take_away(images, id))).collect();
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

    fn with_labels(&self, step: Step) -> Step {
        match step.untagged.is_empty() {
            true => step,
            false => Step { labels: self.labels_told(step.image), ..step },
        }
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
        let image = step.image.to_string();
        for name in &step.untagged {
            let labels = step.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let own = [("name", image.as_str()), (NAMES, name)];
            let attributes: Vec<_> = labels.chain(own).collect();
            self.store.record_event("image", "untag", &image, &attributes);
            removed.push(Removed::Untagged(name.clone()));
        }
        for (id, _) in &step.gone {
            let id = id.to_string();
            self.store.record_event("image", "delete", &id, &[("name", &id)]);
            removed.push(Removed::Deleted(id));
        }
        removed.extend(chains.iter().map(|chain| Removed::Deleted(chain.to_string())));
        removed
    }

    /// The image of each container, the container, and whether it runs.
    fn image_users(&self) -> Result<Vec<(ImageId, ContainerId, bool)>> {
        let user = |(summary, state): (Summary, State)| {
            (summary.image, summary.id, state.status.is_alive())
        };
        Ok(self.summaries()?.into_iter().map(user).collect())
    }
}

/// Each platform; none in particular where none was named.
fn one_or_each(platforms: &[Platform]) -> Vec<Option<&Platform>> {
    match platforms {
        [] => vec![None],
        some => some.iter().map(Some).collect(),
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
