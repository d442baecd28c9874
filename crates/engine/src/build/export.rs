//! The target's image: its configuration put together, kept, and named.

use ::build::graph::{Graph, StepId};
use spec::{ImageConfig, ImageId, Platform, Reference, RootFs, Timestamp};
use store::{ImageRecord, Lease, NameRecord, StepLayer};

use super::request::BuildRequest;
use super::work::Made;
use crate::Engine;
use crate::error::{EngineError, Result};

/// An image that was put together.
pub(super) struct Image {
    pub(super) config: ImageConfig,
    pub(super) top: Option<spec::ChainId>,
    sizes: Vec<u64>,
}

/// Puts the target's image together: what its base says, then what each step on the way adds.
pub(super) fn assemble(
    engine: &Engine,
    graph: &Graph,
    made: &[Made],
    request: &BuildRequest<'_>,
) -> Result<Image> {
    let mut steps: Vec<StepId> = Vec::new();
    let mut next = Some(graph.target);
    while let Some(step) = next {
        steps.push(step);
        next = graph.steps[step].parent;
    }
    let bottom = &made[*steps.last().expect("the target is one of its steps")];
    let target = &made[graph.target];
    let mut config = match &bottom.base {
        Some(base) => (**base).clone(),
        None => blank(request.platform.as_ref()),
    };
    let base_layers = config.rootfs.diff_ids.len();
    for step in steps.iter().rev() {
        let Made { row, layer, .. } = &made[*step];
        config.rootfs.diff_ids.extend(layer.map(|StepLayer { diff, .. }| diff));
        if let Some(row) = row.as_ref().filter(|row| !row.created_by.is_empty()) {
            if !row.author.is_empty() {
                config.author.clone_from(&row.author);
            }
            config.history.push((**row).clone());
        }
    }
    if config.rootfs.diff_ids.is_empty() && config.history.is_empty() {
        let words = "No image was generated. Is your Dockerfile empty?";
        return Err(EngineError::Refused(words.to_owned()));
    }
    let mut own = target.configured.config.clone();
    own.labels.extend(request.labels.clone());
    own.image.clear();
    config.config = Some(own);
    config.created = Some(Timestamp::from_unix(target.epoch, 0));
    (config.container, config.container_config, config.parent) = Default::default();
    config.docker_version.clear();
    let layers = engine.store().tables()?.layers;
    let stack = layers.stack(target.top)?;
    debug_assert!(stack.len() >= base_layers);
    let sizes = stack.iter().map(|(_, layer)| layer.bytes).collect();
    Ok(Image { config, top: target.top, sizes })
}

fn blank(platform: Option<&Platform>) -> ImageConfig {
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        rootfs: RootFs::new(Vec::new()),
        ..ImageConfig::default()
    }
}

/// Keeps the image and gives it its names. What is there already is not written again.
pub(super) fn keep(
    engine: &Engine,
    lease: &Lease,
    image: &Image,
    names: &[Reference],
) -> Result<ImageId> {
    let store = engine.store();
    let bytes = image.config.to_bytes();
    let id = ImageConfig::id(&bytes);
    let images = store.images()?;
    let named = |name: &Reference| images.names.get(&name.to_string()).map(|known| known.image);
    lease.protect_blob(&id.0)?;
    let is_known = images.images.contains_key(&id) && store.has_blob(&id.0);
    if is_known && names.iter().all(|name| named(name) == Some(id)) {
        return Ok(id);
    }
    if !is_known {
        store.put_document(lease, &bytes)?;
    }
    let record = ImageRecord {
        top: image.top,
        created: image.config.created,
        tagged: None,
        layers: image.sizes.clone(),
        platform: image.config.platform().into(),
        manifest: None,
        repo_digests: Default::default(),
        parent: None,
    };
    store.change_images(|images| {
        let mut record = images.images.get(&id).cloned().unwrap_or(record);
        if !names.is_empty() {
            record.tagged = Some(Timestamp::now());
        }
        images.images.insert(id, record);
        for name in names {
            images.names.insert(name.to_string(), NameRecord::of(id));
        }
        Ok::<_, EngineError>(())
    })?;
    for name in names {
        let shown = name.familiar();
        store.record_event("image", "tag", &id.to_string(), &[("name", &shown)]);
    }
    Ok(id)
}
