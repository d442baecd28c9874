//! `mica pull`.

use engine::{PullImage, Pulled};
use spec::Reference;

use super::{platform, transfer::Transfer};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
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
    let name = if all_tags || name.digest().is_some() { name } else { name.with_default_tag() };
    let pull = PullImage { name: name.clone(), all_tags, platform: platform(context)? };
    let engine = context.engine()?;
    let client = engine.settings().client()?;
    let mut tell = |pulled: &Pulled| {
        if quiet {
            return;
        }
        let familiar = pulled.name.familiar();
        ui.line(&format!("Digest: {}", pulled.digest));
        ui.line(&match pulled.newer {
            true => format!("Status: Downloaded newer image for {familiar}"),
            false => format!("Status: Image is up to date for {familiar}"),
        });
    };
    engine.pull(&client, &pull, &Transfer::new(ui, quiet), &mut tell)?;
    ui.line(&name.to_string());
    Ok(0)
}

/// A name as docker's client checks it before it asks anybody.
pub(super) fn reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|error| Failure::new(error.to_string()))
}
