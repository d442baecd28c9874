//! Docker's links: the older way to let one container find another by a name.
//!
//! In the default network, where nobody has a name, a link is a line in `hosts` and a set of
//! variables, both as things are when the container starts. In a network of the user's it is one
//! more name, which is looked up whenever somebody asks for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::{ExtraHost, Networks};
use spec::{ContainerId, ContainerPort, NetworkMode, exposed_ports};

use super::ContainerRecord;
use super::network::Move;
use super::watch::{files, has_network};
use crate::error::{EngineError, Result};
use crate::{Engine, Kind};

/// The network in which links are lines and variables.
const DEFAULT_NETWORK: &str = "bridge";
/// Variables of the other container that say nothing of it.
const USUAL: [&str; 2] = ["HOME", "PATH"];

/// A link as it is asked for: `NAME`, `NAME:ALIAS`, or as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The other container's name or id.
    pub(super) target: String,
    /// What it is called.
    pub(super) alias: String,
}

impl Link {
    pub(super) fn parse(text: &str) -> Result<Link> {
        let bad = || EngineError::Input(format!("bad format for links: {text}"));
        let (target, alias) = text.split_once(':').unwrap_or((text, text));
        // What `inspect` shows of a container can be given to make another one.
        let alias = alias.rsplit('/').next().unwrap_or(alias);
        let target = target.strip_prefix('/').unwrap_or(target);
        if target.is_empty() || alias.is_empty() || alias.contains(':') {
            return Err(bad());
        }
        Ok(Link { target: target.to_owned(), alias: alias.to_owned() })
    }
}

/// What links add to a container of the default network.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// Lines of `hosts`.
    pub(super) hosts: Vec<ExtraHost>,
    /// Variables.
    pub(super) env: Vec<String>,
}

/// The links that a container was made with.
fn links(record: &ContainerRecord) -> Result<Vec<Link>> {
    let list = record.host_config.links.iter().flatten();
    list.map(|text| Link::parse(text)).collect()
}

/// A container's links as docker shows them: with whole names on both sides.
pub(super) fn shown(record: &ContainerRecord) -> Option<Vec<String>> {
    record.host_config.links.as_ref()?;
    let whole = |link: &Link| format!("/{}:/{}/{}", link.target, record.name, link.alias);
    links(record).ok().map(|links| links.iter().map(whole).collect())
}

/// Takes a link away from a record, and says whether it was there.
pub(super) fn forget(record: &mut ContainerRecord, alias: &str) -> bool {
    let is_meant = |text: &String| Link::parse(text).is_ok_and(|link| link.alias == alias);
    // In a network of the user's it is told of the network too.
    let of_networks = record.networks.values_mut().map(|settings| &mut settings.links);
    let mut was_there = false;
    for links in of_networks.chain([&mut record.host_config.links]) {
        let Some(list) = links.as_mut().filter(|list| list.iter().any(is_meant)) else { continue };
        was_there = true;
        list.retain(|text| !is_meant(text));
        links.take_if(|links| links.is_empty());
    }
    was_there
}

/// The further names that a container's name server knows: each with the name that it stands for.
pub(super) fn names(record: &ContainerRecord) -> Result<BTreeMap<String, String>> {
    let settings = record.networks.values().flat_map(|settings| settings.links.iter().flatten());
    let all = record.host_config.links.iter().flatten().chain(settings);
    all.map(|text| Link::parse(text).map(|link| (link.alias, link.target))).collect()
}

impl Engine {
    /// Takes back the link `PARENT/ALIAS`: a container's line about another one is gone at once, its
    /// variables when it starts again.
    pub fn unlink(&self, name: &str) -> Result<()> {
        let name = name.trim_matches('/');
        let containers = self.containers();
        let Some((parent, alias)) = name.rsplit_once('/') else {
            containers.find(name)?;
            let words = "Conflict, cannot remove the default link name of the container";
            return Err(EngineError::Start(words.to_owned()));
        };
        let missing = || EngineError::NoSuchContainer(name.to_owned());
        let id = containers.find(parent).map_err(|_| missing())?;
        let record = containers
            .change(&id, |record| forget(record, alias).then_some(()).ok_or_else(missing))?;
        if !self.container_state(&id)?.status.is_alive() {
            return Ok(());
        }
        files::forget_host(&containers.folder(&id), alias)?;
        let has_names = has_network(&record) && !self.settings().standing.is_of_user();
        match has_names && self.has_processes(&id)? {
            true => self.tell_unlinked(&id, alias),
            false => Ok(()),
        }
    }

