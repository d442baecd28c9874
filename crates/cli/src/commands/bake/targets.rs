//! The targets of a bake built: those that need each other one after the other, others side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use engine::{
    BAKE_HERE as HERE, BakePlan, BakeTarget, BuildInput, BuildRequest, BuildSession, Built,
    ContextSource, DockerfileSource, EngineError, Output,
};
use serde_json::{Map, Value};
use spec::HostConfig;

use super::TOKEN;
use super::privileges::{asks, granted};
use super::taken::Taken;
use crate::commands::build::show::{Style, told};
use crate::commands::build::{self, attests, caches, flags, metadata, outputs, surroundings};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// Keys that ask for what is not there: to take them and do nothing would be a lie.
const NOT_THERE: &[&str] = &["call", "policy", "resources"];

/// Builds all targets of a plan. What a definition that is kept elsewhere takes from this machine must
/// be granted.
pub(super) fn build(context: &Context, plan: &BakePlan, remote: Option<&str>) -> Outcome {
    let mut requests = BTreeMap::new();
    for (name, target) in &plan.targets {
        requests.insert(name.as_str(), request(context, name, target, plan)?);
    }
    let taken = remote.map(|_| Taken::by_build(context, plan, &requests)).transpose()?;
    let granted = granted(context, plan, taken.as_ref())?;
    for (name, request) in &mut requests {
        let target = &plan.targets[*name];
        // What is granted counts only for those who ask for it.
        request.allowed = granted.iter().filter(|one| asks(target, one)).cloned().collect();
        give_keys(context, target, remote, request)?;
    }
    let style = Style::of(context)?;
    let engine = context.engine()?;
    let watch = style.watch(context);
    let all = engine.build_session(&*watch).map_err(Failure::from).and_then(|session| {
        let all = in_rounds(&session, plan, &requests);
        watch.over();
        all.map_err(|failed| match failed {
            Failed::Build(failure) => told(context, style, *failure),
            Failed::Input(failure) => failure,
        })
    })?;
    if let Some(file) = context.matches().string("metadata-file").filter(|file| !file.is_empty()) {
        let wanted = metadata::Wanted::of(context);
        let own = |(name, built): (&&str, &Built)| {
            ((*name).to_owned(), metadata::document(built, wanted))
        };
        let mut told = Value::Object(all.iter().map(own).collect::<Map<_, _>>());
        metadata::add_warnings(&mut told, all.values(), wanted);
        metadata::write(file, &told)?;
    }
    Ok(0)
}

/// Why a target was not built.
enum Failed {
    Build(Box<engine::BuildFailure>),
    Input(Failure),
}

/// Builds in each round the targets whose contexts are there.
fn in_rounds<'a>(
    session: &BuildSession<'_>,
    plan: &'a BakePlan,
    requests: &BTreeMap<&str, BuildRequest>,
) -> Result<BTreeMap<&'a str, Built>, Failed> {
    let mut done: BTreeMap<&str, Built> = BTreeMap::new();
    let mut left: BTreeSet<&str> = plan.targets.keys().map(String::as_str).collect();
    while !left.is_empty() {
        let is_ready = |name: &&str| {
            let links = plan.targets[*name].map("contexts").filter_map(linked);
            links.into_iter().all(|link| !left.contains(link))
        };
        let (ready, rest): (BTreeSet<&str>, _) = left.iter().copied().partition(is_ready);
        left = rest;
        let built = std::thread::scope(|scope| {
            let begin = |name: &&'a str| {
                let (target, request) = (&plan.targets[*name], &requests[*name]);
                scope.spawn(move || {
                    let input = input(target).map_err(Failed::Input)?;
                    session.build(input, request).map_err(Failed::Build)
                })
            };
            let begun: Vec<_> = ready.iter().map(begin).collect();
            let end = |one: std::thread::ScopedJoinHandle<'_, _>| {
                one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            begun.into_iter().map(end).collect::<Vec<Result<Built, Failed>>>()
        });
        for (name, built) in ready.into_iter().zip(built) {
            done.insert(name, built?);
        }
    }
    Ok(done)
}

