//! What the flags of `create` and `run` ask for.

mod config;
mod host;
mod lines;
mod mounts;
mod network;

use std::collections::BTreeMap;

use engine::{CreateContainer, Pull};
use spec::HostConfig;

use super::parse_platform;
use crate::args::Matches;
use crate::failure::Failure;

/// What a flag makes of its values.
type Parsed<T> = Result<T, Failure>;

/// Docker's code for a mistake in the command line of `run` and `create`.
const USAGE: u8 = 125;

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
    let pull = match matches.string("pull").unwrap_or("missing") {
        "always" => Pull::Always,
        "missing" | "" => Pull::Missing,
        "never" => Pull::Never,
        other => {
            return Err(Failure::new(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            )));
        }
    };
    if let Some(kind) = matches.string("isolation").filter(|kind| !["", "default"].contains(kind)) {
        return Err(Failure::new(format!("invalid isolation {kind:?}: Linux has only \"default\"")));
    }
    Ok(CreateContainer {
        name: matches.string("name").filter(|name| !name.is_empty()).map(str::to_owned),
        platform,
        pull,
        config,
        host,
        networks,
    })
}

/// `--flag` was given, and what was given is wrong.
fn wrong(flag: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("invalid argument {value:?} for \"--{flag}\" flag: {why}"))
}

/// The values of a list, or `None` if none was given, as docker keeps it.
fn some_list(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

/// `name=value` pairs; a name alone has an empty value.
fn pairs(values: &[String]) -> BTreeMap<String, String> {
    let split = |text: &String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    values.iter().map(split).collect()
}

