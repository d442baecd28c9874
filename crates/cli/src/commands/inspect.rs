//! `mica inspect`, `mica image inspect`.

use engine::{Engine, EngineError};
use serde_json::Value;

use super::platform;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{indented, templated};

/// The kinds of things that docker can inspect.
const TYPES: [&str; 11] = [
    "config", "container", "image", "network", "node", "plugin", "secret", "service", "task",
    "volume", "",
];

pub(crate) fn image(context: &Context) -> Outcome {
    let platform = platform(context)?;
    let engine = context.engine()?;
    show(context, &|name| Ok(engine.inspect(name, platform.as_ref())?))
}

pub(crate) fn any(context: &Context) -> Outcome {
    let kind = context.matches().string("type").unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(Failure::new(format!("\"{kind}\" is not a valid value for --type")));
    }
    let engine: Engine = context.engine()?;
    let inspect = |name: &str| match kind {
        "" | "image" => match engine.inspect(name, None) {
            Err(EngineError::NoSuchImage(_) | EngineError::Reference { .. }) if kind.is_empty() => {
                Err(Failure::new(format!("Error: No such object: {name}")))
            }
            other => Ok(other?),
        },
        kind => Err(Failure::new(format!("Error: No such {kind}: {name}"))),
    };
    show(context, &inspect)
}

/// Shows all that is found, then says what is not.
fn show(context: &Context, inspect: &dyn Fn(&str) -> Result<Value, Failure>) -> Outcome {
    let format = context.matches().string("format").filter(|format| !format.is_empty());
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for name in context.names() {
        match inspect(name) {
            Ok(document) => found.push(document),
            Err(failure) => failures.push(failure),
        }
    }
    match format {
        None => context.ui.line(&indented(&Value::Array(found))),
        Some("json") => context.ui.line(&Value::Array(found).to_string()),
        Some(format) => {
            for document in &found {
                context.ui.line(&templated(format, document)?);
            }
            if found.is_empty() {
                context.ui.line("");
            }
        }
    }
    match failures.is_empty() {
        true => Ok(0),
        false => {
            failures.iter().for_each(|failure| context.ui.warn(failure.first_line()));
            Err(Failure::silent(1))
        }
    }
}