/// The target that a context is, if it is one.
fn linked<'a>((_, from): (&str, &'a str)) -> Option<&'a str> {
    from.strip_prefix("target:")
}

/// What a target asks for, but for its keys: nothing of this machine is read yet.
fn request(
    context: &Context,
    name: &str,
    target: &BakeTarget,
    plan: &BakePlan,
) -> Result<BuildRequest, Failure> {
    refuse_what_is_not_there(name, target)?;
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut arguments: BTreeMap<String, String> = target.map("args").map(own).collect();
    surroundings::add_arguments(context, None, &mut arguments);
    let mut outputs = match plan.is_asked(name) {
        true => outputs::Asked {
            outputs: &target.rows("output"),
            push: false,
            load: false,
            names: flags::tags(target.list("tags"))?,
            annotations: target.list("annotations"),
        }
        .read()?,
        // Others begin with it; that is all that it is for.
        false => vec![Output::Nothing],
    };
    outputs::check_mirrors(&mut outputs, context.matches().list("allow"))?;
    let attests::Attests { provenance, sbom } =
        attests::attests((None, None), &target.rows("attest"))?;
    Ok(BuildRequest {
        contexts: target.map("contexts").map(own).collect(),
        arguments,
        target: target.text("target").map(str::to_owned),
        called: Some(name.to_owned()),
        platforms: flags::platforms(target.list("platforms"))?,
        outputs,
        labels: target.map("labels").map(own).collect(),
        cache: build::cache(target.is_set("no-cache"), target.list("no-cache-filter")),
        cache_from: caches::sources(
            &caches::usable(context, &target.rows("cache-from")),
            context.environment(),
        )?,
        cache_to: caches::targets(
            &caches::usable(context, &target.rows("cache-to")),
            context.environment(),
        )?,
        provenance,
        sbom,
        pull: target.is_set("pull"),
        host: host(target)?,
        ..BuildRequest::default()
    })
}

/// Gives a target its secrets and agents, and what opens the repository that its definition and its
/// context are kept in.
fn give_keys(
    context: &Context,
    target: &BakeTarget,
    remote: Option<&str>,
    request: &mut BuildRequest,
) -> Result<(), Failure> {
    request.secrets = flags::secrets(context, &target.rows("secret"))?;
    let token = context.variable(TOKEN).filter(|token| !token.is_empty());
    let id = remote.and_then(|repository| token_id(target, repository));
    if let (Some(id), Some(token)) = (id, token) {
        request.secrets.entry(id).or_insert_with(|| token.as_bytes().to_vec());
    }
    let agents = build::agents::agents(context, &agents(target))?;
    (request.agents, request.keyring) = (agents.sockets, agents.keyring);
    Ok(())
}

/// The id of the secret that opens a repository, if one of a target's contexts is of it.
fn token_id(target: &BakeTarget, repository: &str) -> Option<String> {
    let named = target.map("contexts").map(|(_, address)| address);
    let mut contexts = target.text("context").into_iter().chain(named);
    contexts.find_map(|context| engine::repository_token(repository, context))
}

fn refuse_what_is_not_there(name: &str, target: &BakeTarget) -> Result<(), Failure> {
    match NOT_THERE.iter().find(|key| target.get(key).is_some()) {
        None => Ok(()),
        Some(key) => {
            let words =
                format!("ERROR: target {name}: this version of mica cannot build with {key}");
            Err(Failure::new(words).hint(format!("take {key} out of the target")))
        }
    }
}

