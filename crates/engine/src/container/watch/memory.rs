//! Shared memory that several containers have: a file system in memory, mounted in the run folder of
//! the container that began it, from where the others bind it.

use std::fs;
use std::path::{Path, PathBuf};

use spec::{ContainerId, IpcMode};

use crate::Engine;
use crate::container::ContainerRecord;
use crate::error::{EngineError, Result};

/// The folder's name in a container's run folder.
const FOLDER: &str = "shm";

/// A container's shared memory, mounted for as long as this is.
pub(super) struct Memory(PathBuf);

impl Memory {
    fn mount(run_folder: &Path, bytes: i64, (user, group): (u32, u32)) -> Result<Memory> {
        release(run_folder)?;
        let path = run_folder.join(FOLDER);
        fs::create_dir_all(&path).map_err(EngineError::io("create", &path))?;
        let size = bytes.to_string();
        let (user, group) = (user.to_string(), group.to_string());
        let options = [
            ("size", Some(size.as_str())),
            ("mode", Some("1777")),
            ("uid", Some(user.as_str())),
            ("gid", Some(group.as_str())),
        ];
        let made = sys::mount::create("tmpfs", Some("shm"), &options, sys::mount::INERT);
        let mounted = made.and_then(|made| sys::mount::attach(&made, &path));
        mounted.map_err(EngineError::io("mount shared memory at", &path))?;
        Ok(Memory(path))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Those who have it keep it; what cannot be let go of now goes with the run folder.
        let _ = sys::mount::detach(&self.0);
    }
}

/// Lets go of shared memory that a run has left in a run folder.
pub(in crate::container) fn release(run_folder: &Path) -> Result<()> {
    const NOT_MOUNTED: i32 = 22;
    let path = run_folder.join(FOLDER);
    match sys::mount::detach(&path) {
        Err(error)
            if error.kind() != std::io::ErrorKind::NotFound
                && error.raw_os_error() != Some(NOT_MOUNTED) =>
        {
            Err(EngineError::io("unmount", path)(error))
        }
        _ => Ok(()),
    }
}

impl Engine {
    /// Mounts the memory that a container lets others have. It belongs to `root`, the container's.
    pub(super) fn own_memory(
        &self,
        record: &ContainerRecord,
        root: Option<(u32, u32)>,
    ) -> Result<Option<Memory>> {
        let host = &record.host_config;
        match IpcMode::parse(&host.ipc_mode) {
            Some(IpcMode::Shareable) => {
                let folder = self.container_run_folder(&record.id);
                // Later it would come to lie below the mount that the run root becomes.
                self.store().paths().seclude()?;
                Memory::mount(&folder, host.shm_size, root.unwrap_or_default()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Where the memory is that a container shares: its own, or what it has of another one.
    pub(in crate::container) fn memory_of(
        &self,
        record: &ContainerRecord,
    ) -> Result<Option<PathBuf>> {
        match IpcMode::parse(&record.host_config.ipc_mode) {
            Some(IpcMode::Shareable) => Ok(Some(self.shared_folder(&record.id))),
            Some(IpcMode::Container(name)) => {
                let containers = self.containers();
                let other = containers.read(&containers.find(&name)?)?;
                match self.memory_of(&other)? {
                    Some(path) => Ok(Some(path)),
                    None if other.host_config.ipc_mode == "host" => Ok(Some("/dev/shm".into())),
                    None => Err(EngineError::Start(format!(
                        "container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                        other.id
                    ))),
                }
            }
            _ => Ok(None),
        }
    }

    fn shared_folder(&self, id: &ContainerId) -> PathBuf {
        self.container_run_folder(id).join(FOLDER)
    }
}
