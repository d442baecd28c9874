//! What is mounted: `-v`, `--mount`, `--tmpfs`, `--volumes-from`.

use std::path::Path;

use spec::{
    ContainerConfig, HostConfig, MountError, MountKind, parse_bind, parse_mount, parse_tmpfs,
};

use super::{Parsed, some_list, wrong};
use crate::args::{Matches, split_values};
use crate::failure::Failure;

pub(super) fn read(
    matches: &Matches,
    config: &mut ContainerConfig,
    host: &mut HostConfig,
) -> Parsed<()> {
    // Docker's client leaves these to the engine.
    let said = |error: MountError| Failure::of_engine(error);
    let mut binds = Vec::new();
    for text in matches.list("volume") {
        check_parts(text)?;
        let text = absolute(text)?;
        let bind = parse_bind(&text).map_err(said)?;
        match bind.mount.source.is_empty() {
            true => {
                config.volumes.insert(text);
            }
            false => binds.push(text),
        }
    }
    host.binds = (!binds.is_empty()).then_some(binds);
    for text in matches.list("mount") {
        if text.is_empty() {
            return Err(wrong("mount", text, "EOF"));
        }
        let fields = split_values(text).map_err(|why| wrong("mount", text, why))?;
        let mut mount = parse_mount(&fields).map_err(|why| match why {
            MountError::Kind(_) => said(why),
            why => wrong("mount", text, why),
        })?;
        // Others are the engine's to refuse.
        if mount.kind == MountKind::Bind && mount.source.starts_with('.') {
            mount.source = absolute_path(&mount.source)?;
        }
        host.mounts.push(mount);
    }
    for text in matches.list("tmpfs") {
        let (target, options) = parse_tmpfs(text).map_err(said)?;
        host.tmpfs.insert(target, options);
    }
    host.volumes_from = some_list(matches.list("volumes-from"));
    Ok(())
}

/// Refuses a `-v` in which something was forgotten, as a variable without a value in a script.
fn check_parts(text: &str) -> Parsed<()> {
    if text.is_empty() {
        return Err(Failure::new("invalid empty volume spec"));
    }
    let wrong = |why: &str| Err(Failure::new(format!("invalid spec: {text}: {why}")));
    match text.split(':').collect::<Vec<_>>() {
        parts if parts.iter().any(|part| part.is_empty()) => wrong("empty section between colons"),
        parts if parts.len() > 3 => wrong("too many colons"),
        _ => Ok(()),
    }
}

/// A `-v` whose source begins at this folder, made to begin at the root.
fn absolute(text: &str) -> Parsed<String> {
    let (source, rest) = match text.split_once(':') {
        Some((source, rest)) => (source, rest),
        None => return Ok(text.to_owned()),
    };
    match source.starts_with('.') {
        true => Ok(format!("{}:{rest}", absolute_path(source)?)),
        false => Ok(text.to_owned()),
    }
}

fn absolute_path(source: &str) -> Parsed<String> {
    if source.starts_with('/') {
        return Ok(source.to_owned());
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(format!("cannot tell the current folder: {error}")))?;
    let mut path = here;
    for part in Path::new(source).components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            other => path.push(other),
        }
    }
    Ok(path.display().to_string())
}
