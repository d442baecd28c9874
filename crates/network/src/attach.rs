//! A container joins a network and leaves it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use rustix::io::Errno;
use spec::Timestamp;

use crate::bridge;
use crate::definition::{Driver, Network};
use crate::documents::{Documents, Lock};
use crate::endpoint::{Attached, Endpoint, EndpointRequest, Notice};
use crate::error::{NetworkError, Result};
use crate::netlink::{Address, Connection, Link, LinkInfo, LinkKind, Links, Requests, Route};
use crate::netns::NetNs;
use crate::nft::Rules;
use crate::subnet::Mac;
use crate::{Networks, child, pools, ports};

impl Networks {
    /// Puts a container's namespace into a network. All that the network needs on the host is made
    /// on the way if it is not there.
    pub fn attach(&self, namespace: &NetNs, request: &EndpointRequest) -> Result<Attached> {
        let lock = self.documents.lock()?;
        let network = self.ready(&lock, &request.network)?;
        if matches!(network.driver, Driver::Host | Driver::None) {
            let endpoint = blank(&network, request)?;
            return Ok(Attached { endpoint, reserved: Vec::new(), notices: Vec::new() });
        }
        self.check_first(&network, request)?;
        let mut endpoint = blank(&network, request)?;
        choose_addresses(&self.documents, &network, request, &mut endpoint)?;
        let mut reserved = Vec::new();
        if network.driver == Driver::Bridge {
            endpoint.host_link = Some(format!("veth{}", &endpoint.id[..7]));
        }
        if network.driver == Driver::Bridge && !request.ports.is_empty() {
            let addresses: Vec<IpAddr> = endpoint.addresses().collect();
            let default = network.host_address().or(self.settings.host_address);
            let mut held = self.documents.held_ports()?;
            (endpoint.ports, reserved) =
                ports::publish(&request.ports, &addresses, default, &mut held)?;
        }
        let mut inside = namespace.within(Connection::route)??;
        endpoint.link = free_name(&mut inside, &endpoint)?;
        // The document comes first: what a crash leaves in the kernel can be told from it.
        self.documents.save_endpoint(&endpoint)?;
        let mut notices = Vec::new();
        let made = self
            .documents
            .lease(&endpoint)
            .and_then(|()| self.wire(&network, namespace, &endpoint, &mut inside, &mut notices));
        if let Err(error) = made {
            // The first error is the one to tell; what is left over goes with `reconcile`.
            let _ = self.undo(&endpoint, Cable::Remove);
            return Err(error);
        }
        Ok(Attached { endpoint, reserved, notices })
    }

    /// Takes a container out of a network.
    pub fn detach(&self, endpoint: &Endpoint, cable: Cable) -> Result<()> {
        let _lock = self.documents.lock()?;
        self.undo(endpoint, cable)
    }

    /// Removes what is known of an endpoint: from the packet filter, from the host, from the
    /// documents, in this order. What is gone already, and may be somebody else's by now, is let be.
    pub(crate) fn undo(&self, endpoint: &Endpoint, cable: Cable) -> Result<()> {
        let now = self.documents.endpoint(&endpoint.network, &endpoint.container)?;
        if now.is_none_or(|now| now.id != endpoint.id) {
            return Ok(());
        }
        let rules = Rules { switches: Vec::new(), ports: bridge::ports(endpoint) };
        self.firewall().remove(&rules)?;
        if let (Cable::Remove, Some(link)) = (cable, &endpoint.host_link) {
            let mut requests = Requests::default();
            requests.delete_link(link);
            match Connection::route()?.carry_out(requests) {
                Err(error) if error.is(Errno::NODEV) => {}
                other => other?,
            }
        }
        self.documents.forget_endpoint(endpoint)
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
        endpoint: &Endpoint,
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
            _ => child::make(network, namespace, endpoint, &mut outside)?,
        }
        if network.ipv6 {
            namespace.within(|| bridge::trust_addresses(&endpoint.link))??;
        }
        configure(network, endpoint, inside)?;
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cable {
    /// It is removed, because the container goes on. The kernel takes its time over that.
    Remove,
    /// Its namespace ends, and it with it.
    EndsWithNamespace,
}

/// The first name with a number that no link has: `eth0`.
fn free_name(inside: &mut Connection, endpoint: &Endpoint) -> Result<String> {
    if let Some(name) = endpoint.options.get("com.docker.network.endpoint.ifname") {
        return Ok(name.clone());
    }
    let taken: Vec<String> = inside.links()?.into_iter().map(|link| link.name).collect();
    let mut names = (0..).map(|number| format!("eth{number}"));
    Ok(names.find(|name| !taken.contains(name)).expect("numbers do not end"))
}

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
        link: String::new(),
        host_link: None,
        mac: None,
        ipv4: None,
        gateway4: None,
        ipv6: None,
        gateway6: None,
        ports: Vec::new(),
        asked: asked.into_iter().flatten().collect(),
        gateway_priority: request.gateway_priority,
        options: request.options.clone(),
        created: Timestamp::now(),
    })
}

