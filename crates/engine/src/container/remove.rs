//! Containers go.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use runtime::attach::SOCKET_FILE;
use runtime::state::{Hold, Keeper, Status};
use spec::{ContainerId, Timestamp};

use super::alive::Alive;
use super::record::{ContainerRecord, clear};
use crate::Engine;
use crate::error::{EngineError, Result};

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveContainer {
    /// End it first if it runs.
    pub force: bool,
    /// Its volumes that nobody named go too.
    pub volumes: bool,
}

/// Which containers are pruned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PruneContainers {
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those with all of these labels.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those with none of these.
    pub not_labels: Vec<(String, Option<String>)>,
}

impl PruneContainers {
    fn takes(&self, record: &ContainerRecord) -> bool {
        let labels = &record.config.labels;
        let has = |(name, value): &(String, Option<String>)| {
            labels.get(name).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
        };
        self.until.is_none_or(|until| record.created < until)
            && self.labels.iter().all(has)
            && !self.not_labels.iter().any(has)
    }
}

/// How long a monitor that is starting or leaving a container is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The same, where it may be passed over.
const PRUNE_PATIENCE: Duration = Duration::from_secs(2);
pub(super) const PAUSE: Duration = Duration::from_millis(1);

impl Engine {
    /// Removes a container.
    pub fn remove_container(
        &self,
        id: &ContainerId,
        request: RemoveContainer,
        alive: &dyn Alive,
    ) -> Result<()> {
        let containers = self.containers();
        let record = containers.read(id)?;
        let begin = Instant::now();
        loop {
            let status = self.container_state(id)?.status;
            if status.is_alive() {
                if !request.force {
                    let why = match status {
                        Status::Paused => "paused and must be unpaused first",
                        Status::Restarting => {
                            "restarting: stop the container before removing or force remove"
                        }
                        _ => "running: stop the container before removing or force remove",
                    };
                    return Err(EngineError::Running { name: record.name, why });
                }
                alive.end(id)?;
            }
            // Nobody starts what we remove; who is just starting or leaving it comes first.
            match Hold::take(&containers.folder(id)) {
                Ok(Some(hold)) if self.is_at_rest(&record, &hold)? => {
                    self.discard_container(&record, request.volumes)?;
                    // With the last container go the groups above all of theirs.
                    let _ = runtime::cgroup::Layout::whole().map(|layout| layout.remove_if_empty());
                    return Ok(());
                }
                // Its monitor was killed just now: that is put right first.
                Ok(Some(_)) => {}
                Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Ok(None) => {
                    let words = format!("removal of container {id} is already in progress");
                    return Err(EngineError::Refused(words));
                }
                // It was to be removed when it ended, and has been.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(EngineError::io("lock", containers.folder(id))(error)),
            }
        }
    }

    /// Removes all containers that do not run and that fit; gives their ids and what they took.
    pub fn prune_containers(&self, request: &PruneContainers) -> Result<(Vec<String>, u64)> {
        let mut removed = (Vec::new(), 0);
        for record in self.containers().list()? {
            if !request.takes(&record) || self.container_state(&record.id)?.status.is_alive() {
                continue;
            }
            let id = record.id.to_string();
            let snapshot = self.store.snapshot(&id);
            let usage = snapshot.and_then(|snapshot| self.store.snapshot_usage(&snapshot));
            // A monitor on its way out is waited for; somebody may be starting or removing it.
            let folder = self.containers().folder(&record.id);
            let Ok(Some(hold)) = Hold::take_to_start(&folder, PRUNE_PATIENCE) else { continue };
            if !self.is_at_rest(&record, &hold)? {
                continue;
            }
            match self.discard_container(&record, false) {
                // Somebody else removed it while we looked.
                Err(EngineError::NoSuchContainer(_)) => continue,
                other => other?,
            }
            removed.1 += usage.map_or(0, |usage| usage.bytes);
            removed.0.push(id);
        }
        self.sweep_containers()?;
        let bytes = removed.1.to_string();
        self.store.record_event("container", "prune", "", &[("reclaimed", &bytes)]);
        Ok(removed)
    }

