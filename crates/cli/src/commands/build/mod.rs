//! `mica build`.

pub(super) mod agents;
pub(super) mod attests;
pub(super) mod caches;
mod findings;
pub(crate) mod flags;
pub(super) mod metadata;
pub(super) mod outputs;
mod plain;
mod raw;
mod shell;
pub(super) mod show;
pub(crate) mod surroundings;
mod tty;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use engine::{
    BuildInput, BuildRequest, Built, CacheUse, ContextSource, Divergence, DockerfileSource,
    EngineError, Output, Verified,
};

use self::show::{Style, told};
use super::build_call;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    if let Some(call) = build_call::asked(context)? {
        return build_call::run(context, call);
    }
    flags::refuse_what_is_not_there(context)?;
    let matches = context.matches();
    if let Some(moment) = matches.string("shell-at") {
        return shell::run(context, moment);
    }
    let style = Style::of(context)?;
    let engine = context.engine()?;
    let request = request(context)?;
    let shows_id = style == Style::Quiet && !request.outputs.iter().any(Output::is_stream);
    let file = matches.string("file").filter(|file| !file.is_empty());
    let verifies = matches.flag("verify");
    let place = context.names()[0].as_str();
    if verifies && (place == "-" || file == Some("-")) {
        let words = "ERROR: --verify reads what it builds twice: it cannot be standard input";
        return Err(Failure::new(words));
    }
    let first = input(place, file)?;
    let watch = style.watch(context);
    let done = match verifies {
        true => engine.verify_build([first, input(place, file)?], request, &*watch),
        false => {
            let built = engine.build(first, &request, &*watch);
            built.map(|built| Verified { built, divergences: Vec::new() })
        }
    };
    watch.over();
    let Verified { built, divergences } = done.map_err(|failure| told(context, style, *failure))?;
    tell(context, &built, shows_id)?;
    tell_divergences(context, &divergences)
}

/// What the command line asks for.
fn request(context: &Context) -> Result<BuildRequest, Failure> {
    let matches = context.matches();
    let short = (matches.string("provenance"), matches.string("sbom"));
    let agents = agents::agents(context, matches.list("ssh"))?;
    let attests::Attests { provenance, sbom } = attests::attests(short, matches.list("attest"))?;
    let outputs = outputs::Asked {
        outputs: matches.list("output"),
        push: matches.flag("push"),
        load: matches.flag("load"),
        names: flags::tags(matches.list("tag"))?,
        annotations: matches.list("annotation"),
    };
    let mut outputs = outputs.read()?;
    outputs::check_mirrors(&mut outputs, matches.list("allow"))?;
    Ok(BuildRequest {
        contexts: flags::named_contexts(matches)?,
        arguments: arguments(context)?,
        target: matches.string("target").filter(|name| !name.is_empty()).map(str::to_owned),
        platforms: flags::platforms(&surroundings::platforms(context))?,
        outputs,
        labels: super::pairs(matches.list("label")),
        cache: cache(matches.flag("no-cache"), matches.list("no-cache-filter")),
        cache_from: caches::sources(
            &caches::usable(context, matches.list("cache-from")),
            context.environment(),
        )?,
        cache_to: caches::targets(
            &caches::usable(context, matches.list("cache-to")),
            context.environment(),
        )?,
        provenance,
        sbom,
        squash: matches.flag("squash"),
        pull: matches.flag("pull"),
        host: flags::host(matches)?,
        secrets: flags::secrets(context, matches.list("secret"))?,
        agents: agents.sockets,
        keyring: agents.keyring,
        allowed: matches.list("allow").to_vec(),
        explain: matches.flag("explain"),
        fail_on_miss: matches.string("fail-on-miss").map(|stage| match stage {
            "any" => String::new(),
            stage => stage.to_owned(),
        }),
        output_on_failure: matches
            .string("output-on-failure")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from),
        ..BuildRequest::default()
    })
}

/// Writes down what was made where that was asked for.
fn tell(context: &Context, built: &Built, shows_id: bool) -> Result<(), Failure> {
    let matches = context.matches();
    if let Some(file) = matches.string("metadata-file").filter(|file| !file.is_empty()) {
        let wanted = metadata::Wanted::of(context);
        let mut told = metadata::document(built, wanted);
        metadata::add_warnings(&mut told, [built], wanted);
        metadata::write(file, &told)?;
    }
    if let Some(id) = metadata::shown(built) {
        if let Some(file) = matches.string("iidfile").filter(|file| !file.is_empty()) {
            std::fs::write(file, &id).map_err(EngineError::io("write", file))?;
        }
        if shows_id {
            context.ui.line(&id);
        }
    }
    Ok(())
}

/// What two builds gave differently; that makes the command fail.
fn tell_divergences(context: &Context, divergences: &[Divergence]) -> Outcome {
    for Divergence { platform, step, what, how } in divergences {
        let by = step.as_ref().map_or("configuration".to_owned(), |step| format!("by {step}"));
        context.ui.line(&format!("{what}: {} ({platform}, {by})", how.join(", ")));
    }
    match divergences.len() {
        0 => Ok(0),
        count => {
            let words = format!("ERROR: the second build differs from the first in {count} places");
            Err(Failure::new(words))
        }
    }
}

/// Where the context and the Dockerfile are.
pub(super) fn input(place: &str, file: Option<&str>) -> Result<BuildInput<'static>, Failure> {
    if place == "-" && file == Some("-") {
        return Err(Failure::new(
            "ERROR: invalid argument: can't use stdin for both build context and dockerfile",
        ));
    }
    let dockerfile = match file {
        Some("-") => DockerfileSource::Reader(Box::new(io::stdin())),
        Some(path) => DockerfileSource::Path(PathBuf::from(path)),
        None => DockerfileSource::Usual,
    };
    let source = match place {
        "-" => ContextSource::Reader(Box::new(io::stdin())),
        address if engine::is_remote_context(address) => ContextSource::Url(address.to_owned()),
        path if Path::new(path).is_file() => {
            let file = std::fs::File::open(path).map_err(EngineError::io("open", path))?;
            ContextSource::Reader(Box::new(file))
        }
        path => ContextSource::Folder(PathBuf::from(path)),
    };
    Ok(BuildInput { context: source, dockerfile })
}

/// `--build-arg`, and what the environment says about time.
fn arguments(context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let mut list = build_call::build_arguments(context, context.matches().list("build-arg"));
    surroundings::add_arguments(context, None, &mut list);
    Ok(list)
}

/// What may be remembered: all, nothing, or all but these stages.
pub(super) fn cache(none: bool, stages: &[String]) -> CacheUse {
    match (none, stages.is_empty()) {
        (true, _) => CacheUse::None,
        (false, true) => CacheUse::All,
        (false, false) => CacheUse::But(
            stages.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        ),
    }
}

/// Serves a step of a build.
pub(crate) fn once(_: &Context) -> Outcome {
    engine::run_once()?;
    Ok(0)
}
