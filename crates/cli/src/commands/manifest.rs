//! `mica manifest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{ManifestDocument, ManifestList, ManifestLists, RemoteImage};
use serde_json::{Value, json};
use spec::{Descriptor, Document, Platform, Reference};

use super::remote::{client, tagged};
use super::transfer::Transfer;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::indented;

fn lists(context: &Context) -> Result<ManifestLists, Failure> {
    Ok(ManifestLists::new(context.settings()?.registry.manifest_lists))
}

pub(crate) fn create(context: &Context) -> Outcome {
    let names: Vec<Reference> =
        context.names().iter().map(|text| tagged(text)).collect::<Result<_, _>>()?;
    let (name, images) = names.split_first().expect("the grammar asks for words");
    let client = client(context, names.iter().map(Reference::domain))?;
    lists(context)?.create(&client, name, images, context.matches().flag("amend"))?;
    context.ui.line(&format!("Created manifest list {name}"));
    Ok(0)
}

pub(crate) fn annotate(context: &Context) -> Outcome {
    let matches = context.matches();
    let [list, image] = [0, 1].map(|at| tagged(&context.names()[at]));
    let given = |name: &str| matches.string(name).filter(|text| !text.is_empty());
    let change = |platform: &mut Platform| {
        let set = |field: &mut String, name: &str| {
            if let Some(text) = given(name) {
                text.clone_into(field);
            }
        };
        set(&mut platform.architecture, "arch");
        set(&mut platform.os, "os");
        platform.variant = given("variant").map(str::to_owned).or(platform.variant.take());
        platform.os_version = given("os-version").map(str::to_owned).or(platform.os_version.take());
        for feature in matches.list("os-features") {
            if !platform.os_features.contains(feature) {
                platform.os_features.push(feature.clone());
            }
        }
    };
    lists(context)?.annotate(&list?, &image?, &change)?;
    Ok(0)
}

pub(crate) fn push(context: &Context) -> Outcome {
    let name = tagged(&context.names()[0])?;
    let (lists, client) = (lists(context)?, client(context, [name.domain()])?);
    let images = lists.get(&name)?.manifests;
    let digest = lists.push(&client, &name, &Transfer::aside(&context.ui, false))?;
    for entry in images {
        let digest = entry.descriptor.digest;
        context.ui.line(&format!("Pushed ref {}@{digest} with digest: {digest}", name.name()));
    }
    context.ui.line(&digest.to_string());
    if context.matches().flag("purge") {
        lists.remove(&name)?;
    }
    Ok(0)
}

pub(crate) fn rm(context: &Context) -> Outcome {
    let (lists, mut failed) = (lists(context)?, None);
    for text in context.names() {
        // Those after one that is not there go all the same, as docker does it.
        if let Err(error) = tagged(text).and_then(|name| Ok(lists.remove(&name)?)) {
            context.ui.warn(error.first_line());
            failed = Some(error.exit_code());
        }
    }
    failed.map_or(Ok(0), |code| Err(Failure::silent(code)))
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let names = context.names();
    let name = names.last().expect("the grammar asks for a word");
    if context.matches().flag("local") {
        return print_local(context, &context.engine()?.manifest(name)?);
    }
    let (lists, name) = (lists(context)?, tagged(name)?);
    if let [list, _] = names {
        let list = lists.get(&tagged(list)?)?;
        let entry = list.manifests.iter().find(|entry| entry.name == name);
        let missing = || engine::EngineError::NotInList {
            list: list.name.to_string(),
            name: name.to_string(),
        };
        let entry = entry.ok_or_else(missing)?;
        let digest = entry.descriptor.digest;
        return print(context, &entry.name.with_digest(digest), Some(&entry.descriptor));
    }
    match lists.find(&name)? {
        Some(list) => print_list(context, &list),
        None => print(context, &name, None),
    }
}

/// What a registry has under a name. A list says of its images what they do not say themselves.
fn print(context: &Context, name: &Reference, listed: Option<&Descriptor>) -> Outcome {
    let client = client(context, [name.domain()])?;
    let image = RemoteImage::open(&client, name)?;
    if !context.matches().flag("verbose") {
        context.ui.line(&tabbed(&json(&image.document.bytes)?));
        return Ok(0);
    }
    let mut entries = Vec::new();
    for entry in image.images()? {
        let mut descriptor = entry.descriptor;
        descriptor.platform = listed.and_then(|own| own.platform.clone()).or(descriptor.platform);
        let shown = match &image.parsed {
            Document::Index(_) => name.with_digest(descriptor.digest),
            Document::Manifest(_) => name.clone(),
        };
        entries.push(verbose(&shown, &descriptor, &entry.manifest.bytes)?);
    }
    let whole = match (&image.parsed, entries.len()) {
        (Document::Manifest(_), 1) => entries.remove(0),
        _ => Value::Array(entries),
    };
    context.ui.line(&tabbed(&whole));
    Ok(0)
}

/// A list that was made here, as it will be pushed.
fn print_list(context: &Context, list: &ManifestList) -> Outcome {
    if !context.matches().flag("verbose") {
        context.ui.line(&tabbed(&json(&list.combined().bytes)?));
        return Ok(0);
    }
    let client = client(context, list.manifests.iter().map(|entry| entry.name.domain()))?;
    let mut entries = Vec::new();
    for entry in &list.manifests {
        let name = entry.name.with_digest(entry.descriptor.digest);
        let document = engine::remote_document(&client, &name)?;
        entries.push(verbose(&entry.name, &entry.descriptor, &document.bytes)?);
    }
    context.ui.line(&tabbed(&Value::Array(entries)));
    Ok(0)
}

/// What docker says of a manifest besides itself.
fn verbose(name: &Reference, descriptor: &Descriptor, bytes: &[u8]) -> Result<Value, Failure> {
    let key = match descriptor.media_type {
        spec::MediaType::DockerManifest => "SchemaV2Manifest",
        _ => "OCIManifest",
    };
    let raw = STANDARD.encode(bytes);
    Ok(json!({ "Ref": name, "Descriptor": descriptor, "Raw": raw, key: json(bytes)? }))
}

/// The manifest or index of an image that is here.
fn print_local(context: &Context, found: &ManifestDocument) -> Outcome {
    let document = json(&found.bytes)?;
    if !context.matches().flag("verbose") {
        context.ui.line(&tabbed(&document));
        return Ok(0);
    }
    let descriptor = json!({
        "mediaType": found.media_type.as_str(), "digest": found.digest.to_string(),
        "size": found.bytes.len(), "platform": found.platform,
    });
    let key = if found.media_type.is_index() { "Index" } else { "OCIManifest" };
    let whole = json!({ "Ref": found.name, "Descriptor": descriptor, key: document });
    context.ui.line(&tabbed(&whole));
    Ok(0)
}

fn json(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new(format!("error: the manifest is not JSON: {error}")))
}

/// JSON as docker prints manifests: with tabs.
fn tabbed(document: &Value) -> String {
    let spaces = indented(document);
    let lines = spaces.lines().map(|line| {
        let rest = line.trim_start_matches(' ');
        let depth = (line.len() - rest.len()) / 4;
        format!("{}{rest}", "\t".repeat(depth))
    });
    lines.collect::<Vec<_>>().join("\n")
}
