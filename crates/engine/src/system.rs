//! The engine about itself: what it is, what it holds, whether it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use runtime::state::Status;
use serde_json::{Value, json};
use spec::ImageId;
use store::{CheckReport, DriverKind, Event, MigrateStep, Migrated, Usage};

use crate::error::{EngineError, Result};
use crate::progress::{Item, Progress};
use crate::remove::{PruneImages, Pruned};
use crate::settings::{CgroupDriver, RuntimeSettings, Settings};
use crate::{ContainerRow, Engine, ListContainers, Volume};

/// This mica's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The kernel's release.
pub fn kernel_release() -> String {
    sys::host::kernel_release()
}

/// Begins to fetch a file by its URL: its bytes, and how many where the server says.
pub fn fetch(settings: &Settings, url: &str) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    let fetched = settings.direct().fetch(url)?;
    Ok((fetched.reader, fetched.bytes))
}

/// What `info` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The store's own name.
    pub id: String,
    /// Whether it is an ordinary user's.
    pub is_of_user: bool,
    /// Who makes containers' control groups.
    pub cgroup_driver: CgroupDriver,
    /// Whether containers have users that are not the host's.
    pub has_users: bool,
    /// How many containers run, are frozen, and do neither.
    pub containers: Counts,
    /// How many images there are.
    pub images: usize,
    /// How many layers.
    pub layers: usize,
    /// The storage driver.
    pub driver: String,
    /// Why this one.
    pub driver_reason: String,
    /// The data root.
    pub root: String,
    /// The run root.
    pub run: String,
    /// The file system below the data root.
    pub backing: String,
    /// The kernel.
    pub kernel: String,
    /// The machine's word for its processor.
    pub machine: String,
    /// Processors.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// What runs containers.
    pub runtimes: RuntimeSettings,
    /// Whom images come from.
    pub registries: RegistryView,
    /// What is said of the machine.
    pub labels: Vec<String>,
    /// The host's name.
    pub hostname: String,
    /// The operating system's own name for itself.
    pub operating_system: String,
    /// The operating system's version.
    pub os_version: String,
}

/// What there is to see of the settings for registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryView {
    /// The Hub's mirrors, as addresses.
    pub mirrors: Vec<String>,
    /// Hosts and networks that need not prove who they are.
    pub insecure: Vec<String>,
}

/// How many containers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that run.
    pub running: usize,
    /// Those that are frozen.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> usize {
        self.running + self.paused + self.stopped
    }
}

/// A volume, its bytes, and how many containers have it.
#[derive(Clone, Debug)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: Volume,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many containers have it.
    pub links: usize,
}

/// What `system df` tells.
#[derive(Clone, Debug)]
pub struct DiskUsage {
    /// The counts.
    pub usage: Usage,
    /// The images, each once.
    pub images: crate::ImageList,
    /// How many containers were made from each image, be it here or gone.
    pub users: BTreeMap<ImageId, usize>,
    /// The images from which containers were made or that are mounted: pruning leaves them.
    pub active: BTreeSet<ImageId>,
    /// The containers, with their sizes.
    pub containers: Vec<ContainerRow>,
    /// The volumes.
    pub volumes: Vec<VolumeUsage>,
    /// What builds remember.
    pub build_cache: crate::BuildCache,
}

