//! A container's places in its networks, for one run.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use network::{
    Attached, Cable, Endpoint, EndpointRequest, Families, NetNs, Networks, Relay, by_precedence,
};
use serde::{Deserialize, Serialize};
use spec::{
    ContainerPort, EndpointSettings, HostConfig, HostPorts, NetworkMode, PortMapping,
    exposed_ports, port_mappings,
};

use super::ContainerRecord;
use super::users::Users;
use super::way_out::WayOut;
use crate::Engine;
use crate::error::{EngineError, Result};

/// Where a container stands while it runs.
#[derive(Default)]
pub(super) struct Places {
    /// Its namespace, unless it shares one.
    pub(super) namespace: Option<NetNs>,
    /// Another container's namespace, by its path.
    pub(super) shared: Option<PathBuf>,
    /// Its endpoints, each with the ports of the host that are kept from others.
    attached: Vec<Attached>,
    /// Over which addresses its ports are published, by the ids of the endpoints where they are.
    published: BTreeMap<String, Families>,
    /// What carries calls to its ports, if there may be any that the kernel does not redirect.
    relay: Option<Arc<Mutex<Relay>>>,
    /// The way out of an ordinary user's container.
    pub(super) way_out: Option<WayOut>,
}

/// A change of a running container's networks and names there, as its monitor is told of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Move {
    /// Into one more network.
    Connect {
        /// Its name.
        network: String,
        /// How it stands there.
        settings: Box<EndpointSettings>,
    },
    /// Out of a network.
    Disconnect {
        /// Its name.
        network: String,
    },
    /// A link is taken back: its name is nobody's any more.
    Unlink {
        /// The name.
        alias: String,
    },
}

impl Places {
    /// Takes a container's places, which belong to its `users`. `of` gives the first process of another
    /// container.
    pub(super) fn take(
        networks: Option<&Networks>,
        record: &ContainerRecord,
        users: Option<&Users>,
        of: impl Fn(&str) -> Result<i32>,
    ) -> Result<Places> {
        match NetworkMode::parse(&record.host_config.network_mode) {
            NetworkMode::Host => Ok(Places::default()),
            NetworkMode::Container(name) => {
                let path = PathBuf::from(format!("/proc/{}/ns/net", of(&name)?));
                Ok(Places { shared: Some(path), ..Places::default() })
            }
            // It is born into a namespace of its own, which has nothing but the loopback device.
            NetworkMode::None => Ok(Places::default()),
            NetworkMode::Named(first) => {
                let Some(networks) = networks else { return Ok(Places::default()) };
                let namespace = Some(match users {
                    None => NetNs::create()?,
                    Some(users) => users.network()?,
                });
                let mut places = Places { namespace, ..Places::default() };
                let others = record.networks.keys().map(String::as_str);
                let others = others.filter(|name| *name != first);
                let names: Vec<&str> = std::iter::once(first.as_str()).chain(others).collect();
                let taken = places.join_all(networks, record, &names);
                if taken.is_err() {
                    // The first error is the one to tell.
                    let _ = places.leave(networks);
                }
                taken.map(|()| places)
            }
        }
    }

    /// The places of an ordinary user's container, which is in no network but leads out.
    pub(super) fn of_user(
        engine: &Engine,
        record: &ContainerRecord,
        run_folder: &Path,
    ) -> Result<Places> {
        let ports = wanted_ports(record)?;
        // A server may have said it, to all who start containers of this store.
        let default = match ports.is_empty() {
            true => None,
            false => engine.networks()?.find("bridge")?.host_address(),
        };
        let (namespace, way_out) = WayOut::open(record, &ports, default, run_folder)?;
        let (namespace, way_out) = (Some(namespace), Some(way_out));
        Ok(Places { namespace, way_out, ..Places::default() })
    }

    /// Joins the networks that a container is born into.
    fn join_all(
        &mut self,
        networks: &Networks,
        record: &ContainerRecord,
        names: &[&str],
    ) -> Result<()> {
        if let [only] = names {
            return self.enter(networks, record, only, wanted_ports(record)?);
        }
        names.iter().try_for_each(|name| self.enter(networks, record, name, Vec::new()))?;
        self.place_ports(networks, record)
    }

