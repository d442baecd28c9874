//! `mica load`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use engine::{Load, LoadSource, Loaded};
use spec::Reference;

use super::parse_platform;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Bars;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let mut platforms = Vec::new();
    for text in matches.string("platform").filter(|text| !text.is_empty()).into_iter() {
        platforms.push(parse_platform(text)?);
    }
    let (source, name) = match matches.string("input").filter(|text| !text.is_empty()) {
        Some(text) => open(text)?,
        None => (stdin()?, None),
    };
    let quiet = matches.flag("quiet");
    let load = Load { source, platforms, name };
    let loaded = context.engine()?.load(load, &Bars::new(&context.ui, quiet))?;
    loaded.iter().for_each(|image| tell(context, image));
    Ok(0)
}

fn tell(context: &Context, image: &Loaded) {
    for (name, old) in &image.displaced {
        let name = name.familiar();
        context.ui.line(&format!(
            "The image {name} already exists, renaming the old one with ID {old} to empty string"
        ));
    }
    if image.names.is_empty() {
        context.ui.line(&format!("Loaded image ID: {}", image.id));
    }
    for name in &image.names {
        context.ui.line(&format!("Loaded image: {}", name.familiar()));
    }
}

/// An archive, or with a prefix in skopeo's manner what skopeo means by it.
fn open(text: &str) -> Result<(LoadSource, Option<Reference>), Failure> {
    for prefix in ["docker-archive:", "oci-archive:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (path, name) = split_name(rest)?;
            return Ok((file(path)?, name));
        }
    }
    for prefix in ["oci:", "dir:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (path, name) = split_name(rest)?;
            return Ok((LoadSource::Folder(path.into()), name));
        }
    }
    match Path::new(text).is_dir() {
        true => Ok((LoadSource::Folder(text.into()), None)),
        false => Ok((file(text)?, None)),
    }
}

fn split_name(text: &str) -> Result<(&str, Option<Reference>), Failure> {
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((path, name)) => Ok((path, Some(super::import::parse_name(name)?))),
    }
}

fn file(path: &str) -> Result<LoadSource, Failure> {
    let file = File::open(path).map_err(|error| {
        let words = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(format!("open {path}: {words}"))
    })?;
    Ok(LoadSource::File(file))
}

fn stdin() -> Result<LoadSource, Failure> {
    let stdin = io::stdin();
    if io::IsTerminal::is_terminal(&stdin) {
        return Err(Failure::new("requested load from stdin, but stdin is empty"));
    }
    let failed = |error: io::Error| Failure::new(format!("error: cannot read standard input: {error}"));
    let file = File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?);
    // A file that was redirected can be read at any place; a pipe cannot.
    let at_start = || io::Seek::stream_position(&mut &file).is_ok_and(|at| at == 0);
    match file.metadata().map_err(failed)?.is_file() && at_start() {
        true => Ok(LoadSource::File(file)),
        false => Ok(LoadSource::Stream(Box::new(file))),
    }
}
