//! `mica import`.

use std::fs::File;
use std::io;

use engine::{Import, ImportSource};
use serde_json::json;
use spec::{Platform, Reference, Timestamp};

use super::{formatted, platform, reason};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Bars;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let source = open(context, &context.names()[0])?;
    let name = wanted_name(context)?;
    let import = Import {
        source,
        name: name.clone(),
        changes: matches.list("change").to_vec(),
        message: matches.string("message").filter(|text| !text.is_empty()).map(str::to_owned),
        platform: platform(context)?.map(|platform| as_written(context, platform)),
        created: created(context)?,
    };
    let id = context.engine()?.import(import, &Bars::new(&context.ui, false))?;
    let names: Vec<String> = name.iter().map(Reference::familiar).collect();
    if !formatted(context, [json!({ "ID": id.to_string(), "Names": names })])? {
        context.ui.line(&id.to_string());
    }
    Ok(0)
}

/// The platform with the generation that was written down: for `arm64/v8` there is no other word
/// than `arm64`, but who says it wants it in the image.
fn as_written(context: &Context, platform: Platform) -> Platform {
    let text = context.matches().string("platform").unwrap_or_default();
    match (platform.architecture.as_str(), &platform.variant) {
        ("arm64", None) if text.ends_with("/v8") => {
            Platform { variant: Some("v8".to_owned()), ..platform }
        }
        _ => platform,
    }
}

/// What is read: a file, standard input, or what an address leads to.
pub(crate) fn open(context: &Context, text: &str) -> Result<ImportSource, Failure> {
    if text == "-" {
        let name = "-".to_owned();
        return Ok(ImportSource { reader: Box::new(io::stdin()), bytes: None, name });
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        let (reader, bytes) = engine::fetch(&context.settings()?, text)?;
        return Ok(ImportSource { reader, bytes, name: text.to_owned() });
    }
    let failed = |error: io::Error| Failure::new(format!("open {text}: {}", reason(&error)));
    let file = File::open(text).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(Failure::new(format!("open {text}: is a directory"))
            .hint(format!("`tar -C {text} -c . | mica import -` imports a folder")));
    }
    let bytes = meta.is_file().then_some(meta.len());
    // Docker's client sends a file as a stream, and its history says so.
    Ok(ImportSource { reader: Box::new(file), bytes, name: "-".to_owned() })
}

/// What the image shall be called, if anything. Docker's client refuses what is no name, its daemon
/// what has a digest.
pub(crate) fn wanted_name(context: &Context) -> Result<Option<Reference>, Failure> {
    let Some(text) = context.names().get(1).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let name = Reference::parse(text).map_err(|error| Failure::new(error.to_string()))?;
    if name.digest().is_some() {
        return Err(Failure::new("Error response from daemon: cannot import digest reference"));
    }
    Ok(Some(name.with_default_tag()))
}

/// Now, or `SOURCE_DATE_EPOCH`, so that the same import can give the same image.
pub(super) fn created(context: &Context) -> Result<Timestamp, Failure> {
    let Some(text) = context.variable("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(Timestamp::now());
    };
    match text.parse() {
        Ok(seconds) => Ok(Timestamp::from_unix(seconds, 0)),
        Err(_) => Err(Failure::new(format!("error: SOURCE_DATE_EPOCH={text:?} is no number"))),
    }
}
