//! What `inspect` says of a container: docker's document, field for field.

use std::collections::BTreeMap;

use network::Endpoint;
use runtime::cgroup::Layout;
use runtime::state::{State, Status};
use serde_json::{Map, Value, json};
use spec::{ContainerId, EndpointSettings, HostConfig};
use store::{DriverKind, Top};

use super::record::ContainerRecord;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::inspect::container_config;

/// What docker calls a driver.
fn docker_driver(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |kind: DriverKind| kind.docker_name().to_owned())
}

impl Engine {
    /// Everything about a container, with `size` how much was written to it.
    pub fn inspect_container(&self, name: &str, size: bool) -> Result<Value> {
        let containers = self.containers();
        let id = containers.find(name)?;
        let record = containers.read(&id)?;
        let state = self.container_state(&id)?;
        let endpoints = self.endpoints_of(&id)?;
        // Files that a run makes are there once it has run.
        let has_run = state.status != Status::Created;
        let path = |name: &str| match has_run {
            true => containers.folder(&id).join(name).display().to_string(),
            false => String::new(),
        };
        let logs = match record.host_config.log_config.kind.as_str() {
            "json-file" if has_run => {
                containers.folder(&id).join(format!("{id}-json.log")).display().to_string()
            }
            _ => String::new(),
        };
        let config = &record.config;
        let mut words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
        let program = words.next().cloned().unwrap_or_default();
        let labels = super::bundle::labels(&record)?;
        let execs: Vec<&String> = state
            .execs
            .iter()
            .filter(|exec| exec.exit_code.is_none())
            .map(|exec| &exec.id)
            .collect();
        let mut shown = json!({
            "Id": id.to_string(),
            "Created": record.created.to_string(),
            "Path": program,
            "Args": words.collect::<Vec<_>>(),
            "State": state_document(&state),
            "Image": record.image.to_string(),
            "ResolvConfPath": path("resolv.conf"),
            "HostnamePath": path("hostname"),
            "HostsPath": path("hosts"),
            "LogPath": logs,
            "Name": format!("/{}", record.name),
            "RestartCount": state.restart_count,
            "Driver": docker_driver(&record.driver),
            "Platform": record.platform,
            "MountLabel": labels.mount,
            "ProcessLabel": labels.process,
            "AppArmorProfile": labels.profile,
            "ExecIDs": if execs.is_empty() { Value::Null } else { json!(execs) },
            "HostConfig": host_document(&record)?,
            "GraphDriver": self.graph_driver(&record, &state)?,
        });
        if size {
            let images = self.store.images()?;
            let (own, all) = self.container_size(&id, &record.image, &images)?;
            shown["SizeRw"] = json!(own);
            shown["SizeRootFs"] = json!(all);
        }
        shown["Mounts"] = json!(record.mounts);
        shown["Config"] = container_config(config);
        if config.labels.is_empty() {
            shown["Config"]["Labels"] = json!({});
        }
        shown["NetworkSettings"] = self.network_settings(&record, &endpoints)?;
        Ok(shown)
    }

    fn graph_driver(&self, record: &ContainerRecord, state: &State) -> Result<Value> {
        let snapshot = self.store.snapshot(&record.id.to_string())?;
        let layers = self.store.tables()?.layers;
        let driver = self.store.driver();
        let mut data: BTreeMap<String, String> =
            driver.data(&self.store.stacked(snapshot.below, &layers)?).unwrap_or_default();
        if let Top::Changes { folder, work, .. } = driver.top(&snapshot.folder) {
            // All that the image has is below what the container writes.
            let image = ["UpperDir", "LowerDir"].map(|key| data.remove(key));
            let lower: Vec<String> = image.into_iter().flatten().collect();
            // It is mounted in its own namespace and nowhere else.
            let merged = match state.process.pid {
                0 => String::new(),
                pid => format!("/proc/{pid}/root"),
            };
            data.extend([
                ("LowerDir".to_owned(), lower.join(":")),
                ("MergedDir".to_owned(), merged),
                ("UpperDir".to_owned(), folder.display().to_string()),
                ("WorkDir".to_owned(), work.display().to_string()),
            ]);
        }
        data.insert("ID".to_owned(), record.id.to_string());
        Ok(json!({ "Data": data, "Name": driver.kind().docker_name() }))
    }

