//! `mica inspect`, `mica image inspect`.

use engine::{Engine, EngineError};
use serde_json::Value;

use super::bare_platform;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{self, indented};
use crate::template::{Functions, Template};
use crate::typed::rendered;

/// The kinds of things that docker can inspect.
const TYPES: [&str; 10] = [
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

pub(crate) fn image(context: &Context) -> Outcome {
    let text = context.matches().string("platform").filter(|text| !text.is_empty());
    let platform = text.map(bare_platform).transpose()?;
    let engine = context.engine()?;
    show(context, "image", &|name| Ok(engine.inspect(name, platform.as_ref())?))
}

pub(crate) fn any(context: &Context) -> Outcome {
    let kind = kind(context)?;
    let sizes = context.matches().flag("size");
    let engine: Engine = context.engine()?;
    let inspect = |name: &str| match kind {
        "" => match engine.inspect_container_if_any(name, sizes)? {
            Some(document) => Ok(document),
            None => other(context, &engine, name, sizes),
        },
        "container" => Ok(engine.inspect_container(name, sizes)?),
        "network" => network(&engine, name),
        "volume" => volume(&engine, name),
        "image" => Ok(engine.inspect(name, None)?),
        kind => Err(Failure::new(format!("Error response from daemon: No such {kind}: {name}"))),
    };
    show(context, if kind.is_empty() { "container" } else { kind }, &inspect)
}

/// The kind of things that is asked about, if one is named.
pub(crate) fn kind(context: &Context) -> Result<&str, Failure> {
    let kind = context.matches().string("type").unwrap_or_default();
    let known = TYPES.map(|known| format!("\"{known}\"")).join(", ");
    match context.matches().given("type") {
        true if kind.is_empty() => {
            Err(Failure::new(format!("type is empty: must be one of {known}")))
        }
        true if !TYPES.contains(&kind) => {
            Err(Failure::new(format!("unknown type: \"{kind}\": must be one of {known}")))
        }
        _ => Ok(kind),
    }
}

/// What docker's client says to a name that is none, before it asks.
pub(crate) fn check_name(kind: &str, name: &str) -> Result<(), Failure> {
    match name.is_empty() {
        true => Err(Failure::new(format!("invalid {kind} name or ID: value is empty"))),
        false => Ok(()),
    }
}

/// What is no container, in docker's order: an image, a network, a volume.
fn other(context: &Context, engine: &Engine, name: &str, sizes: bool) -> Result<Value, Failure> {
    let ignored = |kind: &str| {
        if sizes {
            context.ui.warn(&format!("WARNING: --size ignored for {kind}"));
        }
    };
    match engine.inspect(name, None) {
        Err(EngineError::NoSuchImage(_) | EngineError::Reference { .. }) => {}
        found => {
            ignored("image");
            return Ok(found?);
        }
    }
    match engine.inspect_network(name) {
        Err(error) if super::network::is_missing(&error) => {}
        found => {
            ignored("network");
            let (network, endpoints) = found?;
            return Ok(engine::network_document(&network, &endpoints));
        }
    }
    match engine.volume(name) {
        Err(EngineError::NoSuchVolume(_)) => {
            Err(Failure::new(format!("Error: No such object: {name}")))
        }
        found => {
            ignored("volume");
            document(&found?)
        }
    }
}

fn network(engine: &Engine, name: &str) -> Result<Value, Failure> {
    let (network, endpoints) = engine.inspect_network(name)?;
    Ok(engine::network_document(&network, &endpoints))
}

fn volume(engine: &Engine, name: &str) -> Result<Value, Failure> {
    document(&engine.volume(name)?)
}

fn document(volume: &engine::Volume) -> Result<Value, Failure> {
    serde_json::to_value(volume).map_err(|error| Failure::new(error.to_string()))
}

pub(crate) fn container(context: &Context) -> Outcome {
    let sizes = context.matches().flag("size");
    let engine = context.engine()?;
    show(context, "container", &|name| Ok(engine.inspect_container(name, sizes)?))
}

/// Shows all that is found of what the command line names, then says what is not.
pub(crate) fn show(
    context: &Context,
    kind: &str,
    inspect: &dyn Fn(&str) -> Result<Value, Failure>,
) -> Outcome {
    let inspect = |name: &str| check_name(kind, name).and_then(|()| inspect(name));
    show_named(context, context.names(), &inspect)
}

/// The same of these names.
pub(super) fn show_named(
    context: &Context,
    names: &[String],
    inspect: &dyn Fn(&str) -> Result<Value, Failure>,
) -> Outcome {
    let format = context.matches().string("format").filter(|format| !format.is_empty());
    if let Some(format) = format.filter(|format| *format != "json") {
        let parsed = Template::parse(format, &Functions::docker());
        parsed.map_err(|error| Failure::from(error).code(show::NO_TEMPLATE))?;
    }
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match inspect(name) {
            Ok(document) => found.push(document),
            Err(failure) => failures.push(failure),
        }
    }
    match format {
        None => context.ui.line(&indented(&Value::Array(found))),
        Some("json") => context.ui.line(&Value::Array(found).to_string()),
        Some(format) => {
            let mut lines = String::new();
            for document in &found {
                match rendered(format, document) {
                    Ok(text) => lines.push_str(&format!("{text}\n")),
                    Err(failure) => {
                        // Docker prints what it has before it complains, and be it nothing.
                        context.ui.print(if lines.is_empty() { "\n" } else { &lines });
                        return Err(failure);
                    }
                }
            }
            context.ui.print(if lines.is_empty() { "\n" } else { &lines });
        }
    }
    match failures.is_empty() {
        true => Ok(0),
        false => {
            for failure in &failures {
                // What docker says too is said as docker says it; our own errors say why.
                match failure.first_line().starts_with("error: ") {
                    true => _ = failure.tell(&context.ui),
                    false => context.ui.warn(failure.first_line()),
                }
            }
            Err(Failure::silent(1))
        }
    }
}
