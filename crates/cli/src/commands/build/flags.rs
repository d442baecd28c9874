//! The flags of `build`, read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::{EngineError, Provenance};
use spec::{HostConfig, Platform, Reference, Ulimit};

use crate::args::{Matches, split_values};
use crate::context::Context;
use crate::failure::Failure;

/// Flags of docker's that ask for what is not there: to take them and do nothing would be a lie.
const NOT_THERE: &[&str] = &["builder", "isolation", "policy", "resource", "security-opt"];

/// Refuses what cannot be done yet.
pub(super) fn refuse_what_is_not_there(context: &Context) -> Result<(), Failure> {
    let matches = context.matches();
    match NOT_THERE.iter().find(|name| matches.given(name) && !is_off(matches, name)) {
        None => Ok(()),
        Some(name) => {
            Err(Failure::new(format!("ERROR: this version of mica cannot build with --{name}")))
        }
    }
}

/// Whether a flag is given only to say no, or to ask for what is so anyway.
fn is_off(matches: &Matches, name: &str) -> bool {
    match name {
        "builder" | "isolation" => matches!(matches.string(name), Some("" | "default")),
        _ => false,
    }
}

/// `--tag`.
pub(crate) fn tags(list: &[String]) -> Result<Vec<Reference>, Failure> {
    list.iter().filter(|text| !text.is_empty()).map(|text| tag(text)).collect()
}

/// A name without a digest.
pub(super) fn tag(text: &str) -> Result<Reference, Failure> {
    let text = text.trim_start_matches('=').trim_matches('"');
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(format!("ERROR: failed to build: invalid tag {text:?}: {why}"))
    };
    let name = Reference::parse(text).map_err(|error| wrong(&error))?;
    match name.digest() {
        Some(_) => Err(wrong(&"refusing to create a tag with a digest reference")),
        None => Ok(name.with_default_tag()),
    }
}

/// A field of a flag that is wrong.
pub(super) fn wrong(text: &str, why: &str) -> Failure {
    Failure::new(format!("ERROR: invalid field in {text:?}: {why}"))
}

/// `--platform`, each once.
pub(crate) fn platforms(list: &[String]) -> Result<Vec<Platform>, Failure> {
    let mut platforms = Vec::new();
    for text in list.iter().flat_map(|list| list.split(',')).map(str::trim) {
        let platform = match text {
            "" => continue,
            "local" => Platform::host(),
            text => Platform::parse(text)
                .map_err(|error| Failure::new(format!("ERROR: failed to build: {error}")))?,
        };
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// What is told beside images.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attests {
    /// How they were built, and how much of it.
    pub(crate) provenance: Option<Provenance>,
    /// What is installed in them.
    pub(crate) sbom: bool,
}

/// `--attest`, and what is shorter for it: `--provenance` and `--sbom`, which count more.
pub(crate) fn attests(
    (provenance, sbom): (Option<&str>, Option<&str>),
    list: &[String],
) -> Result<Attests, Failure> {
    let short = |kind: &str, text: Option<&str>| {
        let text = text.filter(|text| !text.is_empty())?;
        Some(match text {
            "true" | "1" => format!("type={kind}"),
            "false" | "0" => format!("type={kind},disabled=true"),
            text => format!("type={kind},{text}"),
        })
    };
    let short = [short("provenance", provenance), short("sbom", sbom)];
    let mut attests = Attests::default();
    for text in list.iter().chain(short.iter().flatten()) {
        let mut fields = fields(text)?;
        let kind = fields.remove("type").unwrap_or_default();
        let is_on = fields.remove("disabled").is_none_or(|value| value == "false");
        match kind.as_str() {
            "provenance" => {
                let mode = provenance_mode(text, &mut fields)?;
                attests.provenance = is_on.then_some(mode);
            }
            "sbom" => {
                if fields.remove("generator").is_some_and(|image| !image.is_empty()) {
                    let words = "this version of mica looks itself and runs no generator";
                    return Err(wrong(text, words).hint("leave generator out"));
                }
                attests.sbom = is_on;
            }
            _ => {
                let words = format!("this version of mica has no attestation of type {kind:?}");
                return Err(wrong(text, &words).hint("types are provenance and sbom"));
            }
        }
        if let Some(key) = fields.keys().next() {
            return Err(wrong(text, &format!("{kind} has no {key}")));
        }
    }
    Ok(attests)
}

fn provenance_mode(
    text: &str,
    fields: &mut BTreeMap<String, String>,
) -> Result<Provenance, Failure> {
    if let Some(version) = fields.remove("version").filter(|version| version != "v1") {
        return Err(wrong(text, &format!("provenance of version {version:?} is not there"))
            .hint("version=v1 is"));
    }
    match fields.remove("mode").as_deref() {
        None | Some("min") => Ok(Provenance::Min),
        Some("max") => Ok(Provenance::Max),
        Some(other) => Err(wrong(text, &format!("mode {other:?} is not known"))),
    }
}

/// `--build-context NAME=VALUE`.
pub(super) fn named_contexts(matches: &Matches) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::new(format!("ERROR: invalid context value: {text}, expected key=value"))),
    };
    matches.list("build-context").iter().map(pair).collect()
}

