//! What will be mounted into a container, told when it is made; volumes that are missing are made.

use std::collections::BTreeMap;

use spec::{
    Bind, ContainerConfig, HostConfig, Mount, MountKind, MountPoint, VolumeDriver, parse_bind,
};

use crate::error::{EngineError, Result};
use crate::volume::CreateVolume;
use crate::{ContainerRecord, Engine};

impl Engine {
    /// Everything that is mounted besides the kernel's own file systems, in no order. One place has
    /// one mount: what was asked for goes before what comes from other containers, and that before
    /// what the image says. The volumes that are named are added to `volumes`, also if it fails.
    pub(super) fn plan_mounts(
        &self,
        host: &mut HostConfig,
        config: &ContainerConfig,
        volumes: &mut Vec<String>,
    ) -> Result<Vec<MountPoint>> {
        let mut places: BTreeMap<String, MountPoint> = BTreeMap::new();
        for text in host.binds.iter().flatten() {
            let bind = parse_bind(text).map_err(|error| EngineError::Refused(error.to_string()))?;
            add(&mut places, self.bind_point(bind, &host.volume_driver, volumes)?)?;
        }
        for mount in &host.mounts {
            add(&mut places, self.mount_point(mount, volumes)?)?;
        }
        for target in host.tmpfs.keys() {
            if places.contains_key(target) {
                return Err(duplicate(target));
            }
        }
        for text in host.volumes_from.iter().flatten() {
            for point in self.points_of(text)? {
                places.entry(point.destination.clone()).or_insert(point);
            }
        }
        for target in &config.volumes {
            if places.contains_key(target) || host.tmpfs.contains_key(target) {
                continue;
            }
            let bind =
                parse_bind(target).map_err(|error| EngineError::Refused(error.to_string()))?;
            if places.contains_key(&bind.mount.target) {
                continue;
            }
            let point = self.bind_point(bind, &host.volume_driver, volumes)?;
            places.insert(point.destination.clone(), point);
        }
        Ok(places.into_values().collect())
    }

    fn bind_point(
        &self,
        bind: Bind,
        driver: &str,
        volumes: &mut Vec<String>,
    ) -> Result<MountPoint> {
        let Bind { mount, mode, relabel } = bind;
        let mut point = match mount.kind {
            MountKind::Bind => MountPoint {
                kind: MountKind::Bind,
                source: mount.source.clone(),
                propagation: propagation(&mount),
                ..MountPoint::default()
            },
            _ => self.volume_point(&mount, driver, volumes)?,
        };
        point.destination = mount.target;
        point.writable = !mount.read_only;
        // A volume is labelled for all who have it, unless asked otherwise.
        point.mode = match (mount.kind, relabel, mode.is_empty()) {
            (MountKind::Volume, _, true) => "z".to_owned(),
            _ => mode,
        };
        Ok(point)
    }

    fn mount_point(&self, mount: &Mount, volumes: &mut Vec<String>) -> Result<MountPoint> {
        let mut point = match mount.kind {
            MountKind::Bind => {
                let maps = mount.bind_options.as_ref().and_then(|options| options.id_map.as_ref());
                MountPoint {
                    source: mount.source.clone(),
                    propagation: propagation(mount),
                    // Whoever has the mount from this container has it so too.
                    mode: maps.map(|maps| format!("idmap={maps}")).unwrap_or_default(),
                    ..MountPoint::default()
                }
            }
            MountKind::Volume => {
                let mut point = self.volume_point(mount, "", volumes)?;
                point.mode = "z".to_owned();
                point
            }
            MountKind::Tmpfs => MountPoint::default(),
            MountKind::Image => {
                // That it is here is found out now, and not when the container starts.
                self.find_image(&mount.source)?;
                MountPoint { source: mount.source.clone(), ..MountPoint::default() }
            }
        };
        point.kind = mount.kind;
        point.destination.clone_from(&mount.target);
        point.writable = !mount.read_only && mount.kind != MountKind::Image;
        Ok(point)
    }

    /// A volume that is there, or is made now.
    fn volume_point(
        &self,
        mount: &Mount,
        driver: &str,
        volumes: &mut Vec<String>,
    ) -> Result<MountPoint> {
        let options = mount.volume_options.clone().unwrap_or_default();
        let VolumeDriver { name, options: told } = options.driver_config.unwrap_or_default();
        let driver = if name.is_empty() { driver.to_owned() } else { name };
        let request = CreateVolume {
            name: Some(mount.source.clone()).filter(|name| !name.is_empty()),
            driver,
            options: told,
            labels: options.labels,
        };
        let volume = self.create_volume(request)?;
        volumes.push(volume.name.clone());
        Ok(MountPoint {
            kind: MountKind::Volume,
            name: volume.name,
            source: volume.mountpoint.display().to_string(),
            driver: volume.driver,
            ..MountPoint::default()
        })
    }

    /// The volumes and binds of another container, `CONTAINER[:ro|rw]`.
    fn points_of(&self, text: &str) -> Result<Vec<MountPoint>> {
        if text.is_empty() {
            let words = "volumes-from specification cannot be an empty string";
            return Err(EngineError::Refused(words.to_owned()));
        }
        let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
        let words: Vec<&str> = mode.split(',').collect();
        let is_known = |word: &&str| ["ro", "rw", "z", "Z", "nocopy"].contains(word);
        let both = words.contains(&"ro") && words.contains(&"rw");
        if name.is_empty() || !words.iter().all(is_known) || both {
            return Err(EngineError::Refused(format!("invalid mode: {mode}")));
        }
        let containers = self.containers();
        let ContainerRecord { mounts, .. } = containers.read(&containers.find(name)?)?;
        let narrowed = |mut point: MountPoint| {
            point.writable &= !words.contains(&"ro");
            point
        };
        Ok(mounts.into_iter().map(narrowed).collect())
    }
}

fn propagation(mount: &Mount) -> String {
    let asked = mount.bind_options.as_ref().map(|options| options.propagation.clone());
    asked.filter(|asked| !asked.is_empty()).unwrap_or_else(|| "rprivate".to_owned())
}

fn add(places: &mut BTreeMap<String, MountPoint>, point: MountPoint) -> Result<()> {
    match places.insert(point.destination.clone(), point) {
        Some(before) => Err(duplicate(&before.destination)),
        None => Ok(()),
    }
}

fn duplicate(target: &str) -> EngineError {
    EngineError::Refused(format!("Duplicate mount point: {target}"))
}
