//! Containers as docker's API lists them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spec::{EndpointSettings, Timestamp};

use super::inspect::fill;
use super::list::{ContainerRow, networks_of, status_words};

impl ContainerRow {
    /// Docker's document about a container in a list.
    pub fn document(&self, now: Timestamp) -> Value {
        let ContainerRow { summary, state, .. } = self;
        let mut shown = json!({
            "Id": summary.id.to_string(),
            "Names": [format!("/{}", summary.name)],
            "Image": self.image,
            "ImageID": summary.image.to_string(),
            "Command": self.command(),
            "Created": summary.created.unix_seconds(),
            "Ports": self.port_documents(),
            "Labels": summary.config.labels,
            "State": state.status.name(),
            "Status": status_words(state, now),
            "HostConfig": { "NetworkMode": summary.host_config.network_mode },
            "NetworkSettings": { "Networks": self.network_documents() },
            "Mounts": summary.mounts,
        });
        if let Some((own, all)) = self.size {
            shown["SizeRw"] = json!(own);
            shown["SizeRootFs"] = json!(all);
        }
        shown
    }

    fn port_documents(&self) -> Vec<Value> {
        let (published, exposed) = self.ports();
        let published = published.iter().map(|port| {
            json!({
                "IP": port.host_address.to_string(),
                "PrivatePort": port.container.number,
                "PublicPort": port.host_port,
                "Type": port.container.protocol.to_string(),
            })
        });
        let exposed = exposed
            .iter()
            .map(|port| json!({ "PrivatePort": port.number, "Type": port.protocol.to_string() }));
        published.chain(exposed).collect()
    }

    fn network_documents(&self) -> BTreeMap<String, EndpointSettings> {
        let wished = networks_of(&self.summary).into_iter();
        let mut networks: BTreeMap<String, EndpointSettings> =
            wished.map(|name| (name, EndpointSettings::default())).collect();
        for endpoint in &self.endpoints {
            let known = networks.contains_key(&endpoint.network);
            let name = if known { &endpoint.network } else { &endpoint.network_name };
            fill(networks.entry(name.clone()).or_default(), endpoint);
        }
        networks
    }
}
