//! `mica diff`, `mica commit`, `mica export`: what was changed in a container, and all of it.

use engine::{CommitContainer, change_letter};
use spec::Reference;

use super::import::created;
use super::tar_out::write_tar;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn diff(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let changes = engine.diff_container(&id)?.into_iter();
    show_changes(context, changes.map(|change| (change_letter(change.change), change.path)))
}

/// Shows what has become of files: a letter for it, and the path.
pub(crate) fn show_changes(
    context: &Context,
    changes: impl Iterator<Item = (char, Vec<u8>)>,
) -> Outcome {
    let mut lines = Vec::new();
    for (letter, path) in changes {
        lines.extend(format!("{letter} ").into_bytes());
        lines.extend(path);
        lines.push(b'\n');
    }
    context.ui.bytes(&lines);
    Ok(0)
}

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let name = wanted_name(context)?;
    let engine = context.engine()?;
    let request = CommitContainer {
        config: None,
        container: engine.containers().find(&context.names()[0])?,
        name: name.map(|(text, _)| text),
        author: text("author"),
        message: text("message"),
        changes: matches.list("change").to_vec(),
        pause: matches.flag("pause"),
        created: created(context)?,
    };
    context.ui.line(&engine.commit_container(&request, &engine)?.to_string());
    Ok(0)
}

/// What the image shall be called, if anything: the word itself, and what it means.
pub(crate) fn wanted_name(context: &Context) -> Result<Option<(String, Reference)>, Failure> {
    let Some(text) = context.names().get(1).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let name = Reference::parse(text).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Some((text.clone(), name)))
}

pub(crate) fn export(context: &Context) -> Outcome {
    write_tar(context, "container", |engine, out| {
        let id = engine.containers().find(&context.names()[0])?;
        engine.export_container(&id, out)
    })
}
