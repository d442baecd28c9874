//! What the rules look up: sets of bridges, maps of published ports, and their elements.

use std::collections::BTreeSet;
use std::net::IpAddr;

use spec::ContainerPort;

use super::{CREATE, INET, NEW_ELEMENT, NEW_SET, Nft, Transaction};
use crate::netlink::octets;
use crate::subnet::Subnet;

/// What the packet filter has to know about one bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Switch {
    /// Its name.
    pub(crate) bridge: String,
    /// The subnets behind it.
    pub(crate) subnets: Vec<Subnet>,
    /// Whether its containers may talk to each other.
    pub(crate) talking: bool,
    /// Whether they may talk to anybody else.
    pub(crate) outward: bool,
    /// Whether they leave the host under its address.
    pub(crate) masquerading: bool,
}

/// One published port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Port {
    /// The host's address; unspecified for all.
    pub(crate) host_address: IpAddr,
    /// The host's port.
    pub(crate) host_port: u16,
    /// Where it leads.
    pub(crate) address: IpAddr,
    /// The port there.
    pub(crate) port: ContainerPort,
}

/// What is to be known, or to be forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) switches: Vec<Switch>,
    pub(crate) ports: Vec<Port>,
}

const TYPE_NAME: u32 = 41;
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const NAME_BYTES: u32 = 16;

/// So many elements at most in a message, whose lists have 16 bits for their length.
const ELEMENTS: usize = 400;

/// Tells `nft` not to turn names round: the bytes of a key are in the machine's order.
const NAMES_AS_THEY_ARE: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

/// The kernel does not know what a key is; `nft` reads it from these numbers.
const fn pair(first: u32, second: u32) -> u32 {
    first << 6 | second
}

/// Sets and maps: name, type and length of the key, type and length of what it stands for.
const SETS: [(&str, u32, u32, Option<(u32, u32)>); 11] = [
    ("bridges", TYPE_NAME, NAME_BYTES, None),
    ("outward", TYPE_NAME, NAME_BYTES, None),
    ("hidden", TYPE_NAME, NAME_BYTES, None),
    ("within", pair(TYPE_NAME, TYPE_NAME), 2 * NAME_BYTES, None),
    ("talking", pair(TYPE_NAME, TYPE_NAME), 2 * NAME_BYTES, None),
    ("selves4", pair(TYPE_IPV4, TYPE_IPV4), 8, None),
    ("selves6", pair(TYPE_IPV6, TYPE_IPV6), 32, None),
    ("ports4", pair(TYPE_PROTOCOL, TYPE_PORT), 8, Some((pair(TYPE_IPV4, TYPE_PORT), 8))),
    ("ports6", pair(TYPE_PROTOCOL, TYPE_PORT), 8, Some((pair(TYPE_IPV6, TYPE_PORT), 20))),
    (
        "ports4_at",
        pair(pair(TYPE_IPV4, TYPE_PROTOCOL), TYPE_PORT),
        12,
        Some((pair(TYPE_IPV4, TYPE_PORT), 8)),
    ),
    (
        "ports6_at",
        pair(pair(TYPE_IPV6, TYPE_PROTOCOL), TYPE_PORT),
        24,
        Some((pair(TYPE_IPV6, TYPE_PORT), 20)),
    ),
];

impl Nft {
    /// Makes all sets and maps, empty.
    pub(super) fn sets(&self, transaction: &mut Transaction) {
        const MAP: u32 = 8;
        for (number, (name, key, bytes, data)) in SETS.iter().enumerate() {
            let id = u32::try_from(number).unwrap_or(0) + 1;
            transaction.add(format!("make the set {name}"), NEW_SET, CREATE, INET, |at| {
                at.text(1, &self.table);
                at.text(2, name);
                at.big(3, if data.is_some() { MAP } else { 0 });
                at.big(4, *key);
                at.big(5, *bytes);
                if let Some((kind, bytes)) = data {
                    at.big(6, *kind);
                    at.big(7, *bytes);
                }
                at.big(10, id);
                if *key == TYPE_NAME {
                    at.put(13, &NAMES_AS_THEY_ARE);
                }
            });
        }
    }

    /// Adds or removes the elements of all sets.
    pub(super) fn elements(
        &self,
        transaction: &mut Transaction,
        kind: u16,
        flags: u16,
        rules: &Rules,
    ) {
        let all = elements(rules);
        for (set, ..) in SETS.iter() {
            let of_set: Vec<_> = all
                .iter()
                .filter(|(name, ..)| name == set)
                .map(|(_, key, data)| (key.clone(), data.clone()))
                .collect();
            for chunk in of_set.chunks(ELEMENTS) {
                self.one_set(transaction, kind, flags, set, chunk);
            }
        }
    }

    /// Adds or removes elements of one set.
    pub(super) fn one_set(
        &self,
        transaction: &mut Transaction,
        kind: u16,
        flags: u16,
        set: &str,
        elements: &[(Vec<u8>, Option<Vec<u8>>)],
    ) {
        let name = format!("change the set {set}");
        transaction.add(name, kind, flags, INET, |at| {
            at.text(1, &self.table);
            at.text(2, set);
            at.nest(3, |at| {
                for (key, data) in elements {
                    at.nest(1, |at| {
                        at.nest(1, |at| at.put(1, key));
                        if let Some(data) = data.as_ref().filter(|_| kind == NEW_ELEMENT) {
                            at.nest(2, |at| at.put(1, data));
                        }
                    });
                }
            });
        });
    }
}

/// Every element that the rules need, with the set it belongs to.
pub(super) fn elements(rules: &Rules) -> Vec<(&'static str, Vec<u8>, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for switch in &rules.switches {
        let name = padded(&switch.bridge);
        let twice = [name.clone(), name.clone()].concat();
        let sets = [
            ("bridges", true, &name),
            ("outward", switch.outward, &name),
            ("hidden", switch.masquerading, &name),
            ("within", true, &twice),
            ("talking", switch.talking, &twice),
        ];
        let wanted = sets.into_iter().filter(|(_, wanted, _)| *wanted);
        all.extend(wanted.map(|(set, _, key)| (set, key.clone(), None)));
    }
    all.extend(rules.ports.iter().map(port_element));
    let selves: BTreeSet<IpAddr> = rules.ports.iter().map(|port| port.address).collect();
    all.extend(selves.into_iter().map(|address| {
        let set = if address.is_ipv4() { "selves4" } else { "selves6" };
        (set, octets(address).repeat(2), None)
    }));
    all
}

fn port_element(port: &Port) -> (&'static str, Vec<u8>, Option<Vec<u8>>) {
    let word = |number: u16| {
        let [high, low] = number.to_be_bytes();
        [high, low, 0, 0]
    };
    let key = [[port.port.protocol.number(), 0, 0, 0], word(port.host_port)].concat();
    let data = [octets(port.address), word(port.port.number).to_vec()].concat();
    let (any, ipv4) = (port.host_address.is_unspecified(), port.host_address.is_ipv4());
    let at = || [octets(port.host_address), key.clone()].concat();
    match (any, ipv4) {
        (true, true) => ("ports4", key, Some(data)),
        (true, false) => ("ports6", key, Some(data)),
        (false, true) => ("ports4_at", at(), Some(data)),
        (false, false) => ("ports6_at", at(), Some(data)),
    }
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_BYTES as usize, 0);
    bytes
}
