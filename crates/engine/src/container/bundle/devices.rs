//! Devices of the host that a container was given, and what else comes with them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use spec::bundle::{Device, DeviceRule, Hooks, Mount};
use spec::{DeviceMapping, HostConfig};

use super::cdi;
use crate::error::{EngineError, Result};

/// What a container gets of the host's devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::container) struct Given {
    /// The devices.
    pub(super) nodes: Vec<Found>,
    /// What is mounted because of them.
    pub(super) mounts: Vec<Mount>,
    /// Programs that are run because of them.
    pub(super) hooks: Hooks,
    /// Variables that tell of them.
    pub(super) env: Vec<String>,
    /// Groups that may use them.
    pub(super) groups: Vec<u32>,
}

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
    /// A device that is made with these numbers, everybody's.
    pub(super) fn new(path: &str, (kind, major, minor): (char, i64, i64), access: &str) -> Found {
        let (path, access) = (path.to_owned(), access.to_owned());
        Found { path, kind, major, minor, mode: 0o666, uid: 0, gid: 0, access }
    }

    /// The same, somebody's.
    pub(super) fn owned(self, mode: u32, uid: u32, gid: u32) -> Found {
        Found { mode, uid, gid, ..self }
    }

    /// Where it is in the container.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

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

/// Looks up all that a container is to have: devices by their paths, and those that vendors
/// describe by name.
pub(in crate::container) fn look_up(host: &HostConfig) -> Result<Given> {
    let mut given = Given { nodes: by_path(host)?, ..Given::default() };
    let requests = host.resources.device_requests.iter().flatten();
    cdi::add_named(&mut given, requests, host.annotations.iter())?;
    Ok(given)
}

/// Devices by their paths; a folder stands for all in it. A privileged container has all of the
/// host's.
fn by_path(host: &HostConfig) -> Result<Vec<Found>> {
    let mut list = Vec::new();
    if host.privileged {
        collect(Path::new("/dev"), "/dev", "rwm", &mut list);
        list.retain(|found| !found.path.starts_with("/dev/pts/") && found.path != "/dev/console");
        return Ok(list);
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

/// A device of the host: what it is, and its numbers.
pub(super) fn numbers(path: &str) -> Option<(char, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    found(&meta, path, "").map(|found| (found.kind, found.major, found.minor))
}

/// A device's numbers.
pub(super) fn number(path: &str) -> Option<(i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    found(&meta, path, "").map(|found| (found.major, found.minor))
}