fn choose_addresses(
    documents: &Documents,
    network: &Network,
    request: &EndpointRequest,
    endpoint: &mut Endpoint,
) -> Result<()> {
    check_asked(network, &endpoint.asked)?;
    let taken = documents.taken(&network.id)?;
    if network.ipv4 {
        let wanted = request.ipv4.map(IpAddr::V4);
        if let (IpAddr::V4(address), prefix) = choose(network, false, wanted, &taken)? {
            endpoint.ipv4 = Some((address, prefix));
        }
        endpoint.gateway4 = gateway(network, false).and_then(ipv4_of);
    }
    if network.ipv6 {
        let wanted = request.ipv6.map(IpAddr::V6);
        if let (IpAddr::V6(address), prefix) = choose(network, true, wanted, &taken)? {
            endpoint.ipv6 = Some((address, prefix));
        }
        endpoint.gateway6 = gateway(network, true).and_then(ipv6_of);
    }
    // An ipvlan link has the address of the link that it stands on.
    if network.driver != Driver::Ipvlan {
        let derived = endpoint.ipv4.map(|(address, _)| Mac::from_ipv4(address));
        endpoint.mac = Some(match request.mac.or(derived) {
            Some(mac) => mac,
            None => crate::random_mac()?,
        });
    }
    Ok(())
}

fn gateway(network: &Network, ipv6: bool) -> Option<IpAddr> {
    network.pool(ipv6)?.gateway.filter(|_| !network.internal)
}

fn ipv4_of(address: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(address) = address { Some(address) } else { None }
}

fn ipv6_of(address: IpAddr) -> Option<Ipv6Addr> {
    if let IpAddr::V6(address) = address { Some(address) } else { None }
}

/// Addresses may be asked for where the user chose the subnet that they are in.
fn check_asked(network: &Network, asked: &[IpAddr]) -> Result<()> {
    let Some(first) = asked.first() else { return Ok(()) };
    let invalid = |text: &str| Err(NetworkError::Invalid(text.to_owned()));
    if network.is_predefined() {
        return invalid("user specified IP address is supported on user defined networks only");
    }
    if !network.configured {
        return invalid(
            "user specified IP address is supported only when connecting to networks with user configured subnets",
        );
    }
    match asked.iter().find(|address| network.pool_of(**address).is_none()) {
        Some(address) => {
            invalid(&format!("no configured subnet or ip-range contain the IP address {address}"))
        }
        None if first.is_unspecified() => invalid("invalid IP address: 0.0.0.0"),
        None => Ok(()),
    }
}

fn choose(
    network: &Network,
    ipv6: bool,
    wanted: Option<IpAddr>,
    taken: &BTreeSet<IpAddr>,
) -> Result<(IpAddr, u8)> {
    let full = || NetworkError::Full {
        family: if ipv6 { 6 } else { 4 },
        name: network.name.clone(),
        id: network.id.clone(),
    };
    if let Some(wanted) = wanted {
        let pool = network.pool_of(wanted).ok_or_else(full)?;
        let spoken_for = pool.gateway == Some(wanted)
            || taken.contains(&wanted)
            || pool.reserved.values().any(|it| *it == wanted);
        return match spoken_for {
            true => Err(NetworkError::AddressTaken(wanted)),
            false => Ok((wanted, pool.subnet.prefix())),
        };
    }
    let of_family = network.pools.iter().filter(|pool| pool.subnet.is_ipv6() == ipv6);
    let mut free = of_family
        .filter_map(|pool| Some((pools::free_address(pool, taken)?, pool.subnet.prefix())));
    free.next().ok_or_else(full)
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

/// Sets up the container's end.
fn configure(network: &Network, endpoint: &Endpoint, inside: &mut Connection) -> Result<()> {
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
    requests.link_up(&endpoint.link);
    let first = endpoint.gateway_priority > 0;
    if let Some(gateway) = endpoint.gateway4 {
        let gateway = Some(IpAddr::V4(gateway));
        requests.new_route(&Route { link: link.index, gateway, ipv6: false, metric: 0, first });
    }
    if let Some(gateway) = endpoint.gateway6 {
        // Routes of the same metric would share the traffic, so the earlier link has the lower.
        let priority = endpoint.gateway_priority.clamp(-500, 500);
        let metric = 1024u32.saturating_add_signed(-priority * 2) + link.index.min(500);
        let gateway = Some(IpAddr::V6(gateway));
        requests.new_route(&Route { link: link.index, gateway, ipv6: true, metric, first });
    }
    Ok(inside.carry_out(requests)?)
}

impl Networks {
    /// The network of this name with all that it needs to be joined.
    fn ready(&self, lock: &Lock, name: &str) -> Result<Network> {
        let network = self.find(name)?;
        match network.driver == Driver::Bridge && network.pools.is_empty() {
            true => self.complete(lock, network),
            false => Ok(network),
        }
    }
}
