//! Which hosts are asked for a name: the registry itself, mirrors before it, another in its place.
//!
//! A rule is found by the longest prefix of a name. Mica's own rules go first, then those of
//! containers' `registries.conf`, then containerd's `hosts.toml`; the first that has a rule decides.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use spec::Reference;

use crate::error::RegistryError;

mod containers;
mod hosts;

pub use containers::read_registries_conf;

/// All rules there are.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Mica's own.
    pub own: Vec<Rule>,
    /// Those of `registries.conf`.
    pub containers: Vec<Rule>,
    /// Folders with a `hosts.toml` in a folder for each host.
    pub host_folders: Vec<PathBuf>,
    /// Hosts, `host:port`s and networks that need not prove who they are.
    pub insecure: Vec<String>,
}

/// What holds for all names that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// `host[:port][/path]`, perhaps with a tag or a digest, or `*.domain` for all hosts below it.
    pub prefix: String,
    /// What stands in the prefix's place when the registry is asked.
    pub location: Option<String>,
    /// The host need not prove who it is, and may speak plain HTTP.
    pub insecure: bool,
    /// Nothing that begins so is fetched or sent.
    pub blocked: bool,
    /// Whom to ask first.
    pub mirrors: Vec<Mirror>,
    /// Whether the registry itself is asked where no mirror has it.
    pub fallback: Option<bool>,
    /// Where the rule stands, for messages.
    #[serde(skip)]
    pub file: String,
}

/// Somebody who has the same images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mirror {
    /// What stands in the prefix's place.
    pub location: String,
    /// The host need not prove who it is, and may speak plain HTTP.
    pub insecure: bool,
    /// What it is asked for.
    pub serves: Serves,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// Everything.
    #[default]
    All,
    /// Only what is named by digest, which it cannot falsify.
    Digests,
    /// Only what is named by tag.
    Tags,
}

/// How sure one must be of who a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Security {
    /// Its certificate is checked.
    Checked,
    /// Its certificate may be anybody's, but it must speak TLS.
    Unverified,
    /// Its certificate may be anybody's, and it may speak plain HTTP.
    Loose,
    /// It speaks plain HTTP.
    Plain,
}

impl Security {
    /// Whether nothing goes there in the clear.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Security::Checked | Security::Unverified)
    }
}

/// Where a repository is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `host[:port]`.
    pub(crate) host: String,
    /// What comes before the repository: `/v2`, unless a file says otherwise.
    pub(crate) root: String,
    /// The repository there.
    pub(crate) repository: String,
    pub(crate) security: Security,
    pub(crate) serves: Serves,
    /// Headers that a file gives for the host.
    pub(crate) headers: Vec<(String, String)>,
    /// Certificates that a file gives for the host.
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    /// The proxy that a file gives for the host, in place of the environment's.
    pub(crate) proxy: Option<String>,
    /// How long a file lets a connection take.
    pub(crate) connect: Option<Duration>,
    /// What a mirror is told of whose images it is asked for.
    pub(crate) namespace: Option<String>,
    /// Whether it is read from at all.
    pub(crate) reads: bool,
    /// Whether it is pushed to.
    pub(crate) pushes: bool,
}

/// The Hub's name in references, and the host behind it.
const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";

impl Place {
    /// The place at `host[:port]/path`.
    fn at(location: &str, security: Security) -> Place {
        let (host, repository) = location.split_once('/').unwrap_or((location, ""));
        let host = if host == HUB { HUB_HOST } else { host };
        Place {
            host: host.to_owned(),
            root: "/v2".to_owned(),
            repository: repository.to_owned(),
            security,
            serves: Serves::All,
            headers: Vec::new(),
            authorities: Vec::new(),
            client: None,
            proxy: None,
            connect: None,
            namespace: None,
            reads: true,
            pushes: true,
        }
    }

    /// The server's name in docker's configuration.
    pub(crate) fn server(&self) -> String {
        server_key(&self.host).to_owned()
    }

    /// Whether it is asked for what is named so.
    pub(crate) fn serves(&self, by_digest: bool) -> bool {
        self.reads
            && match self.serves {
                Serves::All => true,
                Serves::Digests => by_digest,
                Serves::Tags => !by_digest,
            }
    }
}

/// The name under which docker keeps the credentials of a host.
pub fn server_key(host: &str) -> &str {
    match host {
        HUB | HUB_HOST | "index.docker.io" | "" => "https://index.docker.io/v1/",
        host => host,
    }
}

