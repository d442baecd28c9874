//! What `inspect` says of an image: docker's document, field for field.

use serde_json::{Map, Value, json};
use spec::{ChainId, ContainerConfig, ImageConfig, ImageId, Platform, Reference, Timestamp};
use store::{Images, Stacked};

use crate::Engine;
use crate::error::Result;
use crate::find::{Found, about, find_for};

impl Engine {
    /// Everything about an image.
    pub fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<Value> {
        let images = self.store.images_about(&about(name))?;
        let found = find_for(&images, name, platform)?;
        inspect_image(self, &images, &found)
    }
}

/// Everything about an image that was found.
pub fn inspect_image(engine: &Engine, images: &Images, found: &Found) -> Result<Value> {
    let record = &images.images[&found.id];
    let config = engine.config(found.id)?;
    let familiar = |name: &str| Reference::parse(name).map(|name| name.familiar()).ok();
    let tags: Vec<String> = images.names_of(found.id).filter_map(familiar).collect();
    let digests: Vec<String> =
        record.repo_digests.iter().filter_map(|full| familiar_digest(full)).collect();
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("Id", json!(found.id.to_string()));
    put("RepoTags", json!(tags));
    put("RepoDigests", json!(digests));
    put("Parent", json!(record.parent.map(|id| id.to_string()).unwrap_or_default()));
    put("Comment", json!(comment(&config)));
    put("Created", json!(config.created.unwrap_or(Timestamp::ZERO).to_string()));
    put("DockerVersion", json!(config.docker_version));
    put("Author", json!(config.author));
    put("Architecture", json!(config.architecture));
    if let Some(variant) = &config.variant {
        put("Variant", json!(variant));
    }
    let os = Some(&config.os).filter(|os| !os.is_empty());
    put("Os", json!(os.unwrap_or(&Platform::host().os)));
    if let Some(version) = &config.os_version {
        put("OsVersion", json!(version));
    }
    put("Size", json!(record.size()));
    put("GraphDriver", graph_driver(engine, &found.id, &config));
    let layers: Vec<String> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let mut rootfs = json!({ "Type": "layers" });
    if !layers.is_empty() {
        rootfs["Layers"] = json!(layers);
    }
    put("RootFS", rootfs);
    let tagged = record.tagged.unwrap_or(Timestamp::ZERO);
    put("Metadata", json!({ "LastTagTime": tagged.to_string() }));
    put("Config", image_config(&config.config.clone().unwrap_or_default()));
    Ok(Value::Object(document))
}

fn familiar_digest(full: &str) -> Option<String> {
    let (name, digest) = full.split_once('@')?;
    Some(format!("{}@{digest}", Reference::parse(name).ok()?.familiar_name()))
}

fn graph_driver(engine: &Engine, id: &ImageId, config: &ImageConfig) -> Value {
    let diffs = &config.rootfs.diff_ids;
    let chains = ChainId::chain(diffs).into_iter();
    let stacked = chains.zip(diffs).map(|(chain, diff)| Stacked { chain, diff: *diff });
    let driver = engine.store.driver();
    let data = driver.data(&stacked.collect::<Vec<_>>()).map(|mut data| {
        // Where `image mount` shows it. Nobody writes to an image, so nothing is worked on.
        let merged = engine.store.paths().views().join(id.0.hex());
        data.insert("MergedDir".to_owned(), merged.display().to_string());
        data.insert("WorkDir".to_owned(), String::new());
        data
    });
    json!({ "Data": data, "Name": driver.kind().docker_name() })
}

fn comment(config: &ImageConfig) -> String {
    match config.comment.is_empty() {
        true => config.history.last().map(|row| row.comment.clone()).unwrap_or_default(),
        false => config.comment.clone(),
    }
}

/// What is a container's alone, and is not shown of an image.
const OF_CONTAINERS: [&str; 10] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "StopTimeout",
];

/// What an image asks of its containers, by name, as docker has shown it since 1.50 of its API.
fn image_config(own: &ContainerConfig) -> Value {
    let Value::Object(mut shown) = container_config(own) else { return Value::Null };
    shown.retain(|name, _| !OF_CONTAINERS.contains(&name.as_str()));
    shown.sort_keys();
    shown.into()
}

/// The configuration with the fields that docker always shows.
pub(crate) fn container_config(own: &ContainerConfig) -> Value {
    let mut shown = Map::new();
    let always = json!({
        "Hostname": own.hostname, "Domainname": own.domainname, "User": own.user,
        "AttachStdin": own.attach_stdin, "AttachStdout": own.attach_stdout,
        "AttachStderr": own.attach_stderr,
    });
    shown.extend(always.as_object().cloned().unwrap_or_default());
    let set = |items: &std::collections::BTreeSet<String>| -> Value {
        items.iter().map(|item| (item.clone(), json!({}))).collect::<Map<_, _>>().into()
    };
    if !own.exposed_ports.is_empty() {
        shown.insert("ExposedPorts".to_owned(), set(&own.exposed_ports));
    }
    for (key, flag) in
        [("Tty", own.tty), ("OpenStdin", own.open_stdin), ("StdinOnce", own.stdin_once)]
    {
        shown.insert(key.to_owned(), json!(flag));
    }
    let list = |items: &[String]| if items.is_empty() { Value::Null } else { json!(items) };
    shown.insert("Env".to_owned(), list(&own.env));
    shown.insert("Cmd".to_owned(), json!(own.cmd));
    if let Some(check) = &own.healthcheck {
        shown.insert("Healthcheck".to_owned(), json!(check));
    }
    if own.args_escaped {
        shown.insert("ArgsEscaped".to_owned(), json!(true));
    }
    shown.insert("Image".to_owned(), json!(own.image));
    let volumes = if own.volumes.is_empty() { Value::Null } else { set(&own.volumes) };
    shown.insert("Volumes".to_owned(), volumes);
    shown.insert("WorkingDir".to_owned(), json!(own.working_dir));
    shown.insert("Entrypoint".to_owned(), json!(own.entrypoint));
    shown.insert("OnBuild".to_owned(), list(&own.on_build));
    let labels = if own.labels.is_empty() { Value::Null } else { json!(own.labels) };
    shown.insert("Labels".to_owned(), labels);
    if !own.stop_signal.is_empty() {
        shown.insert("StopSignal".to_owned(), json!(own.stop_signal));
    }
    if let Some(timeout) = own.stop_timeout {
        shown.insert("StopTimeout".to_owned(), json!(timeout));
    }
    if let Some(shell) = &own.shell {
        shown.insert("Shell".to_owned(), json!(shell));
    }
    shown.into()
}
