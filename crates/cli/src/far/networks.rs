//! `network` elsewhere.

use client::Request;
use engine::{AddressPool, NetworkRequest};
use serde_json::{Value, json};

use super::containers::filters;
use crate::commands::network::{endpoint, request, show};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn create(context: &Context) -> Outcome {
    let document = document(request(context)?);
    let made: Value = context.far()?.call(Request::post("/networks/create").json(document))?;
    context.ui.line(made["Id"].as_str().unwrap_or_default());
    Ok(0)
}

fn document(request: NetworkRequest) -> Value {
    let pool = |pool: &AddressPool| {
        json!({
            "Subnet": pool.subnet.to_string(),
            "IPRange": pool.range.map(|range| range.to_string()).unwrap_or_default(),
            "Gateway": pool.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            "AuxiliaryAddresses": pool.reserved,
        })
    };
    json!({
        "Name": request.name,
        // Engines that are older than 1.44 allow two networks of a name unless they are told.
        "CheckDuplicate": true,
        "Driver": request.driver.as_str(),
        "EnableIPv4": request.ipv4,
        "EnableIPv6": request.ipv6,
        "Internal": request.internal,
        "Attachable": request.attachable,
        "ConfigOnly": request.config_only,
        "ConfigFrom": request.config_from.map(|network| json!({ "Network": network })),
        "IPAM": {
            "Driver": "default",
            "Options": request.ipam_options,
            "Config": request.pools.iter().map(pool).collect::<Vec<_>>(),
        },
        "Options": request.options,
        "Labels": request.labels,
    })
}

pub(super) fn list(context: &Context) -> Outcome {
    let request = Request::get("/networks")
        .given("filters", filters(context.matches().list("filter"))?.as_deref());
    let mut found: Vec<Value> = context.far()?.call(request)?;
    found.sort_by(|one, other| one["Name"].as_str().cmp(&other["Name"].as_str()));
    show(context, found)
}

pub(super) fn connect(context: &Context) -> Outcome {
    let [network, container] = context.names() else { return Ok(1) };
    let settings = endpoint(context.matches())?;
    let settings =
        serde_json::to_value(&settings).map_err(|error| Failure::new(error.to_string()))?;
    let document = json!({ "Container": container, "EndpointConfig": settings });
    context.far()?.tell(Request::post(format!("/networks/{network}/connect")).json(document))?;
    Ok(0)
}

pub(super) fn disconnect(context: &Context) -> Outcome {
    let [network, container] = context.names() else { return Ok(1) };
    let document = json!({ "Container": container, "Force": context.matches().flag("force") });
    context.far()?.tell(Request::post(format!("/networks/{network}/disconnect")).json(document))?;
    Ok(0)
}

pub(super) fn remove(context: &Context) -> Outcome {
    let (client, force) = (context.far()?, context.matches().flag("force"));
    let mut code = 0;
    for name in context.names() {
        match client.tell(Request::delete(format!("/networks/{name}"))) {
            Ok(()) => context.ui.line(name),
            Err(error) if force && error.is_missing() => {}
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}
