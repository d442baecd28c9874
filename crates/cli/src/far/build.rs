//! `build` elsewhere: the context goes there as a tar, as docker's client sends it to its older
//! builder.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use client::Request;
use engine::SendContext;
use serde_json::{Map, Value, json};
use spec::Digest;

use super::contexts::Contexts;
use super::create::auth_document;
use super::transfer::Told;
use crate::args::Matches;
use crate::commands::build::{flags, surroundings};
use crate::commands::{build_call, pairs, reason};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// What a build there cannot be asked for.
const NOT_THERE: &[&str] = &[
    "allow",
    "annotation",
    "attest",
    "build-context",
    "builder",
    "cache-to",
    "call",
    "check",
    "explain",
    "fail-on-miss",
    "fix",
    "metadata-file",
    "no-cache-filter",
    "output",
    "policy",
    "provenance",
    "push",
    "resource",
    "sbom",
    "secret",
    "security-opt",
    "ssh",
];

pub(super) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    if let Some(flag) = NOT_THERE.iter().find(|flag| matches.given(flag)) {
        return Err(Failure::new(format!(
            "ERROR: a build at {} cannot be asked for --{flag}",
            context.far()?.endpoint()
        ))
        .hint("build on this machine, or with docker's buildx"));
    }
    let quiet = matches.flag("quiet") || matches.string("progress") == Some("quiet");
    let request = request(context)?;
    let body = match source(context)? {
        Source::Remote(address) => context.far()?.send(request.with("remote", address))?.body,
        Source::Tar { mut reader, dockerfile } => {
            let request = request.given("dockerfile", dockerfile.as_deref());
            context.far()?.send(request.stream("application/x-tar", &mut *reader))?.body
        }
    };
    let mut told = Told::new(&context.ui, quiet, false);
    told.show(body)?;
    let mut ids = told.aside_documents.iter().filter_map(|aside| aside["ID"].as_str());
    // Docker's engine, asked to be quiet, says it in the only line that it has.
    let line = Some(told.unheard.trim()).filter(|line| line.parse::<Digest>().is_ok());
    let Some(id) = ids.next_back().or(line) else { return Ok(0) };
    if let Some(file) = matches.string("iidfile").filter(|file| !file.is_empty()) {
        std::fs::write(file, id)
            .map_err(|error| Failure::new(format!("cannot write {file}: {error}")))?;
    }
    if quiet {
        context.ui.line(id);
    }
    Ok(0)
}

/// What is sent.
enum Source {
    /// The engine fetches it itself.
    Remote(String),
    /// A tar, or a Dockerfile alone; and where in it the Dockerfile is, if that is known.
    Tar { reader: Box<dyn Read>, dockerfile: Option<String> },
}

fn source(context: &Context) -> Result<Source, Failure> {
    let (place, file) = (context.names()[0].as_str(), context.matches().string("file"));
    let file = file.filter(|file| !file.is_empty());
    let opened = |path: &str| {
        std::fs::File::open(path)
            .map_err(|error| Failure::new(format!("ERROR: open {path}: {}", reason(&error))))
    };
    if place == "-" && file == Some("-") {
        return Err(Failure::new(
            "ERROR: invalid argument: can't use stdin for both build context and dockerfile",
        ));
    }
    let dockerfile = file.map(str::to_owned);
    if place == "-" {
        return Ok(Source::Tar { reader: Box::new(io::stdin()), dockerfile });
    }
    if engine::is_remote_context(place) {
        return Ok(Source::Remote(place.to_owned()));
    }
    let folder = Path::new(place);
    if folder.is_file() {
        return Ok(Source::Tar { reader: Box::new(opened(place)?), dockerfile });
    }
    let (dockerfile, text) = match file {
        None => ("Dockerfile".to_owned(), None),
        Some("-") => {
            let mut text = Vec::new();
            let read = io::stdin().read_to_end(&mut text);
            read.map_err(|error| {
                Failure::new(format!("ERROR: cannot read standard input: {error}"))
            })?;
            (unlikely_name(), Some(text))
        }
        Some(path) => match inside(folder, Path::new(path)) {
            Some(inner) => (inner, None),
            None => {
                let mut text = Vec::new();
                let read = opened(path)?.read_to_end(&mut text);
                read.map_err(|error| Failure::new(format!("ERROR: cannot read {path}: {error}")))?;
                (unlikely_name(), Some(text))
            }
        },
    };
    if text.is_none() && !folder.join(&dockerfile).is_file() {
        return Err(Failure::new(format!(
            "ERROR: unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {}: no such file or directory",
            folder.join(&dockerfile).display()
        )));
    }
    let send = SendContext { folder: folder.to_owned(), dockerfile: dockerfile.clone(), text };
    let (reader, mut writer) =
        io::pipe().map_err(|error| Failure::new(format!("ERROR: cannot make a pipe: {error}")))?;
    let ui = context.ui.clone();
    std::thread::spawn(move || {
        // The engine finds the tar cut off, and says so; why is told here.
        if let Err(error) = send.write(&mut writer) {
            Failure::from(error).tell(&ui);
        } else {
            let _ = writer.flush();
        }
    });
    Ok(Source::Tar { reader: Box::new(reader), dockerfile: Some(dockerfile) })
}

