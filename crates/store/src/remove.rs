//! Trees go: with everything in them, whoever closed it, and as a whole where a file system can.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Result, StoreError};

/// Deletes a tree; somebody else may be at it too.
pub(crate) fn remove_all(path: &Path) -> Result<()> {
    // It saves time, not more: what is left is removed as anything else.
    let _ = drop_subvolumes(path, SUBVOLUME_DEPTH);
    let removed = match fs::remove_dir_all(path) {
        // Without root, a folder that its layer closed must be opened before it can be emptied.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path).and_then(|()| fs::remove_dir_all(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(path),
        other => other,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::io("remove", path)),
    }
}

/// As deep are the btrfs driver's subvolumes in a folder: in that of a trash, in that of a snapshot
/// that was on its way in, as its tree.
const SUBVOLUME_DEPTH: usize = 2;

/// Drops the subvolumes in a folder, or the folder itself if it is one, as a whole.
fn drop_subvolumes(path: &Path, depth: usize) -> io::Result<()> {
    if !sys::btrfs::is_btrfs(path)? {
        return Ok(());
    }
    let folder = sys::fs::open_folder(path)?;
    if sys::btrfs::is_subvolume(&folder)? {
        return match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) => {
                sys::btrfs::delete_subvolume(sys::fs::open_folder(above)?, name)
            }
            _ => Ok(()),
        };
    }
    if depth > 0 {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                drop_subvolumes(&entry.path(), depth - 1)?;
            }
        }
    }
    Ok(())
}

/// Gives its owner all rights on every folder of a tree.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
