//! What `inspect` says of a network: docker's document, field for field.

use network::{AddressPool, Endpoint, Network};
use serde_json::{Value, json};

/// Docker's document about a network.
pub fn network_document(network: &Network, endpoints: &[Endpoint]) -> Value {
    let pool = |pool: &AddressPool| {
        let mut shown = json!({ "Subnet": pool.subnet.to_string() });
        if let Some(range) = pool.range {
            shown["IPRange"] = json!(range.to_string());
        }
        if let Some(gateway) = pool.gateway {
            shown["Gateway"] = json!(gateway.to_string());
        }
        if !pool.reserved.is_empty() {
            shown["AuxiliaryAddresses"] = json!(pool.reserved);
        }
        shown
    };
    let prefixed = |address: Option<String>| address.unwrap_or_default();
    let containers: serde_json::Map<String, Value> = endpoints
        .iter()
        .map(|endpoint| {
            let shown = json!({
                "Name": endpoint.container_name,
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
                "IPv4Address": prefixed(endpoint.ipv4.map(|(ip, bits)| format!("{ip}/{bits}"))),
                "IPv6Address": prefixed(endpoint.ipv6.map(|(ip, bits)| format!("{ip}/{bits}"))),
            });
            (endpoint.container.clone(), shown)
        })
        .collect();
    let ipam = match network.pools.is_empty() {
        true => Value::Null,
        false => network.pools.iter().map(pool).collect(),
    };
    let ipam_options = match network.is_predefined() {
        true => Value::Null,
        false => json!(network.ipam_options),
    };
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.to_string(),
        "Scope": "local",
        "Driver": network.driver.as_str(),
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": { "Driver": "default", "Options": ipam_options, "Config": ipam },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": network.config_from.as_deref().unwrap_or_default() },
        "ConfigOnly": network.config_only,
        "Containers": containers,
        "Options": options(network),
        "Labels": network.labels,
    })
}

/// A network's options. Of the default one docker tells those too that nobody gave.
fn options(network: &Network) -> Value {
    let mut shown = json!(network.options);
    if network.name != "bridge" {
        return shown;
    }
    let usual = [
        ("com.docker.network.bridge.default_bridge", "true"),
        ("com.docker.network.bridge.enable_icc", "true"),
        ("com.docker.network.bridge.enable_ip_masquerade", "true"),
        ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
        ("com.docker.network.driver.mtu", "1500"),
    ];
    for (name, value) in usual {
        if shown.get(name).is_none() {
            shown[name] = json!(value);
        }
    }
    shown
}
