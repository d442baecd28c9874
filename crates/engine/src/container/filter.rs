//! Conditions on containers, as docker's `ps --filter` words them. Several values of one name are
//! alternatives, but for labels, which all must hold.

use std::collections::BTreeSet;

use runtime::state::{State, Status};
use spec::{ContainerPort, ImageId, Protocol, Timestamp, matches_name};
use store::Images;

use super::list::{ContainerRow, Summary};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::find;

/// One condition: its name, which docker knows, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFilter {
    name: Name,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Ancestor,
    Before,
    Exited,
    Expose,
    Health,
    Id,
    /// On Linux there is one kind, and docker's engine heeds none.
    Isolation,
    IsTask,
    Label,
    Named,
    Network,
    Publish,
    Since,
    Status,
    Volume,
}

const NAMES: [(&str, Name); 15] = [
    ("ancestor", Name::Ancestor),
    ("before", Name::Before),
    ("exited", Name::Exited),
    ("expose", Name::Expose),
    ("health", Name::Health),
    ("id", Name::Id),
    ("isolation", Name::Isolation),
    ("is-task", Name::IsTask),
    ("label", Name::Label),
    ("name", Name::Named),
    ("network", Name::Network),
    ("publish", Name::Publish),
    ("since", Name::Since),
    ("status", Name::Status),
    ("volume", Name::Volume),
];
const STATES: [&str; 7] =
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

impl ContainerFilter {
    /// Parses `name=value`.
    pub fn parse(text: &str) -> Result<ContainerFilter> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let (name, value) = (name.trim().to_lowercase(), value.trim());
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, kind)) = known else { return Err(EngineError::Filter(name)) };
        let wrong = || Err(EngineError::Filter(format!("{name}={value}")));
        match kind {
            Name::Status if !STATES.contains(&value) => return wrong(),
            Name::Health if !HEALTHS.contains(&value) => return wrong(),
            Name::Exited if value.parse::<i32>().is_err() => return wrong(),
            Name::IsTask if truth(value).is_none() => return wrong(),
            Name::Publish | Name::Expose => {
                ports(value)?;
            }
            _ => {}
        }
        Ok(ContainerFilter { name: *kind, value: value.to_owned() })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn ports(text: &str) -> Result<(u16, u16, Protocol)> {
    let found = spec::exposed_ports(text);
    let found = found.map_err(|error| EngineError::Refused(error.to_string()))?;
    let (first, last) = (found[0], found[found.len() - 1]);
    Ok((first.number, last.number, first.protocol))
}

