//! A container's place in a network: what is asked for, and what came of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spec::{ContainerPort, PortMapping, Timestamp};

use crate::definition::as_text;
use crate::subnet::Mac;

/// What a container wants of a network.
#[derive(Clone, Debug, Default)]
pub struct EndpointRequest {
    /// The network, by name, id or the beginning of an id.
    pub network: String,
    /// The container's id.
    pub container: String,
    /// The container's name, without a slash.
    pub container_name: String,
    /// Other names that it answers to in this network.
    pub aliases: Vec<String>,
    /// `--ip`.
    pub ipv4: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ipv6: Option<Ipv6Addr>,
    /// `--link-local-ip`: further addresses, which nobody gives out.
    pub link_local: Vec<IpAddr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
    /// `-p` and, for what the image exposes, `-P`.
    pub ports: Vec<PortMapping>,
    /// Of several networks the one with the highest leads out.
    pub gateway_priority: i32,
    /// The driver's options for this endpoint.
    pub options: BTreeMap<String, String>,
}

/// Over which kinds of addresses ports are published at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    /// Over both; calls over one that the container lacks there are carried.
    Both,
    /// Over IPv4 alone: another place has those of IPv6.
    Ipv4,
    /// Over IPv6 alone.
    Ipv6,
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's.
    pub container: ContainerPort,
    /// The host's address, or the unspecified one.
    pub host_address: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// A container's place in a network.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The network's name.
    pub network_name: String,
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub container_name: String,
    /// Other names in this network, as they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The link inside the container; empty in the networks `host` and `none`.
    pub link: String,
    /// The link's other end; none for what stands directly on a link of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_link: Option<String>,
    /// The link's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its IPv4 address, and how many bits its network has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway4: Option<Ipv4Addr>,
    /// Its IPv6 address, and how many bits its network has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<Ipv6Addr>,
    /// Ports of the host that lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
    /// Further addresses, as asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<IpAddr>,
    /// The addresses that were asked for, which inspection shows as its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<IpAddr>,
    /// As asked for.
    #[serde(default)]
    pub gateway_priority: i32,
    /// As asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// When it was made.
    #[serde(with = "as_text")]
    pub created: Timestamp,
}

impl Endpoint {
    /// An endpoint of nobody in no network, made now: for those who know some of the rest.
    pub fn blank() -> Endpoint {
        Endpoint {
            id: String::new(),
            network: String::new(),
            network_name: String::new(),
            container: String::new(),
            container_name: String::new(),
            aliases: Vec::new(),
            link: String::new(),
            host_link: None,
            mac: None,
            ipv4: None,
            gateway4: None,
            ipv6: None,
            gateway6: None,
            ports: Vec::new(),
            link_local: Vec::new(),
            asked: Vec::new(),
            gateway_priority: 0,
            options: BTreeMap::new(),
            created: Timestamp::now(),
        }
    }
}

impl Endpoint {
    /// Every name it answers to in its network: its container's, the aliases, the short id.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let short = &self.container[..self.container.len().min(12)];
        let aliases = self.aliases.iter().map(String::as_str);
        std::iter::once(self.container_name.as_str()).chain(aliases).chain([short])
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let ipv4 = self.ipv4.map(|(address, _)| IpAddr::V4(address));
        ipv4.into_iter().chain(self.ipv6.map(|(address, _)| IpAddr::V6(address)))
    }
}

/// Something that happened besides, and that the user is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// This kernel setting was off and was switched on.
    SwitchedOn(&'static str),
    /// Ports were to be published where none can be.
    Discarded {
        /// The network.
        network: String,
    },
    /// Somebody's chain drops what is forwarded, so a bridge was allowed in this chain.
    Allowed {
        /// The bridge.
        bridge: String,
        /// Family, table and chain.
        chain: String,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::SwitchedOn(key) => write!(to, "switched {key} on, which bridges need"),
            Notice::Discarded { network } => {
                write!(to, "Published ports are discarded when using {network} network mode")
            }
            Notice::Allowed { bridge, chain } => write!(
                to,
                "allowed the bridge {bridge} in the chain {chain}, since the host's firewall drops what it forwards"
            ),
        }
    }
}

/// A port of the host that is kept from others.
#[derive(Debug)]
pub struct Reserved {
    /// The port.
    pub port: PublishedPort,
    /// A socket that is bound to it. Who carries calls to the port listens at this one.
    pub socket: Arc<OwnedFd>,
}

/// An endpoint that was just made.
#[derive(Debug)]
pub struct Attached {
    /// It.
    pub endpoint: Endpoint,
    /// Its ports of the host: whoever keeps them for as long as the container runs keeps other
    /// programs from taking them.
    pub reserved: Vec<Reserved>,
    /// What the user should know.
    pub notices: Vec<Notice>,
}
