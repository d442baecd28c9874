//! `volume` elsewhere.

use client::Request;
use engine::Volume;
use serde_json::{Value, json};
use spec::Timestamp;

use super::containers::filters;
use super::life::each;
use crate::commands::volume::{request, show};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn create(context: &Context) -> Outcome {
    let request = request(context)?;
    let made: Value = context.far()?.call(Request::post("/volumes/create").json(json!({
        "Name": request.name.unwrap_or_default(),
        "Driver": request.driver,
        "DriverOpts": request.options,
        "Labels": request.labels,
    })))?;
    context.ui.line(made["Name"].as_str().unwrap_or_default());
    Ok(0)
}

pub(super) fn list(context: &Context) -> Outcome {
    let request = Request::get("/volumes")
        .given("filters", filters(context.matches().list("filter"))?.as_deref());
    let told: Value = context.far()?.call(request)?;
    let told = told["Volumes"].as_array().into_iter().flatten();
    let mut volumes: Vec<Volume> = told.map(volume).collect();
    // Docker's engine has them in no order, and its client sorts them.
    volumes.sort_by(|one, two| one.name.cmp(&two.name));
    show(context, volumes)
}

/// A volume as the engine tells of it.
pub(super) fn volume(told: &Value) -> Volume {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let pairs = |name: &str| serde_json::from_value(told[name].clone()).unwrap_or_default();
    Volume {
        created_at: text("CreatedAt").parse().unwrap_or(Timestamp::ZERO),
        driver: text("Driver"),
        labels: pairs("Labels"),
        mountpoint: text("Mountpoint").into(),
        name: text("Name"),
        options: pairs("Options"),
        scope: text("Scope"),
    }
}

pub(super) fn remove(context: &Context) -> Outcome {
    let (client, force) = (context.far()?, context.matches().flag("force"));
    each(context, "volume", |name| {
        Ok(client.tell(Request::delete(format!("/volumes/{name}")).flag("force", force))?)
    })
}
