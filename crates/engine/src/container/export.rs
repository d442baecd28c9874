//! A container's files: what was changed, all of them as a tar, and where to reach them.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use image::folder::Marks;
use image::merged::Change;
use image::pack::LayerWriter;
use image::upper::Altered;
use runtime::state::Hold;
use spec::{ContainerId, IdMaps};
use store::Lasting;

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
        if let Some(root) = self.running_root(id)? {
            return Ok(root);
        }
        let folder = self.containers().folder(id);
        let hold = Hold::take(&folder).map_err(EngineError::io("lock", &folder))?;
        let Some(hold) = hold else {
            // It was started a moment ago.
            let starting = || EngineError::Refused(format!("container {id} is being started"));
            return self.running_root(id)?.ok_or_else(starting);
        };
        let snapshot = self.store.snapshot(&id.to_string())?;
        let mount = self.store.mount_snapshot(&snapshot, Lasting::Kept)?;
        let mut root = Root::of_mount(mount)?;
        root._hold = Some(hold);
        Ok(root)
    }

    fn running_root(&self, id: &ContainerId) -> Result<Option<Root>> {
        let Some(pid) = self.process(id)? else { return Ok(None) };
        let path = format!("/proc/{pid}/root");
        let folder = sys::fs::open_folder(Path::new(&path));
        let folder = folder.map_err(EngineError::io("open", &path))?;
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
