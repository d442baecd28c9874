//! A container joins a network and leaves it.

use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;
use spec::PortMapping;

use crate::bridge;
use crate::definition::{Driver, Network};
use crate::documents::Lock;
use crate::endpoint::{Attached, Endpoint, EndpointRequest, Families, Notice};
use crate::error::{NetworkError, Result};
use crate::netlink::{Address, Connection, Link, LinkInfo, LinkKind, Links, Requests};
use crate::netns::NetNs;
use crate::nft::Rules;
use crate::{Networks, child, choose, gateway, ports};

impl Networks {
    /// Puts a container's namespace into a network. All that the network needs on the host is made
    /// on the way if it is not there.
    pub fn attach(&self, namespace: &NetNs, request: &EndpointRequest) -> Result<Attached> {
        let lock = self.documents.lock()?;
        let network = self.ready(&lock, &request.network)?;
        network.check_joinable()?;
        let mut notices = Vec::new();
        let publishing = network.publishes();
        if !publishing && !request.ports.is_empty() {
            notices.push(Notice::Discarded { network: network.name.clone() });
        }
        if matches!(network.driver, Driver::Host | Driver::None) {
            let endpoint = blank(&network, request)?;
            return Ok(Attached { endpoint, reserved: Vec::new(), notices });
        }
        self.check_first(&network, request)?;
        let mut endpoint = blank(&network, request)?;
        choose::addresses(&self.documents, &network, request, &mut endpoint)?;
        let mut reserved = Vec::new();
        if network.driver == Driver::Bridge {
            endpoint.host_link = Some(format!("veth{}", &endpoint.id[..7]));
        }
        if publishing && !request.ports.is_empty() {
            let addresses: Vec<IpAddr> = endpoint.addresses().collect();
            let default = network.host_address().or(self.settings.host_address);
            let mut held = self.documents.held_ports()?;
            (endpoint.ports, reserved) =
                ports::publish(&request.ports, &addresses, Families::Both, default, &mut held)?;
        }
        let mut inside = namespace.within(Connection::route)??;
        let links: Vec<String> = inside.links()?.into_iter().map(|link| link.name).collect();
        endpoint.link = name_of_link(&links, &endpoint)?;
        let mut neighbours = self.documents.of_container(&endpoint.container)?;
        // An earlier run of the container may have left some.
        neighbours.retain(|it| links.contains(&it.link));
        // The document comes first: what a crash leaves in the kernel can be told from it.
        self.documents.save_endpoint(&endpoint)?;
        let made = self
            .documents
            .lease(&endpoint)
            .and_then(|()| {
                self.wire(&network, namespace, (&endpoint, &neighbours), &mut inside, &mut notices)
            })
            .and_then(|()| ports::check_followed(&endpoint.ports));
        if let Err(error) = made {
            // The first error is the one to tell; what is left over goes with `reconcile`.
            let _ = self.undo(&endpoint, Cable::RemoveIn(namespace));
            return Err(error);
        }
        Ok(Attached { endpoint, reserved, notices })
    }

    /// Publishes ports at an endpoint that is there already, as those of a network that its container
    /// has left or no longer leaves by. Where nothing can be published the notices say so.
    pub fn publish(
        &self,
        endpoint: &Endpoint,
        wanted: &[PortMapping],
        families: Families,
    ) -> Result<Attached> {
        let _lock = self.documents.lock()?;
        let network = self.find(&endpoint.network)?;
        let mut endpoint = self.written(endpoint)?;
        if !network.publishes() {
            let notices = vec![Notice::Discarded { network: network.name }];
            return Ok(Attached { endpoint, reserved: Vec::new(), notices });
        }
        let addresses: Vec<IpAddr> = endpoint.addresses().collect();
        let default = network.host_address().or(self.settings.host_address);
        let mut held = self.documents.held_ports()?;
        let (ports, reserved) = ports::publish(wanted, &addresses, families, default, &mut held)?;
        let before = endpoint.clone();
        endpoint.ports.extend(&ports);
        if let Err(error) = self.open_ports(&endpoint) {
            // The first error is the one to tell.
            let _ = self.close_ports(&Endpoint { ports, ..before.clone() }, &before);
            return Err(error);
        }
        Ok(Attached { endpoint, reserved, notices: Vec::new() })
    }

