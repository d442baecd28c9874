//! The flags of `build`, read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::EngineError;
use spec::{HostConfig, Platform, Reference, Resources, Ulimit};

use crate::args::{Matches, split_values};
use crate::context::Context;
use crate::failure::Failure;

/// Flags of docker's that ask for what is not there: to take them and do nothing would be a lie.
const NOT_THERE: &[&str] = &["isolation", "policy"];
/// What a build may be allowed.
const ENTITLEMENTS: &[&str] = &[DELETE, "device", "network.host", "security.insecure"];
/// What allows a way out to remove files that are not below this folder.
pub(crate) const DELETE: &str = "buildx.local.delete";

/// Refuses what cannot be done yet, and what does not exist.
pub(super) fn refuse_what_is_not_there(context: &Context) -> Result<(), Failure> {
    let matches = context.matches();
    known_builder(matches.string("builder"))?;
    let kind = |one: &str| one.split('=').next().unwrap_or_default().to_owned();
    let is_unknown = |one: &&String| !one.is_empty() && !ENTITLEMENTS.contains(&&*kind(one));
    if let Some(unknown) = matches.list("allow").iter().find(is_unknown) {
        return Err(Failure::new(format!("ERROR: unknown entitlement {unknown}"))
            .hint(format!("there are {}", ENTITLEMENTS.join(", "))));
    }
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
        "isolation" => matches!(matches.string(name), Some("" | "default")),
        _ => false,
    }
}

/// Names of the one builder that there is.
const BUILDERS: &[&str] = &["", "default", "mica"];

/// Refuses the name of a builder that does not exist.
pub(crate) fn known_builder(name: Option<&str>) -> Result<(), Failure> {
    match name.filter(|name| !BUILDERS.contains(name)) {
        None => Ok(()),
        Some(other) => Err(Failure::new(format!("ERROR: no builder {other:?} found"))
            .hint("there is one, `default`: mica itself")),
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

/// `--build-context NAME=VALUE`.
pub(crate) fn named_contexts(matches: &Matches) -> Result<BTreeMap<String, String>, Failure> {
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
    let hosts = hosts.iter().map(|text| add_host(text)).collect::<Result<Vec<_>, _>>()?;
    host.extra_hosts = (!hosts.is_empty()).then_some(hosts);
    let options = matches.list("security-opt");
    host.security_opt = (!options.is_empty()).then(|| options.to_vec());
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
    for text in matches.list("resource") {
        for (key, value) in fields(text)? {
            limit(resources, &key, &value).map_err(|why| wrong(text, &why))?;
        }
    }
    Ok(host)
}

/// One of `--resource`, which says the same as the flag of its name.
fn limit(resources: &mut Resources, key: &str, value: &str) -> Result<(), String> {
    let size = || spec::parse_binary_size(value).map_err(|error| error.to_string());
    let number = || value.parse().map_err(|_| format!("{key}={value} is no number"));
    match key {
        "memory" => resources.memory = size()?,
        "memory-swap" => resources.memory_swap = if value == "-1" { -1 } else { size()? },
        "cpu-shares" => resources.cpu_shares = number()?,
        "cpu-period" => resources.cpu_period = number()?,
        "cpu-quota" => resources.cpu_quota = number()?,
        "cpuset-cpus" => value.clone_into(&mut resources.cpuset_cpus),
        "cpuset-mems" => value.clone_into(&mut resources.cpuset_mems),
        _ => return Err(format!("there is no resource {key:?}")),
    }
    Ok(())
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
fn add_host(text: &str) -> Result<String, Failure> {
    match (text.split_once('='), text.split_once(':')) {
        (Some((name, address)), _) if !name.contains(':') => Ok(format!("{name}:{address}")),
        (_, Some(_)) => Ok(text.to_owned()),
        (_, None) => Err(Failure::new(format!("ERROR: failed to build: invalid host {text}"))
            .hint("--add-host name:address")),
    }
}

/// Where a secret is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SecretPlace {
    /// In the environment, under this name.
    Variable(String),
    /// In a file.
    File(PathBuf),
}

/// `--secret`, read from where they are.
pub(crate) fn secrets(
    context: &Context,
    list: &[String],
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let read = |(id, place): (String, SecretPlace)| {
        let secret = match place {
            SecretPlace::Variable(name) => {
                context.variable(&name).unwrap_or_default().as_bytes().to_vec()
            }
            SecretPlace::File(path) => {
                std::fs::read(&path).map_err(EngineError::io("read", &path))?
            }
        };
        Ok((id, secret))
    };
    secret_places(context, list)?.into_iter().map(read).collect()
}

/// `--secret id=NAME[,src=FILE|,env=VARIABLE]`; without either, the variable of that name, or else
/// the file.
pub(crate) fn secret_places(
    context: &Context,
    list: &[String],
) -> Result<BTreeMap<String, SecretPlace>, Failure> {
    let mut places = BTreeMap::new();
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
        let place = match variable {
            Some(name) => SecretPlace::Variable(name.clone()),
            None => SecretPlace::File(PathBuf::from(file.unwrap_or(id))),
        };
        places.insert(id.clone(), place);
    }
    Ok(places)
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
