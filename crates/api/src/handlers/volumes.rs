//! Volumes.

use std::collections::BTreeMap;

use engine::{CreateVolume, Volume};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::filters::Filters;
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Whether a volume has labels: each a name, or a name and its value.
fn has_labels(volume: &Volume, wanted: &[String]) -> bool {
    let own = volume.labels.as_ref();
    let has = |text: &String| {
        let (name, value) =
            text.split_once('=').map_or((text.as_str(), None), |(n, v)| (n, Some(v)));
        let found = own.and_then(|labels| labels.get(name));
        found.is_some_and(|own| value.is_none_or(|value| value == own))
    };
    wanted.iter().all(has)
}

pub(crate) fn list(call: Call) -> Result<Reply, Refusal> {
    let filters = Filters::of(&call.query)?;
    filters.check(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.truth("dangling")?;
    let engine = call.engine()?;
    let used = match dangling {
        Some(_) => engine.used_volumes()?,
        None => Default::default(),
    };
    let any = |name: &str, holds: &dyn Fn(&str) -> bool| {
        let values = filters.values(name);
        values.is_empty() || values.iter().any(|value| holds(value))
    };
    let fits = |volume: &Volume| {
        dangling.is_none_or(|wanted| used.contains(&volume.name) != wanted)
            && any("driver", &|driver| driver == volume.driver)
            && any("name", &|name| spec::matches_name(name, &volume.name))
            && has_labels(volume, filters.values("label"))
    };
    let volumes: Vec<Volume> = engine.volumes()?.into_iter().filter(fits).collect();
    Ok(Reply::json(&json!({ "Volumes": volumes, "Warnings": null })))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    name: Option<String>,
    driver: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    cluster_volume_spec: Option<Value>,
}

pub(crate) fn create(mut call: Call) -> Result<Reply, Refusal> {
    let wanted: Wanted = call.json()?.unwrap_or_default();
    if wanted.cluster_volume_spec.is_some() {
        return Err(super::swarm::no_manager());
    }
    let request = CreateVolume {
        name: wanted.name,
        driver: wanted.driver.unwrap_or_default(),
        options: wanted.driver_opts.unwrap_or_default(),
        labels: wanted.labels.unwrap_or_default(),
    };
    let volume = call.engine()?.create_volume(request)?;
    Ok(Reply::json(&volume).at_status(201))
}

pub(crate) fn inspect(call: Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(&call.engine()?.volume(call.parameter("name"))?))
}

pub(crate) fn remove(call: Call) -> Result<Reply, Refusal> {
    call.engine()?.remove_volume(call.parameter("name"), call.query.flag("force"))?;
    Ok(Reply::done())
}

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filters = Filters::of(&call.query)?;
    filters.check(&["all", "label", "label!"])?;
    // Before 1.42 named volumes went too.
    let all = filters.truth("all")?.unwrap_or(!call.since(brought::ANONYMOUS_PRUNE));
    let (removed, bytes) = call.engine()?.prune_volumes(|volume| {
        let not = filters.values("label!");
        (all || volume.is_anonymous())
            && has_labels(volume, filters.values("label"))
            && (not.is_empty() || !has_labels(volume, not))
    })?;
    Ok(Reply::json(&json!({ "VolumesDeleted": removed, "SpaceReclaimed": bytes })))
}