/// Filters with what they name looked up.
pub(super) struct Conditions<'a> {
    filters: &'a [ContainerFilter],
    before: Vec<Timestamp>,
    since: Vec<Timestamp>,
    /// Images that those of the wanted containers are, or stand on.
    ancestors: Option<BTreeSet<ImageId>>,
    /// Each network filter's values: as given, and the names of networks that they mean.
    networks: Vec<String>,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(
        engine: &Engine,
        images: &Images,
        all: &[(Summary, State)],
        filters: &'a [ContainerFilter],
    ) -> Result<Conditions<'a>> {
        let mut conditions = Conditions {
            filters,
            before: Vec::new(),
            since: Vec::new(),
            ancestors: None,
            networks: Vec::new(),
        };
        for ContainerFilter { name, value } in filters {
            match name {
                Name::Before => conditions.before.push(created(engine, all, value)?),
                Name::Since => conditions.since.push(created(engine, all, value)?),
                Name::Ancestor => {
                    let wanted = conditions.ancestors.get_or_insert_default();
                    // An image that is not here has no containers.
                    if let Ok(found) = find(images, value) {
                        wanted.extend(descendants(images, found.id));
                    }
                }
                Name::Network => {
                    conditions.networks.push(value.clone());
                    let found = engine.networks()?.find(value);
                    conditions.networks.extend(found.ok().map(|network| network.name));
                }
                _ => {}
            }
        }
        Ok(conditions)
    }

    /// Whether containers that do not run are asked for.
    pub(super) fn name_a_state(&self) -> bool {
        let names = [Name::Status, Name::Exited];
        self.filters.iter().any(|filter| names.contains(&filter.name))
    }

    /// Whether a container is as all of them say.
    pub(super) fn hold(&self, row: &ContainerRow) -> bool {
        let summary = &row.summary;
        let created = summary.created;
        self.before.iter().all(|time| created < *time)
            && self.since.iter().all(|time| created > *time)
            && self.ancestors.as_ref().is_none_or(|wanted| wanted.contains(&summary.image))
            && self.any(Name::Id, |value| matches_name(value, &summary.id.to_string()))
            && self.any(Name::Named, |value| {
                let bare = value.strip_prefix('/').unwrap_or(value);
                matches_name(bare, &summary.name)
                    || matches_name(value, &format!("/{}", summary.name))
            })
            && self.labels().all(|value| has_label(summary, value))
            && self.any(Name::Status, |value| value == row.state.status.name())
            && self.any(Name::Exited, |value| has_exited(&row.state, value))
            && self.any(Name::Health, |value| value == health(row))
            && self.any(Name::IsTask, |value| truth(value) == Some(false))
            && self.any(Name::Volume, |value| {
                summary.mounts.iter().any(|mount| {
                    let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
                    name == value
                        || mount.destination.trim_end_matches('/') == value.trim_end_matches('/')
                })
            })
            && (self.networks.is_empty() || {
                let own = row.networks();
                self.networks.iter().any(|wanted| own.contains(wanted))
            })
            && self.has_port(row)
    }

    /// Whether one of the ports fits that were asked for, at the host or inside.
    fn has_port(&self, row: &ContainerRow) -> bool {
        let asked = |name: Name| self.filters.iter().any(|filter| filter.name == name);
        let published = || {
            self.any(Name::Publish, |value| {
                row.endpoints.iter().flat_map(|endpoint| &endpoint.ports).any(|port| {
                    let protocol = port.container.protocol;
                    within(value, ContainerPort { number: port.host_port, protocol })
                })
            })
        };
        let exposed = || {
            self.any(Name::Expose, |value| {
                let ports = row.summary.config.exposed_ports.keys();
                ports.filter_map(|port| port.parse().ok()).any(|port| within(value, port))
            })
        };
        match (asked(Name::Publish), asked(Name::Expose)) {
            (true, true) => published() || exposed(),
            (true, false) => published(),
            (false, true) => exposed(),
            (false, false) => true,
        }
    }

    fn labels(&self) -> impl Iterator<Item = &'a str> {
        let labels = self.filters.iter().filter(|filter| filter.name == Name::Label);
        labels.map(|filter| filter.value.as_str())
    }

    /// Whether one of the values of this name fits, or none was given.
    fn any(&self, name: Name, fits: impl Fn(&str) -> bool) -> bool {
        let mut values = self.filters.iter().filter(|filter| filter.name == name).peekable();
        values.peek().is_none() || values.any(|filter| fits(&filter.value))
    }
}

fn created(engine: &Engine, all: &[(Summary, State)], text: &str) -> Result<Timestamp> {
    let id = engine.containers().find(text)?;
    let found = all.iter().find(|(summary, _)| summary.id == id);
    found
        .map(|(summary, _)| summary.created)
        .ok_or_else(|| EngineError::NoSuchContainer(text.to_owned()))
}

/// An image, and all that stand on all of its layers.
fn descendants(images: &Images, id: ImageId) -> BTreeSet<ImageId> {
    let mut found = BTreeSet::from([id]);
    loop {
        let before = found.len();
        for (image, record) in &images.images {
            if record.parent.is_some_and(|parent| found.contains(&parent)) {
                found.insert(*image);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn has_label(summary: &Summary, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => summary.config.labels.get(key).is_some_and(|own| own == value),
        None => summary.config.labels.contains_key(wanted),
    }
}

fn has_exited(state: &State, code: &str) -> bool {
    let ended = matches!(state.status, Status::Exited | Status::Dead | Status::Removing);
    ended && code.parse() == Ok(state.exit_code)
}

fn health(row: &ContainerRow) -> &'static str {
    row.state.health.as_ref().map_or("none", |health| health.status.name())
}

fn within(wanted: &str, port: ContainerPort) -> bool {
    ports(wanted).is_ok_and(|(first, last, protocol)| {
        (first..=last).contains(&port.number) && port.protocol == protocol
    })
}