    /// Makes the ports of an endpoint that is there lead to it.
    fn open_ports(&self, endpoint: &Endpoint) -> Result<()> {
        self.documents.save_endpoint(endpoint)?;
        self.documents.lease(endpoint)?;
        if let Some(link) = &endpoint.host_link {
            let mut requests = Requests::default();
            requests.hairpin(link);
            Connection::route()?.carry_out(requests)?;
        }
        let rules = Rules { switches: Vec::new(), ports: bridge::ports(endpoint) };
        if !self.firewall().add(&rules)? {
            self.rebuild()?;
        }
        ports::check_followed(&endpoint.ports)
    }

    /// Takes these ports away from an endpoint, of which this is left.
    fn close_ports(&self, these: &Endpoint, left: &Endpoint) -> Result<()> {
        // Whoever builds the rules anew while some cannot be removed leaves the ports out.
        self.documents.save_endpoint(left)?;
        self.firewall().remove(&Rules { switches: Vec::new(), ports: bridge::ports(these) })?;
        self.documents.release_ports(these)
    }

    /// The endpoint as it is written down: its container may have another name by now.
    fn written(&self, endpoint: &Endpoint) -> Result<Endpoint> {
        let written = self.documents.endpoint(&endpoint.network, &endpoint.container)?;
        let same = written.filter(|written| written.id == endpoint.id);
        Ok(same.unwrap_or_else(|| endpoint.clone()))
    }

    /// Takes the ports away from an endpoint that stays, for another one to have them.
    pub fn unpublish(&self, endpoint: &Endpoint) -> Result<Attached> {
        let _lock = self.documents.lock()?;
        let written = self.written(endpoint)?;
        let rules = Rules { switches: Vec::new(), ports: bridge::ports(endpoint) };
        self.firewall().remove(&rules)?;
        self.documents.release_ports(endpoint)?;
        let endpoint = Endpoint { ports: Vec::new(), ..written };
        self.documents.save_endpoint(&endpoint)?;
        Ok(Attached { endpoint, reserved: Vec::new(), notices: Vec::new() })
    }

    /// Takes a container out of a network.
    pub fn detach(&self, endpoint: &Endpoint, cable: Cable<'_>) -> Result<()> {
        let _lock = self.documents.lock()?;
        self.undo(endpoint, cable)
    }

    /// Removes what is known of an endpoint: from the packet filter, from the host, from the
    /// documents, in this order. What is gone already, and may be somebody else's by now, is let be.
    pub(crate) fn undo(&self, endpoint: &Endpoint, cable: Cable<'_>) -> Result<()> {
        let now = self.documents.endpoint(&endpoint.network, &endpoint.container)?;
        let Some(now) = now.filter(|now| now.id == endpoint.id) else { return Ok(()) };
        // Ports may have come to it that the caller does not know.
        let mut ports = bridge::ports(&now);
        let known = bridge::ports(endpoint);
        ports.extend(known.into_iter().filter(|port| !bridge::ports(&now).contains(port)));
        self.firewall().remove(&Rules { switches: Vec::new(), ports })?;
        self.documents.release_ports(endpoint)?;
        match (cable, &endpoint.host_link) {
            (Cable::EndsWithNamespace, _) | (Cable::Remove, None) => {}
            // The host's end has a name that nobody else has; what is called so inside may be another
            // link by now, or another's.
            (Cable::RemoveIn(_) | Cable::Remove, Some(link)) => {
                remove_link(&mut Connection::route()?, link)?;
            }
            (Cable::RemoveIn(namespace), None) => {
                let mut inside = namespace.within(Connection::route)??;
                remove_link(&mut inside, &endpoint.link)?;
            }
        }
        self.documents.forget_endpoint(&now)?;
        if let Cable::RemoveIn(namespace) = cable {
            // Who has changed addresses inside so that no route can be set sees to the routes too.
            let _ = self.give_routes_back(endpoint, namespace);
        }
        Ok(())
    }

    /// Lets a container leave by the networks that it has left.
    fn give_routes_back(&self, endpoint: &Endpoint, namespace: &NetNs) -> Result<()> {
        let mut inside = namespace.within(Connection::route)??;
        let neighbours = self.documents.of_container(&endpoint.container)?;
        gateway::depart(endpoint, neighbours, &mut inside)
    }

