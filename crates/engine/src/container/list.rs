//! The containers there are, as `ps` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use network::{Endpoint, PublishedPort};
use runtime::state::{self, Keeper, Observed, State, Status};
use serde::Deserialize;
use serde::de::IgnoredAny;
use spec::{ContainerId, ContainerPort, ImageId, MountPoint, Timestamp};
use store::Images;

use super::filter::{Conditions, ContainerFilter};
use super::way_out;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::find;
use crate::network::by_container;

/// What a list tells of a container's record. The whole record takes much longer to read, and a
/// list is of all containers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The image it was made from.
    pub image: ImageId,
    /// What that image runs on.
    pub platform: String,
    /// How its process runs.
    pub config: SummaryConfig,
    /// How the host runs it.
    pub host_config: SummaryHost,
    /// The networks it is to stand in.
    pub networks: BTreeMap<String, IgnoredAny>,
    /// What is mounted into it.
    pub mounts: Vec<MountPoint>,
}

/// What a list tells of how a process runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryConfig {
    /// The image as it was asked for.
    pub image: String,
    /// What is run, before the arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments, or all of it.
    pub cmd: Option<Vec<String>>,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
    /// Ports that it listens at.
    pub exposed_ports: BTreeMap<String, IgnoredAny>,
}

/// What a list tells of how the host runs it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryHost {
    /// The network it was made with.
    pub network_mode: String,
}

/// A container in a list.
#[derive(Debug, Clone)]
pub struct ContainerRow {
    /// What it is.
    pub summary: Summary,
    /// How it is.
    pub state: State,
    /// Its image, as people call it while that name is still that image's.
    pub image: String,
    /// Where it stands in networks, while it runs.
    pub endpoints: Vec<Endpoint>,
    /// Bytes written to it, and bytes of all that it shows; if they were asked for.
    pub size: Option<(u64, u64)>,
}

impl ContainerRow {
    /// What is run, with its arguments: those with blanks in them in quotes, as docker shows them.
    pub fn command(&self) -> String {
        let config = &self.summary.config;
        let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
        let quoted = |(at, word): (usize, &String)| match at > 0 && word.contains(' ') {
            true => format!("'{word}'"),
            false => word.clone(),
        };
        words.enumerate().map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// The names of its networks.
    pub fn networks(&self) -> Vec<String> {
        networks_of(&self.summary)
    }

    /// The ports of a container that runs: those of the host that lead to it, and the others that
    /// it listens at.
    pub fn ports(&self) -> (Vec<PublishedPort>, Vec<ContainerPort>) {
        if !self.state.status.is_alive() {
            return (Vec::new(), Vec::new());
        }
        let published: Vec<PublishedPort> =
            self.endpoints.iter().flat_map(|endpoint| endpoint.ports.clone()).collect();
        let taken: BTreeSet<ContainerPort> = published.iter().map(|port| port.container).collect();
        let exposed = self.summary.config.exposed_ports.keys();
        let exposed = exposed.filter_map(|port| port.parse().ok());
        (published, exposed.filter(|port| !taken.contains(port)).collect())
    }
}

/// The names of the networks that a container is to stand in.
pub(super) fn networks_of(summary: &Summary) -> Vec<String> {
    let mode = summary.host_config.network_mode.as_str();
    match summary.networks.is_empty() {
        true if mode.starts_with("container:") => Vec::new(),
        true => vec![if matches!(mode, "" | "default") { "bridge" } else { mode }.to_owned()],
        false => summary.networks.keys().cloned().collect(),
    }
}

/// A request for a list.
#[derive(Debug, Clone, Default)]
pub struct ListContainers {
    /// Those that do not run too.
    pub all: bool,
    /// Only this many of the youngest, whatever they do.
    pub last: Option<usize>,
    /// With sizes.
    pub size: bool,
    /// Only those that match all of these.
    pub filters: Vec<ContainerFilter>,
}

/// How many containers are worth a thread of their own.
const SHARE: usize = 128;

impl Engine {
    /// Lists containers, the youngest first.
    pub fn list_containers(&self, list: &ListContainers) -> Result<Vec<ContainerRow>> {
        let mut summaries = self.summaries()?;
        summaries.sort_by(|(one, _), (two, _)| {
            two.created.cmp(&one.created).then_with(|| one.id.cmp(&two.id))
        });
        let images = self.store.images()?;
        let conditions = Conditions::of(self, &images, &summaries, &list.filters)?;
        let any_state = list.all || list.last.is_some() || conditions.name_a_state();
        let mut endpoints = match summaries.iter().any(|(_, state)| state.status.is_alive()) {
            true if self.settings().standing.is_of_user() => {
                let of = |id: &ContainerId| way_out::written(&self.container_run_folder(id));
                by_container(summaries.iter().flat_map(|(summary, _)| of(&summary.id)).collect())
            }
            true => by_container(self.networks()?.endpoints()?),
            false => BTreeMap::new(),
        };
        let mut names: BTreeMap<(ImageId, String), String> = BTreeMap::new();
        let mut rows = Vec::new();
        for (summary, state) in summaries {
            if !any_state && !state.status.is_alive() {
                continue;
            }
            let key = (summary.image, summary.config.image.clone());
            let image = names.entry(key).or_insert_with(|| shown(&images, &summary)).clone();
            let endpoints = endpoints.remove(&summary.id.to_string()).unwrap_or_default();
            let mut row = ContainerRow { summary, state, image, endpoints, size: None };
            if !conditions.hold(&row) {
                continue;
            }
            if list.size {
                let summary = &row.summary;
                row.size = match self.container_size(&summary.id, &summary.image, &images) {
                    // It went while we looked.
                    Err(_) if !self.containers().exists(&summary.id) => continue,
                    size => Some(size?),
                };
            }
            rows.push(row);
            if list.last == Some(rows.len()) {
                break;
            }
        }
        Ok(rows)
    }

