//! A container is made: from an image, what was asked for, and what is left to us.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;

use runtime::external::Program;
use runtime::state::Hold;
use spec::{
    ContainerConfig, ContainerId, EndpointSettings, HostConfig, ImageConfig, NetworkMode, Platform,
    Timestamp,
};
use store::{Lasting, Making};

use super::fresh::{Fresh, Told};
use super::record::{ContainerRecord, Containers};
use super::{check, host, merge, name};
use crate::error::{EngineError, Result};
use crate::find::{about, find_for};
use crate::{CgroupDriver, Engine};

/// What `create` is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateContainer {
    /// The container's name, if it is to have a certain one.
    pub name: Option<String>,
    /// The image's platform, if it is to be a certain one.
    pub platform: Option<Platform>,
    /// How its process runs; `image` names the image.
    pub config: ContainerConfig,
    /// How the host runs it.
    pub host: HostConfig,
    /// The networks it is to stand in.
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// What its user should know.
    pub warnings: Vec<String>,
}

/// As often another name is invented when one is taken.
const NAME_ATTEMPTS: u32 = 6;

impl Engine {
    /// The containers of this store.
    pub fn containers(&self) -> Containers {
        Containers::new(self.store.paths().root().join("containers"))
    }

    /// Makes a container. It exists whole or not at all.
    pub fn create_container(&self, request: CreateContainer) -> Result<Created> {
        self.make_container(request).map(|fresh| self.tell_made(fresh))
    }

    /// The same for a container that is started next. It is to be given to
    /// [`Engine::begin_fresh`] or to [`Engine::tell_made`].
    pub fn make_container(&self, mut request: CreateContainer) -> Result<Fresh> {
        let mut warnings = check::check(&request.config, &request.host)?;
        check::endpoints(&request.networks)?;
        for mode in [&request.host.pid_mode, &request.host.ipc_mode] {
            if let Some(other) = mode.strip_prefix("container:") {
                self.containers().find(other)?;
            }
        }
        self.settings().containers.complete(&mut request.host);
        if let Some(name) = &request.name {
            name::check(name)?;
            // Told now, before anything is made for it; whether it is free in the end is told by `add`.
            self.containers().check_free(name)?;
        }
        let begun = Timestamp::now();
        let (making, (image, top, platform)) =
            self.store.making(&about(&request.config.image), |images| {
                let found = find_for(images, &request.config.image, request.platform.as_ref())?;
                let record = &images.images[&found.id];
                Ok::<_, EngineError>((
                    (found.id, record.top, record.platform.platform()),
                    record.top,
                ))
            })?;
        if !["", Platform::host().os.as_str()].contains(&platform.os.as_str()) {
            let words = "operating system is not supported";
            return Err(EngineError::Refused(words.to_owned()));
        }
        if request.platform.is_none() && platform.rank(&Platform::host()).is_none() {
            warnings.push(format!(
                "The requested image's platform ({platform}) does not match the detected host platform ({}) and no specific platform was requested",
                Platform::host()
            ));
        }
        let document = self.store.read_document(&image.0)?;
        let of_image = ImageConfig::parse(&document).map_err(EngineError::Config)?;
        let mut config = merge::with_image(request.config, of_image.config.unwrap_or_default());
        let mut host_config = request.host;
        warnings.extend(host::complete(&mut host_config)?);
        let by_systemd = self.settings().cgroup_driver == CgroupDriver::Systemd;
        if by_systemd {
            host::check_slice(&host_config)?;
        }
        if self.settings().standing.is_of_user() {
            // A user's own systemd gives limits that the user could not set.
            if !by_systemd {
                warnings.extend(host::without_groups(&mut host_config));
            }
            warnings.extend(self.settings().standing.is_single().then(|| host::ONE_ID.to_owned()));
        }
        check::storage(&host_config)?;
        check::log(&host_config)?;
        let mut runtime = self.choose_runtime(&mut host_config)?;
        if let Some(program) = runtime.as_mut().filter(|_| by_systemd) {
            program.args.push("--systemd-cgroup".to_owned());
        }
        let users = self.users_of(&host_config)?;
        let id = ContainerId::of(sys::host::random_bytes().map_err(random)?);
        if config.hostname.is_empty() && host_config.uts_mode != "host" {
            let on_host = NetworkMode::parse(&host_config.network_mode) == NetworkMode::Host;
            config.hostname = if on_host { sys::host::hostname() } else { id.short() };
        }
        if config.entrypoint.is_none() && config.cmd.is_none() {
            return Err(EngineError::Refused("no command specified".to_owned()));
        }
        super::bundle::check_security(&host_config)?;
        let mut volumes = Vec::new();
        let held = has_volumes(&host_config, &config).then(|| self.hold_volumes()).transpose()?;
        let mounts = self.plan_mounts(&mut host_config, &config, &mut volumes);
        let kept = mounts.and_then(|mounts| {
            let record = ContainerRecord {
                id,
                name: String::new(),
                created: Timestamp::now(),
                image,
                platform: platform.os.clone(),
                driver: self.store.driver().kind().to_string(),
                config,
                host_config,
                networks: request.networks,
                mounts,
                runtime,
                by_systemd,
                users,
            };
            match self.settings().standing.is_of_user() {
                true => super::way_out::check(&record)?,
                false => self.check_links(&record)?,
            }
            self.keep(making, record, request.name, top)
        });
        drop(held);
        if kept.is_err() {
            self.give_back(&volumes, begun);
        }
        kept.map(|(told, hold)| Fresh { warnings, told, hold })
    }

