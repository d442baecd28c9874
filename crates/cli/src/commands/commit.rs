//! `mica diff`, `mica commit`, `mica export`: what was changed in a container, and all of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use engine::{CommitContainer, EngineError, change_letter};
use spec::Reference;

use super::import::created;
use super::reason;
use super::save::stdout;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn diff(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let mut lines = Vec::new();
    for change in engine.diff_container(&id)? {
        lines.extend(format!("{} ", change_letter(change.change)).into_bytes());
        lines.extend(change.path);
        lines.push(b'\n');
    }
    context.ui.bytes(&lines);
    Ok(0)
}

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let name = context.names().get(1).filter(|name| !name.is_empty());
    if let Some(name) = name {
        Reference::parse(name).map_err(|error| Failure::new(error.to_string()))?;
    }
    let engine = context.engine()?;
    let request = CommitContainer {
        container: engine.containers().find(&context.names()[0])?,
        name: name.cloned(),
        author: text("author"),
        message: text("message"),
        changes: matches.list("change").to_vec(),
        pause: matches.flag("pause"),
        created: created(context)?,
    };
    context.ui.line(&engine.commit_container(&request, &engine)?.to_string());
    Ok(0)
}

pub(crate) fn export(context: &Context) -> Outcome {
    let output = context.matches().string("output").filter(|path| !path.is_empty());
    if output.is_none() && context.ui.is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    if let Some(path) = output {
        check_output(path)?;
    }
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let Some(path) = output else {
        let mut out = BufWriter::with_capacity(256 << 10, stdout()?);
        engine.export_container(&id, &mut out)?;
        out.flush().map_err(EngineError::Write)?;
        return Ok(0);
    };
    // It appears whole or not at all.
    let aside = format!("{path}.{}.new", std::process::id());
    let failed = |error| Failure::new(format!("failed to export container: {}", reason(&error)));
    let mut out = BufWriter::with_capacity(256 << 10, File::create(&aside).map_err(failed)?);
    let written = engine
        .export_container(&id, &mut out)
        .map_err(Failure::from)
        .and_then(|()| out.flush().map_err(failed))
        .and_then(|()| fs::rename(&aside, path).map_err(failed));
    if written.is_err() {
        // The first error is what counts.
        let _ = fs::remove_file(&aside);
    }
    written.map(|()| 0)
}

fn check_output(path: &str) -> Result<(), Failure> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.exists()) {
        let folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
        return Err(Failure::new(format!(
            "failed to export container: invalid output path: directory \"{folder}\" does not exist"
        )));
    }
    match Path::new(path).is_dir() {
        true => Err(Failure::new(format!(
            "failed to export container: cannot write to {path}: is a directory"
        ))),
        false => Ok(()),
    }
}
