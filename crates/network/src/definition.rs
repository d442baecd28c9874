//! What a network is: the document that `network create` writes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spec::{Digest, Timestamp};

use crate::error::{NetworkError, Result};
use crate::subnet::Subnet;

/// How a network is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A switch of the host's, with a way out.
    Bridge,
    /// No network but the host's own.
    Host,
    /// Nothing but a loopback device; docker calls the driver `null`.
    #[serde(rename = "null")]
    None,
    /// A link of its own MAC on one of the host's links.
    Macvlan,
    /// A link of its own IP addresses on one of the host's links.
    Ipvlan,
}

impl Driver {
    /// Its name, as docker writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Host => "host",
            Driver::None => "null",
            Driver::Macvlan => "macvlan",
            Driver::Ipvlan => "ipvlan",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

impl FromStr for Driver {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Driver> {
        const ALL: [Driver; 5] =
            [Driver::Bridge, Driver::Host, Driver::None, Driver::Macvlan, Driver::Ipvlan];
        let found = ALL.into_iter().find(|driver| driver.as_str() == text);
        found.ok_or_else(|| NetworkError::NoDriver(text.to_owned()))
    }
}

/// Addresses that a network gives out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddressPool {
    /// All of them.
    pub subnet: Subnet,
    /// The one at which the way out begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Those that are given out without being asked for; all if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Subnet>,
    /// Names and addresses of others in the same network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, IpAddr>,
}

/// A network.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How it is made.
    pub driver: Driver,
    /// When it was made.
    #[serde(with = "as_text")]
    pub created: Timestamp,
    /// Its addresses, IPv4 first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<AddressPool>,
    /// Whether the user chose the subnets.
    #[serde(default)]
    pub configured: bool,
    /// Whether it has IPv4 addresses.
    pub ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Whether there is no way out of it.
    #[serde(default)]
    pub internal: bool,
    /// Whether containers may join by hand; of meaning to Swarm alone.
    #[serde(default)]
    pub attachable: bool,
    /// Whether it is nothing but a configuration for others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config_only: bool,
    /// The name of the configuration that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_from: Option<String>,
    /// What the user says about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The driver's options (`com.docker.network.bridge.name`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Options of the driver for addresses, as they were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ipam_options: BTreeMap<String, String>,
}

/// Times as RFC 3339 writes them.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use spec::Timestamp;

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

const NAME: &str = "com.docker.network.bridge.name";
const TALKING: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADING: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_ADDRESS: &str = "com.docker.network.bridge.host_binding_ipv4";
const MTU: &str = "com.docker.network.driver.mtu";

impl Network {
    /// Whether it is there by nature and cannot be removed.
    pub fn is_predefined(&self) -> bool {
        is_predefined(&self.name)
    }

    /// Whether ports of its containers can be published on the host.
    pub fn publishes(&self) -> bool {
        self.driver == Driver::Bridge && !self.internal
    }

    /// Whether names of its containers are answered: not in the default network, as with docker.
    pub fn has_names(&self) -> bool {
        !self.is_predefined()
    }

    /// The one that is there by nature under a name. The default bridge gets its addresses when it
    /// is first needed.
    pub(crate) fn predefined(name: &str, driver: Driver, bridge: &str) -> Network {
        let mut options = BTreeMap::new();
        if driver == Driver::Bridge {
            options.insert(NAME.to_owned(), bridge.to_owned());
            options.insert("com.docker.network.bridge.default_bridge".into(), "true".into());
        }
        Network {
            id: Digest::of(format!("predefined network {name}").as_bytes()).hex(),
            name: name.to_owned(),
            driver,
            created: Timestamp::UNIX_EPOCH,
            pools: Vec::new(),
            configured: false,
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            config_only: false,
            config_from: None,
            labels: BTreeMap::new(),
            options,
            ipam_options: BTreeMap::new(),
        }
    }

    /// Whether it has all the addresses that it needs.
    pub(crate) fn is_complete(&self) -> bool {
        let whole = |ipv6| self.pool(ipv6).is_some_and(|pool| pool.gateway.is_some());
        matches!(self.driver, Driver::Host | Driver::None)
            || (!self.ipv4 || whole(false)) && (!self.ipv6 || whole(true))
    }

    /// The name of its bridge.
    pub fn bridge(&self) -> String {
        match self.options.get(NAME) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("br-{}", &self.id[..self.id.len().min(12)]),
        }
    }

    /// An option that is on or off.
    fn is_on(&self, key: &str) -> bool {
        !matches!(self.options.get(key).map(String::as_str), Some("false" | "0" | "f" | "F"))
    }

    /// Whether its containers may talk to each other.
    pub(crate) fn is_talking(&self) -> bool {
        self.is_on(TALKING)
    }

    /// Whether its containers leave under the host's address.
    pub(crate) fn is_masquerading(&self) -> bool {
        !self.internal && self.is_on(MASQUERADING)
    }

    /// The host's address at which ports are published unless one is named.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.options.get(HOST_ADDRESS)?.parse().ok()
    }

    /// The largest packet of its links.
    pub(crate) fn mtu(&self) -> Option<u32> {
        self.options.get(MTU)?.parse().ok()
    }

    /// The options as they have to be, or an error.
    pub(crate) fn check_options(&self) -> Result<()> {
        let wrong = |key: &str, why: &str| NetworkError::Invalid(format!("{why}: {key}"));
        for key in [TALKING, MASQUERADING] {
            let value = self.options.get(key).map_or("", String::as_str);
            if !matches!(value, "" | "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F") {
                return Err(wrong(key, "invalid boolean value"));
            }
        }
        if self.options.contains_key(MTU) && self.mtu().is_none_or(|mtu| mtu < 68) {
            return Err(wrong(MTU, "invalid value for option"));
        }
        if self.options.contains_key(HOST_ADDRESS) && self.host_address().is_none() {
            return Err(wrong(HOST_ADDRESS, "invalid address for option"));
        }
        let bridge = self.bridge();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
        if self.driver == Driver::Bridge && (bridge.len() > 15 || bridge.contains(odd)) {
            return Err(wrong(NAME, "invalid name of a link for option"));
        }
        Ok(())
    }

    /// The pool of one family.
    pub fn pool(&self, ipv6: bool) -> Option<&AddressPool> {
        self.pools.iter().find(|pool| pool.subnet.is_ipv6() == ipv6)
    }

    /// The pool that an address would come from.
    pub(crate) fn pool_of(&self, address: IpAddr) -> Option<&AddressPool> {
        self.pools.iter().find(|pool| pool.subnet.contains(address))
    }
}

/// Whether a name is one of those that are there by nature.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none")
}
