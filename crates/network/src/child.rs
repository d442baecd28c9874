//! Links that stand on one of the host's links: macvlan and ipvlan.

use std::os::fd::AsFd;

use crate::definition::{Driver, Network};
use crate::endpoint::Endpoint;
use crate::error::{NetworkError, Result};
use crate::netlink::{Connection, Link, LinkInfo, LinkKind, Links, Requests};
use crate::netns::NetNs;

const PARENT: &str = "parent";

/// Makes the link of an endpoint, at once inside the container.
pub(crate) fn make(
    network: &Network,
    namespace: &NetNs,
    endpoint: &Endpoint,
    outside: &mut Connection,
) -> Result<()> {
    let parent = parent(network, outside)?;
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

/// The link that the network stands on. `eth0.10` is made if it is not there, and so is a link to
/// nowhere where none is named.
fn parent(network: &Network, outside: &mut Connection) -> Result<LinkInfo> {
    let own = format!("dm-{}", &network.id[..network.id.len().min(12)]);
    let name = network.options.get(PARENT).filter(|name| !name.is_empty()).unwrap_or(&own);
    if let Some(link) = outside.link(name)? {
        return Ok(link);
    }
    let mut requests = Requests::default();
    if *name == own {
        requests.new_link(&Link { name, ..Link::default() }, &LinkKind::Dummy);
    } else {
        let missing = || NetworkError::Invalid(format!("the parent link {name} is not here"));
        let (below, tag) = name.rsplit_once('.').ok_or_else(missing)?;
        let tag = tag.parse().ok().filter(|tag| (1..4095).contains(tag)).ok_or_else(missing)?;
        let below = outside.link(below)?.ok_or_else(missing)?;
        let link = Link { name, parent: Some(below.index), ..Link::default() };
        requests.new_link(&link, &LinkKind::Vlan(tag));
    }
    requests.link_up(name);
    outside.carry_out(requests)?;
    outside
        .link(name)?
        .ok_or_else(|| NetworkError::Invalid(format!("the parent link {name} vanished")))
}

/// Takes away the link to nowhere that was made for a network.
pub(crate) fn remove_own_parent(network: &Network) -> Result<()> {
    let own = format!("dm-{}", &network.id[..network.id.len().min(12)]);
    let mut outside = Connection::route()?;
    if network.options.get(PARENT).is_some_and(|name| !name.is_empty())
        || outside.link(&own)?.is_none()
    {
        return Ok(());
    }
    let mut requests = Requests::default();
    requests.delete_link(&own);
    Ok(outside.carry_out(requests)?)
}
