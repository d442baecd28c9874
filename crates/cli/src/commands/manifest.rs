//! `mica manifest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{ManifestDocument, ManifestList, ManifestLists, RemoteEntry, RemoteImage};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use spec::{Descriptor, Document, MediaType, Platform, Reference};

use super::remote::{client, tagged};
use super::transfer::Transfer;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::raw_json::{for_html, laid_out};

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
    let policy = context.settings()?.registry.policy()?;
    let images = lists.get(&name)?.manifests;
    let aside = Transfer::aside(&context.ui, false);
    let digest = lists.push(&client, &name, policy.as_ref(), &aside)?;
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
    let (client, ui) = (client(context, [name.domain()])?, &context.ui);
    let image = RemoteImage::open(&client, name)?;
    let verbose = context.matches().flag("verbose");
    match &image.parsed {
        Document::Manifest(_) if !verbose => {
            ui.line(&laid_out(json(&image.document.bytes)?, "\t"));
        }
        Document::Index(index) if !verbose => ui.line(&list(&index.manifests)),
        Document::Manifest(_) => {
            for RemoteEntry { mut descriptor, manifest, .. } in image.images()? {
                descriptor.platform =
                    listed.and_then(|own| own.platform.clone()).or(descriptor.platform);
                let one = described(name, &descriptor, &manifest.bytes)?;
                ui.line(&laid_out(&one, "\t"));
            }
        }
        Document::Index(index) => {
            let mut all = Vec::new();
            for entry in &index.manifests {
                let manifest = image.inner(&entry.digest)?;
                all.push(described(&name.with_digest(entry.digest), entry, &manifest.bytes)?);
            }
            ui.line(&laid_out(&format!("[{}]", all.join(",")), "\t"));
        }
    }
    Ok(0)
}

/// A list that was made here, as it will be pushed.
fn print_list(context: &Context, list: &ManifestList) -> Outcome {
    if !context.matches().flag("verbose") {
        let entries: Vec<_> = list.manifests.iter().map(|entry| entry.descriptor.clone()).collect();
        context.ui.line(&self::list(&entries));
        return Ok(0);
    }
    let client = client(context, list.manifests.iter().map(|entry| entry.name.domain()))?;
    let mut all = Vec::new();
    for entry in &list.manifests {
        let name = entry.name.with_digest(entry.descriptor.digest);
        let document = engine::remote_document(&client, &name)?;
        all.push(described(&entry.name, &entry.descriptor, &document.bytes)?);
    }
    context.ui.line(&laid_out(&format!("[{}]", all.join(",")), "\t"));
    Ok(0)
}

/// A list as docker makes it of its entries, which say no more than what they are and for whom.
fn list(entries: &[Descriptor]) -> String {
    let is_oci = entries.first().is_some_and(|entry| entry.media_type == MediaType::OciManifest);
    let kind = if is_oci { MediaType::OciIndex } else { MediaType::DockerIndex };
    let entries = entries.iter().map(|entry| {
        let Descriptor { media_type, size, digest, .. } = entry;
        let platform = platform_of(entry);
        json!({ "mediaType": media_type, "size": size, "digest": digest, "platform": platform })
    });
    let entries: Vec<Value> = entries.collect();
    let list = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": entries });
    laid_out(&for_html(&list.to_string()), "   ")
}

/// What an entry is for, as docker says it where the list does not.
fn platform_of(entry: &Descriptor) -> Value {
    let nothing = || json!({ "architecture": "", "os": "" });
    entry.platform.as_ref().map_or_else(nothing, |platform| json!(platform))
}

/// What docker says of a manifest besides itself.
fn described(name: &Reference, entry: &Descriptor, bytes: &[u8]) -> Result<String, Failure> {
    let key = match entry.media_type {
        MediaType::DockerManifest => "SchemaV2Manifest",
        _ => "OCIManifest",
    };
    let Descriptor { media_type, digest, size, .. } = entry;
    let platform = platform_of(entry);
    let descriptor =
        json!({ "mediaType": media_type, "digest": digest, "size": size, "platform": platform });
    let (name, raw) = (json!(name), json!(STANDARD.encode(bytes)));
    let head = for_html(&format!(r#""Ref":{name},"Descriptor":{descriptor},"Raw":{raw}"#));
    Ok(format!(r#"{{{head},"{key}":{}}}"#, for_html(json(bytes)?)))
}

/// The manifest or index of an image that is here.
fn print_local(context: &Context, found: &ManifestDocument) -> Outcome {
    let document = json(&found.bytes)?;
    if !context.matches().flag("verbose") {
        context.ui.line(&laid_out(document, "\t"));
        return Ok(0);
    }
    let descriptor = json!({
        "mediaType": found.media_type.as_str(), "digest": found.digest.to_string(),
        "size": found.bytes.len(), "platform": found.platform,
    });
    let key = if found.media_type.is_index() { "Index" } else { "OCIManifest" };
    let name = json!(found.name);
    let whole = format!(r#"{{"Ref":{name},"Descriptor":{descriptor},"{key}":{document}}}"#);
    context.ui.line(&laid_out(&whole, "\t"));
    Ok(0)
}

/// A document's text, which is JSON.
fn json(bytes: &[u8]) -> Result<&str, Failure> {
    let text: Result<&RawValue, _> = serde_json::from_slice(bytes);
    text.map(RawValue::get)
        .map_err(|error| Failure::new(format!("error: the manifest is not JSON: {error}")))
}
