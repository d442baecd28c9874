//! Groups made, in trees that are there and in those that may be.

use std::fs;
use std::io;
use std::path::Path;

use super::{Cgroup, Layout, failed, read, write};
use crate::error::{Result, RuntimeError};

impl Cgroup {
    /// Makes the group, with those above it, in all trees; says whether it is new in all of them.
    pub fn create(&mut self) -> Result<bool> {
        if let Some(is_new) = if self.is_presumed { self.create_below()? } else { None } {
            // Whoever enters without processors gives them to the group.
            self.is_presumed = false;
            return Ok(is_new);
        }
        if self.is_presumed {
            (self.layout, self.is_presumed) = (Layout::of_host()?, false);
        }
        let shared = self.create_shared();
        let is_new = match self.create_scope()? {
            // What is there of it systemd has just made.
            true => self.create_all().map(|_| true)?,
            false => self.create_all()? && shared != Some(false),
        };
        if let Some(cpuset) = self.layout.version1("cpuset") {
            let own = read(&cpuset.root.join(&self.path), "cpuset.cpus").unwrap_or_default();
            if own.trim().is_empty() {
                self.inherit_processors(&cpuset.root)?;
            }
        }
        Ok(is_new)
    }

    /// Has systemd make it, if that is its way; says whether it is.
    fn create_scope(&mut self) -> Result<bool> {
        let is_unified = matches!(self.layout, Layout::Version2 { .. });
        let Some(scope) = &mut self.scope else { return Ok(false) };
        scope.create(is_unified)?;
        Ok(true)
    }

    /// The same for those to whom it may be forbidden: their containers are in the group that they
    /// are in themselves, and this one is in no tree.
    pub fn create_where_allowed(&mut self) -> Result<bool> {
        match self.create() {
            Err(RuntimeError::Cgroup { source, .. }) if is_forbidden(&source) => {
                // One tree may have been theirs and the next one not.
                let _ = self.remove();
                self.scope = None;
                (self.layout, self.is_presumed) = (Layout::None, false);
                Ok(true)
            }
            other => other,
        }
    }

    /// The same below groups that are there. If one is not, it is the first one below its parent, or
    /// there is no such tree: then nothing was made.
    fn create_below(&self) -> Result<Option<bool>> {
        let (mut is_new, mut made) = (true, Vec::new());
        for folder in self.own_folders() {
            match fs::create_dir(&folder) {
                Ok(()) => made.push(folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => is_new = false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
                    return Ok(None);
                }
                Err(error) => return Err(failed("make", &folder)(error)),
            }
        }
        Ok(Some(is_new))
    }

    /// The same in trees that are known to be there, with those above it.
    fn create_all(&self) -> Result<bool> {
        let mut is_new = true;
        let is_ours = |root: &&Path| !self.apart.contains_key(*root);
        // In a group with rules for others it was made before; nobody makes that one without them.
        let is_left = |root: &&Path| self.shared_in(root).is_none();
        for root in self.layout.roots().filter(is_ours).filter(is_left) {
            let folder = root.join(&self.path);
            let made = match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    is_new = false;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_with_parents(&folder).map(|()| self.delegate(root))
                }
                other => other,
            };
            made.map_err(failed("make", &folder))?;
        }
        Ok(is_new)
    }

    /// A group of version 1 has no processors until somebody gives it some. Those below ours get
    /// theirs from then on.
    fn inherit_processors(&self, root: &Path) -> Result<()> {
        let mut folder = root.to_owned();
        for part in self.path.split('/') {
            folder.push(part);
            inherit_processors(&folder).map_err(failed("give processors to", &folder))?;
            // Without it, this is done again for each.
            let _ = write(&folder, "cgroup.clone_children", "1");
        }
        Ok(())
    }

    /// Version 2: hands controllers down to the group's parent. Those that cannot be had are missed
    /// when a limit needs them.
    pub(super) fn delegate(&self, root: &Path) {
        if self.layout.unified() != Some(root) {
            return;
        }
        let available = read(root, "cgroup.controllers").unwrap_or_default();
        let mut folder = root.to_owned();
        for part in self.path.split('/') {
            let handed = read(&folder, "cgroup.subtree_control").unwrap_or_default();
            let handed: Vec<_> = handed.split_whitespace().collect();
            for controller in available.split_whitespace().filter(|name| !handed.contains(name)) {
                let _ = write(&folder, "cgroup.subtree_control", &format!("+{controller}"));
            }
            folder.push(part);
        }
    }
}

/// Gives a group of version 1 the processors of the one above, unless it has some; that one may just
/// have been made and have none either. The top has all.
pub(super) fn inherit_processors(folder: &Path) -> io::Result<()> {
    let Some(above) = folder.parent() else { return Ok(()) };
    let has_none = |file: &str| Ok::<_, io::Error>(read(folder, file)?.trim().is_empty());
    if !has_none("cpuset.cpus")? && !has_none("cpuset.mems")? {
        return Ok(());
    }
    inherit_processors(above)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if has_none(file)? {
            write(folder, file, read(above, file)?.trim())?;
        }
    }
    Ok(())
}

/// Whether it is not this user who may make groups.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Makes a folder and those above it, one of which may just have been removed since it was empty.
pub(super) fn create_with_parents(folder: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 10;
    for _ in 1..ATTEMPTS {
        match fs::create_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    fs::create_dir_all(folder)
}