    /// Refuses a second endpoint of one container.
    fn check_first(&self, network: &Network, request: &EndpointRequest) -> Result<()> {
        match self.documents.endpoint(&network.id, &request.container)? {
            None => Ok(()),
            Some(other) => Err(NetworkError::Attached {
                endpoint: other.container_name,
                network: network.name.clone(),
            }),
        }
    }

    /// Makes the links and tells the packet filter.
    fn wire(
        &self,
        network: &Network,
        namespace: &NetNs,
        (endpoint, neighbours): (&Endpoint, &[Endpoint]),
        inside: &mut Connection,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut outside = Connection::route()?;
        match network.driver {
            Driver::Bridge => {
                let firewall = self.firewall();
                let switch =
                    bridge::up(&self.documents, network, &mut outside, &*firewall, notices)?;
                let mtu = network.mtu().unwrap_or(switch.mtu);
                plug_in(namespace, endpoint, &switch, mtu, &mut outside)?;
            }
            _ => child::make(&self.documents, network, namespace, endpoint, &mut outside)?,
        }
        if network.ipv6 {
            namespace.within(|| bridge::trust_addresses(&endpoint.link))??;
        }
        namespace.within(|| apply_settings(endpoint))??;
        configure(network, endpoint, neighbours, inside)?;
        let rules = Rules {
            switches: bridge::switch(network).into_iter().collect(),
            ports: bridge::ports(endpoint),
        };
        if network.driver == Driver::Bridge && !self.firewall().add(&rules)? {
            self.rebuild()?;
        }
        Ok(())
    }
}

/// What becomes of the link of a container that leaves.
#[derive(Clone, Copy, Debug)]
pub enum Cable<'a> {
    /// The container goes on, and its link is removed from its namespace. The kernel takes its time
    /// over that.
    RemoveIn(&'a NetNs),
    /// Nobody knows the namespace any more: the host's end is removed, if there is one.
    Remove,
    /// The namespace ends, and the link with it.
    EndsWithNamespace,
}

fn remove_link(connection: &mut Connection, name: &str) -> Result<()> {
    let mut requests = Requests::default();
    requests.delete_link(name);
    match connection.carry_out(requests) {
        Err(error) if error.is(Errno::NODEV) => Ok(()),
        other => Ok(other?),
    }
}

/// The name of a link that was asked for, or the first with a number that no link has: `eth0`. What
/// is made under a name of somebody else's would be removed as ours when that fails.
fn name_of_link(taken: &[String], endpoint: &Endpoint) -> Result<String> {
    let asked = endpoint.options.get("com.docker.network.endpoint.ifname");
    let Some(name) = asked.filter(|name| !name.is_empty()) else {
        let mut names = (0..).map(|number| format!("eth{number}"));
        return Ok(names.find(|name| !taken.contains(name)).expect("numbers do not end"));
    };
    // The kernel puts a number of its choice in the place of `%d`.
    let is_sound = name.len() <= LONGEST_NAME
        && !matches!(name.as_str(), "." | ".." | "lo" | "all" | "default")
        && !name.contains(|letter: char| {
            matches!(letter, '%' | '/' | ':') || letter.is_whitespace() || letter.is_control()
        });
    if !is_sound {
        return Err(NetworkError::Invalid(format!("invalid name of an interface: {name:?}")));
    }
    match taken.contains(name) {
        false => Ok(name.clone()),
        true => Err(NetworkError::LinkTaken(name.clone())),
    }
}

/// How long the name of a link may be.
const LONGEST_NAME: usize = 15;

/// An endpoint without addresses.
fn blank(network: &Network, request: &EndpointRequest) -> Result<Endpoint> {
    let asked = [request.ipv4.map(IpAddr::V4), request.ipv6.map(IpAddr::V6)];
    Ok(Endpoint {
        id: crate::random_id()?,
        network: network.id.clone(),
        network_name: network.name.clone(),
        container: request.container.clone(),
        container_name: request.container_name.clone(),
        aliases: request.aliases.clone(),
        link_local: request.link_local.clone(),
        asked: asked.into_iter().flatten().collect(),
        gateway_priority: request.gateway_priority,
        options: request.options.clone(),
        ..Endpoint::blank()
    })
}

