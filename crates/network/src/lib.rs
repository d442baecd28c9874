//! Networks of containers: bridges, addresses, published ports and names.
//!
//! Everything is done by the process that asks for it, over netlink, and nothing stays behind but
//! the kernel's own state and small documents: definitions below the data root, endpoints and
//! leases below the run root. Any number of processes may do so at once. Nothing is known here of
//! images, or of containers beyond their names.

mod attach;
mod bridge;
mod child;
mod choose;
mod create;
mod definition;
pub mod dns;
mod documents;
mod endpoint;
mod error;
mod firewall;
mod gateway;
mod iptables;
mod netlink;
mod netns;
mod nft;
mod pools;
mod ports;
mod relay;
mod resolver;
mod shared;
mod subnet;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

pub use attach::Cable;
pub use create::{NetworkFilter, NetworkRequest};
pub use definition::{AddressPool, Driver, Network};
pub use endpoint::{
    Attached, Endpoint, EndpointRequest, Families, Notice, PublishedPort, Reserved,
};
pub use error::{ErrorKind, NetworkError, Result};
pub use firewall::FirewallKind;
pub use gateway::by_precedence;
pub use netlink::NetlinkError;
pub use netns::NetNs;
pub use pools::{SubnetPool, default_pools};
pub use relay::Relay;
pub use resolver::{ExtraHost, Resolver, ResolverRequest, hostname_file, hosts, moved_hosts};
pub use subnet::{Mac, MacError, Subnet, SubnetError};
pub use user::{CarriedPort, Carrier, UserNetwork, UserRequest};

use documents::Documents;
use firewall::Firewall;

/// What may be chosen about all networks of a store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of our table in the packet filter; stores on one host have one each.
    pub table: String,
    /// The name of the default network's bridge.
    pub bridge: String,
    /// The addresses of the default network, for when it is first used; of `pools` if none.
    pub bridge_pools: Vec<AddressPool>,
    /// Options of the default network, beside those that it has by nature.
    pub bridge_options: BTreeMap<String, String>,
    /// Where subnets come from.
    pub pools: Vec<SubnetPool>,
    /// The host's address at which ports are published unless one is named; all if none.
    pub host_address: Option<IpAddr>,
    /// Which packet filter is used.
    pub firewall: FirewallKind,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            table: "mica".to_owned(),
            bridge: "mica0".to_owned(),
            bridge_pools: Vec::new(),
            bridge_options: BTreeMap::new(),
            pools: default_pools(),
            host_address: None,
            firewall: FirewallKind::Auto,
        }
    }
}

/// The networks of one store.
pub struct Networks {
    documents: Documents,
    settings: Settings,
    /// Whether the kernel has nf_tables, asked once.
    nf_tables: OnceLock<bool>,
    line: nft::Line,
}

impl Networks {
    /// Opens the networks whose definitions are below `data` and whose endpoints are below `run`,
    /// a folder that ends with the boot.
    pub fn open(data: &Path, run: &Path, settings: Settings) -> Result<Networks> {
        let documents = Documents::open(data, run);
        Ok(Networks { documents, settings, nf_tables: OnceLock::new(), line: nft::Line::default() })
    }

