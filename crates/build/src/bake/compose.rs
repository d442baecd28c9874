//! Compose files: the services that are built, as targets.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use spec::expand_word;

use super::Included;
use super::target::{Target, find_key};
use super::value::Value;
use crate::yaml;

type Services = (Vec<(String, Target)>, Vec<String>);

/// Reads a file: targets in its order, and the names of the group of all.
/// Paths begin at a folder, if there is one.
pub(super) fn read(
    text: &str,
    folder: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Services, String> {
    let document = interpolated(yaml::read(text)?, environment)?;
    let file = File { document: &document, folder, environment };
    let services = document.get("services").and_then(Json::as_object);
    let mut targets = Vec::new();
    for (name, service) in services.into_iter().flatten() {
        let failed = |error: String| format!("service {name}: {error}");
        let service = file.extended(service, 0).map_err(failed)?;
        let Some(build) = service.get("build").filter(|build| !build.is_null()) else { continue };
        let read = file.target(&service, build).map_err(failed)?;
        targets.push((target_name(name), read));
    }
    let mut names: Vec<String> = targets.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    Ok((targets, names))
}

/// The files that a file includes: by their names, or with the folder that their paths begin at, which
/// else is the one that the first of them lies in.
pub(super) fn includes(text: &str, folder: &str) -> Result<Vec<Included>, String> {
    // What cannot be read is told when it is.
    let document = yaml::read(text).unwrap_or_default();
    let Some(list) = document.get("include").filter(|list| !list.is_null()) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or("include is no list")?;
    let mut all = Vec::new();
    for entry in list {
        if entry.get("env_file").is_some_and(|file| !file.is_null()) {
            return Err(
                "include with an env_file is not there: name the file with --file".to_owned()
            );
        }
        let path = entry.get("path").unwrap_or(entry);
        let paths: Option<Vec<&str>> = match path {
            Json::Array(list) => list.iter().map(Json::as_str).collect(),
            path => path.as_str().map(|path| vec![path]),
        };
        let paths = paths.filter(|paths| !paths.is_empty());
        let paths = paths.ok_or("include names no file")?;
        if let Some(path) = paths.iter().find(|path| path.contains('$') || is_elsewhere(path)) {
            return Err(format!("include of {path:?} is not there: name the file with --file"));
        }
        let first = paths[0].rsplit_once('/').map_or("", |(above, _)| above);
        let own = entry.get("project_directory").and_then(Json::as_str).unwrap_or(first);
        let own = placed(folder, own);
        let included = |path: &&str| Included { name: placed(folder, path), folder: own.clone() };
        all.extend(paths.iter().map(included));
    }
    Ok(all)
}

/// A path from a folder.
fn placed(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "" | ".") => folder.to_owned(),
        (_, path) if path.starts_with('/') => path.to_owned(),
        (folder, path) => format!("{folder}/{}", path.trim_start_matches("./")),
    }
}

/// Whether a context is something else than a folder of this machine.
fn is_elsewhere(place: &str) -> bool {
    let is_by_name =
        |place: &str| place.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    place.contains("://")
        || place.starts_with("github.com/")
        || ["service:", "target:"].iter().any(|kind| place.starts_with(kind))
        || is_by_name(place)
}

/// A service's name as a target's: Compose allows dots, and targets do not.
fn target_name(service: &str) -> String {
    service.replace('.', "_")
}

/// No service goes on another, and that on another, further than this.
const MAX_EXTENDED: usize = 32;

/// A file, and what is known around it.
struct File<'a> {
    document: &'a Json,
    folder: &'a str,
    environment: &'a BTreeMap<String, String>,
}

impl File<'_> {
    /// A service with what it has from the one that it extends.
    fn extended(&self, service: &Json, depth: usize) -> Result<Json, String> {
        let service = with_maps(service.clone());
        let Some(extends) = service.get("extends").filter(|from| !from.is_null()) else {
            return Ok(service);
        };
        if extends.get("file").is_some_and(|file| !file.is_null()) {
            return Err("extends of another file is not there: name it with --file".to_owned());
        }
        let name =
            extends.as_str().or_else(|| extends.get("service")?.as_str()).unwrap_or_default();
        let from = self.document["services"].get(name);
        let from = from.ok_or_else(|| format!("it extends {name:?}, which is no service"))?;
        if depth > MAX_EXTENDED {
            return Err(format!("it extends {name:?}, which extends it"));
        }
        Ok(joined(self.extended(from, depth + 1)?, service))
    }

    /// A path of this machine from where the file's paths begin; other places stay as they are.
    fn placed(&self, place: &Json) -> Json {
        match place.as_str() {
            Some(text) if !is_elsewhere(text) => Json::String(placed(self.folder, text)),
            _ => place.clone(),
        }
    }

    /// What a secret of the file is, as a row of a target.
    fn secret(&self, asked: &Json) -> Result<Json, String> {
        let name = asked.as_str().or_else(|| asked.get("source")?.as_str()).unwrap_or_default();
        let from = self.document["secrets"].get(name);
        let from = from.ok_or_else(|| format!("secret {name:?} is not defined"))?;
        if from.get("external").is_some_and(|own| *own != Json::Bool(false) && own != "false") {
            return Err(format!("unsupported external secret {name}"));
        }
        let mut row = Map::from_iter([("id".to_owned(), Json::String(name.to_owned()))]);
        for (theirs, ours) in [("file", "src"), ("environment", "env")] {
            let value = from.get(theirs).map(|value| match theirs {
                "file" => self.placed(value),
                _ => value.clone(),
            });
            row.extend(value.map(|value| (ours.to_owned(), value)));
        }
        Ok(Json::Object(row))
    }

    /// An argument without a value has that of the environment; without one there, it is not given.
    fn arguments(&self, map: &Map<String, Json>) -> Json {
        let known = |(name, value): (&String, &Json)| {
            let value = match value {
                Json::Null => Json::String(self.environment.get(name)?.clone()),
                value => value.clone(),
            };
            Some((name.clone(), value))
        };
        Json::Object(map.iter().filter_map(known).collect())
    }
}