    /// The program that runs a container, unless mica does.
    fn choose_runtime(&self, host: &mut HostConfig) -> Result<Option<Program>> {
        let runtimes = &self.settings().runtimes;
        if host.runtime.is_empty() {
            host.runtime.clone_from(&runtimes.default);
        }
        let found = runtimes.find(&host.runtime);
        // To run it by our own instead would be something else than was asked for.
        let program = found.ok_or_else(|| EngineError::NoRuntime(host.runtime.clone()))?;
        Ok(program)
    }

    /// Removes volumes that were made for a container that did not come to be. What cannot be
    /// removed is there to be pruned; the first error is the one to tell.
    fn give_back(&self, volumes: &[String], begun: Timestamp) {
        for name in volumes {
            let is_new = self.volume(name).is_ok_and(|volume| volume.created_at >= begun);
            if is_new && self.volume_users(name).is_ok_and(|users| users.is_empty()) {
                let _ = self.remove_volume(name, true);
            }
        }
    }

    /// Puts a new container where it will be found, its record last.
    fn keep(
        &self,
        making: Making,
        mut record: ContainerRecord,
        name: Option<String>,
        top: Option<spec::ChainId>,
    ) -> Result<(Told, Option<Hold>)> {
        let lasting = match record.host_config.auto_remove {
            true => Lasting::ThrownAway,
            false => Lasting::Kept,
        };
        let containers = self.containers();
        let folder = containers.folder(&record.id);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(EngineError::io("create", &folder))?;
        // Held while it is made: what nobody holds and has no record is left over.
        let hold = Hold::take(&folder).map_err(EngineError::io("lock", &folder))?;
        let id = record.id.to_string();
        let kept = self
            .store
            .create_snapshot_on(&making, &id, top, lasting)
            .map_err(EngineError::from)
            .and_then(|(_, stack)| {
                self.name_and_add(&making, &mut record, name, lasting).map(|()| stack)
            });
        drop(making);
        if kept.is_err() {
            // What cannot be removed now goes with the next clean-up.
            let _ = self.store.remove_snapshot(&id);
            let _ = fs::remove_dir_all(&folder);
        }
        let made = super::events::event("create", &record, &[]);
        let boot = sys::host::boot_id().map_err(EngineError::io("read", "the boot's id"))?;
        kept.map(|stack| (Told { record, stack, made, boot }, hold))
    }

    fn name_and_add(
        &self,
        making: &Making,
        record: &mut ContainerRecord,
        name: Option<String>,
        lasting: Lasting,
    ) -> Result<()> {
        let durable = lasting == Lasting::Kept;
        if let Some(name) = name {
            name.strip_prefix('/').unwrap_or(&name).clone_into(&mut record.name);
            return self.add(making, record, durable);
        }
        // The id is random enough.
        let mut random = *record.id.bytes();
        for attempt in 0.. {
            record.name = name::invent([random[0], random[1], random[2], random[3]], attempt);
            random.rotate_left(4);
            match self.add(making, record, durable) {
                Err(EngineError::NameTaken { .. }) if attempt < NAME_ATTEMPTS => {}
                other => return other,
            }
        }
        unreachable!("the last attempt returns")
    }
}

impl Engine {
    /// Adds the record while its image is held: one that was removed meanwhile gets no container.
    fn add(&self, making: &Making, record: &ContainerRecord, durable: bool) -> Result<()> {
        let add = || self.containers().add(record, durable);
        let added = self.store.while_kept(making, record.image, add)?;
        added.unwrap_or_else(|| Err(EngineError::NoSuchImage(record.config.image.clone())))
    }
}

fn random(source: std::io::Error) -> EngineError {
    EngineError::io("read", "/dev/urandom")(source)
}

/// Whether a container may have volumes.
fn has_volumes(host: &HostConfig, config: &ContainerConfig) -> bool {
    let lists = [&host.binds, &host.volumes_from];
    let named = lists.iter().any(|list| list.as_ref().is_some_and(|list| !list.is_empty()));
    named || !host.mounts.is_empty() || !config.volumes.is_empty()
}
