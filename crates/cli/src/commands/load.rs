//! `mica load`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use engine::{Load, LoadSource, Loaded};
use serde_json::{Value, json};

use super::{familiar, formatted, parse_platform, place};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Bars;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let platform = matches.string("platform").filter(|text| !text.is_empty());
    let platforms = platform.map(parse_platform).transpose()?.into_iter().collect();
    let (source, called) = match matches.string("input").filter(|text| !text.is_empty()) {
        Some(text) => open(text)?,
        None => (stdin()?, None),
    };
    let quiet = matches.flag("quiet");
    let load = Load { source, platforms, called };
    let loaded = context.engine()?.load(load, &Bars::new(&context.ui, quiet))?;
    if !formatted(context, loaded.iter().map(document))? {
        let mut told = BTreeSet::new();
        loaded.iter().for_each(|image| tell(context, image, &mut told));
    }
    Ok(0)
}

fn document(image: &Loaded) -> Value {
    let displaced: Vec<Value> = image
        .displaced
        .iter()
        .map(|(name, id)| json!({ "Name": name.familiar(), "ID": id.to_string() }))
        .collect();
    json!({ "ID": image.id.to_string(), "Names": familiar(&image.names), "Displaced": displaced })
}

/// Tells of an image, and of a name once, however many platforms it stands for.
fn tell(context: &Context, image: &Loaded, told: &mut BTreeSet<String>) {
    for (name, old) in &image.displaced {
        let name = name.familiar();
        context.ui.line(&format!(
            "The image {name} already exists, renaming the old one with ID {old} to empty string"
        ));
    }
    if image.names.is_empty() {
        context.ui.line(&format!("Loaded image ID: {}", image.id));
    }
    for name in familiar(&image.names) {
        if told.insert(name.clone()) {
            context.ui.line(&format!("Loaded image: {name}"));
        }
    }
}

/// An archive, or with a prefix in skopeo's manner what skopeo means by it, and the image of it
/// that is wanted.
fn open(text: &str) -> Result<(LoadSource, Option<String>), Failure> {
    for prefix in ["docker-archive:", "oci-archive:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (path, called) = place(rest);
            return Ok((file(path)?, called));
        }
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        let (path, called) = place(rest);
        return Ok((folder(path)?, called));
    }
    if let Some(path) = text.strip_prefix("dir:") {
        return Ok((folder(path)?, None));
    }
    match Path::new(text).is_dir() {
        true => Ok((folder(text)?, None)),
        false => Ok((file(text)?, None)),
    }
}

fn folder(path: &str) -> Result<LoadSource, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("open {path}: {error}"));
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(LoadSource::Folder(path.into())),
        Ok(_) => Err(failed(&"not a directory")),
        Err(error) => Err(failed(&super::reason(&error))),
    }
}

fn file(path: &str) -> Result<LoadSource, Failure> {
    let failed = |error| Failure::new(format!("open {path}: {}", super::reason(&error)));
    Ok(LoadSource::File(File::open(path).map_err(failed)?))
}

fn stdin() -> Result<LoadSource, Failure> {
    let stdin = io::stdin();
    if io::IsTerminal::is_terminal(&stdin) {
        return Err(Failure::new("requested load from stdin, but stdin is empty"));
    }
    let failed =
        |error: io::Error| Failure::new(format!("error: cannot read standard input: {error}"));
    let file = File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?);
    // A file that was redirected can be read at any place; a pipe cannot.
    let at_start = || io::Seek::stream_position(&mut &file).is_ok_and(|at| at == 0);
    match file.metadata().map_err(failed)?.is_file() && at_start() {
        true => Ok(LoadSource::File(file)),
        false => Ok(LoadSource::Stream(Box::new(file))),
    }
}
