//! `mica buildx imagetools`.

use std::fs;

use engine::{Client, CombineImages, Note, RemoteImage};
use serde_json::{Map, Value, json};
use spec::{Descriptor, Digest, Document, Reference};

use super::remote::tagged;
use super::transfer::Transfer;
use super::{parse_platform, reason};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show;

pub(crate) fn create(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let given = |name: &str| matches.list(name).iter().filter(|text| !text.is_empty());
    let names: Vec<Reference> = given("tag").map(|text| tagged(text)).collect::<Result<_, _>>()?;
    let mut combine = CombineImages {
        append: matches.flag("append"),
        prefer_index: matches.flag("prefer-index"),
        notes: given("annotation").map(|text| note(text)).collect::<Result<_, _>>()?,
        platforms: given("platform")
            .flat_map(|text| text.split(','))
            .map(parse_platform)
            .collect::<Result<_, _>>()?,
        names,
        ..CombineImages::default()
    };
    for text in context.names() {
        source(&mut combine, text)?;
    }
    for path in given("file") {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?;
        source(&mut combine, text.trim())?;
    }
    let is_dry = matches.flag("dry-run");
    if combine.names.is_empty() && !is_dry {
        return Err(Failure::new(
            "can't push with no tags specified, please set --tag or --dry-run",
        ));
    }
    if combine.sources.is_empty() && combine.entries.is_empty() && !combine.append {
        return Err(Failure::new("no sources specified"));
    }
    let client = context.settings()?.client()?;
    let combined = combine.combine(&client)?;
    if is_dry {
        let document: Value = serde_json::from_slice(&combined.bytes)
            .map_err(|error| Failure::new(format!("error: malformed index: {error}")))?;
        ui.line(&format!("{document:#}"));
        return Ok(0);
    }
    let quiet = matches!(matches.string("progress"), Some("none" | "quiet"));
    let progress = Transfer::aside(ui, quiet);
    for name in &combine.names {
        combined.push(&client, name, &progress)?;
        if !quiet {
            ui.warn(&format!("pushed {} to {name}", combined.digest()));
        }
    }
    if let Some(path) = matches.string("metadata-file").filter(|path| !path.is_empty()) {
        let names: Vec<String> = combine.names.iter().map(ToString::to_string).collect();
        let (digest, size) = (combined.digest(), combined.bytes.len());
        let media_type = combined.media_type.as_str();
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": size });
        let written =
            json!({ "containerimage.descriptor": descriptor, "image.name": names.join(",") });
        fs::write(path, format!("{written:#}"))
            .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?;
    }
    Ok(0)
}

/// A name, a digest in the repository of the first `--tag`, or a descriptor in JSON.
fn source(combine: &mut CombineImages, text: &str) -> Result<(), Failure> {
    if text.starts_with('{') {
        let entry: Descriptor = serde_json::from_str(text)
            .map_err(|error| Failure::new(format!("invalid descriptor {text}: {error}")))?;
        combine.entries.push(entry);
        return Ok(());
    }
    if let Ok(digest) = text.parse::<Digest>() {
        let home = combine.names.first().map(Reference::without_tag);
        let home = home.ok_or_else(|| Failure::new(format!("{text} needs a repository: --tag")))?;
        combine.sources.push(home.with_digest(digest));
        return Ok(());
    }
    combine.sources.push(tagged(text)?);
    Ok(())
}

/// `[index:|manifest-descriptor[PLATFORM]:]KEY=VALUE`; without a kind it is about the index.
fn note(text: &str) -> Result<Note, Failure> {
    let invalid = |why: &str| Failure::new(format!("invalid annotation {text:?}: {why}"));
    let (key, value) = text.split_once('=').ok_or_else(|| invalid("expected key=value"))?;
    let (kind, key) = key.split_once(':').unwrap_or(("index", key));
    let (kind, platform) = match kind.strip_suffix(']').and_then(|kind| kind.split_once('[')) {
        Some((kind, platform)) => (kind, Some(parse_platform(platform)?)),
        None => (kind, None),
    };
    let entry = match kind {
        "index" if platform.is_none() => None,
        "manifest-descriptor" => Some(platform),
        "manifest" | "index-descriptor" | "index" => {
            let why =
                format!("{kind:?} annotations are not for what is put together from registries");
            return Err(invalid(&why));
        }
        _ => return Err(invalid("unknown kind of annotation")),
    };
    Ok(Note { entry, text: (key.to_owned(), value.to_owned()) })
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let name = tagged(&context.names()[0])?;
    let client: Client = context.settings()?.client()?;
    let image = RemoteImage::open(&client, &name)?;
    if matches.flag("raw") {
        ui.bytes(&image.document.bytes);
        return Ok(0);
    }
    match matches.string("format").filter(|text| !text.is_empty()) {
        None => ui.print(&page(&image)),
        Some(format) => show::document(ui, Some(format), &document(&image, format)?)?,
    }
    Ok(0)
}

