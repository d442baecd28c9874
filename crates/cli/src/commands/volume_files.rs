//! `mica volume export`, `import`, `clone`.

use std::fs::File;
use std::io::{self, Read};

use super::reason;
use super::tar_out::write_tar;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn export(context: &Context) -> Outcome {
    write_tar(context, "volume", |engine, out| engine.export_volume(&context.names()[0], out))
}

pub(crate) fn import(context: &Context) -> Outcome {
    let [name, source] = context.names() else { return Ok(1) };
    let reader: Box<dyn Read + Send> = match source.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(|error| {
            Failure::new(format!("failed to import volume: open {path}: {}", reason(&error)))
        })?),
    };
    context.engine()?.import_volume(name, reader)?;
    Ok(0)
}

pub(crate) fn clone(context: &Context) -> Outcome {
    let [name, new] = context.names() else { return Ok(1) };
    let volume = context.engine()?.clone_volume(name, new)?;
    context.ui.line(&volume.name);
    Ok(0)
}
