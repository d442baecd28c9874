//! `mica buildx imagetools`.

mod inspect;
mod named;

use std::fs;

use engine::{CombineImages, Note};
use serde_json::{Value, json};
use spec::{Descriptor, Digest, Reference};

use super::remote::tagged;
use super::transfer::Transfer;
use super::{parse_platform, reason};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) use inspect::inspect;

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
    let mut texts: Vec<String> = context.names().to_vec();
    for path in given("file") {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?;
        texts.push(text.trim().to_owned());
    }
    let home = home(&combine.names, &texts);
    texts.iter().try_for_each(|text| source(&mut combine, home.as_ref(), text))?;
    let is_dry = matches.flag("dry-run");
    if combine.names.is_empty() && !is_dry {
        return Err(Failure::new(
            "can't push with no tags specified, please set --tag or --dry-run",
        ));
    }
    if combine.sources.is_empty() && combine.entries.is_empty() && !combine.append {
        return Err(Failure::new("no sources specified"));
    }
    let settings = context.settings()?;
    let (client, policy) = (settings.client()?, settings.registry.policy()?);
    let combined = combine.combine(&client, policy.as_ref())?;
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

/// Where bare digests are: in the repository of the first `--tag`, or in the only one that is named.
fn home(tags: &[Reference], sources: &[String]) -> Option<Reference> {
    let is_bare = |text: &str| text.starts_with('{') || text.parse::<Digest>().is_ok();
    let named = sources.iter().filter(|text| !is_bare(text)).filter_map(|text| tagged(text).ok());
    let named = named.map(|name| name.without_digest().without_tag());
    let home = tags.first().map(Reference::without_tag);
    home.or_else(|| {
        let mut all: Vec<Reference> = named.collect();
        all.dedup();
        match <[Reference; 1]>::try_from(all) {
            Ok([only]) => Some(only),
            Err(_) => None,
        }
    })
}

/// A name, a digest in a repository that goes without saying, or a descriptor in JSON.
fn source(
    combine: &mut CombineImages,
    home: Option<&Reference>,
    text: &str,
) -> Result<(), Failure> {
    if text.starts_with('{') {
        let entry: Descriptor = serde_json::from_str(text)
            .map_err(|error| Failure::new(format!("invalid descriptor {text}: {error}")))?;
        combine.entries.push(entry);
        return Ok(());
    }
    if let Ok(digest) = text.parse::<Digest>() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_digests_are_where_all_else_is() {
        let digest = Digest::of(b"").to_string();
        let home = |tags: &[&str], sources: &[&str]| {
            let tags: Vec<_> = tags.iter().map(|text| tagged(text).unwrap()).collect();
            let sources: Vec<_> = sources.iter().map(|text| (*text).to_owned()).collect();
            super::home(&tags, &sources).map(|home| home.familiar())
        };
        let named = format!("r.org/a@{digest}");
        assert_eq!(home(&[], &[&named, &digest, "r.org/a:1"]).as_deref(), Some("r.org/a"));
        assert_eq!(home(&["b:2"], &[&named, &digest]).as_deref(), Some("b"));
        assert_eq!(home(&[], &[&named, "r.org/b:1", &digest]), None);
        assert_eq!(home(&[], &[&digest]), None);
    }

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
