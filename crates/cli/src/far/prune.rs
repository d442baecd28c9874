//! What is pruned elsewhere. The questions are those that are asked here, and so is what is told.

use client::{Client, Request};
use engine::{Pruned, Removed};
use serde_json::{Value, json};
use spec::human_size;

use super::containers::filters;
use crate::commands::prune::{self, Gone, sure, sure_of_all, sure_of_images};
use crate::commands::{container, network, volume};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// What an engine says that it has removed.
fn ask(client: &Client, path: &str, conditions: &[String], all: bool) -> Result<Value, Failure> {
    let request =
        Request::post(path).flag("all", all).given("filters", filters(conditions)?.as_deref());
    Ok(client.call(request)?)
}

/// The names below a field.
fn names(told: &Value, field: &str) -> Vec<String> {
    let names = told[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn bytes(told: &Value) -> u64 {
    told["SpaceReclaimed"].as_u64().unwrap_or_default()
}

fn tell_bytes(context: &Context, told: &Value) -> Outcome {
    let bytes = human_size(bytes(told) as f64);
    context.ui.line(&format!("Total reclaimed space: {bytes}"));
    Ok(0)
}

pub(super) fn containers(context: &Context) -> Outcome {
    if !sure(context, container::PRUNE_WARNING) {
        return Ok(0);
    }
    let conditions = context.matches().list("filter");
    let told = ask(context.far()?, "/containers/prune", conditions, false)?;
    container::tell_pruned(context, &names(&told, "ContainersDeleted"));
    tell_bytes(context, &told)
}

pub(super) fn networks(context: &Context) -> Outcome {
    if !sure(context, network::PRUNE_WARNING) {
        return Ok(0);
    }
    let told = ask(context.far()?, "/networks/prune", context.matches().list("filter"), false)?;
    network::tell_pruned(context, &names(&told, "NetworksDeleted"));
    Ok(0)
}

pub(super) fn volumes(context: &Context) -> Outcome {
    let Some(all) = volume::asked_to_prune(context)? else { return Ok(0) };
    let mut conditions = context.matches().list("filter").to_vec();
    // Engines that are older than 1.42 know no other way, and no such word.
    let client = context.far()?;
    if all && context.matches().flag("all") && client.version()? >= 42 {
        conditions.push("all=1".to_owned());
    }
    let told = ask(client, "/volumes/prune", &conditions, false)?;
    volume::tell_pruned(context, &names(&told, "VolumesDeleted"));
    tell_bytes(context, &told)
}

pub(super) fn images(context: &Context) -> Outcome {
    if !sure_of_images(context) {
        return Ok(0);
    }
    prune::tell(context, &pruned_images(context)?)
}

fn pruned_images(context: &Context) -> Result<Pruned, Failure> {
    let matches = context.matches();
    let mut conditions = matches.list("filter").to_vec();
    conditions.push(format!("dangling={}", !matches.flag("all")));
    let told = ask(context.far()?, "/images/prune", &conditions, false)?;
    let removed = |row: &Value| {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        text("Untagged").map(Removed::Untagged).or(text("Deleted").map(Removed::Deleted))
    };
    let rows = told["ImagesDeleted"].as_array().into_iter().flatten();
    Ok(Pruned { removed: rows.filter_map(removed).collect(), bytes: bytes(&told) })
}

pub(super) fn system(context: &Context) -> Outcome {
    let (matches, client) = (context.matches(), context.far()?);
    if matches.flag("compressed") {
        return Err(Failure::new("error: docker's API has no --compressed"));
    }
    if !sure_of_all(context)? {
        return Ok(0);
    }
    let conditions = matches.list("filter");
    let stopped = ask(client, "/containers/prune", conditions, false)?;
    let unused = ask(client, "/networks/prune", conditions, false)?;
    let volumes = match matches.flag("volumes") {
        true => ask(client, "/volumes/prune", conditions, false)?,
        false => json!(null),
    };
    let mut images = pruned_images(context)?;
    // Steps of builds have no labels, and an engine before 1.31 keeps none apart.
    let labels = conditions.iter().any(|text| text.trim_start().starts_with("label"));
    let steps = match labels || client.version()? < 31 {
        false => ask(client, "/build/prune", conditions, matches.flag("all"))?,
        true => json!(null),
    };
    images.bytes += bytes(&stopped) + bytes(&volumes) + bytes(&steps);
    let gone = Gone {
        containers: names(&stopped, "ContainersDeleted"),
        networks: names(&unused, "NetworksDeleted"),
        volumes: names(&volumes, "VolumesDeleted"),
        steps: names(&steps, "CachesDeleted"),
        images,
    };
    gone.tell(context)
}