/// What the host gives to steps.
fn host(target: &BakeTarget) -> Result<HostConfig, Failure> {
    let mut host = HostConfig::default();
    target.text("network").unwrap_or("default").clone_into(&mut host.network_mode);
    let hosts: Vec<String> =
        target.map("extra-hosts").map(|(name, address)| format!("{name}:{address}")).collect();
    host.extra_hosts = (!hosts.is_empty()).then_some(hosts);
    if let Some(size) = target.text("shm-size") {
        let wrong = |error| Failure::new(format!("ERROR: invalid shm-size {size:?}: {error}"));
        host.shm_size = spec::parse_binary_size(size).map_err(wrong)?;
    }
    host.resources.ulimits = flags::ulimits(target.list("ulimits"))?;
    Ok(host)
}

/// Agents in the words of `--ssh`.
pub(super) fn agents(target: &BakeTarget) -> Vec<String> {
    let Some(engine::BakeField::Rows(rows)) = target.get("ssh") else { return Vec::new() };
    let row = |row: &BTreeMap<String, String>| {
        let id = row.get("id").map_or("default", String::as_str);
        row.get("paths").map_or(id.to_owned(), |paths| format!("{id}={paths}"))
    };
    rows.iter().map(row).collect()
}

/// The file of this machine that a target's Dockerfile is, if it is one: it is named from the
/// context, unless it begins with `cwd://`.
pub(super) fn dockerfile_here(target: &BakeTarget) -> Option<PathBuf> {
    let file = target.text("dockerfile").filter(|_| target.text("dockerfile-inline").is_none())?;
    if let Some(path) = file.strip_prefix(HERE) {
        return Some(PathBuf::from(path));
    }
    let place = target.text("context").unwrap_or(".");
    let is_inside = place == "-" || engine::is_remote_context(place) || Path::new(place).is_file();
    (!is_inside).then(|| Path::new(place).join(file))
}

/// Where a target's context and Dockerfile are.
fn input(target: &BakeTarget) -> Result<BuildInput<'static>, Failure> {
    let mut input = build::input(target.text("context").unwrap_or("."), None)?;
    let is_folder = matches!(input.context, ContextSource::Folder(_));
    let inline = target.text("dockerfile-inline");
    input.dockerfile = match (inline, dockerfile_here(target), target.text("dockerfile")) {
        (Some(text), _, _) => DockerfileSource::Reader(Box::new(Cursor::new(text.to_owned()))),
        (None, Some(path), _) if is_folder => DockerfileSource::Path(path),
        (None, Some(path), _) => {
            let file = File::open(&path).map_err(EngineError::io("open", &path))?;
            DockerfileSource::Reader(Box::new(file))
        }
        (None, None, Some(inside)) => DockerfileSource::Path(PathBuf::from(inside)),
        (None, None, None) => DockerfileSource::Usual,
    };
    Ok(input)
}

#[cfg(test)]
mod tests {
    use engine::{BakeFile, BakeGiven, plan_bake};

    use super::*;

    #[test]
    fn a_repositorys_token_is_for_targets_that_are_built_from_it() {
        let address = "https://h/r.git#v1";
        let text = "target default { context = \"sub\" }\n\
                    target named { context = \"cwd://\"\n contexts = { x = \".\" } }\n\
                    target other { context = \"https://h/other.git\" }\n\
                    target here { context = \"cwd://\" }\n\
                    group all { targets = [\"default\", \"named\", \"other\", \"here\"] }\n";
        let file = BakeFile::at_top("docker-bake.hcl", text.to_owned());
        let given = BakeGiven { wanted: vec!["all".to_owned()], ..BakeGiven::default() };
        let mut plan = plan_bake(&[file], &given).unwrap();
        plan.locate(Some(address), &engine::is_remote_context);
        let id = |name: &str| token_id(&plan.targets[name], address);
        assert_eq!(id("default").as_deref(), Some("GIT_AUTH_TOKEN.h"));
        assert_eq!(id("named").as_deref(), Some("GIT_AUTH_TOKEN.h"));
        assert_eq!((id("other"), id("here")), (None, None));
    }
}
