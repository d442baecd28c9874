//! What is done with containers that need not run: `rm`, `rename`, `port`, `container prune`.

use engine::{
    BundleSource, EngineError, PruneContainers, PublishedPort, RemoveContainer, WriteBundle,
};
use spec::{ContainerPort, Timestamp, human_size};

use super::prune::sure;
use super::{label, ports};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn remove(context: &Context) -> Outcome {
    let matches = context.matches();
    let engine = context.engine()?;
    let containers = engine.containers();
    let (force, volumes) = (matches.flag("force"), matches.flag("volumes"));
    let link = matches.flag("link");
    let mut code = 0;
    for name in context.names() {
        let removed = match link {
            true => engine.unlink(name),
            false => containers.find(name).and_then(|id| {
                engine.remove_container(&id, RemoveContainer { force, volumes }, &engine)
            }),
        };
        match removed {
            Ok(()) => context.ui.line(name),
            // What is not there need not be removed, but a name may have been mistyped.
            Err(error @ EngineError::NoSuchContainer(_)) if force => {
                Failure::from(error).tell(&context.ui);
            }
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

pub(crate) fn bundle(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let [name, folder] = context.names() else { return Ok(1) };
    let source = match engine.containers().find(name) {
        Ok(id) => BundleSource::Container(id),
        Err(EngineError::NoSuchContainer(_)) => BundleSource::Image(name.clone()),
        Err(error) => return Err(error.into()),
    };
    let (folder, mount) = (folder.into(), context.matches().flag("mount"));
    let said = engine.write_bundle(&WriteBundle { source, folder, mount })?;
    said.iter().for_each(|line| context.ui.warn(&format!("WARNING: {line}")));
    Ok(0)
}

pub(crate) fn rename(context: &Context) -> Outcome {
    rename_with(context, |old, new| {
        let engine = context.engine()?;
        let id = engine.containers().find(old)?;
        Ok(engine.rename_container(&id, new)?)
    })
}

/// Has a container renamed, wherever it is, with what docker's client says of it.
pub(crate) fn rename_with(
    context: &Context,
    rename: impl FnOnce(&str, &str) -> Result<(), Failure>,
) -> Outcome {
    let [old, new] = context.names() else { return Ok(1) };
    let (old, new) = (old.trim(), new.trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    rename(old, new).map_err(|failure| {
        failure.then(format!("Error: failed to rename container named {old}"))
    })?;
    Ok(0)
}

pub(crate) const PRUNE_WARNING: &str =
    "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ";

pub(crate) fn prune(context: &Context) -> Outcome {
    let request = prune_request(context.matches().list("filter"))?;
    if !sure(context, PRUNE_WARNING) {
        return Ok(0);
    }
    let (removed, bytes) = context.engine()?.prune_containers(&request)?;
    tell_pruned(context, &removed);
    context.ui.line(&format!("Total reclaimed space: {}", human_size(bytes as f64)));
    Ok(0)
}

/// Says which containers went.
pub(crate) fn tell_pruned(context: &Context, removed: &[String]) {
    if !removed.is_empty() {
        context.ui.line("Deleted Containers:");
        removed.iter().for_each(|id| context.ui.line(id));
        context.ui.line("");
    }
}

/// What filters say of the containers that are pruned.
pub(super) fn prune_request(texts: &[String]) -> Result<PruneContainers, Failure> {
    let mut request = PruneContainers::default();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.trim().to_lowercase().as_str() {
            "until" => {
                let time = Timestamp::parse_docker(value, Timestamp::now());
                let wrong = |error| EngineError::Refused(format!("{error}"));
                request.until = Some(time.map_err(wrong)?);
            }
            "label" => request.labels.push(label(value)),
            "label!" => request.not_labels.push(label(value)),
            other => return Err(EngineError::Filter(other.to_owned()).into()),
        }
    }
    Ok(request)
}

pub(crate) fn port(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let endpoints = engine.endpoints_of(&id)?;
    show_ports(context, endpoints.into_iter().flat_map(|endpoint| endpoint.ports).collect())
}

/// Shows where ports of a container are published: all of them, or the one that is named.
pub(crate) fn show_ports(context: &Context, published: Vec<PublishedPort>) -> Outcome {
    let (name, text) = (&context.names()[0], context.names().get(1));
    let wrong = |text| Failure::new(format!("Error: invalid port '{text}': no such port"));
    let wanted = text.map(|text| text.parse::<ContainerPort>().map_err(|_| wrong(text)));
    let wanted = wanted.transpose()?;
    let mut lines = Vec::new();
    for port in published {
        let host = ports::joined(port.host_address, &port.host_port.to_string());
        match wanted {
            None => lines.push((port.container, format!("{} -> {host}", port.container))),
            Some(wanted) if wanted == port.container => lines.push((port.container, host)),
            Some(_) => {}
        }
    }
    if let (Some(text), true) = (text, lines.is_empty()) {
        return Err(Failure::new(format!("Error: No public port '{text}' published for {name}")));
    }
    lines.sort();
    lines.iter().for_each(|(_, line)| context.ui.line(line));
    Ok(0)
}