/// What a person sees.
fn page(image: &RemoteImage<'_>) -> String {
    let (name, document) = (&image.name, &image.document);
    let kind = document.media_type.as_str();
    let mut page =
        format!("Name:      {name}\nMediaType: {kind}\nDigest:    {}\n", document.digest);
    let Document::Index(index) = &image.parsed else { return page };
    page.push_str("\nManifests:\n");
    let entries = index.manifests.iter().map(|entry| {
        let mut text = format!(
            "  Name:      {name}@{}\n  MediaType: {}\n",
            entry.digest,
            entry.media_type.as_str()
        );
        if let Some(platform) = &entry.platform {
            text.push_str(&format!("  Platform:  {platform}\n"));
        }
        if !entry.annotations.is_empty() {
            text.push_str("  Annotations:\n");
            for (key, value) in &entry.annotations {
                text.push_str(&format!("    {key}: {value}\n"));
            }
        }
        text
    });
    page.push_str(&entries.collect::<Vec<_>>().join("\n"));
    page
}

/// What a template sees. What it does not ask for is not fetched.
fn document(image: &RemoteImage<'_>, format: &str) -> Result<Value, Failure> {
    let bytes = &image.document.bytes;
    let mut manifest: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| Failure::new(format!("error: the manifest is not JSON: {error}")))?;
    manifest.insert("mediaType".to_owned(), json!(image.document.media_type.as_str()));
    manifest.insert("digest".to_owned(), json!(image.document.digest));
    manifest.insert("size".to_owned(), json!(bytes.len()));
    let mut whole = json!({ "Name": image.name, "Manifest": manifest });
    if format.contains("Image") || format == "json" {
        whole["Image"] = by_platform(image, &|_, config| {
            serde_json::from_slice(config)
                .map_err(|error| Failure::new(format!("error: malformed configuration: {error}")))
        })?;
    }
    for (field, kind, marks) in
        [("Provenance", "SLSA", "slsa.dev/provenance"), ("SBOM", "SPDX", "spdx.dev")]
    {
        if format.contains(field) || format == "json" {
            whole[field] = by_platform(image, &|digest, _| {
                let found = image.attestations(digest)?;
                let statement = found.into_iter().find(|(about, _)| about.contains(marks));
                Ok(statement.map_or_else(|| json!({}), |(_, said)| json!({ kind: said })))
            })?;
        }
    }
    Ok(whole)
}

/// One value where there is one image, else one for each platform.
fn by_platform(
    image: &RemoteImage<'_>,
    value: &dyn Fn(&Digest, &[u8]) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    let images = image.images()?;
    if let [only] = images.as_slice() {
        return value(&only.manifest.digest, &only.config);
    }
    let mut all = Map::new();
    for entry in &images {
        let platform = entry.descriptor.platform.as_ref();
        let platform = platform.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        all.insert(platform, value(&entry.manifest.digest, &entry.config)?);
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_say_what_they_are_about() {
        let index = note("index:a.b=c=d").unwrap();
        assert_eq!((index.entry, index.text.1), (None, "c=d".to_owned()));
        assert_eq!(note("a=b").unwrap().entry, None);
        assert_eq!(note("manifest-descriptor:a=b").unwrap().entry, Some(None));
        let arm = note("manifest-descriptor[linux/arm64]:a=b").unwrap().entry;
        assert_eq!(arm.unwrap().unwrap().architecture, "arm64");
        assert!(note("manifest:a=b").is_err() && note("a").is_err() && note("x:a=b").is_err());
    }
}