/// A Dockerfile that is in no context goes into it under a name that nobody else has.
fn unlikely_name() -> String {
    format!(".dockerfile.{:x}", std::process::id())
}

/// A path within a folder; none for one that leads elsewhere.
fn inside(folder: &Path, path: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let path = path.canonicalize().ok()?;
    Some(path.strip_prefix(folder).ok()?.to_string_lossy().into_owned())
}

fn request(context: &Context) -> Result<Request<'static>, Failure> {
    let matches = context.matches();
    let given = |name: &str| matches.string(name).filter(|text| !text.is_empty());
    let mut request = Request::post("/build")
        .with("version", "1")
        .with("buildargs", json!(arguments(context)?).to_string())
        .with("labels", json!(pairs(matches.list("label"))).to_string())
        .given("target", given("target"))
        .given("networkmode", given("network"))
        .flag("nocache", matches.flag("no-cache"))
        .flag("pull", matches.flag("pull"))
        .flag("squash", matches.flag("squash"))
        .flag("q", matches.flag("quiet"))
        .with("rm", if matches.flag("rm") { "1" } else { "0" })
        .flag("forcerm", matches.flag("force-rm"))
        .header("X-Registry-Config", logins(context)?);
    for name in flags::tags(matches.list("tag"))? {
        request = request.with("t", name.familiar());
    }
    for host in matches.list("add-host") {
        request = request.with("extrahosts", host);
    }
    if !matches.list("cache-from").is_empty() {
        request = request.with("cachefrom", json!(matches.list("cache-from")).to_string());
    }
    let platforms = flags::platforms(&surroundings::platforms(context))?;
    match platforms.as_slice() {
        [] => {}
        [platform] => request = request.with("platform", platform.to_string()),
        _ => return Err(Failure::new("ERROR: a build elsewhere is for one platform")),
    }
    limits(matches, request)
}

/// How steps are run.
fn limits(matches: &Matches, mut request: Request<'static>) -> Result<Request<'static>, Failure> {
    let host = flags::host(matches)?;
    let of = &host.resources;
    let numbers = [
        ("memory", of.memory),
        ("memswap", of.memory_swap),
        ("cpushares", of.cpu_shares),
        ("cpuperiod", of.cpu_period),
        ("cpuquota", of.cpu_quota),
        ("shmsize", host.shm_size),
    ];
    for (name, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
        request = request.with(name, number.to_string());
    }
    let texts = [
        ("cpusetcpus", &of.cpuset_cpus),
        ("cpusetmems", &of.cpuset_mems),
        ("cgroupparent", &of.cgroup_parent),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        request = request.with(name, text);
    }
    if let Some(limits) = of.ulimits.as_ref().filter(|limits| !limits.is_empty()) {
        request = request.with("ulimits", json!(limits).to_string());
    }
    Ok(request)
}

/// `--build-arg`, and what the environment and docker's file say; one without a value that the
/// environment has neither is not sent.
fn arguments(context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let mut list = build_call::build_arguments(context, context.matches().list("build-arg"));
    let endpoint = context.far()?.endpoint().to_string();
    surroundings::add_arguments(context, Some(&endpoint), &mut list);
    Ok(list)
}

/// All logins that are known: a build asks any registry that its Dockerfile names.
fn logins(context: &Context) -> Result<String, Failure> {
    let file = Contexts::of(context.environment()).folder().join("config.json");
    let config: Value = std::fs::read(file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let settings = context.settings()?;
    let hosts = ["auths", "credHelpers"].iter().flat_map(|part| config[part].as_object());
    let mut all = Map::new();
    for host in hosts.flatten().map(|(host, _)| host) {
        // A helper that is not there knows nobody; a build that needs it says so.
        if let Ok(Some(known)) = settings.registry.known(Some(host)) {
            all.insert(host.clone(), auth_document(Some(host), Some(known)));
        }
    }
    Ok(URL_SAFE.encode(Value::Object(all).to_string()))
}

/// `builder prune` elsewhere.
pub(super) fn prune(context: &Context) -> Outcome {
    let matches = context.matches();
    let question = match matches.flag("all") {
        true => {
            "WARNING! This will remove all build cache. Are you sure you want to continue? [y/N] "
        }
        false => {
            "WARNING! This will remove all dangling build cache. Are you sure you want to continue? [y/N] "
        }
    };
    if !matches.flag("force") && !context.ui.confirm(question, false) {
        return Err(Failure::new("build cache prune has been cancelled"));
    }
    let size = |name| matches.size_bytes(name).filter(|bytes| *bytes > 0).map(|it| it.to_string());
    let request = Request::post("/build/prune")
        .flag("all", matches.flag("all"))
        .given("filters", super::containers::filters(matches.list("filter"))?.as_deref())
        .given("keep-storage", size("keep-storage").as_deref())
        .given("max-used-space", size("max-used-space").as_deref())
        .given("reserved-space", size("reserved-space").as_deref());
    let pruned: Value = context.far()?.call(request)?;
    for id in pruned["CachesDeleted"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.ui.line(id);
    }
    let freed = pruned["SpaceReclaimed"].as_f64().unwrap_or_default();
    context.ui.line(&format!("Total:\t{}", spec::human_size_3(freed)));
    Ok(0)
}