    /// Whether a container that we hold has nothing that runs; what a killed monitor had not written
    /// down is ended.
    fn is_at_rest(&self, record: &ContainerRecord, hold: &Hold) -> Result<bool> {
        let io = EngineError::io("read the state in", self.containers().folder(&record.id));
        if hold.found().map_err(io)?.keeper != Keeper::Nobody {
            return Ok(false);
        }
        if self.container_run_folder(&record.id).join(SOCKET_FILE).exists() {
            super::watch::end_remains(self, record)?;
        }
        Ok(true)
    }

    /// Removes what is left of containers whose making or removal was cut short: folders without a
    /// record that nobody holds, snapshots and folders of this boot without such a folder.
    fn sweep_containers(&self) -> Result<()> {
        let containers = self.containers();
        for id in containers.ids()?.into_iter().filter(|id| !containers.exists(id)) {
            let folder = containers.folder(&id);
            let hold = match Hold::take(&folder) {
                Ok(Some(hold)) if !containers.exists(&id) => hold,
                // Somebody is making it, has made it, or has just removed the rest.
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(EngineError::io("lock", folder)(error)),
            };
            self.drop_rest(&id)?;
            containers.remove(&id, "")?;
            drop(hold);
        }
        let run = self.store.paths().run().join("containers");
        let names = fs::read_dir(&run).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.chain(self.store.snapshots()?) {
            let Ok(id) = name.parse::<ContainerId>() else { continue };
            if !self.is_in_use(&id) {
                self.drop_rest(&id)?;
            }
        }
        runtime::cgroup::Layout::whole()?.remove_if_empty();
        Ok(())
    }

    /// Whether a container is called by an id, or a command of a build that is at work.
    pub(crate) fn is_in_use(&self, id: &ContainerId) -> bool {
        self.containers().folder(id).exists()
            || super::step::is_at_work(&self.container_run_folder(id))
    }

    /// Removes what a container has besides its own folder.
    fn drop_rest(&self, id: &ContainerId) -> Result<()> {
        self.store.remove_snapshot(&id.to_string())?;
        let run = self.container_run_folder(id);
        // Met again when the folder is, if it cannot be removed.
        let _ = fs::remove_file(run.join(SOCKET_FILE));
        if fs::remove_dir(&run).is_ok() {
            return Ok(());
        }
        // There is more in it, perhaps mounted.
        super::watch::memory::release(&run)?;
        super::watch::outside::unmount(&run)?;
        clear(&run, &[]).map_err(EngineError::io("remove", &run))
    }

    /// Removes a container that does not run: its record, its files, what it left for this boot, and
    /// with `volumes` the volumes that nobody named.
    pub fn discard_container(&self, record: &ContainerRecord, volumes: bool) -> Result<()> {
        self.drop_container(record, volumes)?;
        self.container_event("destroy", record, &[]);
        Ok(())
    }

    /// The same, without writing down that it went.
    pub(super) fn drop_container(&self, record: &ContainerRecord, volumes: bool) -> Result<()> {
        self.containers().remove(&record.id, &record.name)?;
        self.drop_rest(&record.id)?;
        if volumes {
            self.drop_anonymous_volumes(record)?;
        }
        Ok(())
    }

    /// Volumes that were made for one container alone go with it, unless another has them too.
    fn drop_anonymous_volumes(&self, record: &ContainerRecord) -> Result<()> {
        for mount in record.mounts.iter().filter(|mount| !mount.name.is_empty()) {
            let Ok(volume) = self.volume(&mount.name) else { continue };
            if volume.is_anonymous() && self.volume_users(&volume.name)?.is_empty() {
                match self.remove_volume(&volume.name, true) {
                    // Somebody has it too by now.
                    Err(EngineError::VolumeInUse { .. }) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Gives a container another name, in its record and in its networks.
    pub fn rename_container(&self, id: &ContainerId, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(EngineError::Refused("Neither old nor new names may be empty".to_owned()));
        }
        let containers = self.containers();
        let before = containers.read(id)?.name;
        let record = containers.rename(id, name)?;
        self.networks()?.rename_container(&id.to_string(), &record.name)?;
        self.container_event("rename", &record, &[("oldName", &format!("/{before}"))]);
        Ok(())
    }
}
