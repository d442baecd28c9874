//! Users of a container that are not the host's.
//!
//! What is on disk stays as it is in the container: layers, tops and volumes are mounted with their
//! users mapped, so one image and one volume serve all containers, whomever their users are outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use network::NetNs;
use spec::{HostConfig, IdMaps};

use super::{ContainerRecord, check};
use crate::Engine;
use crate::error::{EngineError, Result};

/// The users of one run.
pub(super) struct Users {
    namespace: OwnedFd,
    root: (u32, u32),
}

impl Users {
    /// Makes a namespace for a container whose users are mapped, or opens that of another one whose
    /// namespaces it shares: they belong to those users.
    pub(super) fn of(
        record: &ContainerRecord,
        others: &BTreeMap<String, i32>,
    ) -> Result<Option<Users>> {
        let Some(maps) = &record.users else { return Ok(None) };
        let nobody = || EngineError::Start(format!("the map {maps} has no root"));
        let root = maps.root().ok_or_else(nobody)?;
        let namespace = match others.values().next() {
            None => {
                let (users, groups) = maps.clone().into_lists();
                runtime::users::namespace(&users, &groups)?
            }
            Some(pid) => {
                let path = format!("/proc/{pid}/ns/user");
                File::open(&path).map_err(EngineError::io("open", path))?.into()
            }
        };
        Ok(Some(Users { namespace, root }))
    }

    /// Whose the files of mounts are.
    pub(super) fn shown(&self) -> store::Users<'_> {
        store::Users { namespace: self.namespace.as_fd(), root: self.root }
    }

    /// Who is root, outside.
    pub(super) fn root(&self) -> (u32, u32) {
        self.root
    }

    /// A namespace of networks that belongs to them, whose loopback device is up.
    pub(super) fn network(&self) -> Result<NetNs> {
        let made = NetNs::from(runtime::users::network_of(self.namespace.as_fd())?);
        made.loopback_up()?;
        Ok(made)
    }

    /// The namespace's path, for as long as this is kept.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.namespace.as_raw_fd()))
    }

    /// Does something in a folder as the container's root would: who its files belong to is said as
    /// it is outside, and is on disk as it is inside.
    pub(super) fn within<T>(
        &self,
        folder: &Path,
        work: impl FnOnce(OwnedFd) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let folder = sys::fs::open_folder(folder)?;
        let mapped = sys::mount::clone_mapped(folder, self.namespace.as_fd())?;
        let inside = sys::fs::folder_beneath(&mapped, ".")?;
        sys::owner::making_for(self.root.0, self.root.1, || work(inside))?
    }
}

impl Engine {
    /// Whose users a new container has, if not the host's.
    pub(super) fn users_of(&self, host: &HostConfig) -> Result<Option<IdMaps>> {
        match &self.settings().users {
            Some(remap) if host.userns_mode != "host" => {
                check::remapped(host)?;
                remap.maps().map(Some)
            }
            _ => Ok(None),
        }
    }
}
