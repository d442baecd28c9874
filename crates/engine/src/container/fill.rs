//! New volumes get what the image has in their place.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::path::Path;

use spec::{Mount, MountKind};

use super::ContainerRecord;
use super::users::Users;
use crate::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// Copies what a container's root has where its volumes will be mounted into those volumes that
    /// are empty and may be filled, and makes the folders of the host that `-v` names, and those of
    /// `--mount` that are to be made. All of it
    /// belongs to the container's `users`; `plain` are the volumes that are folders of our own.
    pub(super) fn fill_volumes(
        &self,
        record: &ContainerRecord,
        root: impl AsFd,
        users: Option<&Users>,
        plain: &BTreeSet<String>,
    ) -> Result<()> {
        for point in &record.mounts {
            let source = Path::new(&point.source);
            let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
            match point.kind {
                MountKind::Bind if told.is_none_or(Mount::is_made) && !source.exists() => {
                    let made = make(source, users.map(Users::root));
                    made.map_err(EngineError::io("create", source))?;
                }
                MountKind::Volume => {
                    let options = told.and_then(|mount| mount.volume_options.as_ref());
                    // A place in a volume is there already, or it is no place.
                    let stays = options
                        .is_some_and(|options| options.no_copy || !options.subpath.is_empty())
                        || point.mode.split(',').any(|word| word == "nocopy");
                    if !stays && is_empty(source)? {
                        // What was mounted for it is not mapped.
                        let users = users.filter(|_| plain.contains(&point.destination));
                        fill(root.as_fd(), &point.destination, source, users)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes a folder and those above it for a container's root.
fn make(folder: &Path, root: Option<(u32, u32)>) -> io::Result<()> {
    let Some((user, group)) = root else { return fs::create_dir_all(folder) };
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(folder)?;
    missing.iter().try_for_each(|path| chown(path, Some(user), Some(group)))
}

fn is_empty(folder: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(folder).map_err(EngineError::io("list", folder))?;
    Ok(entries.next().is_none())
}

fn fill(root: impl AsFd, destination: &str, volume: &Path, users: Option<&Users>) -> Result<()> {
    let inside = destination.trim_start_matches('/');
    // An image that has nothing there, or a file, leaves the volume as it is.
    let Ok(from) = sys::fs::folder_in_root(root, inside) else { return Ok(()) };
    let copied = match users {
        None => sys::fs::open_folder(volume).and_then(|to| image::copy::copy_tree(&from, &to)),
        Some(users) => users.within(volume, |to| image::copy::copy_tree(&from, &to)),
    };
    copied.map_err(EngineError::io("fill", volume))
}
