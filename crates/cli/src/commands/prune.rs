//! `mica image prune`, `mica system prune`.

use engine::{PruneImages, Removed};
use spec::human_size;

use super::filters;
use crate::context::Context;
use crate::failure::Outcome;

const DANGLING: &str = "WARNING! This will remove all dangling images.";
const ALL: &str =
    "WARNING! This will remove all images without at least one container associated to them.";
const SURE: &str = "Are you sure you want to continue? [y/N] ";

pub(crate) fn images(context: &Context) -> Outcome {
    let matches = context.matches();
    let request = PruneImages { all: matches.flag("all"), filters: filters(context)? };
    let warning = if request.all { ALL } else { DANGLING };
    if !matches.flag("force") && !context.ui.confirm(&format!("{warning}\n{SURE}")) {
        return Ok(0);
    }
    let pruned = context.engine()?.prune_images(&request)?;
    tell(context, &pruned.removed);
    context.ui.line(&format!("Total reclaimed space: {}", human_size(pruned.bytes as f64)));
    Ok(0)
}

pub(crate) fn system(context: &Context) -> Outcome {
    let matches = context.matches();
    let request = PruneImages { all: matches.flag("all"), filters: filters(context)? };
    let images = match request.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let warning = format!(
        "WARNING! This will remove:\n  - {images}\n  - whatever unfinished work has left behind\n\n{SURE}"
    );
    if !matches.flag("force") && !context.ui.confirm(&warning) {
        return Ok(0);
    }
    let pruned = context.engine()?.prune(&request)?;
    tell(context, &pruned.removed);
    context.ui.line(&format!("Total reclaimed space: {}", human_size(pruned.bytes as f64)));
    Ok(0)
}

fn tell(context: &Context, removed: &[Removed]) {
    if removed.is_empty() {
        return;
    }
    context.ui.line("Deleted Images:");
    for removed in removed {
        context.ui.line(&match removed {
            Removed::Untagged(name) => format!("untagged: {name}"),
            Removed::Deleted(id) => format!("deleted: {id}"),
        });
    }
    context.ui.line("");
}