/// Writes the kernel settings that the endpoint's options name for its link.
fn apply_settings(endpoint: &Endpoint) -> Result<()> {
    let Some(list) = endpoint.options.get("com.docker.network.endpoint.sysctls") else {
        return Ok(());
    };
    for pair in list.split(',') {
        let wrong = || NetworkError::Invalid(format!("invalid sysctl for an endpoint: {pair}"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        // `net.ipv4.conf.IFNAME.log_martians`: nothing but the link's own settings.
        let parts: Vec<&str> = key.split('.').collect();
        let plain = |part: &str| part.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        let path = match parts.as_slice() {
            ["net", family @ ("ipv4" | "ipv6" | "mpls"), kind, "IFNAME", name]
                if plain(kind) && plain(name) =>
            {
                format!("/proc/sys/net/{family}/{kind}/{}/{name}", endpoint.link)
            }
            _ => return Err(wrong()),
        };
        std::fs::write(&path, value).map_err(NetworkError::io("set", &path))?;
    }
    Ok(())
}

/// Makes a cable whose far end is born in the container.
fn plug_in(
    namespace: &NetNs,
    endpoint: &Endpoint,
    switch: &LinkInfo,
    mtu: u32,
    outside: &mut Connection,
) -> Result<()> {
    let host_link = endpoint.host_link.as_deref().unwrap_or_default();
    let far = Link {
        name: &endpoint.link,
        mac: endpoint.mac,
        mtu: Some(mtu),
        namespace: Some(namespace.as_fd()),
        ..Link::default()
    };
    let near =
        Link { name: host_link, mtu: Some(mtu), master: Some(switch.index), ..Link::default() };
    let mut requests = Requests::default();
    requests.new_link(&near, &LinkKind::Veth(&far));
    if bridge::has_ipv6() {
        requests.no_ipv6_of_its_own(host_link);
    }
    if !endpoint.ports.is_empty() {
        requests.hairpin(host_link);
    }
    requests.link_up(host_link);
    Ok(outside.carry_out(requests)?)
}

/// Sets up the container's end, which has other endpoints in its `neighbours`' networks.
fn configure(
    network: &Network,
    endpoint: &Endpoint,
    neighbours: &[Endpoint],
    inside: &mut Connection,
) -> Result<()> {
    let gone = || NetworkError::Invalid(format!("the link {} vanished", endpoint.link));
    let link = inside.link(&endpoint.link)?.ok_or_else(gone)?;
    let mut requests = Requests::default();
    if bridge::has_ipv6() && !network.ipv6 {
        requests.no_ipv6_of_its_own(&endpoint.link);
    }
    let pairs = [
        endpoint.ipv4.map(|(address, prefix)| (IpAddr::V4(address), prefix)),
        endpoint.ipv6.map(|(address, prefix)| (IpAddr::V6(address), prefix)),
    ];
    for (address, prefix) in pairs.into_iter().flatten() {
        requests.new_address(&Address { link: link.index, address, prefix });
    }
    for address in &endpoint.link_local {
        let prefix = if address.is_ipv4() { 16 } else { 64 };
        requests.new_address(&Address { link: link.index, address: *address, prefix });
    }
    requests.link_up(&endpoint.link);
    gateway::arrive(endpoint, link.index, neighbours, &mut requests);
    Ok(inside.carry_out(requests)?)
}

impl Networks {
    /// The network of this name with all that it needs to be joined.
    fn ready(&self, lock: &Lock, name: &str) -> Result<Network> {
        let network = self.find(name)?;
        match network.is_complete() {
            true => Ok(network),
            false => self.complete(lock, network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_called_as_asked_where_nobody_else_is() {
        let named = |name: &str| {
            let option = ("com.docker.network.endpoint.ifname".to_owned(), name.to_owned());
            let endpoint = Endpoint { options: [option].into(), ..Endpoint::blank() };
            name_of_link(&["lo".to_owned(), "eth0".to_owned()], &endpoint)
        };
        assert_eq!(named("").unwrap(), "eth1");
        assert_eq!(named("inner.5").unwrap(), "inner.5");
        assert_eq!(named("a234567890bcdef").unwrap(), "a234567890bcdef");
        let error = named("eth0").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Conflict);
        for name in ["lo", "eth%d", "a/b", "..", "a b", "a:1", "a234567890bcdefg"] {
            let error = named(name).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput, "{name}");
        }
    }
}