/// What the host gives to steps.
pub(crate) fn host(matches: &Matches) -> Result<HostConfig, Failure> {
    let mut host = HostConfig::default();
    matches.string("network").unwrap_or("default").clone_into(&mut host.network_mode);
    let hosts = matches.list("add-host");
    host.extra_hosts =
        (!hosts.is_empty()).then(|| hosts.iter().map(|text| add_host(text)).collect());
    let number = |name: &str| matches.int(name).unwrap_or_default();
    let size = |name: &str| matches.size_bytes(name).unwrap_or_default();
    host.shm_size = size("shm-size");
    let resources = &mut host.resources;
    resources.memory = size("memory");
    resources.memory_swap = size("memory-swap");
    resources.cpu_period = number("cpu-period");
    resources.cpu_quota = number("cpu-quota");
    resources.cpu_shares = number("cpu-shares");
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    resources.cpuset_cpus = text("cpuset-cpus");
    resources.cpuset_mems = text("cpuset-mems");
    resources.cgroup_parent = text("cgroup-parent");
    resources.ulimits = ulimits(matches.list("ulimit"))?;
    Ok(host)
}

/// `--ulimit`.
pub(crate) fn ulimits(list: &[String]) -> Result<Option<Vec<Ulimit>>, Failure> {
    let limit = |text: &String| {
        text.parse()
            .map_err(|error| Failure::new(format!("ERROR: invalid ulimit {text:?}: {error}")))
    };
    let limits: Vec<Ulimit> = list.iter().map(limit).collect::<Result<_, _>>()?;
    Ok((!limits.is_empty()).then_some(limits))
}

/// `name:address`, or the newer `name=address`.
fn add_host(text: &str) -> String {
    match text.split_once('=') {
        Some((name, address)) if !name.contains(':') => format!("{name}:{address}"),
        _ => text.to_owned(),
    }
}

/// `--secret id=NAME[,src=FILE|,env=VARIABLE]`; without either, the variable of that name, or else
/// the file.
pub(crate) fn secrets(
    context: &Context,
    list: &[String],
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut secrets = BTreeMap::new();
    for text in list {
        let fields = fields(text)?;
        let get = |names: &[&str]| {
            names.iter().find_map(|name| fields.get(*name)).filter(|text| !text.is_empty())
        };
        let Some(id) = get(&["id"]) else {
            return Err(Failure::new(format!("ERROR: invalid secret {text:?}: no id")));
        };
        let kind = fields.get("type").map(String::as_str);
        let file = get(&["src", "source"]);
        let variable = match (get(&["env"]), kind) {
            (Some(name), _) => Some(name),
            (None, Some("env")) => file.or(Some(id)),
            (None, None) if file.is_none() && context.variable(id).is_some() => Some(id),
            (None, _) => None,
        };
        let secret = match variable {
            Some(name) => context.variable(name).unwrap_or_default().as_bytes().to_vec(),
            None => {
                let path = file.unwrap_or(id);
                std::fs::read(path).map_err(EngineError::io("read", path))?
            }
        };
        secrets.insert(id.clone(), secret);
    }
    Ok(secrets)
}

/// `--ssh default|ID[=SOCKET]`.
pub(crate) fn agents(
    context: &Context,
    list: &[String],
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut agents = BTreeMap::new();
    for text in list {
        let (id, path) = match text.split_once('=') {
            Some((id, path)) => (id, Some(path)),
            None => (text.as_str(), None),
        };
        let path = path.or_else(|| context.variable("SSH_AUTH_SOCK")).ok_or_else(|| {
            Failure::new("ERROR: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
        })?;
        let is_socket = std::fs::metadata(path)
            .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()));
        if !is_socket {
            return Err(Failure::new(format!("ERROR: {path} is no socket of an agent"))
                .hint("start ssh-agent, add the keys, and give its socket"));
        }
        agents.insert(id.to_owned(), PathBuf::from(path));
    }
    Ok(agents)
}

/// `name=value` between commas.
pub(super) fn fields(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let list = split_values(text).map_err(|error| wrong(text, &error.to_string()))?;
    let pair = |field: &String| match field.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_lowercase(), value.to_owned())),
        None => Err(wrong(text, &format!("{field:?} must be a key=value pair"))),
    };
    list.iter().map(pair).collect()
}
