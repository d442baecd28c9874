//! The image of a target: its configuration put together from what its steps gave.

use ::build::config::Configured;
use ::build::graph::{Graph, StepId};
use spec::{ChainId, DiffId, History, ImageConfig, ImageId, Platform, RootFs, Timestamp};
use store::{ImageRecord, StepLayer};

use super::attest::Used;
use super::carried::{Done, INLINE};
use super::request::BuildRequest;
use super::work::Made;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::sbom::Contents;

/// An image that was put together.
pub(super) struct Image {
    pub(super) id: ImageId,
    pub(super) config: ImageConfig,
    /// The configuration's document.
    pub(super) document: Vec<u8>,
    pub(super) top: Option<ChainId>,
    /// How many of its layers are the base's.
    pub(super) base_layers: usize,
    /// The steps that it took, and those that others of its stages took.
    pub(super) done: Vec<Done>,
    /// What they used.
    pub(super) used: Vec<Used>,
    /// What else is to be looked through for what is installed.
    pub(super) scans: Scans,
    /// What is installed in it, and in what else was looked through, if that is told.
    pub(super) contents: Vec<Looked>,
    pub(super) sizes: Vec<u64>,
}

/// What is looked through besides an image.
#[derive(Clone, Debug, Default)]
pub(super) struct Scans {
    /// The context.
    pub(super) context: bool,
    /// Other stages, by what they are called.
    pub(super) stages: Vec<(String, Option<ChainId>)>,
}

/// Something that was looked through.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// What it is, if it is not the image itself.
    pub(super) part: Option<String>,
    /// What is installed there.
    pub(super) contents: Found,
}

/// What is installed somewhere.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// As it was found here.
    Here(Contents),
    /// As a generator tells it: an SPDX document, and what its file is called.
    Document { name: String, document: serde_json::Value },
}

impl Image {
    /// Makes its document anew, after a change of its configuration.
    pub(super) fn settle(&mut self) {
        self.document = self.config.to_bytes();
        self.id = ImageConfig::id(&self.document);
    }

    /// What it runs on.
    pub(super) fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// What the store is to know of it.
    pub(super) fn record(&self) -> ImageRecord {
        ImageRecord {
            top: self.top,
            created: self.config.created,
            tagged: None,
            layers: self.sizes.clone(),
            platform: self.platform().into(),
            manifest: None,
            repo_digests: Default::default(),
            parent: None,
        }
    }
}

/// Puts the target's image together: what its base says, then what each step on the way adds.
pub(super) fn assemble(
    engine: &Engine,
    graph: &Graph,
    made: &[Made],
    (request, platform, epoch): (&BuildRequest, &Platform, Option<i64>),
) -> Result<Image> {
    if graph.steps.iter().all(|step| step.span.first == 0) {
        return assemble_free(engine, made, &made[graph.target], (request, platform, epoch));
    }
    let way: Vec<&Made> = path(graph, graph.target).iter().map(|step| &made[*step]).collect();
    let target = &made[graph.target];
    let base_layers = way[0].base.as_ref().map_or(0, |base| base.config.rootfs.diff_ids.len());
    let mut config = configuration(&way, platform);
    if config.rootfs.diff_ids.is_empty() && config.history.is_empty() {
        let words = "No image was generated. Is your Dockerfile empty?";
        return Err(EngineError::Refused(words.to_owned()));
    }
    let own = config.config.get_or_insert_default();
    own.labels.extend(request.labels.clone());
    let layers = engine.store().layers()?;
    let stack = layers.stack(target.top)?;
    debug_assert!(stack.len() >= base_layers);
    let sizes = stack.iter().map(|(_, layer)| layer.bytes).collect();
    let document = config.to_bytes();
    let (id, top) = (ImageConfig::id(&document), target.top);
    let (done, used, scans, contents) = Default::default();
    Ok(Image { id, config, document, top, base_layers, done, used, scans, contents, sizes })
}

/// A step and all below it, the lowest first.
pub(super) fn path(graph: &Graph, top: StepId) -> Vec<StepId> {
    let mut steps: Vec<StepId> =
        std::iter::successors(Some(top), |step| graph.steps[*step].parent).collect();
    steps.reverse();
    steps
}

/// The id of the image that ends after these steps: the base itself where nothing follows, and none of
/// nothing.
pub(super) fn id_after(way: &[&Made], platform: &Platform) -> Option<ImageId> {
    if let [only] = way {
        return only.base.as_ref().map(|base| base.id);
    }
    Some(ImageConfig::id(&configuration(way, platform).to_bytes()))
}

/// The configuration after steps of which each stands on the one before: what the base says, then
/// what each of them adds.
fn configuration(way: &[&Made], platform: &Platform) -> ImageConfig {
    let (bottom, target) = (way[0], way[way.len() - 1]);
    let mut config = match &bottom.base {
        Some(base) => base.config.clone(),
        None => blank(platform.clone()),
    };
    for Made { row, layer, .. } in way {
        config.rootfs.diff_ids.extend(layer.map(|StepLayer { diff, .. }| diff));
        if let Some(row) = row.as_ref().filter(|row| !row.created_by.is_empty()) {
            if !row.author.is_empty() {
                config.author.clone_from(&row.author);
            }
            config.history.push((**row).clone());
        }
    }
    let mut own = target.configured.config();
    own.image.clear();
    config.config = Some(own);
    config.created = Some(Timestamp::from_unix(target.epoch, 0));
    (config.container, config.container_config, config.parent) = Default::default();
    config.docker_version.clear();
    // Of the base's steps, not of this image's.
    config.rest.remove(INLINE);
    config
}

/// The image of a graph that no Dockerfile says: what it is made of, with the configuration that it
/// was given.
fn assemble_free(
    engine: &Engine,
    made: &[Made],
    target: &Made,
    (request, platform, epoch): (&BuildRequest, &Platform, Option<i64>),
) -> Result<Image> {
    let layers = engine.store().layers()?;
    let stack = layers.stack(target.top)?;
    let mut config = match &request.config {
        Some(config) => (**config).clone(),
        None => {
            let own = Configured::scratch().config();
            ImageConfig { config: Some(own), ..blank(platform.clone()) }
        }
    };
    let created = Timestamp::from_unix(epoch.unwrap_or(target.epoch), 0);
    config.created = config.created.or(Some(created));
    config.rootfs = RootFs::new(stack.iter().map(|(_, layer)| layer.diff).collect());
    let told = config.history.iter().filter(|row| !row.empty_layer).count();
    if told != stack.len() {
        let row = |diff: DiffId| {
            let made = made.iter().find(|made| made.layer.is_some_and(|own| own.diff == diff));
            let row = made.and_then(|made| made.row.as_deref().cloned());
            row.unwrap_or_else(|| History { created: Some(created), ..History::default() })
        };
        config.history = stack.iter().map(|(_, layer)| row(layer.diff)).collect();
    }
    if let Some(own) = &mut config.config {
        own.labels.extend(request.labels.clone());
    }
    let sizes = stack.iter().map(|(_, layer)| layer.bytes).collect();
    let document = config.to_bytes();
    let (id, top) = (ImageConfig::id(&document), target.top);
    let (base_layers, done, used, scans, contents) = Default::default();
    Ok(Image { id, config, document, top, base_layers, done, used, scans, contents, sizes })
}

fn blank(platform: Platform) -> ImageConfig {
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        rootfs: RootFs::new(Vec::new()),
        ..ImageConfig::default()
    }
}
