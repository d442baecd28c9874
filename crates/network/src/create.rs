//! Networks come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use spec::Timestamp;

use crate::definition::{AddressPool, Driver, Network, is_predefined};
use crate::documents::Lock;
use crate::endpoint::Endpoint;
use crate::error::{NetworkError, Result};
use crate::netlink::{Connection, Links};
use crate::pools::SubnetPool;
use crate::subnet::Subnet;
use crate::{Networks, child, pools, random_id, random_number};

/// What `network create` asks for.
#[derive(Clone, Debug)]
pub struct NetworkRequest {
    /// What it will be called.
    pub name: String,
    /// How it is made.
    pub driver: Driver,
    /// Subnets that the user chose, with what else is said about them.
    pub pools: Vec<AddressPool>,
    /// Whether it has IPv4 addresses.
    pub ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Whether there is no way out.
    pub internal: bool,
    /// Whether containers may join by hand.
    pub attachable: bool,
    /// Whether it is to be nothing but a configuration for others.
    pub config_only: bool,
    /// The name of the configuration that it is made from.
    pub config_from: Option<String>,
    /// What the user says about it.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Options of the driver for addresses, which are kept for those who look.
    pub ipam_options: BTreeMap<String, String>,
}

impl Default for NetworkRequest {
    fn default() -> NetworkRequest {
        NetworkRequest {
            name: String::new(),
            driver: Driver::Bridge,
            pools: Vec::new(),
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            config_only: false,
            config_from: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            ipam_options: BTreeMap::new(),
        }
    }
}

/// Which networks are wanted; of several values of one kind, one has to fit.
#[derive(Clone, Debug, Default)]
pub struct NetworkFilter {
    /// Names, as regular expressions.
    pub names: Vec<String>,
    /// Ids, as regular expressions.
    pub ids: Vec<String>,
    /// Drivers.
    pub drivers: Vec<String>,
    /// `key` or `key=value`; all have to fit.
    pub labels: Vec<String>,
    /// `key` or `key=value`; none may fit.
    pub not_labels: Vec<String>,
    /// Whether it is one of those there by nature.
    pub builtin: Option<bool>,
    /// Whether nobody is in it.
    pub dangling: Option<bool>,
    /// `local`, for all networks here.
    pub scopes: Vec<String>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

impl Networks {
    /// Defines a network. Its bridge is made when somebody joins.
    pub fn create(&self, mut request: NetworkRequest) -> Result<Network> {
        check_name(&request.name)?;
        request.check_sharing()?;
        if !request.config_only && matches!(request.driver, Driver::Host | Driver::None) {
            let why = format!("only one instance of \"{}\" network is allowed", request.driver);
            return Err(NetworkError::Forbidden(why));
        }
        let lock = self.documents.lock()?;
        if self.all()?.iter().any(|network| network.name == request.name) {
            return Err(NetworkError::Exists(request.name));
        }
        self.take_configuration(&mut request)?;
        let network = Network {
            id: random_id()?,
            name: request.name,
            driver: request.driver,
            created: Timestamp::now(),
            configured: !request.pools.is_empty(),
            ipv4: request.ipv4,
            // A subnet of IPv6 says as much as the switch.
            ipv6: request.ipv6 || request.pools.iter().any(|pool| pool.subnet.is_ipv6()),
            pools: request.pools,
            internal: request.internal,
            attachable: request.attachable,
            config_only: request.config_only,
            config_from: request.config_from,
            labels: request.labels,
            options: request.options,
            ipam_options: request.ipam_options,
        };
        if !network.ipv4 && !network.ipv6 {
            let why = "IPv4 or IPv6 must be enabled".to_owned();
            return Err(NetworkError::Invalid(why));
        }
        if network.config_only {
            // What it says is checked when a network is made from it, whose driver decides.
            let network = network.into_configuration();
            self.documents.save_network(&network)?;
            return Ok(network);
        }
        network.check_options()?;
        check_pools(&network)?;
        if network.driver == Driver::Bridge {
            check_single(&network)?;
        } else {
            child::kind(&network)?;
            child::check_parent(&network)?;
        }
        self.check_bridge(&network)?;
        self.complete(&lock, network)
    }

    /// The default network as the settings have it, before it has got what they leave open.
    pub(crate) fn default_network(&self) -> Network {
        let settings = &self.settings;
        let mut network = Network::predefined("bridge", Driver::Bridge, &settings.bridge);
        network.pools.clone_from(&settings.bridge_pools);
        network.ipv6 = network.pool(true).is_some();
        network.options.extend(settings.bridge_options.clone());
        network
    }

