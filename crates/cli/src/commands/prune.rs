//! `mica image prune`, `mica system prune`.

use std::time::Duration;

use engine::{ImageFilter, PruneCache, PruneImages, Pruned, Removed};
use serde_json::{Value, json};
use spec::{Timestamp, human_size};

use super::container::{prune_request, tell_pruned};
use super::{filters, formatted, network, volume};
use crate::args::Matches;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

const DANGLING: &str = "WARNING! This will remove all dangling images.";
const ALL: &str =
    "WARNING! This will remove all images without at least one container associated to them.";
const SURE: &str = "Are you sure you want to continue? [y/N] ";

pub(crate) fn images(context: &Context) -> Outcome {
    let (all, filters) = (context.matches().flag("all"), filters(context)?);
    let request = PruneImages { all, filters, compressed: false };
    if !sure_of_images(context) {
        return Ok(0);
    }
    tell(context, &context.engine()?.prune_images(&request)?)
}

/// Asks whether images shall go.
pub(crate) fn sure_of_images(context: &Context) -> bool {
    let warning = if context.matches().flag("all") { ALL } else { DANGLING };
    sure(context, &format!("{warning}\n{SURE}"))
}

pub(crate) fn system(context: &Context) -> Outcome {
    let matches = context.matches();
    let (all, filters) = (matches.flag("all"), filters(context)?);
    let request = PruneImages { all, filters, compressed: matches.flag("compressed") };
    if !sure_of_all(context)? {
        return Ok(0);
    }
    Gone::take(context, &request)?.tell(context)
}

/// Asks whether all that `system prune` removes shall go.
pub(crate) fn sure_of_all(context: &Context) -> Result<bool, Failure> {
    let matches = context.matches();
    let mut names = matches.list("filter").iter().filter_map(|text| text.split_once('='));
    if matches.flag("volumes") && names.any(|(name, _)| name.trim().eq_ignore_ascii_case("until")) {
        let words = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::new(words));
    }
    Ok(sure(context, &warning(matches)))
}

/// What `system prune` is about to do.
fn warning(matches: &Matches) -> String {
    let volumes = match matches.flag("volumes") {
        true => "  - all anonymous volumes not used by at least one container\n",
        false => "",
    };
    let all = matches.flag("all");
    let images = match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let cache = if all { "all build cache" } else { "unused build cache" };
    let compressed = match matches.flag("compressed") {
        true => "  - the compressed form of all layers that are kept plain too\n",
        false => "",
    };
    format!(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{volumes}  - {images}\n  - {cache}\n{compressed}  - whatever unfinished work has left behind\n\n{SURE}"
    )
}

/// What `system prune` removed. The bytes of all of it are counted with the images.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) containers: Vec<String>,
    pub(crate) networks: Vec<String>,
    pub(crate) volumes: Vec<String>,
    pub(crate) steps: Vec<String>,
    pub(crate) images: Pruned,
}

impl Gone {
    fn take(context: &Context, request: &PruneImages) -> Result<Gone, Failure> {
        let engine = context.engine()?;
        let texts = context.matches().list("filter");
        let (containers, mut bytes) = engine.prune_containers(&prune_request(texts)?)?;
        let networks = engine.prune_networks(&network::prune_filter(texts)?)?;
        let mut gone = Vec::new();
        if context.matches().flag("volumes") {
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
        let steps = steps.into_iter().map(|step| step.id).collect();
        Ok(Gone { containers, networks, volumes: gone, steps, images })
    }

    fn document(&self) -> Value {
        json!({
            "ContainersDeleted": self.containers,
            "NetworksDeleted": self.networks,
            "VolumesDeleted": self.volumes,
            "ImagesDeleted": self.images.removed.iter().map(Removed::document).collect::<Vec<_>>(),
            "CachesDeleted": self.steps,
            "SpaceReclaimed": self.images.bytes,
        })
    }

    /// Says what went.
    pub(crate) fn tell(&self, context: &Context) -> Outcome {
        if formatted(context, [self.document()])? {
            return Ok(0);
        }
        tell_pruned(context, &self.containers);
        network::tell_pruned(context, &self.networks);
        volume::tell_pruned(context, &self.volumes);
        if !self.steps.is_empty() {
            context.ui.line("Deleted build cache objects:");
            self.steps.iter().for_each(|id| context.ui.line(id));
            context.ui.line("");
        }
        tell(context, &self.images)
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
pub(crate) fn sure(context: &Context, question: &str) -> bool {
    let matches = context.matches();
    let aside = matches.has("format") && matches.string("format").is_some_and(|t| !t.is_empty());
    matches.flag("force") || context.ui.confirm(question, aside)
}

/// Says which images went.
pub(crate) fn tell(context: &Context, pruned: &Pruned) -> Outcome {
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
