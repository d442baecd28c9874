//! `mica pull`.

use engine::{Engine, PullImage};
use spec::{Platform, Reference};

use super::{platform, transfer::Transfer};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let (all_tags, quiet) = (matches.flag("all-tags"), matches.flag("quiet"));
    let name = asked(context)?;
    let pull = PullImage { name: name.clone(), all_tags, platform: platform(context)? };
    let engine = context.engine()?;
    let client = engine.settings().client()?;
    let transfer = Transfer::new(ui, quiet);
    let mut newer = false;
    engine.pull(&client, &pull, &transfer, &mut |pulled| match all_tags {
        true => {
            transfer.digest(pulled);
            newer |= pulled.newer;
        }
        false => transfer.tell(pulled),
    })?;
    if all_tags {
        transfer.status(&name, newer);
    }
    ui.line(&name.to_string());
    Ok(0)
}

/// The name of what is to be pulled, with docker's words about a tag that nobody gave.
pub(crate) fn asked(context: &Context) -> Result<Reference, Failure> {
    let (matches, ui) = (context.matches(), &context.ui);
    let (all_tags, quiet) = (matches.flag("all-tags"), matches.flag("quiet"));
    let name = reference(&context.names()[0])?;
    let is_only = name.tag().is_none() && name.digest().is_none();
    if all_tags && !is_only {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if is_only && !all_tags && !quiet {
        ui.line("Using default tag: latest");
    }
    Ok(if all_tags || name.digest().is_some() { name } else { name.with_default_tag() })
}

/// Pulls an image that a command needs. Nothing of this is on standard output: that is the command's
/// own.
pub(super) fn fetch(
    context: &Context,
    engine: &Engine,
    name: Reference,
    platform: Option<Platform>,
    quiet: bool,
) -> Result<(), Failure> {
    let pull = PullImage { name, all_tags: false, platform };
    let client = engine.settings().client()?;
    let transfer = Transfer::aside(&context.ui, quiet);
    engine.pull(&client, &pull, &transfer, &mut |pulled| transfer.tell(pulled))?;
    Ok(())
}

/// A name as docker's client checks it before it asks anybody.
pub(crate) fn reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|error| Failure::new(error.to_string()))
}
