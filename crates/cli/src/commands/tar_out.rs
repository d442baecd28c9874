//! A tar of files, to standard output or into a file that appears whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use engine::{Engine, EngineError};

use super::reason;
use super::save::stdout;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// So much is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes the tar of a `what`, as `--output` says.
pub(super) fn write_tar(
    context: &Context,
    what: &str,
    write: impl FnOnce(&Engine, &mut dyn Write) -> Result<(), EngineError>,
) -> Outcome {
    write_out(context, &format!("export {what}"), |out| Ok(write(&context.engine()?, out)?))
}

/// Writes what is wanted `doing` this, as `--output` says.
pub(crate) fn write_out(
    context: &Context,
    doing: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Outcome {
    let output = context.matches().string("output").filter(|path| !path.is_empty());
    if output.is_none() && context.ui.is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let failed = |why: String| Failure::new(format!("failed to {doing}: {why}"));
    if let Some(path) = output {
        check_output(path).map_err(failed)?;
    }
    let Some(path) = output else {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, stdout()?);
        write(&mut out)?;
        out.flush().map_err(EngineError::Write)?;
        return Ok(0);
    };
    let aside = format!("{path}.{}.new", std::process::id());
    let failed = |error| failed(reason(&error));
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(&aside).map_err(failed)?);
    let written = write(&mut out)
        .and_then(|()| out.flush().map_err(failed))
        .and_then(|()| fs::rename(&aside, path).map_err(failed));
    if written.is_err() {
        // The first error is what counts.
        let _ = fs::remove_file(&aside);
    }
    written.map(|()| 0)
}

pub(super) fn check_output(path: &str) -> Result<(), String> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        let folder = folder.display();
        return Err(format!("invalid output path: stat {folder}: no such file or directory"));
    }
    match Path::new(path).is_dir() {
        true => Err("cannot write to a directory".to_owned()),
        false => Ok(()),
    }
}
