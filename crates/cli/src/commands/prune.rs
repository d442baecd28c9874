//! `mica image prune`, `mica system prune`.

use std::time::Duration;

use engine::{CacheRow, ImageFilter, PruneCache, PruneImages, Pruned, Removed};
use serde_json::{Value, json};
use spec::{Timestamp, human_size};

use super::container::{prune_request, tell_pruned};
use super::{filters, formatted, network, volume};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

const DANGLING: &str = "WARNING! This will remove all dangling images.";
const ALL: &str =
    "WARNING! This will remove all images without at least one container associated to them.";
const SURE: &str = "Are you sure you want to continue? [y/N] ";

pub(crate) fn images(context: &Context) -> Outcome {
    let matches = context.matches();
    let (all, filters) = (matches.flag("all"), filters(context)?);
    let request = PruneImages { all, filters, compressed: false };
    let warning = if request.all { ALL } else { DANGLING };
    if !sure(context, &format!("{warning}\n{SURE}")) {
        return Ok(0);
    }
    tell(context, &context.engine()?.prune_images(&request)?)
}

pub(crate) fn system(context: &Context) -> Outcome {
    let matches = context.matches();
    let (all, filters) = (matches.flag("all"), filters(context)?);
    let request = PruneImages { all, filters, compressed: matches.flag("compressed") };
    let until = |filter: &ImageFilter| matches!(filter, ImageFilter::Until(_));
    let volumes = matches.flag("volumes");
    if volumes && request.filters.iter().any(until) {
        let words = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::new(words));
    }
    if !sure(context, &warning(&request, volumes)) {
        return Ok(0);
    }
    let gone = Gone::take(context, &request, volumes)?;
    if formatted(context, [gone.document()])? {
        return Ok(0);
    }
    tell_pruned(context, &gone.containers);
    network::tell_pruned(context, &gone.networks);
    volume::tell_pruned(context, &gone.volumes);
    if !gone.steps.is_empty() {
        context.ui.line("Deleted build cache objects:");
        gone.steps.iter().for_each(|step| context.ui.line(&step.id));
        context.ui.line("");
    }
    tell(context, &gone.images)
}

/// What `system prune` is about to do.
fn warning(request: &PruneImages, volumes: bool) -> String {
    let volumes = match volumes {
        true => "  - all anonymous volumes not used by at least one container\n",
        false => "",
    };
    let images = match request.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let cache = if request.all { "all build cache" } else { "unused build cache" };
    let compressed = match request.compressed {
        true => "  - the compressed form of all layers that are kept plain too\n",
        false => "",
    };
    format!(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{volumes}  - {images}\n  - {cache}\n{compressed}  - whatever unfinished work has left behind\n\n{SURE}"
    )
}

/// What `system prune` removed. The bytes of all of it are counted with the images.
struct Gone {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    steps: Vec<CacheRow>,
    images: Pruned,
}

impl Gone {
    fn take(context: &Context, request: &PruneImages, volumes: bool) -> Result<Gone, Failure> {
        let engine = context.engine()?;
        let texts = context.matches().list("filter");
        let (containers, mut bytes) = engine.prune_containers(&prune_request(texts)?)?;
        let networks = engine.prune_networks(&network::prune_filter(texts)?)?;
        let mut gone = Vec::new();
        if volumes {
            let (names, freed) = engine.prune_volumes(&volume::prune_condition(texts)?)?;
            gone = names;
            bytes += freed;
        }
        let mut images = engine.prune(request)?;
        let (steps, freed) = match build_cache(request) {
            Some(cache) => engine.prune_cache(&cache)?,
            None => (Vec::new(), 0),
        };
        images.bytes += bytes + freed;
        Ok(Gone { containers, networks, volumes: gone, steps, images })
    }

    fn document(&self) -> Value {
        json!({
            "ContainersDeleted": self.containers,
            "NetworksDeleted": self.networks,
            "VolumesDeleted": self.volumes,
            "ImagesDeleted": self.images.removed.iter().map(Removed::document).collect::<Vec<_>>(),
            "CachesDeleted": self.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(),
            "SpaceReclaimed": self.images.bytes,
        })
    }
}

/// What builds remember goes too, but not if only what has a label goes: steps have none.
fn build_cache(request: &PruneImages) -> Option<PruneCache> {
    let now = Timestamp::now().unix_seconds();
    let mut until = None;
    for filter in &request.filters {
        let ImageFilter::Until(time) = filter else { return None };
        let idle = u64::try_from(now - time.unix_seconds()).unwrap_or_default();
        until = until.max(Some(Duration::from_secs(idle)));
    }
    Some(PruneCache { all: request.all, until, ..PruneCache::default() })
}

/// Asks, unless told not to. Where standard output is for documents, the question stays out of it.
pub(super) fn sure(context: &Context, question: &str) -> bool {
    let matches = context.matches();
    let aside = matches.has("format") && matches.string("format").is_some_and(|t| !t.is_empty());
    matches.flag("force") || context.ui.confirm(question, aside)
}

fn tell(context: &Context, pruned: &Pruned) -> Outcome {
    let deleted: Vec<_> = pruned.removed.iter().map(Removed::document).collect();
    if formatted(context, [json!({ "ImagesDeleted": deleted, "SpaceReclaimed": pruned.bytes })])? {
        return Ok(0);
    }
    if !pruned.removed.is_empty() {
        context.ui.line("Deleted Images:");
        for removed in &pruned.removed {
            context.ui.line(&match removed {
                Removed::Untagged(name) => format!("untagged: {name}"),
                Removed::Deleted(id) => format!("deleted: {id}"),
            });
        }
        context.ui.line("");
    }
    context.ui.line(&format!("Total reclaimed space: {}", human_size(pruned.bytes as f64)));
    Ok(0)
}
