//! Devices of the host that a container was given.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use spec::bundle::{Device, DeviceRule};
use spec::{DeviceMapping, HostConfig};

use crate::error::{EngineError, Result};

/// A device that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::container) struct Found {
    path: String,
    kind: char,
    major: i64,
    minor: i64,
    mode: u32,
    uid: u32,
    gid: u32,
    access: String,
}

impl Found {
    /// The node to make.
    pub(super) fn device(&self) -> Device {
        Device {
            path: self.path.clone(),
            kind: self.kind.to_string(),
            major: self.major,
            minor: self.minor,
            file_mode: Some(self.mode & 0o7777),
            uid: Some(self.uid),
            gid: Some(self.gid),
        }
    }

    /// What may be done with it.
    pub(super) fn rule(&self) -> DeviceRule {
        DeviceRule {
            allow: true,
            kind: self.kind.to_string(),
            major: Some(self.major),
            minor: Some(self.minor),
            access: self.access.clone(),
        }
    }
}

/// Looks up all devices that a container is to have; a folder stands for all in it. A privileged
/// one has all of the host's.
pub(in crate::container) fn look_up(host: &HostConfig) -> Result<Vec<Found>> {
    let mut list = Vec::new();
    if host.privileged {
        collect(Path::new("/dev"), "/dev", "rwm", &mut list);
        list.retain(|found| !found.path.starts_with("/dev/pts/") && found.path != "/dev/console");
        return Ok(list);
    }
    if let Some(request) = host.resources.device_requests.iter().flatten().next() {
        let asked = request.capabilities.clone().unwrap_or_default();
        return Err(EngineError::Start(format!(
            "could not select device driver {:?} with capabilities: {asked:?}",
            request.driver
        )));
    }
    for mapping in host.resources.devices.iter().flatten() {
        let before = list.len();
        let DeviceMapping { path_on_host, path_in_container, cgroup_permissions } = mapping;
        let path = Path::new(path_on_host);
        let meta = fs::metadata(path).map_err(|_| {
            EngineError::Start(format!(
                "error gathering device information while adding custom device {path_on_host:?}: no such file or directory"
            ))
        })?;
        match meta.is_dir() {
            true => collect(path, path_in_container, cgroup_permissions, &mut list),
            false => list.extend(found(&meta, path_in_container, cgroup_permissions)),
        }
        if list.len() == before {
            return Err(EngineError::Start(format!(
                "error gathering device information while adding custom device {path_on_host:?}: not a device node"
            )));
        }
    }
    Ok(list)
}

fn collect(folder: &Path, inside: &str, access: &str, list: &mut Vec<Found>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let target = format!("{}/{}", inside.trim_end_matches('/'), name.to_string_lossy());
        // Links are not followed: what they lead to is there under its own name.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        match meta.is_dir() {
            true if !["pts", "shm", "mqueue", "fd"].iter().any(|own| name == *own) => {
                collect(&path, &target, access, list);
            }
            true => {}
            false => list.extend(found(&meta, &target, access)),
        }
    }
}

fn found(meta: &fs::Metadata, path: &str, access: &str) -> Option<Found> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    Some(Found {
        path: path.to_owned(),
        kind,
        major: i64::from(rustix::fs::major(meta.rdev())),
        minor: i64::from(rustix::fs::minor(meta.rdev())),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        access: access.to_owned(),
    })
}

/// A device's numbers.
pub(super) fn number(path: &str) -> Option<(i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    found(&meta, path, "").map(|found| (found.major, found.minor))
}
