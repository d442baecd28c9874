//! `mica save`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use engine::{Called, EngineError, Save, SaveTarget, Saved};
use serde_json::{Value, json};

use super::tar_out::check_output;
use super::{familiar, formatted, place, platform};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{BROKEN_PIPE, output};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let output = matches.string("output").filter(|text| !text.is_empty());
    let (target, called) = match output {
        Some(text) => open(text)?,
        None if context.ui.is_terminal() => {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        None if matches.string("format").is_some_and(|text| !text.is_empty()) => {
            return Err(Failure::new("error: --format needs --output")
                .hint("without it, standard output is the archive"));
        }
        None => (SaveTarget::Stream(stdout()?), None),
    };
    let images = context.names().to_vec();
    let save = Save { images, platform: platform(context)?, called };
    let saved = match context.engine()?.save(&save, target) {
        // Whoever read the archive has enough of it, and will not be told.
        Err(EngineError::Write(error))
            if output.is_none() && error.kind() == io::ErrorKind::BrokenPipe =>
        {
            return Err(Failure::silent(BROKEN_PIPE));
        }
        saved => saved?,
    };
    formatted(context, saved.iter().map(|image| document(image, output.unwrap_or("-"))))?;
    Ok(0)
}

pub(super) fn document(image: &Saved, output: &str) -> Value {
    let id = image.id.to_string();
    json!({ "ID": id, "Names": familiar(&image.names), "Output": output })
}

/// A file, or with a prefix in skopeo's manner what skopeo means by it, and what the image is
/// called there.
fn open(text: &str) -> Result<(SaveTarget, Option<Called>), Failure> {
    let (target, called) = target(text);
    let (SaveTarget::File(path) | SaveTarget::Layout(path) | SaveTarget::Dir(path)) = &target
    else {
        return Ok((target, called));
    };
    if path.as_os_str().is_empty() {
        return Err(Failure::new(format!("error: {text:?} names no place to save to")));
    }
    if let (SaveTarget::File(_), Some(path)) = (&target, path.to_str()) {
        let failed = |why| Failure::new(format!("failed to save image: {why}"));
        check_output(path).map_err(failed)?;
    }
    Ok((target, called))
}

fn target(text: &str) -> (SaveTarget, Option<Called>) {
    if let Some(rest) = text.strip_prefix("docker-archive:") {
        let (path, name) = place(rest);
        return (SaveTarget::File(path.into()), name.map(Called::Name));
    }
    if let Some(rest) = text.strip_prefix("oci-archive:") {
        let (path, tag) = place(rest);
        return (SaveTarget::File(path.into()), tag.map(Called::Tag));
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        let (path, tag) = place(rest);
        return (SaveTarget::Layout(path.into()), tag.map(Called::Tag));
    }
    match text.strip_prefix("dir:") {
        Some(path) => (SaveTarget::Dir(path.into()), None),
        None => (SaveTarget::File(text.into()), None),
    }
}

pub(super) fn stdout() -> Result<File, Failure> {
    let copied = output().and_then(|output| output.as_fd().try_clone_to_owned());
    copied
        .map(File::from)
        .map_err(|error| Failure::new(format!("error: cannot write to standard output: {error}")))
}
