//! A container's files: what was changed, all of them as a tar, and where to reach them.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use image::folder::Marks;
use image::merged::Change;
use image::pack::LayerWriter;
use image::upper::Altered;
use runtime::state::{Hold, Status};
use spec::{ContainerId, IdMaps, MountKind, MountPoint};
use store::Lasting;

use super::ContainerRecord;
use super::remove::{PATIENCE, PAUSE};
use crate::Engine;
use crate::error::{EngineError, Result};

/// A container's root, for as long as this lives.
pub(super) struct Root {
    /// The root folder.
    pub(super) folder: OwnedFd,
    /// Whether the container runs, so that its mounts are there too.
    pub(super) runs: bool,
    /// Who the container's users are outside, if its files are seen from there.
    pub(super) users: Option<IdMaps>,
    /// What it is mounted by, which must stay open.
    _mount: Option<OwnedFd>,
    /// A container that does not run does not start meanwhile: its files are mounted once only.
    _hold: Option<Hold>,
}

impl Root {
    /// The root of a detached mount, which can be read only once it was opened.
    pub(super) fn of_mount(mount: OwnedFd) -> Result<Root> {
        let folder = sys::fs::folder_beneath(&mount, ".");
        let folder = folder.map_err(EngineError::io("open", "the mounted layers"))?;
        Ok(Root { folder, runs: false, users: None, _mount: Some(mount), _hold: None })
    }

    /// A folder of the host.
    pub(super) fn of_host(path: &Path) -> Result<Root> {
        let folder = sys::fs::open_folder(path).map_err(EngineError::io("open", path))?;
        Ok(Root { folder, runs: false, users: None, _mount: None, _hold: None })
    }

    /// A folder in it as a root of its own; nothing if what is there is no folder. No link leads out.
    fn part(mut self, path: &str) -> Result<Option<Root>> {
        match sys::fs::folder_in_root(&self.folder, path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            other => self.folder = other.map_err(EngineError::io("open", path))?,
        }
        Ok(Some(self))
    }
}

impl Engine {
    /// What was changed in a container, in docker's order: by path.
    pub fn diff_container(&self, id: &ContainerId) -> Result<Vec<Altered>> {
        let snapshot = self.store.snapshot(&id.to_string())?;
        let mut changes = self.store.snapshot_changes(&snapshot)?;
        changes.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(changes)
    }

    /// Writes all files of a container as a tar; without what is mounted into it.
    pub fn export_container(&self, id: &ContainerId, out: &mut dyn Write) -> Result<()> {
        let record = self.containers().read(id)?;
        let root = self.container_root(id)?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None).one_mount();
        writer = writer.inside(root.users.clone());
        writer.add_folder(&root.folder, false).map_err(EngineError::Write)?;
        writer.finish().map_err(EngineError::Write)?;
        self.container_event("export", &record, &[]);
        Ok(())
    }

    /// The root of a container: that of its process, or its files mounted for us alone.
    pub(super) fn container_root(&self, id: &ContainerId) -> Result<Root> {
        let folder = self.containers().folder(id);
        let begin = Instant::now();
        let hold = loop {
            if let Some(root) = self.running_root(id)? {
                return Ok(root);
            }
            match Hold::take(&folder).map_err(EngineError::io("lock", &folder))? {
                Some(hold) => break hold,
                // Its monitor has it until then.
                None if self.container_state(id)?.status == Status::Restarting => {
                    let words = "is restarting: wait until it is running, or stop it";
                    return Err(EngineError::Refused(format!("container {id} {words}")));
                }
                // It is just being started, its monitor is on its way out, or somebody else reads
                // its files.
                None if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                None => {
                    let words = format!("container {id} is in use by another command");
                    return Err(EngineError::Refused(words));
                }
            }
        };
        let snapshot = self.store.snapshot(&id.to_string())?;
        let mount = self.store.mount_snapshot(&snapshot, Lasting::Kept)?;
        let mut root = Root::of_mount(mount)?;
        root._hold = Some(hold);
        Ok(root)
    }

    /// The root of an image's files.
    pub(super) fn image_root(&self, name: &str) -> Result<Root> {
        let images = self.store.images_about(&crate::find::about(name))?;
        let found = crate::find::find(&images, name)?;
        let layers = self.store.tables()?.layers;
        let stack = self.store.stacked(images.images[&found.id].top, &layers)?;
        Root::of_mount(self.store.view(&stack)?)
    }

    /// The root of what will be mounted at a place of a container that does not run; nothing if that is
    /// no folder, or is made when the container starts.
    pub(super) fn source_of(
        &self,
        record: &ContainerRecord,
        point: &MountPoint,
    ) -> Result<Option<Root>> {
        let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
        let host = Path::new(&point.source);
        let (root, part) = match point.kind {
            MountKind::Bind | MountKind::Volume if !host.is_dir() => return Ok(None),
            MountKind::Bind => (Root::of_host(host)?, None),
            MountKind::Volume => {
                let options = told.and_then(|mount| mount.volume_options.as_ref());
                (Root::of_host(host)?, options.map(|options| &options.subpath))
            }
            MountKind::Image => {
                let options = told.and_then(|mount| mount.image_options.as_ref());
                (self.image_root(&point.source)?, options.map(|options| &options.subpath))
            }
            MountKind::Tmpfs => return Ok(None),
        };
        match part.filter(|part| !part.is_empty()) {
            None => Ok(Some(root)),
            Some(part) => root.part(part),
        }
    }

    fn running_root(&self, id: &ContainerId) -> Result<Option<Root>> {
        let state = self.container_state(id)?;
        if !state.status.is_alive() || state.process.pid <= 0 {
            return Ok(None);
        }
        let path = format!("/proc/{}/root", state.process.pid);
        let folder = match sys::fs::open_folder(Path::new(&path)) {
            Ok(folder) => folder,
            Err(_) if !state.process.is_alive() => return Ok(None),
            Err(error) => return Err(EngineError::io("open", &path)(error)),
        };
        // It may have ended, and its number be another's.
        if !state.process.is_alive() {
            return Ok(None);
        }
        let users = self.containers().read(id)?.users;
        Ok(Some(Root { folder, runs: true, users, _mount: None, _hold: None }))
    }
}

/// Docker's letter for a change.
pub fn change_letter(change: Change) -> char {
    match change {
        Change::Added => 'A',
        Change::Changed => 'C',
        Change::Deleted => 'D',
    }
}