    fn network_settings(&self, record: &ContainerRecord, endpoints: &[Endpoint]) -> Result<Value> {
        let mut networks: BTreeMap<String, EndpointSettings> = record.networks.clone();
        let mode = record.host_config.network_mode.as_str();
        if networks.is_empty() && !mode.starts_with("container:") {
            networks.insert(mode.to_owned(), EndpointSettings::default());
        }
        for endpoint in endpoints {
            let settings = match networks.contains_key(&endpoint.network) {
                true => networks.entry(endpoint.network.clone()),
                false => networks.entry(endpoint.network_name.clone()),
            };
            fill(settings.or_default(), endpoint);
        }
        let bridge = endpoints.iter().find(|endpoint| endpoint.network_name == "bridge");
        let mut own = EndpointSettings::default();
        if let Some(endpoint) = bridge {
            fill(&mut own, endpoint);
        }
        let sandbox = if endpoints.is_empty() { String::new() } else { record.id.to_string() };
        Ok(json!({
            "Bridge": "",
            "SandboxID": sandbox,
            "SandboxKey": self.sandbox_key(&record.id)?,
            "Ports": ports(record, endpoints),
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
            "EndpointID": own.endpoint_id,
            "Gateway": own.gateway,
            "GlobalIPv6Address": own.global_ipv6_address,
            "GlobalIPv6PrefixLen": own.global_ipv6_prefix_len,
            "IPAddress": own.ip_address,
            "IPPrefixLen": own.ip_prefix_len,
            "IPv6Gateway": own.ipv6_gateway,
            "MacAddress": own.mac_address,
            "Networks": networks,
        }))
    }

    /// Where the network namespace of a container that runs can be entered.
    fn sandbox_key(&self, id: &ContainerId) -> Result<String> {
        let pid = self.process(id)?;
        Ok(pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default())
    }

    /// A container and its document, if there is one of this name.
    pub fn inspect_container_if_any(&self, name: &str, size: bool) -> Result<Option<Value>> {
        match self.inspect_container(name, size) {
            Err(EngineError::NoSuchContainer(_)) => Ok(None),
            other => other.map(Some),
        }
    }
}

/// How the host runs a container, with what is usual on this host where nothing was said.
fn host_document(record: &ContainerRecord) -> Result<HostConfig> {
    let mut host = record.host_config.clone();
    host.links = super::link::shown(record);
    if host.cgroupns_mode.is_empty() {
        let alone = matches!(Layout::of_host()?, Layout::Version2 { .. });
        host.cgroupns_mode = if alone { "private" } else { "host" }.to_owned();
    }
    Ok(host)
}

fn state_document(state: &State) -> Value {
    let is = |status: Status| state.status == status;
    let mut shown = json!({
        "Status": state.status.name(),
        "Running": state.status.is_alive(),
        "Paused": is(Status::Paused),
        "Restarting": is(Status::Restarting),
        "OOMKilled": state.oom_killed,
        "Dead": is(Status::Dead),
        "Pid": state.process.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started.to_string(),
        "FinishedAt": state.finished.to_string(),
    });
    if let Some(health) = &state.health {
        let check = |check: &runtime::health::CheckResult| {
            json!({
                "Start": check.start.to_string(),
                "End": check.end.to_string(),
                "ExitCode": check.exit_code,
                "Output": check.output,
            })
        };
        shown["Health"] = json!({
            "Status": health.status.name(),
            "FailingStreak": health.failing_streak,
            "Log": health.log.iter().map(check).collect::<Vec<_>>(),
        });
    }
    shown
}

/// What became of a wish to stand in a network.
pub(super) fn fill(settings: &mut EndpointSettings, endpoint: &Endpoint) {
    let text = |address: Option<String>| address.unwrap_or_default();
    settings.network_id.clone_from(&endpoint.network);
    settings.endpoint_id.clone_from(&endpoint.id);
    settings.mac_address = text(endpoint.mac.map(|mac| mac.to_string()));
    settings.gateway = text(endpoint.gateway4.map(|gateway| gateway.to_string()));
    settings.ipv6_gateway = text(endpoint.gateway6.map(|gateway| gateway.to_string()));
    if let Some((address, bits)) = endpoint.ipv4 {
        (settings.ip_address, settings.ip_prefix_len) = (address.to_string(), bits);
    }
    if let Some((address, bits)) = endpoint.ipv6 {
        settings.global_ipv6_address = address.to_string();
        settings.global_ipv6_prefix_len = bits;
    }
    if !matches!(endpoint.network_name.as_str(), "bridge" | "host" | "none") {
        settings.dns_names = Some(endpoint.names().map(str::to_owned).collect());
    }
}

/// Ports of a container that runs, with where they are published or `null`.
fn ports(record: &ContainerRecord, endpoints: &[Endpoint]) -> Value {
    if endpoints.is_empty() {
        return json!({});
    }
    let exposed = record.config.exposed_ports.iter();
    let mut ports: Map<String, Value> = exposed.map(|port| (port.clone(), Value::Null)).collect();
    for port in endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let places = ports.entry(port.container.to_string()).or_insert(Value::Null);
        let place = json!({
            "HostIp": port.host_address.to_string(),
            "HostPort": port.host_port.to_string(),
        });
        match places {
            Value::Array(list) => list.push(place),
            other => *other = json!([place]),
        }
    }
    ports.into()
}