    /// All networks: those that are there by nature, and the others by name.
    pub fn all(&self) -> Result<Vec<Network>> {
        let mut all = self.documents.networks()?;
        let predefined =
            [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::None)];
        for (name, driver) in predefined {
            if !all.iter().any(|network| network.name == name) {
                all.push(match driver {
                    Driver::Bridge => self.default_network(),
                    _ => Network::predefined(name, driver, &self.settings.bridge),
                });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The network of this name, this id, or the only one whose id begins so.
    pub fn find(&self, name: &str) -> Result<Network> {
        let mut all = self.all()?;
        let exact = |network: &Network| network.name == name || network.id == name;
        if let Some(place) = all.iter().position(exact) {
            return Ok(all.swap_remove(place));
        }
        all.retain(|network| !name.is_empty() && network.id.starts_with(name));
        match all.len() {
            0 => Err(NetworkError::NotFound(name.to_owned())),
            1 => Ok(all.swap_remove(0)),
            matches => Err(NetworkError::Ambiguous { name: name.to_owned(), matches }),
        }
    }

    /// A network as it is shown: with the addresses it has or, the default one, would get.
    pub fn inspect(&self, name: &str) -> Result<(Network, Vec<Endpoint>)> {
        let mut network = self.find(name)?;
        if !network.is_complete() {
            let lock = self.documents.lock()?;
            network = self.complete(&lock, network)?;
        }
        let mut endpoints = self.documents.endpoints(&network.id)?;
        endpoints.sort_by_key(|endpoint| endpoint.created);
        Ok((network, endpoints))
    }

    /// Every endpoint, in no order.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>> {
        self.documents.all_endpoints()
    }

    /// Every endpoint of a container.
    pub fn of_container(&self, container: &str) -> Result<Vec<Endpoint>> {
        let mut all = self.documents.of_container(container)?;
        all.sort_by(|a, b| a.network_name.cmp(&b.network_name));
        Ok(all)
    }

    /// Writes a changed name into a container's endpoints.
    pub fn rename_container(&self, container: &str, name: &str) -> Result<()> {
        let _lock = self.documents.lock()?;
        for mut endpoint in self.of_container(container)? {
            name.clone_into(&mut endpoint.container_name);
            self.documents.save_endpoint(&endpoint)?;
        }
        Ok(())
    }

    /// Puts our rules in place again, in case that somebody flushed them or raised a barrier.
    pub fn ensure(&self) -> Result<Vec<Notice>> {
        let _lock = self.documents.lock()?;
        self.rebuild()?;
        let mut notices = Vec::new();
        for network in self.all()? {
            if let Some(bridge) = self.documents.own_bridge(&network.id) {
                notices.extend(self.firewall().open(&bridge)?);
            }
        }
        Ok(notices)
    }

    /// Removes what endpoints left whose containers are no more, which `alive` tells, and puts the
    /// rules in place for the others. Returns those removed.
    pub fn reconcile(&self, alive: &dyn Fn(&Endpoint) -> bool) -> Result<Vec<Endpoint>> {
        let _lock = self.documents.lock()?;
        let endpoints = self.documents.all_endpoints()?;
        if endpoints.is_empty() && !self.all()?.iter().any(|it| self.documents.was_used(&it.id)) {
            // Who never used a network may have no right to look at rules.
            self.documents.drop_loose_leases(&BTreeSet::new())?;
            return Ok(Vec::new());
        }
        let (living, dead): (Vec<_>, Vec<_>) =
            endpoints.into_iter().partition(|endpoint| alive(endpoint));
        for endpoint in &dead {
            self.undo(endpoint, Cable::Remove)?;
        }
        let living: BTreeSet<String> = living.into_iter().map(|endpoint| endpoint.id).collect();
        self.documents.drop_loose_leases(&living)?;
        self.settle()?;
        Ok(dead)
    }

    /// Takes away every bridge that nobody is plugged into, and with the last one our rules. Where
    /// there is none, nothing but folders is looked at.
    pub fn shut_down(&self) -> Result<()> {
        let _lock = self.documents.lock()?;
        let mut changed = false;
        for network in self.all()? {
            if self.documents.was_used(&network.id)
                && self.documents.endpoints(&network.id)?.is_empty()
            {
                self.take_down(&network)?;
                self.documents.forget_use(&network.id)?;
                changed = true;
            }
        }
        if !changed {
            return Ok(());
        }
        let living = self.documents.all_endpoints()?.into_iter().map(|endpoint| endpoint.id);
        self.documents.drop_loose_leases(&living.collect())?;
        self.settle()
    }

    /// Our rules as the documents want them, or none if nothing is in use.
    fn settle(&self) -> Result<()> {
        let rules = bridge::all_rules(&self.documents, &self.all()?)?;
        match rules.switches.is_empty() {
            true => self.firewall().clear(),
            false => self.firewall().rebuild(&rules),
        }
    }

    fn rebuild(&self) -> Result<()> {
        let rules = bridge::all_rules(&self.documents, &self.all()?)?;
        self.firewall().rebuild(&rules)
    }

    fn take_down(&self, network: &Network) -> Result<()> {
        match network.driver {
            Driver::Bridge => bridge::down(&self.documents, network),
            Driver::Macvlan | Driver::Ipvlan => child::down(&self.documents, network),
            Driver::Host | Driver::None => Ok(()),
        }
    }

    fn firewall(&self) -> Box<dyn Firewall> {
        let nf_tables = match self.settings.firewall {
            FirewallKind::Auto => *self.nf_tables.get_or_init(nft::is_here),
            FirewallKind::NfTables => true,
            FirewallKind::IpTables => false,
        };
        let name = self.settings.table.clone();
        match nf_tables {
            true => Box::new(nft::Nft { table: name, line: self.line.clone() }),
            false => Box::new(iptables::IpTables { prefix: name }),
        }
    }
}

/// 64 hexadecimal digits that nobody has had before.
fn random_id() -> Result<String> {
    let half =
        || sys::host::random_id().map_err(NetworkError::io("read", "/proc/sys/kernel/random"));
    Ok(half()? + &half()?)
}

/// The address of a link, administered by nobody.
fn random_mac() -> Result<Mac> {
    let number = random_number()?.to_be_bytes();
    let [_, _, _, a, b, c, d, e] = number;
    Ok(Mac([2, a, b, c, d, e]))
}

fn random_number() -> Result<u64> {
    Ok(u64::from_str_radix(&random_id()?[..16], 16).expect("an id consists of digits"))
}