    /// Bytes written to a container, and bytes of all that it shows.
    pub(crate) fn container_size(
        &self,
        id: &ContainerId,
        image: &ImageId,
        images: &Images,
    ) -> Result<(u64, u64)> {
        let snapshot = self.store.snapshot(&id.to_string())?;
        let own = self.store.snapshot_usage(&snapshot)?.bytes;
        let below = images.images.get(image).map_or(0, store::ImageRecord::size);
        Ok((own, own + below))
    }

    /// The containers that have something of this boot.
    fn run_folders(&self) -> BTreeSet<ContainerId> {
        let entries = std::fs::read_dir(self.store.paths().run().join("containers"));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect()
    }

    /// All containers with how they are, in no order. Many are read by several threads.
    pub(crate) fn summaries(&self) -> Result<Vec<(Summary, State)>> {
        let containers = self.containers();
        let ids = containers.ids()?;
        let Some(above) = containers.open()? else { return Ok(Vec::new()) };
        let folders: Vec<PathBuf> = ids.iter().map(|id| containers.folder(id)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = folders.len().div_ceil(threads).max(SHARE);
        let found = std::thread::scope(|scope| {
            let parts: Vec<_> = folders
                .chunks(share)
                .map(|part| {
                    let read = |folder: &PathBuf| read(&above, folder);
                    scope.spawn(move || part.iter().filter_map(read).collect())
                })
                .collect();
            let joined = parts.into_iter().map(|part| part.join().expect("reading does not panic"));
            joined.collect::<Vec<Vec<Result<_>>>>()
        });
        let here = self.run_folders();
        let mut summaries = Vec::new();
        for found in found.into_iter().flatten() {
            let (summary, observed): (Summary, Observed) = found?;
            let is_quiet = observed.keeper == Keeper::Nobody
                && observed.state.status != Status::Removing
                && !here.contains(&summary.id);
            let state = match is_quiet {
                // It has nothing of this boot that somebody could have left.
                true => observed.state,
                false => self.put_right(&summary.id, observed)?,
            };
            if state.status != Status::Removing || containers.read(&summary.id).is_ok() {
                summaries.push((summary, state));
            }
        }
        Ok(summaries)
    }
}

/// A container in a folder; none if it has just been removed or is not whole yet.
fn read(above: &OwnedFd, folder: &Path) -> Option<Result<(Summary, Observed)>> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let record = format!("{name}/{}", super::record::RECORD);
    let bytes = match sys::read::at(above, &record) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(EngineError::io("read", folder.join(record))(error))),
        Ok(bytes) => bytes,
    };
    let summary = serde_json::from_slice(&bytes).map_err(|error| match name.parse() {
        Ok(id) => EngineError::DamagedContainer { id, why: error.to_string() },
        Err(_) => EngineError::NoSuchContainer(name.to_owned()),
    });
    let observed = state::observe_in(above, folder);
    let observed = observed.map_err(EngineError::io("read the state in", folder));
    Some(summary.and_then(|summary| Ok((summary, observed?))))
}

/// What a container's image is called: as it was asked for, if that still means it.
fn shown(images: &Images, summary: &Summary) -> String {
    let asked = &summary.config.image;
    match find(images, asked) {
        Ok(found) if found.id == summary.image => asked.clone(),
        _ => summary.image.to_string(),
    }
}

/// Docker's words about how a container is: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
pub fn status_words(state: &State, now: Timestamp) -> String {
    let since = |time: Timestamp| spec::human_duration(now.seconds_since(time));
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => {
            let health = match state.health.as_ref().map(|health| health.status.name()) {
                None => String::new(),
                Some("starting") => " (health: starting)".to_owned(),
                Some(health) => format!(" ({health})"),
            };
            format!("Up {}{health}", since(state.started))
        }
        Status::Paused => format!("Up {} (Paused)", since(state.started)),
        Status::Restarting => {
            format!("Restarting ({}) {} ago", state.exit_code, since(state.finished))
        }
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished)),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
    }
}
