//! Compose files: the services that are built, as targets.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use spec::expand_word;

use super::target::{Target, find_key};
use super::value::Value;
use crate::yaml;

type Services = (Vec<(String, Target)>, Vec<String>);

/// Reads a file: targets in its order, and the names of the group of all.
pub(super) fn read(text: &str, environment: &BTreeMap<String, String>) -> Result<Services, String> {
    let document = interpolated(yaml::read(text)?, environment)?;
    let services = document.get("services").and_then(Json::as_object);
    let mut targets = Vec::new();
    for (name, service) in services.into_iter().flatten() {
        let Some(build) = service.get("build").filter(|build| !build.is_null()) else { continue };
        let read = target(service, build);
        // Compose allows dots, and targets do not.
        let name = name.replace('.', "_");
        targets.push((name.clone(), read.map_err(|error| format!("service {name}: {error}"))?));
    }
    let names = targets.iter().map(|(name, _)| name.clone()).collect();
    Ok((targets, names))
}

/// Keys of `build` by the names that targets have for them.
const KEYS: &[(&str, &str)] = &[
    ("context", "context"),
    ("dockerfile", "dockerfile"),
    ("dockerfile_inline", "dockerfile-inline"),
    ("args", "args"),
    ("labels", "labels"),
    ("tags", "tags"),
    ("cache_from", "cache-from"),
    ("cache_to", "cache-to"),
    ("target", "target"),
    ("platforms", "platforms"),
    ("ssh", "ssh"),
    ("network", "network"),
    ("no_cache", "no-cache"),
    ("pull", "pull"),
    ("shm_size", "shm-size"),
    ("additional_contexts", "contexts"),
    ("extra_hosts", "extra-hosts"),
    ("entitlements", "entitlements"),
];

fn target(service: &Json, build: &Json) -> Result<Target, String> {
    let short = serde_json::json!({ "context": build });
    let build = if build.is_string() { &short } else { build };
    let mut target = Target::default();
    for (theirs, ours) in KEYS {
        let Some(value) = build.get(theirs) else { continue };
        let key = find_key(ours).ok_or("a key is missing")?;
        let value = match (key.is_map(), value) {
            (true, Json::Array(list)) => pairs(list),
            (false, Json::Object(map)) => listed(map),
            _ => value.clone(),
        };
        target.say(key, &Value::of_json(&value)).map_err(|error| format!("{theirs}: {error}"))?;
    }
    if target.list("tags").is_empty()
        && let (Some(image), Some(key)) = (service.get("image"), find_key("tags"))
    {
        target.say(key, &Value::List(vec![Value::of_json(image)]))?;
    }
    if let Some(Json::Object(extra)) = build.get("x-bake") {
        for (name, value) in extra {
            let name = if name == "secret" { "secret" } else { name };
            let key = find_key(name).ok_or_else(|| format!("x-bake: unknown key {name}"))?;
            // What may be a list may be a text too.
            let value = match (value, target_is_list(name)) {
                (Json::String(_), true) => Json::Array(vec![value.clone()]),
                _ => value.clone(),
            };
            let mut more = Target::default();
            more.say(key, &Value::of_json(&value)).map_err(|error| format!("x-bake: {error}"))?;
            target.join(&more);
        }
    }
    Ok(target)
}

fn target_is_list(name: &str) -> bool {
    let lists = ["tags", "cache-from", "cache-to", "secret", "ssh", "platforms", "output"];
    lists.contains(&name) || name == "no-cache-filter"
}

/// `[A=b, C]` as an object; a name alone has no value.
fn pairs(list: &[Json]) -> Json {
    let pair = |item: &Json| {
        let text = item.as_str()?;
        Some(match text.split_once(['=', ':']) {
            Some((name, value)) => (name.to_owned(), Json::String(value.to_owned())),
            None => (text.to_owned(), Json::Null),
        })
    };
    Json::Object(list.iter().filter_map(pair).collect())
}

/// `{default: path}` as `[default=path]`.
fn listed(map: &Map<String, Json>) -> Json {
    let item = |(name, value): (&String, &Json)| match value.as_str() {
        Some(value) => Json::String(format!("{name}={value}")),
        None => Json::String(name.clone()),
    };
    Json::Array(map.iter().map(item).collect())
}

/// Puts the values of variables into texts. Two dollars are one.
fn interpolated(json: Json, environment: &BTreeMap<String, String>) -> Result<Json, String> {
    Ok(match json {
        Json::String(text) if text.contains('$') => Json::String(expanded(&text, environment)?),
        Json::Array(list) => Json::Array(
            list.into_iter()
                .map(|item| interpolated(item, environment))
                .collect::<Result<_, _>>()?,
        ),
        Json::Object(map) => {
            let pair = |(name, value)| Ok((name, interpolated(value, environment)?));
            Json::Object(map.into_iter().map(pair).collect::<Result<_, String>>()?)
        }
        other => other,
    })
}

fn expanded(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    // The words of Dockerfiles have the same variables; what else means something there is hidden.
    const DOLLAR: char = '\u{e000}';
    let mut hidden = String::new();
    for letter in text.replace("$$", &DOLLAR.to_string()).chars() {
        if matches!(letter, '\'' | '"' | '\u{e001}') {
            hidden.push('\u{e001}');
        }
        hidden.push(letter);
    }
    let lookup = |name: &str| environment.get(name).cloned();
    let expanded = expand_word(&hidden, '\u{e001}', &lookup).map_err(|error| error.to_string())?;
    Ok(expanded.replace(DOLLAR, "$"))
}
