//! `mica rmi`.

use engine::{Kind, RemoveImages, Removed};

use super::{bare_platform, formatted};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let force = matches.flag("force");
    let platforms = matches.list("platform").iter().map(|text| bare_platform(text));
    let request = RemoveImages {
        names: context.names().to_vec(),
        force,
        no_prune: matches.flag("no-prune"),
        platforms: platforms.collect::<Result<_, _>>()?,
    };
    let (mut failures, mut fatal) = (Vec::new(), false);
    for removed in context.engine()?.remove(&request)? {
        match removed {
            Ok(removed) if formatted(context, removed.iter().map(Removed::document))? => {}
            Ok(removed) => removed.iter().for_each(|removed| tell(context, removed)),
            Err(error) => {
                fatal |= error.kind() != Kind::NotFound;
                failures.push(Failure::from(error));
            }
        }
    }
    failures.iter().for_each(|failure| {
        failure.tell(&context.ui);
    });
    match failures.is_empty() || (force && !fatal) {
        true => Ok(0),
        false => Err(Failure::silent(1)),
    }
}

fn tell(context: &Context, removed: &Removed) {
    context.ui.line(&match removed {
        Removed::Untagged(name) => format!("Untagged: {name}"),
        Removed::Deleted(id) => format!("Deleted: {id}"),
    });
}