/// A service whose build says all that has names by maps, so that it can be joined with another.
fn with_maps(mut service: Json) -> Json {
    let Some(build) = service.get_mut("build") else { return service };
    if build.is_string() {
        *build = serde_json::json!({ "context": build });
    }
    for key in ["args", "labels", "additional_contexts", "extra_hosts"] {
        if let Some(Json::Array(list)) = build.get(key) {
            build[key] = pairs(list);
        }
    }
    service
}

/// What the second says over the first: maps are joined, lists follow each other.
fn joined(from: Json, own: Json) -> Json {
    match (from, own) {
        (Json::Object(mut from), Json::Object(own)) => {
            for (key, value) in own {
                let value = match from.remove(&key) {
                    Some(before) => joined(before, value),
                    None => value,
                };
                from.insert(key, value);
            }
            Json::Object(from)
        }
        (Json::Array(from), Json::Array(own)) => Json::Array([from, own].concat()),
        (_, own) => own,
    }
}

/// The context that a service is called by: the target of its name.
fn linked(map: &Map<String, Json>) -> Json {
    let link = |(name, value): (&String, &Json)| {
        let service = value.as_str().and_then(|text| text.strip_prefix("service:"));
        let value = service.map(|service| Json::String(format!("target:{}", target_name(service))));
        (name.clone(), value.unwrap_or_else(|| map[name].clone()))
    };
    Json::Object(map.iter().map(link).collect())
}

/// `nofile=1024:2048`, of a number or of both of them.
fn limits(map: &Map<String, Json>) -> Json {
    let limit = |(name, value): (&String, &Json)| {
        let of = |key: &str| match value.get(key).unwrap_or(value) {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        Json::String(format!("{name}={}:{}", of("soft"), of("hard")))
    };
    let mut list: Vec<Json> = map.iter().map(limit).collect();
    list.sort_by_key(Json::to_string);
    Json::Array(list)
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
    ("secrets", "secret"),
    ("ulimits", "ulimits"),
];

impl File<'_> {
    fn target(&self, service: &Json, build: &Json) -> Result<Target, String> {
        let short = serde_json::json!({ "context": build });
        let build = if build.is_string() { &short } else { build };
        let mut target = Target::default();
        if !self.folder.is_empty()
            && let Some(key) = find_key("context")
        {
            target.say(key, &Value::of_json(&Json::String(self.folder.to_owned())))?;
        }
        for (theirs, ours) in KEYS {
            let Some(value) = build.get(theirs) else { continue };
            let key = find_key(ours).ok_or("a key is missing")?;
            let value = match (key.is_map(), value) {
                (true, Json::Array(list)) => pairs(list),
                (false, Json::Object(map)) if *theirs == "ulimits" => limits(map),
                (false, Json::Object(map)) => listed(map),
                (false, Json::Array(list)) if *theirs == "secrets" => {
                    Json::Array(list.iter().map(|one| self.secret(one)).collect::<Result<_, _>>()?)
                }
                _ => value.clone(),
            };
            let value = match (*theirs, &value) {
                ("args", Json::Object(map)) => self.arguments(map),
                ("additional_contexts", Json::Object(map)) => {
                    let place = |(name, at): (&String, &Json)| (name.clone(), self.placed(at));
                    linked(&map.iter().map(place).collect())
                }
                ("context", place) => self.placed(place),
                _ => value,
            };
            target
                .say(key, &Value::of_json(&value))
                .map_err(|error| format!("{theirs}: {error}"))?;
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
                more.say(key, &Value::of_json(&value))
                    .map_err(|error| format!("x-bake: {error}"))?;
                target.join(&more);
            }
        }
        Ok(target)
    }
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
