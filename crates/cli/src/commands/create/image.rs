//! The image of a new container, pulled first where that is wanted or needed.

use engine::{CreateContainer, Engine, EngineError, Fresh};
use spec::{Digest, Reference};

use super::Parsed;
use crate::args::Matches;
use crate::commands::foreground::ENGINE;
use crate::commands::pull::{fetch, reference};
use crate::context::Context;
use crate::failure::Failure;

/// When an image is pulled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pull {
    Always,
    Missing,
    Never,
}

impl Pull {
    fn read(matches: &Matches) -> Parsed<Pull> {
        match matches.string("pull").unwrap_or("missing") {
            "always" => Ok(Pull::Always),
            "missing" | "" => Ok(Pull::Missing),
            "never" => Ok(Pull::Never),
            other => {
                let words = format!(
                    "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
                );
                Err(Failure::new(words).code(ENGINE))
            }
        }
    }
}

/// Makes the container, with its image pulled as `--pull` says.
pub(super) fn create(
    context: &Context,
    engine: &Engine,
    request: CreateContainer,
) -> Parsed<Fresh> {
    let (matches, pull) = (context.matches(), Pull::read(context.matches())?);
    let quiet = matches.flag("quiet");
    let name = name(&request.config.image)?;
    let get = |name: Reference| fetch(context, engine, name, request.platform.clone(), quiet);
    if let (Pull::Always, Some(name)) = (pull, &name) {
        get(name.clone())?;
    }
    let error = match engine.make_container(request.clone()) {
        Ok(created) => return Ok(created),
        Err(error) => error,
    };
    let Some(name) = name.filter(|name| pull == Pull::Missing && is_missing(&error, name)) else {
        return Err(error.into());
    };
    if !quiet {
        context.ui.warn(&format!("Unable to find image '{}' locally", name.familiar()));
    }
    get(name)?;
    Ok(engine.make_container(request)?)
}

/// What would be pulled; an id names nothing that a registry has.
fn name(image: &str) -> Parsed<Option<Reference>> {
    let is_id = |text: &str| text.parse::<Digest>().is_ok();
    if is_id(image) || is_id(&format!("sha256:{image}")) {
        return Ok(None);
    }
    let name = reference(image)?;
    let is_whole = name.digest().is_some();
    Ok(Some(if is_whole { name } else { name.with_default_tag() }))
}

/// Whether the image is not here, or not for the platform that is wanted. Others may be missing too:
/// those that are to be mounted.
fn is_missing(error: &EngineError, name: &Reference) -> bool {
    match error {
        EngineError::NoSuchImage(missing) => {
            Reference::parse(missing).is_ok_and(|missing| missing.with_default_tag() == *name)
        }
        EngineError::NoPlatform { .. } => true,
        _ => false,
    }
}
