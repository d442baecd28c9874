//! What the flags of `create` and `run` ask for.

mod config;
mod host;
mod image;
mod lines;
mod mounts;
mod network;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};

use engine::{CreateContainer, Engine, Fresh};
use spec::HostConfig;

use super::foreground::ENGINE;
use super::{bare_platform, pairs, reason, wrong_flag};
use crate::args::Matches;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) use host::{limits, restart_policy};
pub(crate) use lines::variables;

/// What a flag makes of its values.
type Parsed<T> = Result<T, Failure>;

/// `mica create`.
pub(crate) fn run(context: &Context) -> Outcome {
    let request = request(context.matches(), context.environment())?;
    let engine = context.engine()?;
    let created = engine.tell_made(make(context, &engine, request)?);
    context.ui.line(&created.id.to_string());
    Ok(0)
}

/// Makes the container, says what its user should know, and writes its id where it is wanted.
pub(crate) fn make(
    context: &Context,
    engine: &Engine,
    mut request: CreateContainer,
) -> Parsed<Fresh> {
    // Its terminal begins with this size, so that what a program draws first fits.
    if request.config.tty {
        request.host.console_size = context.ui.window();
    }
    warn_of_names(context, &request.host);
    let file = IdFile::of(&request.host)?;
    let fresh = image::create(context, engine, request)?;
    if context.matches().size_bytes("kernel-memory").is_some_and(|bytes| bytes != 0) {
        context
            .ui
            .warn("WARNING: --kernel-memory is left out: kernels have no such limit any more");
    }
    for warning in &fresh.warnings {
        context.ui.warn(&format!("WARNING: {warning}"));
    }
    match file.write(&fresh.id().to_string()) {
        Ok(()) => Ok(fresh),
        Err(failure) => {
            engine.tell_made(fresh);
            Err(failure)
        }
    }
}

/// A server of names at an address of the host's own is another one inside.
pub(crate) fn warn_of_names(context: &Context, host: &HostConfig) {
    let is_local = |server: &&String| {
        server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if let Some(server) = host.dns.iter().flatten().find(is_local) {
        context.ui.warn(&format!("WARNING: Localhost DNS ({server}) may fail in containers."));
    }
}

/// The file, if any is wanted, that the id of a new container is written to: made before there is a
/// container, and gone again if none comes.
pub(crate) struct IdFile(Option<(String, File)>);

impl IdFile {
    /// The file that a request names, unless it is there already.
    pub(crate) fn of(host: &HostConfig) -> Parsed<IdFile> {
        let path = &host.container_id_file;
        if path.is_empty() {
            return Ok(IdFile(None));
        }
        match File::create_new(path) {
            Ok(file) => Ok(IdFile(Some((path.clone(), file)))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::new(format!(
                "container ID file found, make sure the other container isn't running or \
                     delete {path}"
            ))),
            Err(error) => Err(not_written(path, &error)),
        }
    }

    /// Writes the id; from here on the file stays.
    pub(crate) fn write(mut self, id: &str) -> Parsed<()> {
        let Some((path, mut file)) = self.0.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|error| not_written(&path, &error))
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn not_written(path: &str, error: &io::Error) -> Failure {
    let why = reason(error);
    Failure::new(format!("failed to create the container ID file: open {path}: {why}"))
}

/// The request that flags and positionals make, in an environment and from a folder.
pub(crate) fn request(
    matches: &Matches,
    environment: &BTreeMap<String, String>,
) -> Parsed<CreateContainer> {
    let read = read(matches, environment);
    let request = read.map_err(|failure| failure.code_of_words(ENGINE))?;
    // Docker's client looks at it with what the engine is asked.
    let platform =
        matches.string("platform").map(bare_platform).transpose().map_err(|failure| {
            Failure::new(format!("error parsing specified platform: {}", failure.first_line()))
        })?;
    Ok(CreateContainer { platform, ..request })
}

fn read(matches: &Matches, environment: &BTreeMap<String, String>) -> Parsed<CreateContainer> {
    let mut config = config::read(matches, environment)?;
    let mut host: HostConfig = host::read(matches)?;
    mounts::read(matches, &mut config, &mut host)?;
    let networks = network::read(matches, &mut config, &mut host)?;
    let name = matches.string("name").filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(CreateContainer { name, platform: None, config, host, networks })
}

/// `--flag` was given, and what was given is wrong.
fn wrong(flag: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    wrong_flag(&format!("--{flag}"), value, why)
}

/// The values of a list, or `None` if none was given, as docker keeps it.
fn some_list(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}