    /// Makes the default network what the settings say, for everybody who uses these networks. One
    /// that is so already stays as it is; one that somebody is in is not changed.
    pub fn define_default(&self) -> Result<Network> {
        let lock = self.documents.lock()?;
        let wanted = self.default_network();
        wanted.check_options()?;
        check_pools(&wanted)?;
        let written = self.documents.networks()?.into_iter().find(|it| it.id == wanted.id);
        let Some(written) = written else { return self.complete(&lock, wanted) };
        if is_as_wanted(&written, &wanted, &self.settings.pools) {
            return Ok(written);
        }
        let endpoints = self.documents.endpoints(&written.id)?;
        if !endpoints.is_empty() {
            let names = endpoints.iter().map(|it| it.container_name.as_str()).collect::<Vec<_>>();
            let endpoints = names.join(", ");
            return Err(NetworkError::Busy { name: written.name, endpoints });
        }
        self.take_down(&written)?;
        self.documents.forget_network(&written.id)?;
        self.complete(&lock, wanted)
    }

    /// The subnets of a bridge that somebody else has made, with its addresses as the gateways.
    pub fn pools_of_bridge(name: &str) -> Result<Vec<AddressPool>> {
        let mut route = Connection::route()?;
        let invalid = |why: &str| NetworkError::Invalid(format!("bridge {name} {why}"));
        let link = route.link(name)?.ok_or_else(|| invalid("is not there"))?;
        let pool = |(address, prefix): (IpAddr, u8)| AddressPool {
            gateway: Some(address),
            ..plain(Subnet::of(address, prefix))
        };
        let is_local = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let addresses = route.addresses(link.index)?.into_iter();
        let pools: Vec<_> = addresses.filter(|(it, _)| !is_local(it)).map(pool).collect();
        match pools.iter().any(|pool| !pool.subnet.is_ipv6()) {
            true => Ok(pools),
            false => Err(invalid("has no IPv4 address")),
        }
    }

    /// Two networks on one bridge would be one.
    fn check_bridge(&self, network: &Network) -> Result<()> {
        let other = self.all()?.into_iter().find(|other| {
            other.driver == Driver::Bridge
                && network.driver == Driver::Bridge
                && other.bridge() == network.bridge()
        });
        match other {
            None => Ok(()),
            Some(other) => Err(NetworkError::Invalid(format!(
                "cannot create network {} ({}): conflicts with network {} ({}): networks have same bridge name",
                network.id,
                network.bridge(),
                other.id,
                other.bridge()
            ))),
        }
    }

    /// Gives a network the subnets and gateways that it lacks, and writes it down.
    pub(crate) fn complete(&self, _held: &Lock, mut network: Network) -> Result<Network> {
        // Somebody else may have been faster.
        let others = self.documents.networks()?;
        if let Some(done) = others.iter().find(|other| other.id == network.id) {
            return Ok(done.clone());
        }
        let others = others.iter().filter(|other| !other.config_only);
        let mut taken: Vec<Subnet> =
            others.flat_map(|other| &other.pools).map(|pool| pool.subnet).collect();
        // Links of macvlan and ipvlan may share a subnet: with each other, and with their parent.
        let shared = matches!(network.driver, Driver::Macvlan | Driver::Ipvlan);
        let overlapping = |pool: &AddressPool| taken.iter().any(|it| it.overlaps(&pool.subnet));
        if !shared && network.pools.iter().any(overlapping) {
            return Err(NetworkError::Overlap);
        }
        if network.ipv4 && network.pool(false).is_none() {
            taken.extend(Connection::route()?.routed()?);
            let subnet = pools::free_subnet(&self.settings.pools, &taken);
            network.pools.insert(0, plain(subnet.ok_or(NetworkError::NoPools)?));
        }
        if network.ipv6 && network.pool(true).is_none() {
            network.pools.push(plain(pools::unique_local(random_number()?)));
        }
        network
            .pools
            .retain(|pool| if pool.subnet.is_ipv6() { network.ipv6 } else { network.ipv4 });
        network.pools.sort_by_key(|pool| pool.subnet.is_ipv6());
        for pool in &mut network.pools {
            pool.gateway = pool.gateway.or_else(|| pools::gateway_for(pool));
        }
        self.documents.save_network(&network)?;
        Ok(network)
    }

    /// Removes a network that nobody is in.
    pub fn remove(&self, name: &str) -> Result<Network> {
        let _lock = self.documents.lock()?;
        let network = self.find(name)?;
        if network.is_predefined() {
            return Err(NetworkError::Predefined(network.name));
        }
        self.check_unused(&network)?;
        let endpoints = self.documents.endpoints(&network.id)?;
        if !endpoints.is_empty() {
            let named = |it: &Endpoint| {
                format!("name:\"{}\" id:\"{}\"", it.container_name, &it.id[..it.id.len().min(12)])
            };
            let endpoints = endpoints.iter().map(named).collect::<Vec<_>>().join(", ");
            return Err(NetworkError::Busy { name: network.name, endpoints });
        }
        let used = self.documents.own_bridge(&network.id).is_some();
        self.take_down(&network)?;
        self.documents.forget_network(&network.id)?;
        if used {
            self.settle()?;
        }
        Ok(network)
    }

