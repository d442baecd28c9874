//! Which addresses an endpoint gets in a network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::definition::{Driver, Network};
use crate::documents::Documents;
use crate::endpoint::{Endpoint, EndpointRequest};
use crate::error::{NetworkError, Result};
use crate::subnet::Mac;
use crate::{child, pools};

/// Gives an endpoint its addresses: those asked for, or the lowest that are free.
pub(crate) fn addresses(
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
    let leads_out = !network.internal && !child::is_isolated(network);
    network.pool(ipv6)?.gateway.filter(|_| leads_out)
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
            || pool.subnet.is_edge(wanted)
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
