//! `mica import`.

use std::fs::File;
use std::io;

use engine::{Import, ImportSource};
use spec::{Reference, Timestamp};

use super::platform;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Bars;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let source = open(&context.names()[0])?;
    let name = match context.names().get(1) {
        Some(text) => Some(parse_name(text)?),
        None => None,
    };
    let import = Import {
        source,
        name,
        changes: matches.list("change").to_vec(),
        message: matches.string("message").filter(|text| !text.is_empty()).map(str::to_owned),
        platform: platform(context)?,
        created: created(context)?,
    };
    let id = context.engine()?.import(import, &Bars::new(&context.ui, false))?;
    context.ui.line(&id.to_string());
    Ok(0)
}

fn open(text: &str) -> Result<ImportSource, Failure> {
    if text == "-" {
        let name = "-".to_owned();
        return Ok(ImportSource { reader: Box::new(io::stdin()), bytes: None, name });
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        let (reader, bytes) = engine::fetch(text)?;
        return Ok(ImportSource { reader, bytes, name: text.to_owned() });
    }
    let failed = |error: io::Error| {
        let words = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(format!("open {text}: {words}"))
    };
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

pub(super) fn parse_name(text: &str) -> Result<Reference, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("Error response from daemon: {error}"))
    };
    let name = Reference::parse(text).map_err(|error| failed(&error))?;
    if name.digest().is_some() {
        return Err(failed(&"cannot import digest reference"));
    }
    Ok(name.with_default_tag())
}

/// Now, or `SOURCE_DATE_EPOCH`, so that the same import can give the same image.
fn created(context: &Context) -> Result<Timestamp, Failure> {
    let Some(text) = context.variable("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(Timestamp::now());
    };
    match text.parse() {
        Ok(seconds) => Ok(Timestamp::from_unix(seconds, 0)),
        Err(_) => Err(Failure::new(format!("error: SOURCE_DATE_EPOCH={text:?} is no number"))),
    }
}
