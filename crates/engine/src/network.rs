//! Networks as commands know them: who is in them, and containers that join or leave.

use std::collections::BTreeMap;
use std::fs;
use std::time::UNIX_EPOCH;

use network::{Driver, Endpoint, Network, NetworkError, NetworkFilter, NetworkRequest, Networks};
use runtime::state::Status;
use spec::{ContainerId, EndpointSettings, NetworkMode, Timestamp};

use crate::container::{ContainerRecord, way_out};
use crate::error::{EngineError, Result};
use crate::settings::DefaultBridge;
use crate::{Alive, Engine};

/// The networks of which a container with one of them can have no other.
const ALONE: [&str; 2] = ["host", "none"];

impl Engine {
    /// The networks of this store.
    pub fn networks(&self) -> Result<Networks> {
        let paths = self.store.paths();
        let mut settings = network::Settings::default();
        if !self.settings.is_default_root() {
            // Stores on one host have a bridge and a table each.
            let own = format!("mica-{}", &self.store.id()[..6]);
            (settings.table, settings.bridge) = (own.clone(), own);
        }
        let defaults = &self.settings.networks;
        if !defaults.pools.is_empty() {
            settings.pools.clone_from(&defaults.pools);
        }
        if let Some(DefaultBridge { name, pools, options }) = &defaults.bridge {
            settings.bridge_pools.clone_from(pools);
            settings.bridge_options.clone_from(options);
            settings.bridge = name.clone().unwrap_or(settings.bridge);
        }
        Ok(Networks::open(paths.root(), paths.run(), settings)?)
    }

    /// Where a container that runs stands in networks.
    pub fn endpoints_of(&self, id: &ContainerId) -> Result<Vec<Endpoint>> {
        match self.container_state(id)?.status.is_alive() {
            true if self.settings.standing.is_of_user() => {
                Ok(way_out::written(&self.container_run_folder(id)))
            }
            true => Ok(self.networks()?.of_container(&id.to_string())?),
            false => Ok(Vec::new()),
        }
    }

    /// Makes the default network what the settings say, if they say anything about it. All who start
    /// containers of this store find it so, whatever they were told themselves.
    pub fn define_default_network(&self) -> Result<()> {
        if self.settings.networks.bridge.is_some() {
            self.networks()?.define_default()?;
        }
        Ok(())
    }

