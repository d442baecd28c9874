//! `mica network`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::{
    AddressPool, EngineError, Kind, NetworkDriver, NetworkError, NetworkFilter, NetworkRequest,
    Subnet, network_document,
};
use serde::Deserialize;
use serde_json::Value as Document;
use spec::{EndpointSettings, IpamSettings, Timestamp};

use super::inspect::show as show_documents;
use super::prune::sure;
use super::{joined, pairs};
use crate::args::Matches;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, Words, rows};
use crate::template::Value;

pub(crate) fn create(context: &Context) -> Outcome {
    let request = request(context)?;
    let network = context.engine()?.create_network(request)?;
    context.ui.line(&network.id);
    Ok(0)
}

/// What `create` asks for.
pub(crate) fn request(context: &Context) -> Result<NetworkRequest, Failure> {
    let matches = context.matches();
    if matches.flag("ingress") {
        return Err(daemon("ingress networks belong to Swarm, which mica does not have"));
    }
    match matches.string("scope").unwrap_or_default() {
        "" | "local" => {}
        scope => return Err(daemon(format!("invalid scope {scope:?}: mica's networks are local"))),
    }
    let ipam = matches.string("ipam-driver").unwrap_or("default");
    if !matches!(ipam, "" | "default") {
        return Err(daemon(format!(
            "could not find plugin {ipam} in v1 plugin registry: plugin not found"
        )));
    }
    let driver: NetworkDriver = matches
        .string("driver")
        .filter(|driver| !driver.is_empty())
        .unwrap_or("bridge")
        .parse()
        .map_err(EngineError::from)?;
    Ok(NetworkRequest {
        name: context.names()[0].clone(),
        driver,
        pools: pools(matches)?,
        ipv4: matches.flag("ipv4"),
        ipv6: matches.flag("ipv6"),
        internal: matches.flag("internal"),
        attachable: matches.flag("attachable"),
        config_only: matches.flag("config-only"),
        config_from: matches
            .string("config-from")
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        labels: super::labels("--label", matches.list("label"))?,
        options: pairs(matches.list("opt")),
        ipam_options: pairs(matches.list("ipam-opt")),
    })
}

/// The address pools of `--subnet` and the flags that belong to one of the subnets each.
fn pools(matches: &Matches) -> Result<Vec<AddressPool>, Failure> {
    let mut pools = Vec::new();
    for text in matches.list("subnet") {
        let subnet: Subnet = text.parse().map_err(|_| no_block(text))?;
        let overlaps = |pool: &AddressPool| pool.subnet.overlaps(&subnet);
        if pools.iter().any(overlaps) {
            return Err(Failure::new("multiple overlapping subnet configuration is not supported"));
        }
        pools.push(AddressPool { subnet, gateway: None, range: None, reserved: BTreeMap::new() });
    }
    if pools.is_empty() {
        if ["gateway", "ip-range"].iter().any(|flag| !matches.list(flag).is_empty()) {
            return Err(Failure::new("every ip-range or gateway must have a corresponding subnet"));
        }
        if let Some(text) = matches.list("aux-address").first() {
            let address = text.split_once('=').map_or("", |(_, address)| address);
            return Err(Failure::new(format!("no matching subnet for aux-address {address}")));
        }
    }
    for text in matches.list("ip-range") {
        let range: Subnet =
            text.parse().map_err(|_| Failure::new(format!("invalid CIDR address: {text}")))?;
        let pool = pools.iter_mut().find(|pool| pool.subnet.holds(&range));
        let pool = pool.ok_or_else(|| no_subnet("range", text))?;
        if pool.range.replace(range).is_some() {
            return Err(Failure::new(format!(
                "cannot configure multiple ranges ({text}, {range}) on the same subnet ({})",
                pool.subnet
            )));
        }
    }
    for text in matches.list("gateway") {
        let gateway = address(text)?;
        let pool = pool_of(&mut pools, gateway).ok_or_else(|| no_subnet("gateway", text))?;
        if pool.gateway.replace(gateway).is_some() {
            return Err(Failure::new(format!(
                "cannot configure multiple gateways ({text}, {gateway}) for the same subnet ({})",
                pool.subnet
            )));
        }
    }
    for (name, text) in pairs(matches.list("aux-address")) {
        let other = address(&text)?;
        let pool = pool_of(&mut pools, other).ok_or_else(|| no_subnet("aux-address", &text))?;
        pool.reserved.insert(name, other);
    }
    for what in ["subnet", "ip-range"] {
        for text in matches.list(what) {
            let whole =
                |error| daemon(format!("invalid network config:\ninvalid {what} {text}: {error}"));
            Subnet::by_first(text).map_err(whole)?;
        }
    }
    Ok(pools)
}

fn pool_of(pools: &mut [AddressPool], address: IpAddr) -> Option<&mut AddressPool> {
    pools.iter_mut().find(|pool| pool.subnet.contains(address))
}

fn no_subnet(what: &str, text: &str) -> Failure {
    Failure::new(format!("no matching subnet for {what} {text}"))
}

/// Docker's client leaves this to the engine.
fn no_block(text: &str) -> Failure {
    daemon(format!("invalid network config:\ninvalid subnet {text}: invalid CIDR block notation"))
}

fn address(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| Failure::new(format!("invalid IP address: {text}")))
}

fn daemon(words: impl std::fmt::Display) -> Failure {
    Failure::of_engine(words)
}

pub(crate) fn connect(context: &Context) -> Outcome {
    let [network, container] = context.names() else { return Ok(1) };
    let (settings, engine) = (endpoint(context.matches())?, context.engine()?);
    let id = engine.containers().find(container)?;
    engine.connect(network, &id, settings, &engine)?;
    Ok(0)
}