impl Rules {
    /// The places of a name, the first to be asked first; the registry itself, if it is asked at
    /// all, last.
    pub(crate) fn places(&self, reference: &Reference) -> Result<Vec<Place>, RegistryError> {
        let name = reference.name();
        let names = Names::of(reference);
        let rule = best(&self.own, &names, &['/', '@']);
        // Elsewhere a host without a port stands for all of its ports.
        let rule = rule.or_else(|| best(&self.containers, &names, &['/', '@', ':']));
        let Some(rule) = rule else {
            return match hosts::read(&self.host_folders, reference.domain())? {
                Some(hosts) => Ok(hosts.places(self, reference)),
                None => Ok(vec![Place::at(&name, self.security(reference.domain()))]),
            };
        };
        if rule.blocked {
            let (prefix, file) = (rule.prefix.clone(), rule.file.clone());
            return Err(RegistryError::Blocked { prefix, file });
        }
        let place = |location: &str, insecure: bool| {
            let location = rewritten(rule, location, &name)?;
            let host = location.split('/').next().unwrap_or_default();
            let security = if insecure { Security::Loose } else { self.security(host) };
            Ok::<Place, RegistryError>(Place::at(&location, security))
        };
        let mirrors = rule.mirrors.iter().map(|mirror| {
            let place = place(&mirror.location, mirror.insecure)?;
            Ok(Place { serves: mirror.serves, pushes: false, ..place })
        });
        let mirrors = mirrors.collect::<Result<Vec<Place>, RegistryError>>()?;
        let own = rule.location.as_deref().filter(|location| !location.is_empty());
        let own = place(own.unwrap_or(&rule.prefix), rule.insecure)?;
        let own = match own.host.starts_with("*.") {
            true => Place::at(&name, own.security),
            false => own,
        };
        // What is pushed goes to the registry, whoever is asked.
        let own = Place { reads: rule.fallback != Some(false), ..own };
        Ok(mirrors.into_iter().chain([own]).collect())
    }

    /// A host, for what concerns no repository.
    pub(crate) fn place_of_host(&self, host: &str) -> Place {
        Place::at(&format!("{host}/"), self.security(host))
    }

    /// As docker has it: what is on this machine, and what is listed, need not prove who it is.
    pub(crate) fn security(&self, host: &str) -> Security {
        let (bare, port) = split_port(host);
        let address: Option<IpAddr> = bare.trim_matches(['[', ']']).parse().ok();
        let is_loopback = bare == "localhost" || address.is_some_and(|ip| ip.is_loopback());
        let listed = |entry: &String| match (entry.split_once('/'), address) {
            (Some((network, bits)), Some(address)) => is_within(network, bits, address),
            _ => entry == host || entry == bare,
        };
        match is_loopback || self.insecure.iter().any(listed) {
            true if port == Some(80) => Security::Plain,
            true => Security::Loose,
            false => Security::Checked,
        }
    }
}

/// What prefixes are compared with: a name with its tag and with its digest.
struct Names {
    /// With the tag, if it has one.
    tagged: String,
    /// With the digest, if it has one.
    digested: String,
}

impl Names {
    fn of(reference: &Reference) -> Names {
        let name = reference.name();
        let tagged = reference.tag().map_or_else(|| name.clone(), |tag| format!("{name}:{tag}"));
        let digest = reference.digest();
        Names { tagged, digested: digest.map_or(name.clone(), |it| format!("{name}@{it}")) }
    }
}

/// The rule with the longest prefix of a name. What follows a host begins with one of `ends`.
fn best<'a>(rules: &'a [Rule], names: &Names, ends: &[char]) -> Option<&'a Rule> {
    let covers = |name: &str, rule: &Rule| covers(&rule.prefix, name, ends);
    let fitting =
        rules.iter().filter(|rule| covers(&names.tagged, rule) || covers(&names.digested, rule));
    fitting.max_by_key(|rule| rule.prefix.trim_start_matches('*').trim_end_matches('/').len())
}

/// Whether a prefix covers a name: it ends where a part of the name does.
fn covers(prefix: &str, name: &str, ends: &[char]) -> bool {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or_default();
        return domain.starts_with('.') && split_port(host).0.ends_with(domain);
    }
    let prefix = prefix.trim_end_matches('/');
    let ends: &[char] = if prefix.contains('/') { &['/', ':', '@'] } else { ends };
    match name.strip_prefix(prefix) {
        Some(rest) => !prefix.is_empty() && (rest.is_empty() || rest.starts_with(ends)),
        None => false,
    }
}

/// A name with another location in its prefix's place.
fn rewritten(rule: &Rule, location: &str, name: &str) -> Result<String, RegistryError> {
    let (prefix, end) = split_end(rule.prefix.trim_end_matches('/'));
    let (location, its_end) = split_end(location.trim_end_matches('/'));
    if !its_end.is_empty() && its_end != end {
        // Who asks for one tag must not get another in silence.
        let why = format!("{location}{its_end} is not what the prefix {:?} ends in", rule.prefix);
        return Err(RegistryError::Malformed { url: rule.file.clone(), why });
    }
    let rest = match prefix.starts_with("*.") {
        true => name.find('/').map_or("", |slash| &name[slash..]),
        false => name.strip_prefix(prefix).unwrap_or_default(),
    };
    Ok(format!("{location}{rest}"))
}

/// A place, and the tag or the digest that it may end in.
fn split_end(place: &str) -> (&str, &str) {
    let path = place.find('/').unwrap_or(place.len());
    let end = place[path..].find([':', '@']).map_or(place.len(), |at| path + at);
    place.split_at(end)
}

/// A host without its port, and the port.
pub(crate) fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((bare, port)) if !bare.contains(':') || bare.ends_with(']') => match port.parse() {
            Ok(port) => (bare, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

/// Whether an address is in a network.
pub(crate) fn is_within(network: &str, bits: &str, address: IpAddr) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let (left, right, width) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a), u128::from(b), 128),
        _ => return false,
    };
    let shift = width - bits.min(width);
    left.checked_shr(shift).unwrap_or(0) == right.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests;
