//! How a container stands in its networks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_is_default};

/// Where a published port is on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// The host's address; empty is all of them.
    #[serde(deserialize_with = "null_is_default")]
    pub host_ip: String,
    /// The host's port, or a range to choose from; empty is any.
    #[serde(deserialize_with = "null_is_default")]
    pub host_port: String,
}

/// The networks a container is to be connected to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// By the network's name or id.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// A container in one network: what was asked for, and while it runs, what it has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// Addresses that were asked for.
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<IpamSettings>,
    /// Containers it knows by other names.
    pub links: Option<Vec<String>>,
    /// Names it has in this network.
    pub aliases: Option<Vec<String>>,
    /// Its hardware address.
    #[serde(deserialize_with = "null_is_default")]
    pub mac_address: String,
    /// Options of the network's driver.
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// Which of several networks has the default route: the highest.
    #[serde(deserialize_with = "null_is_default")]
    pub gw_priority: i64,
    /// The network's id.
    #[serde(rename = "NetworkID", deserialize_with = "null_is_default")]
    pub network_id: String,
    /// The connection's own id.
    #[serde(rename = "EndpointID", deserialize_with = "null_is_default")]
    pub endpoint_id: String,
    /// The router.
    #[serde(deserialize_with = "null_is_default")]
    pub gateway: String,
    /// Its address.
    #[serde(rename = "IPAddress", deserialize_with = "null_is_default")]
    pub ip_address: String,
    /// How many bits of it are the network's.
    #[serde(rename = "IPPrefixLen", deserialize_with = "null_is_default")]
    pub ip_prefix_len: u8,
    /// The router of IPv6.
    #[serde(rename = "IPv6Gateway", deserialize_with = "null_is_default")]
    pub ipv6_gateway: String,
    /// Its address of IPv6.
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "null_is_default")]
    pub global_ipv6_address: String,
    /// How many bits of that are the network's.
    #[serde(rename = "GlobalIPv6PrefixLen", deserialize_with = "null_is_default")]
    pub global_ipv6_prefix_len: u8,
    /// Names that are answered for it.
    #[serde(rename = "DNSNames")]
    pub dns_names: Option<Vec<String>>,
}

/// Addresses that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IpamSettings {
    /// Of IPv4.
    #[serde(rename = "IPv4Address", deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "is_default")]
    pub ipv4_address: String,
    /// Of IPv6.
    #[serde(rename = "IPv6Address", deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "is_default")]
    pub ipv6_address: String,
    /// Beyond the network's own.
    #[serde(rename = "LinkLocalIPs", deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "is_default")]
    pub link_local_ips: Vec<String>,
}
