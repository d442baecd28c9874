//! Which of its networks a container leaves by. Of all that lead out one does, for each family: it
//! has the default route, and its address is the one that published ports lead to.

use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::netlink::{Connection, Links, Requests, Route};

/// Endpoints of one container, the one to leave by first: by priority, then those that lead out in
/// both families, then by the network's name.
pub fn by_precedence(one: &Endpoint, other: &Endpoint) -> Ordering {
    let rank = |it: &Endpoint| {
        let is_whole = it.gateway4.is_some() && it.gateway6.is_some();
        (Reverse(it.gateway_priority), !is_whole)
    };
    rank(one).cmp(&rank(other)).then_with(|| one.network_name.cmp(&other.network_name))
}

/// The endpoint by which packets of a family leave, if any leads out.
pub(crate) fn leading(endpoints: &[Endpoint], ipv6: bool) -> Option<&Endpoint> {
    let leads = |it: &&Endpoint| way_out(it, ipv6).is_some();
    endpoints.iter().filter(leads).min_by(|one, other| by_precedence(one, other))
}

fn way_out(endpoint: &Endpoint, ipv6: bool) -> Option<IpAddr> {
    match ipv6 {
        false => endpoint.gateway4.map(IpAddr::V4),
        true => endpoint.gateway6.map(IpAddr::V6),
    }
}

/// Adds the default routes that a new endpoint has, in the place of those of its neighbours.
pub(crate) fn arrive(
    endpoint: &Endpoint,
    link: u32,
    neighbours: &[Endpoint],
    requests: &mut Requests,
) {
    for ipv6 in [false, true] {
        let Some(gateway) = way_out(endpoint, ipv6) else { continue };
        let before = leading(neighbours, ipv6);
        if before.is_none_or(|before| by_precedence(endpoint, before).is_lt()) {
            requests.default_route(&Route { link, gateway });
        }
    }
}

/// Gives the default routes of an endpoint that has gone to those of its neighbours who are next.
pub(crate) fn depart(
    endpoint: &Endpoint,
    mut neighbours: Vec<Endpoint>,
    inside: &mut Connection,
) -> Result<()> {
    let links = inside.links()?;
    let index = |it: &Endpoint| Some(links.iter().find(|link| link.name == it.link)?.index);
    // Who renamed a link sees to its routes too.
    neighbours.retain(|it| it.id != endpoint.id && index(it).is_some());
    let mut requests = Requests::default();
    for ipv6 in [false, true] {
        let Some(next) = leading(&neighbours, ipv6) else { continue };
        let was_it = way_out(endpoint, ipv6).is_some() && by_precedence(endpoint, next).is_lt();
        if let (true, Some(link), Some(gateway)) = (was_it, index(next), way_out(next, ipv6)) {
            requests.default_route(&Route { link, gateway });
        }
    }
    Ok(inside.carry_out(requests)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(network: &str, priority: i32, ipv4: bool, ipv6: bool) -> Endpoint {
        Endpoint {
            network_name: network.to_owned(),
            gateway_priority: priority,
            gateway4: ipv4.then(|| "10.0.0.1".parse().unwrap()),
            gateway6: ipv6.then(|| "fd00::1".parse().unwrap()),
            ..Endpoint::blank()
        }
    }

    #[test]
    fn the_highest_priority_leads_and_of_equals_the_first_name() {
        let check = |endpoints: &[Endpoint], ipv4: &str, ipv6: &str| {
            let name = |ipv6| leading(endpoints, ipv6).map_or("", |it| it.network_name.as_str());
            assert_eq!((name(false), name(true)), (ipv4, ipv6));
        };
        check(&[], "", "");
        let (b, a) = (endpoint("b", 0, true, false), endpoint("a", 0, true, false));
        check(&[b.clone(), a.clone()], "a", "");
        check(&[a.clone(), endpoint("low", -5, true, true)], "a", "low");
        check(&[a.clone(), endpoint("y", 9, true, false), endpoint("x", 5, true, true)], "y", "x");
        check(&[a.clone(), endpoint("whole", 0, true, true)], "whole", "whole");
        // An internal network leads nowhere, whatever its priority.
        check(&[a, endpoint("inner", 99, false, false)], "a", "");
    }
}
