//! New volumes get what the image has in their place.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use spec::MountKind;

use super::ContainerRecord;
use crate::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// Copies what a container's root has where its volumes will be mounted into those volumes that
    /// are empty and may be filled, and makes the folders of the host that `-v` names.
    pub(super) fn fill_volumes(&self, record: &ContainerRecord, root: impl AsFd) -> Result<()> {
        for point in &record.mounts {
            let source = Path::new(&point.source);
            let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
            match point.kind {
                MountKind::Bind if told.is_none() && !source.exists() => {
                    fs::create_dir_all(source).map_err(EngineError::io("create", source))?;
                }
                MountKind::Volume => {
                    let options = told.and_then(|mount| mount.volume_options.as_ref());
                    // A place in a volume is there already, or it is no place.
                    let stays = options
                        .is_some_and(|options| options.no_copy || !options.subpath.is_empty())
                        || point.mode.split(',').any(|word| word == "nocopy");
                    if !stays && is_empty(source)? {
                        fill(root.as_fd(), &point.destination, source)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_empty(folder: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(folder).map_err(EngineError::io("list", folder))?;
    Ok(entries.next().is_none())
}

fn fill(root: impl AsFd, destination: &str, volume: &Path) -> Result<()> {
    let inside = destination.trim_start_matches('/');
    // An image that has nothing there, or a file, leaves the volume as it is.
    let Ok(from) = sys::fs::folder_in_root(root, inside) else { return Ok(()) };
    let to = sys::fs::open_folder(volume).map_err(EngineError::io("open", volume))?;
    image::copy::copy_tree(&from, &to).map_err(EngineError::io("fill", volume))
}
