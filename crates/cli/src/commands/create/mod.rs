//! What the flags of `create` and `run` ask for.

mod config;
mod host;
mod image;
mod lines;
mod mounts;
mod network;

use std::collections::BTreeMap;
use std::path::Path;

use engine::{CreateContainer, Engine};
use spec::{ContainerId, HostConfig};

use super::{pairs, parse_platform, reason};
use crate::args::Matches;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) use host::limits;
pub(crate) use lines::variables;

/// What a flag makes of its values.
type Parsed<T> = Result<T, Failure>;

/// Docker's code for a mistake in the command line of `run` and `create`.
const USAGE: u8 = 125;

/// `mica create`.
pub(crate) fn run(context: &Context) -> Outcome {
    let request = request(context.matches(), context.environment())?;
    let id = make(context, &context.engine()?, request)?;
    context.ui.line(&id.to_string());
    Ok(0)
}

/// Makes the container, says what its user should know, and writes its id where it is wanted.
pub(crate) fn make(
    context: &Context,
    engine: &Engine,
    mut request: CreateContainer,
) -> Parsed<ContainerId> {
    // Its terminal begins with this size, so that what a program draws first fits.
    if request.config.tty {
        request.host.console_size = context.ui.window();
    }
    let file = Some(request.host.container_id_file.clone()).filter(|file| !file.is_empty());
    if let Some(file) = file.as_ref().filter(|file| Path::new(file).exists()) {
        return Err(Failure::new(format!(
            "container ID file found, make sure the other container isn't running or delete {file}"
        ))
        .code(USAGE));
    }
    let created = image::create(context, engine, request).map_err(|failure| failure.code(USAGE))?;
    if context.matches().size_bytes("kernel-memory").is_some_and(|bytes| bytes != 0) {
        context
            .ui
            .warn("WARNING: --kernel-memory is left out: kernels have no such limit any more");
    }
    for warning in &created.warnings {
        context.ui.warn(&format!("WARNING: {warning}"));
    }
    if let Some(file) = file {
        std::fs::write(&file, created.id.to_string()).map_err(|error| {
            let why = reason(&error);
            Failure::new(format!("failed to create the container ID file: open {file}: {why}"))
                .code(USAGE)
        })?;
    }
    Ok(created.id)
}

/// The request that flags and positionals make, in an environment and from a folder.
pub(crate) fn request(
    matches: &Matches,
    environment: &BTreeMap<String, String>,
) -> Parsed<CreateContainer> {
    read(matches, environment).map_err(|failure| failure.code(USAGE))
}

fn read(matches: &Matches, environment: &BTreeMap<String, String>) -> Parsed<CreateContainer> {
    let mut config = config::read(matches, environment)?;
    let mut host: HostConfig = host::read(matches)?;
    mounts::read(matches, &mut config, &mut host)?;
    let networks = network::read(matches, &mut config, &mut host)?;
    let platform = matches.string("platform").map(parse_platform).transpose()?;
    if let Some(kind) = matches.string("isolation").filter(|kind| !["", "default"].contains(kind)) {
        return Err(Failure::new(format!(
            "invalid isolation {kind:?}: Linux has only \"default\""
        )));
    }
    let name = matches.string("name").filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(CreateContainer { name, platform, config, host, networks })
}

/// `--flag` was given, and what was given is wrong.
fn wrong(flag: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("invalid argument {value:?} for \"--{flag}\" flag: {why}"))
}

/// The values of a list, or `None` if none was given, as docker keeps it.
fn some_list(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}