    /// Tells a container's monitor that a link is none any more: whoever answers for names is there.
    fn tell_unlinked(&self, id: &ContainerId, alias: &str) -> Result<()> {
        match self.tell(id, &Move::Unlink { alias: alias.to_owned() }) {
            // Without a run there are no names, and the next one reads the record anew.
            Err(EngineError::NotRunning(_)) => Ok(()),
            // One that is older than this program knows no such change.
            Err(error) if error.kind() == Kind::Unsupported => Ok(()),
            other => other,
        }
    }

    /// Fails if a link leads to no container, or to one that is in no network of its own.
    pub(super) fn check_links(&self, record: &ContainerRecord) -> Result<()> {
        if let NetworkMode::Container(_) = NetworkMode::parse(&record.host_config.network_mode)
            && !links(record)?.is_empty()
        {
            let words = "conflicting options: container type network can't be used with links. This would result in undefined behavior";
            return Err(EngineError::Refused(words.to_owned()));
        }
        for link in links(record)? {
            let containers = self.containers();
            let id = containers.find(&link.target).map_err(|error| {
                EngineError::Refused(format!(
                    "could not get container for {}: {error}",
                    link.target
                ))
            })?;
            let mode = containers.read(&id)?.host_config.network_mode;
            if NetworkMode::parse(&mode) == NetworkMode::Host {
                let words = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";
                return Err(EngineError::Refused(words.to_owned()));
            }
        }
        Ok(())
    }

    /// What the links of a container in the default network say of those they lead to, which must
    /// run.
    pub(super) fn linked(&self, record: &ContainerRecord, networks: &Networks) -> Result<Linked> {
        let mut linked = Linked::default();
        if record.host_config.network_mode != "default"
            && record.host_config.network_mode != DEFAULT_NETWORK
        {
            return Ok(linked);
        }
        for link in links(record)? {
            let containers = self.containers();
            let id = containers.find(&link.target)?;
            let other = containers.read(&id)?;
            if !self.container_state(&id)?.status.is_alive() {
                return Err(EngineError::Start(format!(
                    "Cannot link to a non running container: /{} AS /{}/{}",
                    other.name, record.name, link.alias
                )));
            }
            let endpoints = networks.of_container(&id.to_string())?;
            let place = endpoints.iter().find(|place| place.network_name == DEFAULT_NETWORK);
            let address = place.and_then(|place| place.addresses().find(IpAddr::is_ipv4));
            let Some(address) = address else {
                return Err(EngineError::Start(format!(
                    "Cannot link to /{}, as it does not belong to the default network",
                    other.name
                )));
            };
            linked
                .hosts
                .push(ExtraHost { name: host_names(&link, &other), address: Some(address) });
            linked.env.extend(variables(&link, record, &other, address));
        }
        Ok(linked)
    }
}

/// The names in the line of `hosts`.
fn host_names(link: &Link, other: &ContainerRecord) -> String {
    let mut names = format!("{} {}", link.alias, other.config.hostname);
    if link.alias != other.name {
        names += &format!(" {}", other.name);
    }
    names
}

/// The variables of a link: where its ports are, what it is called, and its own variables.
fn variables(
    link: &Link,
    record: &ContainerRecord,
    other: &ContainerRecord,
    address: IpAddr,
) -> Vec<String> {
    let prefix = link.alias.replace('-', "_").to_ascii_uppercase();
    let ports = other.config.exposed_ports.iter().filter_map(|text| exposed_ports(text).ok());
    let mut ports: Vec<ContainerPort> = ports.flatten().collect();
    // Lower ones first, TCP before others.
    ports.sort_by_key(|port| (port.number, port.protocol.as_str() != "tcp"));
    let mut list = Vec::new();
    if let Some(ContainerPort { number, protocol }) = ports.first() {
        list.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    for ContainerPort { number, protocol } in &ports {
        let one = format!("{prefix}_PORT_{number}_{}", protocol.as_str().to_ascii_uppercase());
        list.push(format!("{one}={protocol}://{address}:{number}"));
        list.push(format!("{one}_ADDR={address}"));
        list.push(format!("{one}_PORT={number}"));
        list.push(format!("{one}_PROTO={protocol}"));
    }
    list.push(format!("{prefix}_NAME=/{}/{}", record.name, link.alias));
    let own = other.config.env.iter().filter_map(|text| text.split_once('='));
    let own = own.filter(|(name, _)| !USUAL.contains(name));
    list.extend(own.map(|(name, value)| format!("{prefix}_ENV_{name}={value}")));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_docker_reads_them() {
        let link = |target: &str, alias: &str| Link { target: target.into(), alias: alias.into() };
        assert_eq!(Link::parse("db").unwrap(), link("db", "db"));
        assert_eq!(Link::parse("db:store").unwrap(), link("db", "store"));
        assert_eq!(Link::parse("/db:/web/store").unwrap(), link("db", "store"));
        for text in ["", ":x", "x:", "a:b:c"] {
            assert!(Link::parse(text).is_err(), "{text}");
        }
    }
}
