//! A network's switch on the host: made when it is first needed, known to the packet filter.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use crate::definition::{Driver, Network};
use crate::documents::Documents;
use crate::endpoint::{Endpoint, Notice};
use crate::error::{NetworkError, Result};
use crate::firewall::Firewall;
use crate::netlink::{Address, Connection, Link, LinkInfo, LinkKind, Links, Requests};
use crate::nft::{self, Port, Rules, Switch};
use crate::subnet::Mac;

/// Where the kernel keeps its settings for networks.
const SETTINGS: &str = "/proc/sys/net";

/// The bridge of a network, up, with its addresses. What had to be changed besides is added to the
/// notices.
pub(crate) fn up(
    documents: &Documents,
    network: &Network,
    route: &mut Connection,
    firewall: &dyn Firewall,
    notices: &mut Vec<Notice>,
) -> Result<LinkInfo> {
    let name = network.bridge();
    if let Some(link) = route.link(&name)? {
        if link.kind != "bridge" {
            let why = format!("cannot use the link {name} for network {}", network.name);
            return Err(NetworkError::Invalid(format!("{why}: it is no bridge")));
        }
        if documents.own_bridge(&network.id).is_none() {
            configure(network, &link, route)?;
        }
        return Ok(link);
    }
    documents.made_bridge(&network.id, &name)?;
    let mac = network.pool(false).and_then(|pool| match pool.gateway {
        Some(std::net::IpAddr::V4(gateway)) => Some(Mac::from_ipv4(gateway)),
        _ => None,
    });
    let mut requests = Requests::default();
    // A bridge without an address of its own takes the lowest of its ports', and changes it.
    let link = Link { name: &name, mac, mtu: network.mtu(), ..Link::default() };
    requests.new_link(&link, &LinkKind::Bridge);
    if has_ipv6() && !network.ipv6 {
        requests.no_ipv6_of_its_own(&name);
    }
    route.carry_out(requests)?;
    let gone = || NetworkError::Invalid(format!("the bridge {name} vanished"));
    let link = route.link(&name)?.ok_or_else(gone)?;
    configure(network, &link, route)?;
    forward(documents, network, notices)?;
    notices.extend(firewall.open(&name)?);
    Ok(link)
}

/// Gives a bridge the gateways' addresses and lets the host reach it from its loopback.
fn configure(network: &Network, link: &LinkInfo, route: &mut Connection) -> Result<()> {
    if network.ipv4 {
        let path = format!("{SETTINGS}/ipv4/conf/{}/route_localnet", link.name);
        fs::write(&path, "1").map_err(NetworkError::io("set", &path))?;
    }
    if network.ipv6 {
        trust_addresses(&link.name)?;
    }
    for pool in &network.pools {
        let Some(address) = pool.gateway else { continue };
        let mut requests = Requests::default();
        requests.new_address(&Address { link: link.index, address, prefix: pool.subnet.prefix() });
        match route.carry_out(requests) {
            Err(error) if error.is(Errno::EXIST) => {}
            other => other?,
        }
    }
    let mut requests = Requests::default();
    requests.link_up(&link.name);
    Ok(route.carry_out(requests)?)
}

/// Lets a link use the addresses that it makes for itself at once, rather than after a second in
/// which somebody might object. Nobody else is there who could have them.
pub(crate) fn trust_addresses(link: &str) -> Result<()> {
    let path = format!("{SETTINGS}/ipv6/conf/{link}/accept_dad");
    fs::write(&path, "0").map_err(NetworkError::io("set", &path))
}

/// Whether this namespace knows IPv6.
pub(crate) fn has_ipv6() -> bool {
    Path::new(SETTINGS).join("ipv6").exists()
}

/// Switches forwarding on where it is off.
fn forward(documents: &Documents, network: &Network, notices: &mut Vec<Notice>) -> Result<()> {
    if network.internal {
        return Ok(());
    }
    if network.ipv4 {
        switch_on(documents, "net.ipv4.ip_forward", notices)?;
    }
    if network.ipv6 && has_ipv6() {
        keep_router_advertisements(documents)?;
        switch_on(documents, "net.ipv6.conf.all.forwarding", notices)?;
    }
    Ok(())
}

fn switch_on(documents: &Documents, key: &'static str, notices: &mut Vec<Notice>) -> Result<()> {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    let now = fs::read_to_string(&path).map_err(NetworkError::io("read", &path))?;
    if now.trim() != "0" {
        return Ok(());
    }
    fs::write(&path, "1").map_err(NetworkError::io("set", &path))?;
    documents.note(&format!("{key} 0 1"))?;
    notices.push(Notice::SwitchedOn(key));
    Ok(())
}

/// A host that forwards IPv6 stops listening to its router unless told otherwise, and would lose
/// its own way out.
fn keep_router_advertisements(documents: &Documents) -> Result<()> {
    let folder = format!("{SETTINGS}/ipv6/conf");
    if fs::read_to_string(format!("{folder}/all/forwarding")).is_ok_and(|now| now.trim() == "1") {
        return Ok(());
    }
    for entry in fs::read_dir(&folder).map_err(NetworkError::io("list", &folder))? {
        let path = entry.map_err(NetworkError::io("list", &folder))?.path().join("accept_ra");
        if fs::read_to_string(&path).is_ok_and(|now| now.trim() == "1") {
            fs::write(&path, "2").map_err(NetworkError::io("set", &path))?;
            documents.note(&format!("{} 1 2", path.display()))?;
        }
    }
    Ok(())
}

/// Takes a network's bridge away, if we made it.
pub(crate) fn down(documents: &Documents, network: &Network) -> Result<()> {
    let Some(name) = documents.own_bridge(&network.id) else { return Ok(()) };
    let mut requests = Requests::default();
    requests.delete_link(&name);
    match Connection::route()?.carry_out(requests) {
        Err(error) if error.is(Errno::NODEV) => {}
        other => other?,
    }
    for barrier in nft::barriers().unwrap_or_default() {
        nft::lower(&barrier, &name)?;
    }
    documents.forget_bridge(&network.id)
}

/// What the packet filter has to know of a network's bridge.
pub(crate) fn switch(network: &Network) -> Option<Switch> {
    (network.driver == Driver::Bridge).then(|| Switch {
        bridge: network.bridge(),
        subnets: network.pools.iter().map(|pool| pool.subnet).collect(),
        talking: network.is_talking(),
        outward: !network.internal,
        masquerading: network.is_masquerading(),
    })
}

/// What the packet filter has to know of an endpoint.
pub(crate) fn ports(endpoint: &Endpoint) -> Vec<Port> {
    let target = |ipv4: bool| endpoint.addresses().find(|address| address.is_ipv4() == ipv4);
    let ports = endpoint.ports.iter().filter_map(|port| {
        Some(Port {
            host_address: port.host_address,
            host_port: port.host_port,
            address: target(port.host_address.is_ipv4())?,
            port: port.container,
        })
    });
    ports.collect()
}

/// All that the packet filter has to know: every network in use.
pub(crate) fn all_rules(documents: &Documents, networks: &[Network]) -> Result<Rules> {
    let mut rules = Rules::default();
    for network in networks {
        let endpoints = documents.endpoints(&network.id)?;
        if documents.own_bridge(&network.id).is_some() || !endpoints.is_empty() {
            rules.switches.extend(switch(network));
        }
        rules.ports.extend(endpoints.iter().flat_map(ports));
    }
    Ok(rules)
}
