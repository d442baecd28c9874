//! `mica image prune`, `mica system prune`.

use engine::{ImageFilter, PruneImages, Pruned, Removed};
use serde_json::json;
use spec::human_size;

use super::container::{prune_request, tell_pruned};
use super::rmi::document;
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
    let images = match request.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let until = |filter: &ImageFilter| matches!(filter, ImageFilter::Until(_));
    if matches.flag("volumes") && request.filters.iter().any(until) {
        let words = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::new(words));
    }
    let volumes = match matches.flag("volumes") {
        true => "  - all anonymous volumes not used by at least one container\n",
        false => "",
    };
    let compressed = match request.compressed {
        true => "  - the compressed form of all layers that are kept plain too\n",
        false => "",
    };
    let warning = format!(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{volumes}  - {images}\n{compressed}  - whatever unfinished work has left behind\n\n{SURE}"
    );
    if !sure(context, &warning) {
        return Ok(0);
    }
    let engine = context.engine()?;
    let texts = matches.list("filter");
    let (containers, mut bytes) = engine.prune_containers(&prune_request(texts)?)?;
    let networks = engine.prune_networks(&network::prune_filter(texts)?)?;
    let volumes = match matches.flag("volumes") {
        true => {
            let (names, freed) = engine.prune_volumes(&volume::prune_condition(texts)?)?;
            bytes += freed;
            names
        }
        false => Vec::new(),
    };
    let mut pruned = engine.prune(&request)?;
    pruned.bytes += bytes;
    if matches.string("format").is_none_or(str::is_empty) {
        tell_pruned(context, &containers);
        network::tell_pruned(context, &networks);
        volume::tell_pruned(context, &volumes);
        return tell(context, &pruned);
    }
    let deleted: Vec<_> = pruned.removed.iter().map(document).collect();
    formatted(
        context,
        [json!({
            "ContainersDeleted": containers,
            "NetworksDeleted": networks,
            "VolumesDeleted": volumes,
            "ImagesDeleted": deleted,
            "SpaceReclaimed": pruned.bytes,
        })],
    )?;
    Ok(0)
}

/// Asks, unless told not to. Where standard output is for documents, the question stays out of it.
pub(super) fn sure(context: &Context, question: &str) -> bool {
    let matches = context.matches();
    let aside = matches.has("format") && matches.string("format").is_some_and(|t| !t.is_empty());
    matches.flag("force") || context.ui.confirm(question, aside)
}

fn tell(context: &Context, pruned: &Pruned) -> Outcome {
    let deleted: Vec<_> = pruned.removed.iter().map(document).collect();
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
