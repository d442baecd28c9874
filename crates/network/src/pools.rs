//! Which subnet a network gets, and which address an endpoint: pure choices.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::definition::AddressPool;
use crate::subnet::Subnet;

/// Subnets for networks that ask for none in particular.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubnetPool {
    /// What is cut into subnets.
    pub base: Subnet,
    /// How many bits all addresses of a subnet have in common.
    pub size: u8,
}

/// docker's: 172.17.0.0/16 to 172.31.0.0/16, then sixteen pieces of 192.168.0.0/16.
pub fn default_pools() -> Vec<SubnetPool> {
    let sixteen = (17..=31).map(|second| ([172, second, 0, 0], 16, 16));
    let all = sixteen.chain([([192, 168, 0, 0], 16, 20)]);
    let pool = |(first, prefix, size): ([u8; 4], u8, u8)| SubnetPool {
        base: Subnet::of(first.into(), prefix),
        size,
    };
    all.map(pool).collect()
}

/// The first subnet that has nothing in common with what is taken.
pub(crate) fn free_subnet(pools: &[SubnetPool], taken: &[Subnet]) -> Option<Subnet> {
    let mut all = pools.iter().flat_map(|pool| pool.base.parts(pool.size.max(pool.base.prefix())));
    all.find(|subnet| !taken.iter().any(|other| other.overlaps(subnet)))
}

/// A subnet that is nobody else's in the world, made from random bits.
pub(crate) fn unique_local(random: u64) -> Subnet {
    let address = 0xfd_u128 << 120 | u128::from(random & 0xff_ffff_ffff_ffff) << 64;
    Subnet::of(Ipv6Addr::from(address).into(), 64)
}

/// The gateway of a pool that names none: the first address that is free for it.
pub(crate) fn gateway_for(pool: &AddressPool) -> Option<IpAddr> {
    let reserved = |address: &IpAddr| pool.reserved.values().any(|other| other == address);
    pool.subnet.hosts().find(|address| !reserved(address))
}

/// The lowest address of a pool that nobody has.
pub(crate) fn free_address(pool: &AddressPool, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let within = pool.range.unwrap_or(pool.subnet);
    let spoken_for = |address: &IpAddr| {
        taken.contains(address) || pool.reserved.values().any(|it| it == address)
    };
    let hosts = pool.subnet.hosts().skip_while(|address| !within.contains(*address));
    // A range in the midst of 2^64 addresses is not walked to.
    let mut candidates: Box<dyn Iterator<Item = IpAddr>> = match pool.range {
        Some(range) if range.is_ipv6() => Box::new(range.hosts()),
        _ => Box::new(hosts.take_while(|address| within.contains(*address))),
    };
    candidates.find(|address| Some(*address) != pool.gateway && !spoken_for(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn pool(subnet_text: &str, range: Option<&str>) -> AddressPool {
        let mut pool = AddressPool {
            subnet: subnet(subnet_text),
            gateway: None,
            range: range.map(subnet),
            reserved: [("printer".to_owned(), "10.0.0.2".parse().unwrap())].into(),
        };
        pool.gateway = gateway_for(&pool);
        pool
    }

    #[test]
    fn subnets_come_in_dockers_order_around_what_is_routed() {
        let pools = default_pools();
        let first = |taken: &[&str]| {
            let taken: Vec<_> = taken.iter().map(|text| subnet(text)).collect();
            free_subnet(&pools, &taken).map(|it| it.to_string()).unwrap_or_default()
        };
        assert_eq!(first(&[]), "172.17.0.0/16");
        assert_eq!(first(&["172.17.4.0/24", "172.18.0.0/16"]), "172.19.0.0/16");
        assert_eq!(first(&["172.16.0.0/12"]), "192.168.0.0/20");
        assert_eq!(first(&["172.16.0.0/12", "192.168.1.0/24"]), "192.168.16.0/20");
        assert_eq!(first(&["172.16.0.0/12", "192.168.0.0/16"]), "");
    }

    #[test]
    fn addresses_are_the_lowest_free() {
        let taken = |list: &[&str]| list.iter().map(|it| it.parse().unwrap()).collect();
        let next = |pool: &AddressPool, list: &[&str]| {
            free_address(pool, &taken(list)).map(|it| it.to_string()).unwrap_or_default()
        };
        let plain = pool("10.0.0.0/29", None);
        assert_eq!(plain.gateway.unwrap().to_string(), "10.0.0.1");
        assert_eq!(next(&plain, &[]), "10.0.0.3");
        assert_eq!(next(&plain, &["10.0.0.3", "10.0.0.5"]), "10.0.0.4");
        assert_eq!(next(&plain, &["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]), "");
        assert_eq!(next(&pool("10.0.0.0/24", Some("10.0.0.128/25")), &[]), "10.0.0.128");
        assert_eq!(next(&pool("10.0.0.0/24", Some("10.0.0.254/31")), &["10.0.0.254"]), "");
        assert_eq!(next(&pool("fd00::/64", None), &[]), "fd00::2");
        assert_eq!(next(&pool("fd00::/64", Some("fd00::1:0:0:0/112")), &[]), "fd00::1:0:0:1");
    }

    #[test]
    fn unique_local_subnets_are() {
        assert_eq!(unique_local(0x1122_3344_5566_7788).to_string(), "fd22:3344:5566:7788::/64");
    }
}