/// How a container wants to stand in the network that it joins.
pub(crate) fn endpoint(matches: &Matches) -> Result<EndpointSettings, Failure> {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    for ip in [text("ip"), text("ip6")].iter().filter(|ip| !ip.is_empty()) {
        address(ip).map_err(|_| daemon(format!("invalid IP address: {ip}")))?;
    }
    let ipam = IpamSettings {
        ipv4_address: text("ip"),
        ipv6_address: text("ip6"),
        link_local_ips: matches.list("link-local-ip").to_vec(),
    };
    let options = matches.list("driver-opt");
    if let Some(wrong) = options.iter().find(|option| !option.contains('=')) {
        return Err(Failure::new(format!(
            "invalid key/value pair format in driver options: {wrong}"
        )));
    }
    Ok(EndpointSettings {
        ipam_config: Some(ipam).filter(|ipam| *ipam != IpamSettings::default()),
        links: some(matches.list("link")),
        aliases: some(matches.list("alias")),
        driver_opts: Some(pairs(options)).filter(|options| !options.is_empty()),
        gw_priority: matches.int("gw-priority").unwrap_or_default(),
        ..EndpointSettings::default()
    })
}

pub(crate) fn disconnect(context: &Context) -> Outcome {
    let [network, container] = context.names() else { return Ok(1) };
    let engine = context.engine()?;
    let id = engine.containers().find(container)?;
    engine.disconnect(network, &id, context.matches().flag("force"), &engine)?;
    Ok(0)
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let engine = context.engine()?;
    show_documents(context, "network", &|name| {
        let (network, endpoints) = engine.inspect_network(name)?;
        Ok(network_document(&network, &endpoints))
    })
}

const COLUMNS: &[Column] =
    &[("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")];
const HEADERS: &[Column] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

pub(crate) fn list(context: &Context) -> Outcome {
    let filter = list_filter(context.matches().list("filter"))?;
    let found = context.engine()?.list_networks(&filter)?;
    show(context, found.iter().map(|network| network_document(network, &[])))
}

/// Shows networks, of which there are docker's documents, as the command line asks for it.
pub(crate) fn show(context: &Context, found: impl IntoIterator<Item = Document>) -> Outcome {
    let matches = context.matches();
    let full = matches.flag("no-trunc");
    let shown: Vec<Shown> = found.into_iter().map(|network| Shown { network, full }).collect();
    let format = matches.string("format").filter(|text| !text.is_empty());
    if matches.flag("quiet") && format.is_none() {
        shown.iter().for_each(|row| context.ui.line(row.id()));
        return Ok(0);
    }
    let format = WORDS.meant(format, matches.flag("quiet"));
    rows(&context.ui, format.as_deref(), COLUMNS, HEADERS, shown)?;
    Ok(0)
}

const WORDS: Words = Words {
    id: "ID",
    raw_id: "network_id",
    raw: "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
};

struct Shown {
    network: Document,
    full: bool,
}

impl Shown {
    fn id(&self) -> &str {
        let id = self.network["Id"].as_str().unwrap_or_default();
        if self.full { id } else { &id[..id.len().min(12)] }
    }
}

impl Row for Shown {
    const KIND: &'static str = "*network.networkContext";
    const FIELDS: &'static [&'static str] =
        &["CreatedAt", "Driver", "ID", "IPv4", "IPv6", "Internal", "Labels", "Name", "Scope"];

    fn field(&self, name: &str) -> Option<Value> {
        let text = |name: &str| self.network[name].as_str().unwrap_or_default().to_owned();
        let truth = |name: &str| (self.network[name] == true).to_string();
        Some(Value::Str(match name {
            "ID" => self.id().to_owned(),
            "Name" | "Driver" | "Scope" => text(name),
            "IPv4" => truth("EnableIPv4"),
            "IPv6" => truth("EnableIPv6"),
            "Internal" => truth("Internal"),
            "Labels" => BTreeMap::deserialize(&self.network["Labels"])
                .as_ref()
                .map(joined)
                .unwrap_or_default(),
            "CreatedAt" => {
                text("Created").parse().map_or_else(|_| String::new(), |it: Timestamp| it.go_utc())
            }
            _ => return None,
        }))
    }

    fn label(&self, key: &str) -> Option<String> {
        Some(self.network["Labels"][key].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) fn remove(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let force = context.matches().flag("force");
    let mut code = 0;
    for name in context.names() {
        match engine.remove_network(name) {
            Ok(_) => context.ui.line(name),
            Err(error) if force && error.kind() == Kind::NotFound => {}
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

pub(crate) const PRUNE_WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue? [y/N] ";

pub(crate) fn prune(context: &Context) -> Outcome {
    let filter = prune_filter(context.matches().list("filter"))?;
    if !sure(context, PRUNE_WARNING) {
        return Ok(0);
    }
    let removed = context.engine()?.prune_networks(&filter)?;
    tell_pruned(context, &removed);
    Ok(0)
}

/// Says which networks went.
pub(crate) fn tell_pruned(context: &Context, removed: &[String]) {
    if !removed.is_empty() {
        context.ui.line("Deleted Networks:");
        removed.iter().for_each(|name| context.ui.line(name));
        context.ui.line("");
    }
}

/// Whether an error says that there is no such network.
pub(super) fn is_missing(error: &EngineError) -> bool {
    matches!(error, EngineError::Network(NetworkError::NotFound(_)))
}

fn list_filter(texts: &[String]) -> Result<NetworkFilter, Failure> {
    Ok(engine::network_list_filter(texts)?)
}

/// What `prune --filter` says of networks.
pub(super) fn prune_filter(texts: &[String]) -> Result<NetworkFilter, Failure> {
    Ok(engine::network_prune_filter(texts)?)
}
