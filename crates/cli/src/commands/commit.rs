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
        config: None,
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
    write_tar(context, "container", |engine, out| {
        let id = engine.containers().find(&context.names()[0])?;
        engine.export_container(&id, out)
    })
}
