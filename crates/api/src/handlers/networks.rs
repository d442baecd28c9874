//! Networks, and containers that join and leave them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::{
    AddressPool, NetworkDriver, NetworkRequest, Subnet, SubnetError, network_document,
    network_list_filter, network_prune_filter,
};
use serde::Deserialize;
use serde_json::{Value, json};
use spec::EndpointSettings;

use crate::call::Call;
use crate::filters::Filters;
use crate::refusal::Refusal;
use crate::reply::Reply;

pub(crate) fn list(call: Call) -> Result<Reply, Refusal> {
    let filter = network_list_filter(&Filters::of(&call.query)?.lines())?;
    let networks = call.engine()?.list_networks(&filter)?;
    let shown: Vec<Value> = networks.iter().map(|one| network_document(one, &[])).collect();
    Ok(Reply::json(&shown))
}

pub(crate) fn inspect(call: Call) -> Result<Reply, Refusal> {
    let verbose = call.query.text("verbose");
    let truths =
        ["", "0", "1", "f", "t", "F", "T", "false", "true", "False", "True", "FALSE", "TRUE"];
    if !truths.contains(&verbose) {
        return Err(Refusal::bad(format!(
            "invalid value for verbose: {verbose}: strconv.ParseBool: parsing {verbose:?}: invalid syntax"
        )));
    }
    if !matches!(call.query.text("scope"), "" | "local") {
        return Err(Refusal::missing(format!("network {} not found", call.parameter("id"))));
    }
    let (network, endpoints) = call.engine()?.inspect_network(call.parameter("id"))?;
    Ok(Reply::json(&network_document(&network, &endpoints)))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    name: String,
    driver: Option<String>,
    scope: Option<String>,
    #[serde(rename = "EnableIPv4")]
    ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    ipam: Option<Ipam>,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    config_from: Option<ConfigFrom>,
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigFrom {
    network: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ipam {
    driver: Option<String>,
    options: Option<BTreeMap<String, String>>,
    config: Option<Vec<Pool>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pool {
    subnet: String,
    #[serde(rename = "IPRange")]
    range: String,
    gateway: String,
    auxiliary_addresses: Option<BTreeMap<String, String>>,
}

impl Pool {
    fn is_empty(&self) -> bool {
        let reserved = self.auxiliary_addresses.as_ref();
        [&self.subnet, &self.range, &self.gateway].iter().all(|text| text.is_empty())
            && reserved.is_none_or(BTreeMap::is_empty)
    }

    fn read(self) -> Result<AddressPool, Refusal> {
        const NO_BLOCK: &str = "invalid CIDR block notation";
        let wrong = |what: &str, text: &str, why: &str| {
            Refusal::bad(format!("invalid network config:\ninvalid {what} {text}: {why}"))
        };
        let address = |text: &str| -> Result<IpAddr, Refusal> {
            text.parse().map_err(|_| wrong("address", text, "invalid address"))
        };
        let block = |what: &str, text: &str| {
            Subnet::by_first(text).map_err(|error| match error {
                SubnetError::NoBlock(_) => wrong(what, text, NO_BLOCK),
                not_first @ SubnetError::NotFirst(_) => wrong(what, text, &not_first.to_string()),
            })
        };
        let subnet = block("subnet", &self.subnet)?;
        let range = match self.range.is_empty() {
            true => None,
            false => Some(block("ip-range", &self.range)?),
        };
        let gateway = match self.gateway.is_empty() {
            true => None,
            false => Some(address(&self.gateway)?),
        };
        let reserved = self.auxiliary_addresses.unwrap_or_default();
        let reserved =
            reserved.into_iter().map(|(name, text)| Ok::<_, Refusal>((name, address(&text)?)));
        Ok(AddressPool { subnet, gateway, range, reserved: reserved.collect::<Result<_, _>>()? })
    }
}

pub(crate) fn create(mut call: Call) -> Result<Reply, Refusal> {
    let wanted: Wanted = call.must_json()?;
    if wanted.scope.as_deref() == Some("swarm") {
        let message = "cannot create a swarm scoped network when swarm is not active".to_owned();
        return Err(Refusal { status: 403, message });
    }
    // Networks over several machines are made by those who manage a swarm.
    if wanted.ingress || wanted.driver.as_deref() == Some("overlay") {
        return Err(super::swarm::no_manager());
    }
    let ipam = wanted.ipam.unwrap_or_default();
    let planner = ipam.driver.unwrap_or_default();
    if !matches!(planner.as_str(), "" | "default") {
        return Err(Refusal::missing(format!(
            "could not find plugin {planner} in v1 plugin registry: plugin not found"
        )));
    }
    let driver = wanted.driver.filter(|driver| !driver.is_empty());
    let driver: NetworkDriver =
        driver.as_deref().unwrap_or("bridge").parse().map_err(engine::EngineError::from)?;
    let pools = ipam.config.unwrap_or_default().into_iter().filter(|pool| !pool.is_empty());
    let request = NetworkRequest {
        name: wanted.name,
        driver,
        pools: pools.map(Pool::read).collect::<Result<_, _>>()?,
        ipv4: wanted.ipv4.unwrap_or(true),
        ipv6: wanted.ipv6.unwrap_or(false),
        internal: wanted.internal,
        attachable: wanted.attachable,
        config_only: wanted.config_only,
        config_from: wanted.config_from.map(|it| it.network).filter(|name| !name.is_empty()),
        labels: wanted.labels.unwrap_or_default(),
        options: wanted.options.unwrap_or_default(),
        ipam_options: ipam.options.unwrap_or_default(),
    };
    let network = call.engine()?.create_network(request)?;
    Ok(Reply::json(&json!({ "Id": network.id, "Warning": "" })).at_status(201))
}

pub(crate) fn remove(call: Call) -> Result<Reply, Refusal> {
    call.engine()?.remove_network(call.parameter("id"))?;
    Ok(Reply::done())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Joining {
    container: String,
    endpoint_config: Option<EndpointSettings>,
    force: bool,
}

pub(crate) fn connect(mut call: Call) -> Result<Reply, Refusal> {
    let Joining { container, endpoint_config, .. } = call.must_json()?;
    let engine = call.engine()?;
    let id = engine.containers().find(&container)?;
    engine.connect(call.parameter("id"), &id, endpoint_config.unwrap_or_default(), &engine)?;
    Ok(Reply::status(200))
}

pub(crate) fn disconnect(mut call: Call) -> Result<Reply, Refusal> {
    let Joining { container, force, .. } = call.must_json()?;
    let engine = call.engine()?;
    let id = engine.containers().find(&container)?;
    engine.disconnect(call.parameter("id"), &id, force, &engine)?;
    Ok(Reply::status(200))
}

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filter = network_prune_filter(&Filters::of(&call.query)?.lines())?;
    let removed = call.engine()?.prune_networks(&filter)?;
    let removed = if removed.is_empty() { Value::Null } else { json!(removed) };
    Ok(Reply::json(&json!({ "NetworksDeleted": removed })))
}
