//! How much space what takes.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::{CacheRow, DiskUsage, ListImages, VolumeUsage};
use serde_json::{Map, Value, json};
use spec::Timestamp;

use crate::call::Call;
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// What can be asked for alone.
const TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];

pub(crate) fn df(call: Call) -> Result<Reply, Refusal> {
    let kinds = call.since(brought::KINDS_OF_USAGE);
    let wanted = if kinds { call.query.list("type") } else { Vec::new() };
    if let Some(unknown) = wanted.iter().find(|name| !TYPES.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("unknown object type: {unknown}")));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let engine = call.engine()?;
    let DiskUsage { usage, users, containers, volumes, build_cache, .. } = engine.disk_usage()?;
    let mut shown = Map::new();
    if is_wanted("image") {
        let mut images = engine.image_summaries(&ListImages::default())?;
        for image in &mut images {
            let id = image["Id"].as_str().and_then(|id| id.parse().ok());
            let of = id.and_then(|id| usage.images.get(&id)).copied().unwrap_or_default();
            image["SharedSize"] = json!(of.shared);
            if !call.since(brought::ONE_SIZE) {
                image["VirtualSize"] = image["Size"].clone();
            }
            image["Containers"] = json!(id.and_then(|id| users.get(&id)).copied().unwrap_or(0));
        }
        shown.insert("LayersSize".to_owned(), json!(usage.layers));
        shown.insert("Images".to_owned(), json!(images));
    }
    if is_wanted("container") {
        let now = Timestamp::now();
        let rows: Vec<Value> = containers.iter().map(|row| row.document(now)).collect();
        shown.insert("Containers".to_owned(), json!(rows));
    }
    if is_wanted("volume") {
        shown.insert("Volumes".to_owned(), volumes.iter().map(volume).collect());
    }
    if is_wanted("build-cache") {
        shown.insert(
            "BuildCache".to_owned(),
            build_cache.rows.iter().map(|row| cached(row, kinds)).collect(),
        );
        if !kinds {
            shown.insert("BuilderSize".to_owned(), json!(build_cache.bytes));
        }
    }
    Ok(Reply::json(&Value::Object(shown)))
}

fn volume(usage: &VolumeUsage) -> Value {
    let mut shown = json!(usage.volume);
    shown["UsageData"] = json!({ "RefCount": usage.links, "Size": usage.bytes });
    shown
}

fn cached(row: &CacheRow, kinds: bool) -> Value {
    let mut shown = json!({
        "ID": row.id,
        "Parents": null,
        "Type": "regular",
        "Description": row.text,
        "InUse": false,
        "Shared": row.shared,
        "Size": row.bytes,
        "CreatedAt": Timestamp::from_unix(row.made, 0).to_string(),
        "LastUsedAt": moment(row.used).to_string(),
        "UsageCount": 1,
    });
    if !kinds {
        shown["Parent"] = json!("");
    }
    shown
}

fn moment(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos())
}