impl Engine {
    /// About the engine and the machine.
    pub fn info(&self) -> Result<Info> {
        let tables = self.store.tables()?;
        let paths = self.store.paths();
        Ok(Info {
            id: self.store.id().to_owned(),
            is_of_user: self.settings.standing.is_of_user(),
            cgroup_driver: self.settings.cgroup_driver,
            has_users: self.settings.users.is_some(),
            containers: self.count_containers()?,
            images: tables.images.images.len(),
            layers: tables.layers.layers.len(),
            driver: self.store.driver().kind().docker_name().to_owned(),
            driver_reason: self.store.driver_reason().to_owned(),
            root: paths.root().display().to_string(),
            run: paths.run().display().to_string(),
            backing: sys::fs::file_system_magic(paths.root()).map_or("unknown", backing).to_owned(),
            kernel: sys::host::kernel_release(),
            machine: sys::host::machine(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: sys::host::memory_bytes(),
            runtimes: self.settings.runtimes.clone(),
            registries: self.settings.registry.view(),
            labels: self.settings.labels.clone(),
            hostname: sys::host::hostname(),
            operating_system: os_release("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
            os_version: os_release("VERSION_ID").unwrap_or_default(),
        })
    }

    /// How much space what takes.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let tables = self.store.tables()?;
        let usage = self.store.usage(&tables)?;
        let images = self.list(&crate::ListImages::default())?.each_once();
        let all = ListContainers { all: true, size: true, ..ListContainers::default() };
        let containers = self.list_containers(&all)?;
        let users = self.containers_of_images()?;
        let viewed = self.store.views()?.into_iter().map(|view| view.image);
        let active = users.keys().copied().chain(viewed);
        let active = active.filter(|id| tables.images.images.contains_key(id)).collect();
        let links = |name: &str| {
            let has = |row: &&ContainerRow| row.summary.mounts.iter().any(|it| it.name == name);
            containers.iter().filter(has).count()
        };
        let measured = |volume: Volume| VolumeUsage {
            bytes: self.volume_bytes(&volume),
            links: links(&volume.name),
            volume,
        };
        let volumes = self.volumes()?.into_iter().map(measured).collect();
        let build_cache = self.build_cache()?;
        Ok(DiskUsage { usage, images, users, active, containers, volumes, build_cache })
    }

    /// How much space images take, without anything else that takes space.
    pub fn image_usage(&self) -> Result<Usage> {
        Ok(self.store.usage(&self.store.tables()?)?)
    }

    /// How many containers were made from each image.
    pub fn containers_of_images(&self) -> Result<BTreeMap<ImageId, usize>> {
        let mut users = BTreeMap::new();
        for (summary, _) in self.summaries()? {
            *users.entry(summary.image).or_default() += 1;
        }
        Ok(users)
    }

    fn count_containers(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for (_, state) in self.summaries()? {
            match state.status {
                Status::Running | Status::Restarting => counts.running += 1,
                Status::Paused => counts.paused += 1,
                _ => counts.stopped += 1,
            }
        }
        Ok(counts)
    }

    /// Whether everything is what it says it is; with `repair`, makes it so where it can.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        Ok(self.store.check(repair)?)
    }

    /// Removes what nothing needs, and makes durable what was written lazily.
    pub fn prune(&self, request: &PruneImages) -> Result<Pruned> {
        let pruned = self.prune_images(request)?;
        self.store.settle()?;
        Ok(pruned)
    }

    /// Makes durable what was written lazily, and says how many layers that were.
    pub fn sync(&self) -> Result<usize> {
        Ok(self.store.settle()?)
    }

    /// Takes away all that is mounted for looking at images and for containers, which must have
    /// stopped. What needs a mount again makes it again.
    pub fn unmount_all(&self) -> Result<()> {
        let summaries = self.summaries()?;
        match summaries.iter().filter(|(_, state)| state.status.is_alive()).count() {
            0 => Ok(self.store.unmount_all()?),
            containers => Err(EngineError::AtWork { containers }),
        }
    }

    /// Keeps all layers with another driver from now on.
    pub fn migrate(&mut self, to: DriverKind, progress: &dyn Progress) -> Result<Migrated> {
        let mut at_work: Option<Box<dyn Item + '_>> = None;
        let migrated = self.store.migrate(to, &mut |step| match step {
            MigrateStep::Begin(chain, bytes) => {
                at_work = Some(progress.begin(&chain.0.short(), "converting", Some(bytes)));
            }
            MigrateStep::Done(bytes) => {
                if let Some(mut item) = at_work.take() {
                    item.advance(bytes);
                    item.done();
                }
            }
        })?;
        Ok(migrated)
    }
}

/// An event as docker tells it: what happened to containers and images has its older fields too.
pub fn event_document(event: &Event) -> Value {
    let mut document = serde_json::Map::new();
    if matches!(event.kind.as_str(), "container" | "image") {
        document.insert("status".to_owned(), json!(event.action));
        document.insert("id".to_owned(), json!(event.actor.id));
    }
    if let Some(image) = event.actor.attributes.get("image").filter(|_| event.kind == "container") {
        document.insert("from".to_owned(), json!(image));
    }
    let Value::Object(rest) = json!(event) else { return Value::Object(document) };
    document.extend(rest);
    Value::Object(document)
}

fn backing(magic: i64) -> &'static str {
    match magic {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        _ => "unknown",
    }
}

/// What the system says of itself.
fn os_release(key: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.map(|value| value.trim_matches('"').to_owned())
}