    /// Removes all networks that fit and that nobody is in, but for those that `used` says somebody
    /// still wants: a stopped container, say.
    pub fn prune(
        &self,
        filter: &NetworkFilter,
        used: &dyn Fn(&Network) -> bool,
    ) -> Result<Vec<Network>> {
        let mut removed = Vec::new();
        for network in self.list(filter)? {
            if network.is_predefined() || network.config_only || used(&network) {
                continue;
            }
            match self.remove(&network.id) {
                Ok(network) => removed.push(network),
                // Somebody joined, or removed it, while we looked.
                Err(NetworkError::Busy { .. } | NetworkError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// The networks that fit, by name.
    pub fn list(&self, filter: &NetworkFilter) -> Result<Vec<Network>> {
        let mut all = self.all()?;
        let used: BTreeSet<String> = match filter.dangling {
            Some(_) => self.documents.all_endpoints()?.into_iter().map(|it| it.network).collect(),
            None => BTreeSet::new(),
        };
        all.retain(|network| filter.fits(network, used.contains(&network.id)));
        Ok(all)
    }
}

impl NetworkFilter {
    fn fits(&self, network: &Network, used: bool) -> bool {
        let part = |list: &[String], of: &str| {
            list.is_empty() || list.iter().any(|value| spec::matches_name(value, of))
        };
        let labelled = |label: &String| match label.split_once('=') {
            Some((key, value)) => network.labels.get(key).is_some_and(|it| it == value),
            None => network.labels.contains_key(label),
        };
        let driver = network.driver.as_str();
        let dangling = !used && !network.is_predefined();
        part(&self.names, &network.name)
            && part(&self.ids, &network.id)
            && (self.drivers.is_empty() || self.drivers.iter().any(|it| it == driver))
            && (self.scopes.is_empty() || self.scopes.iter().any(|it| it == "local"))
            && self.labels.iter().all(labelled)
            && !self.not_labels.iter().any(labelled)
            && self.builtin.is_none_or(|builtin| builtin == network.is_predefined())
            && self.dangling.is_none_or(|wanted| wanted == dangling)
            && self.until.is_none_or(|until| network.created < until)
    }
}

/// Whether a network has the options that are wanted, the subnets that are named, and for a family
/// of which none is named one of those there are.
fn is_as_wanted(written: &Network, wanted: &Network, pools: &[SubnetPool]) -> bool {
    let fits = |ipv6: bool| match (written.pool(ipv6), wanted.pool(ipv6)) {
        (Some(has), Some(wants)) => {
            let gateway = wants.gateway.is_none() || has.gateway == wants.gateway;
            has.subnet == wants.subnet && has.range == wants.range && gateway
        }
        (Some(has), None) => !ipv6 && pools.iter().any(|pool| pool.base.holds(&has.subnet)),
        (None, wants) => wants.is_none(),
    };
    written.options == wanted.options && fits(false) && fits(true)
}

fn plain(subnet: Subnet) -> AddressPool {
    AddressPool { subnet, gateway: None, range: None, reserved: BTreeMap::new() }
}

fn check_name(name: &str) -> Result<()> {
    if is_predefined(name) || name == "default" {
        return Err(NetworkError::PredefinedName(name.to_owned()));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let allowed = |byte: u8| plain(byte) || b"_.-".contains(&byte);
    let fits = name.bytes().next().is_some_and(plain) && name.bytes().all(allowed);
    if !fits || name.len() > 255 {
        let why =
            format!("invalid network name \"{name}\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
        return Err(NetworkError::Invalid(why));
    }
    Ok(())
}

/// A bridge has one subnet of a family.
fn check_single(network: &Network) -> Result<()> {
    let count = |ipv6| network.pools.iter().filter(|it| it.subnet.is_ipv6() == ipv6).count();
    match count(false) > 1 || count(true) > 1 {
        true => Err(NetworkError::Forbidden(
            "bridge driver doesn't support multiple subnets".to_owned(),
        )),
        false => Ok(()),
    }
}

fn check_pools(network: &Network) -> Result<()> {
    let invalid = |text: String| Err(NetworkError::Invalid(text));
    for (place, pool) in network.pools.iter().enumerate() {
        let smallest = if pool.subnet.is_ipv6() { 126 } else { 30 };
        if pool.subnet.prefix() > smallest && network.driver == Driver::Bridge {
            return invalid(format!("subnet {} is too small for a bridge", pool.subnet));
        }
        if network.pools[..place].iter().any(|other| other.subnet.overlaps(&pool.subnet)) {
            return Err(NetworkError::Overlap);
        }
        if let Some(gateway) = pool.gateway.filter(|it| !pool.subnet.contains(*it)) {
            return invalid(format!("no matching subnet for gateway {gateway}"));
        }
        if let Some(range) = pool.range.filter(|it| !pool.subnet.holds(it)) {
            return invalid(format!("no matching subnet for range {range}"));
        }
        if let Some(other) = pool.reserved.values().find(|it| !pool.subnet.contains(**it)) {
            return invalid(format!("no matching subnet for aux-address {other}"));
        }
    }
    Ok(())
}