    /// Defines a network.
    pub fn create_network(&self, mut request: NetworkRequest) -> Result<Network> {
        if self.settings.standing.is_of_user() {
            return Err(EngineError::NoBridges);
        }
        let defaults = &self.settings.networks;
        let is_bridge = request.driver == Driver::Bridge && !request.config_only;
        if defaults.no_bridges && is_bridge {
            return Err(refused(
                "networks on bridges need iptables, which this engine may not use",
            ));
        }
        // A configuration, and what is made from one, has the options that the user gave it.
        let own = !request.config_only && request.config_from.is_none();
        let usual = defaults.options.get(request.driver.as_str()).filter(|_| own);
        for (name, value) in usual.into_iter().flatten() {
            request.options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let network = self.networks()?.create(request)?;
        self.network_event("create", &network, &[]);
        Ok(network)
    }

    /// A network, and who is in it.
    pub fn inspect_network(&self, name: &str) -> Result<(Network, Vec<Endpoint>)> {
        let (network, endpoints) = self.networks()?.inspect(name)?;
        Ok((self.dated(network), endpoints))
    }

    /// The networks that fit.
    pub fn list_networks(&self, filter: &NetworkFilter) -> Result<Vec<Network>> {
        let found = self.networks()?.list(filter)?;
        Ok(found.into_iter().map(|network| self.dated(network)).collect())
    }

    /// A network that is there by nature has been there since the store was made.
    fn dated(&self, mut network: Network) -> Network {
        if network.created == Timestamp::UNIX_EPOCH {
            let made = fs::metadata(self.store.paths().format()).and_then(|meta| meta.modified());
            let since = made.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let since = since.unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
            network.created = Timestamp::from_unix(seconds, since.subsec_nanos());
        }
        network
    }

    /// Removes a network that nobody is in.
    pub fn remove_network(&self, name: &str) -> Result<Network> {
        let network = self.networks()?.remove(name)?;
        self.network_event("destroy", &network, &[]);
        Ok(network)
    }

    /// Removes the networks that fit and that no container wants, not even one that is stopped.
    pub fn prune_networks(&self, filter: &NetworkFilter) -> Result<Vec<String>> {
        let wanted = self.wanted_networks()?;
        let is_wanted = |network: &Network| {
            wanted.iter().any(|name| *name == network.name || *name == network.id)
        };
        let networks = self.networks()?;
        let gone = networks.prune(filter, &is_wanted)?;
        let is_there =
            |endpoint: &Endpoint| endpoint.container.parse().is_ok_and(|id| self.is_in_use(&id));
        networks.reconcile(&is_there)?;
        networks.shut_down()?;
        gone.iter().for_each(|network| self.network_event("destroy", network, &[]));
        self.store.record_event("network", "prune", "", &[("reclaimed", "0")]);
        Ok(gone.into_iter().map(|network| network.name).collect())
    }

    fn wanted_networks(&self) -> Result<Vec<String>> {
        let records = self.containers().list()?;
        let of = |record: ContainerRecord| {
            let mode = record.host_config.network_mode;
            record.networks.into_keys().chain([mode])
        };
        Ok(records.into_iter().flat_map(of).collect())
    }

    /// Puts a container into a network: one that runs at once, any other when it starts.
    pub fn connect(
        &self,
        network: &str,
        container: &ContainerId,
        settings: EndpointSettings,
        alive: &dyn Alive,
    ) -> Result<()> {
        if self.settings.standing.is_of_user() {
            return Err(EngineError::NoBridges);
        }
        let network = self.networks()?.find(network)?;
        let containers = self.containers();
        let record = containers.read(container)?;
        check_joinable(&record, &network)?;
        network.check_joinable()?;
        let known = [&network.name, &network.id].map(|name| record.networks.contains_key(name));
        let runs = self.has_processes(container)?;
        if known.contains(&true) || is_mode(&record, &network) {
            // Of one that does not run docker says nothing: it is where it shall be.
            if !runs {
                return Ok(());
            }
            return Err(
                NetworkError::Attached { endpoint: record.name, network: network.name }.into()
            );
        }
        if runs {
            alive.connect(container, &network.name, &settings)?;
        }
        containers.change(container, |record| {
            spell_out_mode(record);
            if record.host_config.network_mode == "none" {
                record.host_config.network_mode.clone_from(&network.name);
            }
            record.networks.insert(network.name.clone(), settings);
            Ok(())
        })?;
        self.network_event("connect", &network, &[("container", &container.to_string())]);
        Ok(())
    }

    /// Takes a container out of a network. With `force`, one that is not there is no error.
    pub fn disconnect(
        &self,
        network: &str,
        container: &ContainerId,
        force: bool,
        alive: &dyn Alive,
    ) -> Result<()> {
        let network = self.networks()?.find(network)?;
        let containers = self.containers();
        let record = containers.read(container)?;
        if network.name == "host" {
            return Err(refused(
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        let names = [&network.name, &network.id];
        let listed = names.iter().any(|name| record.networks.contains_key(*name));
        if !listed && !is_mode(&record, &network) {
            return match force {
                true => Ok(()),
                false => Err(NetworkError::NotAttached {
                    container: container.to_string(),
                    network: network.name,
                }
                .into()),
            };
        }
        if self.has_processes(container)? {
            alive.disconnect(container, &network.name)?;
        }
        containers.change(container, |record| {
            names.iter().for_each(|name| drop(record.networks.remove(*name)));
            if is_mode(record, &network) {
                // The next one becomes what it was made with; without one it has none.
                let next = record.networks.keys().next().cloned();
                record.host_config.network_mode = next.unwrap_or_else(|| "none".to_owned());
            }
            Ok(())
        })?;
        self.network_event("disconnect", &network, &[("container", &container.to_string())]);
        Ok(())
    }

    /// Whether a container stands in its networks now.
    pub(crate) fn has_processes(&self, id: &ContainerId) -> Result<bool> {
        Ok(matches!(self.container_state(id)?.status, Status::Running | Status::Paused))
    }

    fn network_event(&self, action: &str, network: &Network, more: &[(&str, &str)]) {
        let own = [("name", network.name.as_str()), ("type", network.driver.as_str())];
        let attributes = [own.as_slice(), more].concat();
        self.store.record_event("network", action, &network.id, &attributes);
    }
}

/// Whether a container was made with this network.
fn is_mode(record: &ContainerRecord, network: &Network) -> bool {
    let mode = record.host_config.network_mode.as_str();
    let mode = if matches!(mode, "" | "default") { "bridge" } else { mode };
    mode == network.name || mode == network.id
}

/// Once a container has several networks, the one that it was made with is one of them.
fn spell_out_mode(record: &mut ContainerRecord) {
    let mode = match NetworkMode::parse(&record.host_config.network_mode) {
        NetworkMode::Named(name) => name,
        _ => record.host_config.network_mode.clone(),
    };
    if !ALONE.contains(&mode.as_str()) && !mode.starts_with("container:") {
        record.networks.entry(mode).or_default();
    } else if mode == "none" {
        record.networks.remove("none");
    }
}

fn check_joinable(record: &ContainerRecord, network: &Network) -> Result<()> {
    let mode = record.host_config.network_mode.as_str();
    if network.name == "host" || mode == "host" {
        return Err(refused(
            "container cannot be disconnected from host network or connected to host network",
        ));
    }
    if mode.starts_with("container:") {
        return Err(refused(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        ));
    }
    let alone = mode == "none" && record.networks.contains_key("none");
    if alone || network.name == "none" {
        return Err(refused(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ));
    }
    Ok(())
}

fn refused(words: &str) -> EngineError {
    EngineError::Refused(words.to_owned())
}

/// Endpoints by the container that has them.
pub(crate) fn by_container(endpoints: Vec<Endpoint>) -> BTreeMap<String, Vec<Endpoint>> {
    let mut sorted: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        sorted.entry(endpoint.container.clone()).or_default().push(endpoint);
    }
    sorted
}
