//! Links that stand on one of the host's links: macvlan and ipvlan.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::definition::{Driver, Network};
use crate::documents::Documents;
use crate::endpoint::Endpoint;
use crate::error::{NetworkError, Result};
use crate::netlink::{Connection, Link, LinkInfo, LinkKind, Links, Requests};
use crate::netns::NetNs;

const PARENT: &str = "parent";

/// Makes the link of an endpoint, at once inside the container.
pub(crate) fn make(
    documents: &Documents,
    network: &Network,
    namespace: &NetNs,
    endpoint: &Endpoint,
    outside: &mut Connection,
) -> Result<()> {
    let parent = parent(documents, network, outside)?;
    let link = Link {
        name: &endpoint.link,
        mac: endpoint.mac.filter(|_| network.driver == Driver::Macvlan),
        mtu: network.mtu(),
        parent: Some(parent.index),
        namespace: Some(namespace.as_fd()),
        ..Link::default()
    };
    let mut requests = Requests::default();
    requests.new_link(&link, &kind(network)?);
    Ok(outside.carry_out(requests)?)
}

/// The kind of link, by the driver and its options.
pub(crate) fn kind(network: &Network) -> Result<LinkKind<'static>> {
    let option = |key: &str, default: &'static str| {
        network.options.get(key).filter(|value| !value.is_empty()).map_or(default, String::as_str)
    };
    let wrong = |what: &str, value: &str| {
        Err(NetworkError::Invalid(format!("requested {what} mode '{value}' is not valid")))
    };
    if network.driver == Driver::Macvlan {
        return match option("macvlan_mode", "bridge") {
            "private" => Ok(LinkKind::Macvlan(1)),
            "vepa" => Ok(LinkKind::Macvlan(2)),
            "bridge" => Ok(LinkKind::Macvlan(4)),
            "passthru" => Ok(LinkKind::Macvlan(8)),
            other => wrong("macvlan", other),
        };
    }
    let mode = match option("ipvlan_mode", "l2") {
        "l2" => 0,
        "l3" => 1,
        "l3s" => 2,
        other => return wrong("ipvlan", other),
    };
    match option("ipvlan_flag", "bridge") {
        "bridge" => Ok(LinkKind::Ipvlan(mode, 0)),
        "private" => Ok(LinkKind::Ipvlan(mode, 1)),
        "vepa" => Ok(LinkKind::Ipvlan(mode, 2)),
        other => wrong("ipvlan flag", other),
    }
}

/// Whether the network is to stand on a link to nowhere, and so leads nowhere.
pub(crate) fn is_isolated(network: &Network) -> bool {
    matches!(network.driver, Driver::Macvlan | Driver::Ipvlan) && named_parent(network).is_none()
}

/// The parent that the user chose.
fn named_parent(network: &Network) -> Option<&str> {
    network.options.get(PARENT).filter(|name| !name.is_empty()).map(String::as_str)
}

/// The link to nowhere of a network for which no parent was chosen.
fn own_parent(network: &Network) -> String {
    format!("dm-{}", &network.id[..network.id.len().min(12)])
}

/// Refuses a parent that is not there and cannot be made, in docker's words.
pub(crate) fn check_parent(network: &Network) -> Result<()> {
    let Some(name) = named_parent(network) else { return Ok(()) };
    let invalid = |words: String| Err(NetworkError::Invalid(words));
    if name == "lo" {
        let driver = network.driver;
        return invalid(format!("loopback interface is not a valid {driver} parent link"));
    }
    let mut outside = Connection::route()?;
    match outside.link(name)? {
        Some(_) => Ok(()),
        None => tagged(network, name, &mut outside).map(drop),
    }
}

/// The link below one of the name `eth0.10`, and the tag of its frames.
fn tagged(network: &Network, name: &str, outside: &mut Connection) -> Result<(LinkInfo, u16)> {
    let invalid = |words: String| Err(NetworkError::Invalid(words));
    let Some((below, tag)) = name.split_once('.') else {
        let words = "invalid subinterface vlan name";
        return invalid(format!("{words} {name}, example formatting is eth0.10"));
    };
    if tag.contains('.') {
        return invalid(format!(
            "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        ));
    }
    let Ok(number) = tag.parse::<i64>() else {
        return invalid(format!(
            "unable to parse a valid vlan id from: {tag} (ex. eth0.10 for vlan 10)"
        ));
    };
    let Some(below) = outside.link(below)? else {
        let verb = if network.driver == Driver::Macvlan { "does was" } else { "was" };
        return invalid(format!("-o parent interface {verb} not found on the host: {below}"));
    };
    match u16::try_from(number).ok().filter(|tag| (1..4095).contains(tag)) {
        Some(tag) => Ok((below, tag)),
        None => invalid(format!("vlan id must be between 1-4094, received: {number}")),
    }
}

/// The link that the network stands on. `eth0.10` is made if it is not there, and so is a link to
/// nowhere where none is named.
fn parent(documents: &Documents, network: &Network, outside: &mut Connection) -> Result<LinkInfo> {
    let own = own_parent(network);
    let name = named_parent(network).unwrap_or(&own);
    if let Some(link) = outside.link(name)? {
        return Ok(link);
    }
    let mut requests = Requests::default();
    if *name == own {
        requests.new_link(&Link { name, ..Link::default() }, &LinkKind::Dummy);
    } else {
        let (below, tag) = tagged(network, name, outside)?;
        let link = Link { name, parent: Some(below.index), ..Link::default() };
        requests.new_link(&link, &LinkKind::Vlan(tag));
    }
    requests.link_up(name);
    documents.made_parent(&network.id, name)?;
    outside.carry_out(requests)?;
    outside
        .link(name)?
        .ok_or_else(|| NetworkError::Invalid(format!("the parent link {name} vanished")))
}

/// Takes away the link that was made for a network to stand on; one on which others stand becomes
/// theirs.
pub(crate) fn down(documents: &Documents, network: &Network) -> Result<()> {
    let own = || named_parent(network).is_none().then(|| own_parent(network));
    let Some(name) = documents.own_parent(&network.id).or_else(own) else { return Ok(()) };
    for other in documents.networks()? {
        let is_user = other.id != network.id && named_parent(&other) == Some(&name);
        if is_user && !documents.endpoints(&other.id)?.is_empty() {
            documents.made_parent(&other.id, &name)?;
            return documents.forget_parent(&network.id);
        }
    }
    let mut requests = Requests::default();
    requests.delete_link(&name);
    match Connection::route()?.carry_out(requests) {
        Err(error) if error.is(Errno::NODEV) => {}
        other => other?,
    }
    documents.forget_parent(&network.id)
}