    /// Joins one more network. Ports are published where the container leaves from now on.
    pub(super) fn join(
        &mut self,
        networks: &Networks,
        record: &ContainerRecord,
        name: &str,
    ) -> Result<()> {
        self.enter(networks, record, name, Vec::new())?;
        let placed = self.place_ports(networks, record);
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = self.leave_one(networks, record, name);
        }
        placed
    }

    fn enter(
        &mut self,
        networks: &Networks,
        record: &ContainerRecord,
        name: &str,
        ports: Vec<PortMapping>,
    ) -> Result<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        let request = request(record, name, ports)?;
        let attached = networks.attach(namespace, &request)?;
        if !request.ports.is_empty() {
            self.published.insert(attached.endpoint.id.clone(), Families::Both);
        }
        self.attached.push(attached);
        Ok(())
    }

    /// Publishes the ports where they belong, and takes them away where they do not any more.
    fn place_ports(&mut self, networks: &Networks, record: &ContainerRecord) -> Result<()> {
        let ports = wanted_ports(record)?;
        if ports.is_empty() {
            return Ok(());
        }
        let wanted = self.publishers(networks)?;
        let mut is_changed = false;
        for (one, wanted) in self.attached.iter_mut().zip(&wanted) {
            let now = self.published.get(&one.endpoint.id);
            if now.is_some() && now != wanted.as_ref() {
                *one = networks.unpublish(&one.endpoint)?;
                self.published.remove(&one.endpoint.id);
                is_changed = true;
            }
        }
        if is_changed {
            // Nobody may listen there any more.
            self.serve_ports()?;
        }
        for (one, wanted) in self.attached.iter_mut().zip(wanted) {
            if let Some(families) = wanted
                && !self.published.contains_key(&one.endpoint.id)
            {
                *one = networks.publish(&one.endpoint, &ports, families)?;
                self.published.insert(one.endpoint.id.clone(), families);
            }
        }
        Ok(())
    }

    /// Over which addresses each of the places publishes ports, if it does: those of a family belong
    /// where the container would leave first, of the networks in which they can be published. Where
    /// there is only one family, calls over the other one come there too.
    fn publishers(&self, networks: &Networks) -> Result<Vec<Option<Families>>> {
        let mut able = Vec::new();
        for Attached { endpoint, .. } in &self.attached {
            if networks.find(&endpoint.network)?.publishes() {
                able.push(endpoint);
            }
        }
        let leading = |has: fn(&Endpoint) -> bool| {
            let able = able.iter().filter(|endpoint| has(endpoint));
            able.min_by(|one, other| by_precedence(one, other)).map(|first| first.id.as_str())
        };
        let (ipv4, ipv6) = (leading(|it| it.ipv4.is_some()), leading(|it| it.ipv6.is_some()));
        let (ipv4, ipv6) = (ipv4.or(ipv6), ipv6.or(ipv4));
        let families = |Attached { endpoint, .. }: &Attached| {
            let id = Some(endpoint.id.as_str());
            match (ipv4 == id, ipv6 == id) {
                (true, true) => Some(Families::Both),
                (true, false) => Some(Families::Ipv4),
                (false, true) => Some(Families::Ipv6),
                (false, false) => None,
            }
        };
        Ok(self.attached.iter().map(families).collect())
    }

    /// Leaves one network while the container goes on, and publishes its ports in another one.
    /// Returns the place that was left.
    pub(super) fn leave_one(
        &mut self,
        networks: &Networks,
        record: &ContainerRecord,
        network: &str,
    ) -> Result<Option<Endpoint>> {
        let is_meant = |one: &Attached| {
            one.endpoint.network_name == network || one.endpoint.network == network
        };
        let (Some(place), Some(namespace)) =
            (self.attached.iter().position(is_meant), &self.namespace)
        else {
            return Ok(None);
        };
        networks.detach(&self.attached[place].endpoint, Cable::RemoveIn(namespace))?;
        let left = self.attached.remove(place).endpoint;
        self.published.remove(&left.id);
        if !left.ports.is_empty() {
            // Nobody may listen there any more.
            self.serve_ports()?;
        }
        self.place_ports(networks, record)?;
        Ok(Some(left))
    }

    /// Its endpoints.
    pub(super) fn endpoints(&self) -> impl DoubleEndedIterator<Item = &Endpoint> {
        let attached = self.attached.iter().map(|one| &one.endpoint);
        attached.chain(self.way_out.iter().map(|way| &way.endpoint))
    }

    /// Has calls carried to its ports that the kernel does not redirect. Returns what does so, where
    /// it is new.
    pub(super) fn serve_ports(&mut self) -> Result<Option<Arc<Mutex<Relay>>>> {
        let is_new = self.relay.is_none() && Relay::is_needed(&self.attached);
        if is_new {
            self.relay = Some(Arc::new(Mutex::new(Relay::new()?)));
        }
        if let Some(relay) = &self.relay {
            relay.lock().unwrap_or_else(PoisonError::into_inner).follow(&self.attached)?;
        }
        Ok(self.relay.clone().filter(|_| is_new))
    }

    /// The namespace's path, for as long as this is kept.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let own = self.namespace.as_ref().map(|namespace| {
            let number = namespace.as_fd().as_raw_fd();
            PathBuf::from(format!("/proc/self/fd/{number}"))
        });
        own.or_else(|| self.shared.clone())
    }

    /// Whether a network of it is one whose containers have names.
    pub(super) fn have_names(&self) -> bool {
        self.endpoints()
            .any(|endpoint| NetworkMode::parse(&endpoint.network_name).is_user_defined())
    }

    /// Whether none of them leads out.
    pub(super) fn are_internal(&self, networks: &Networks) -> Result<bool> {
        for endpoint in self.endpoints() {
            if !networks.find(&endpoint.network)?.internal {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the places back.
    pub(super) fn leave(&mut self, networks: &Networks) -> Result<()> {
        let mut result = Ok(());
        for Attached { endpoint, .. } in self.attached.drain(..) {
            let left = networks.detach(&endpoint, Cable::EndsWithNamespace);
            result = result.and(left.map_err(EngineError::from));
        }
        self.namespace = None;
        self.relay = None;
        result
    }
}

fn request(
    record: &ContainerRecord,
    name: &str,
    ports: Vec<PortMapping>,
) -> Result<EndpointRequest> {
    let settings = record.networks.get(name).cloned().unwrap_or_default();
    let ipam = settings.ipam_config.unwrap_or_default();
    let wrong = |text: &str| EngineError::Refused(format!("invalid address: {text}"));
    let mac = Some(settings.mac_address).filter(|mac| !mac.is_empty());
    let mac = mac.map(|mac| mac.parse().map_err(|_| wrong(&mac))).transpose()?;
    let ipv4 = Some(ipam.ipv4_address).filter(|address| !address.is_empty());
    let ipv6 = Some(ipam.ipv6_address).filter(|address| !address.is_empty());
    Ok(EndpointRequest {
        network: name.to_owned(),
        container: record.id.to_string(),
        container_name: record.name.clone(),
        aliases: settings.aliases.unwrap_or_default(),
        ipv4: ipv4.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?,
        ipv6: ipv6.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?,
        link_local: ipam.link_local_ips.iter().filter_map(|text| text.parse().ok()).collect(),
        mac,
        ports,
        gateway_priority: settings.gw_priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        options: settings.driver_opts.unwrap_or_default(),
    })
}

/// What `-p` asked for, and with `-P` a port of the host's choice for all that is exposed besides.
fn wanted_ports(record: &ContainerRecord) -> Result<Vec<PortMapping>> {
    let host = &record.host_config;
    let mut list = published(host)?;
    if host.publish_all_ports {
        for text in &record.config.exposed_ports {
            let ports = exposed_ports(text).map_err(|e| EngineError::Start(e.to_string()))?;
            let known = |port: &ContainerPort| {
                list.iter().any(|mapping: &PortMapping| mapping.container == *port)
            };
            let new: Vec<ContainerPort> = ports.into_iter().filter(|port| !known(port)).collect();
            list.extend(new.into_iter().map(|container| PortMapping {
                container,
                host_address: None,
                host: HostPorts::Any,
            }));
        }
    }
    Ok(list)
}

/// What `-p` asked for.
pub(super) fn published(host: &HostConfig) -> Result<Vec<PortMapping>> {
    let mut list = Vec::new();
    for (port, bindings) in &host.port_bindings {
        for binding in bindings.iter().flatten() {
            let address = match binding.host_ip.as_str() {
                "" => String::new(),
                ip if ip.contains(':') => format!("[{ip}]:"),
                ip => format!("{ip}:"),
            };
            let text = match binding.host_port.as_str() {
                "" if address.is_empty() => port.clone(),
                host_port => format!("{address}{host_port}:{port}"),
            };
            list.extend(port_mappings(&text).map_err(|e| EngineError::Refused(e.to_string()))?);
        }
    }
    Ok(list)
}
