//! The writable top that overlay puts on a stack: a folder of changes and one for overlay's own use.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use image::folder::Marks;
use sys::mount::Upper;

use super::Lasting;
use crate::error::{Result, StoreError};
use crate::gc;
use crate::paths::Paths;

/// Makes the folders of a top. The root of the merged tree has the attributes of the topmost
/// folder, so that one gets those of the root below it.
pub(super) fn branch(below: Option<BorrowedFd<'_>>, folder: &Path) -> Result<()> {
    let (upper, work) = (upper(folder), work(folder));
    fs::create_dir(&upper).map_err(StoreError::io("create", &upper))?;
    fs::create_dir(&work).map_err(StoreError::io("create", &work))?;
    let Some(below) = below else { return Ok(()) };
    let root = sys::fs::stat(below, ".").map_err(StoreError::io("read", &upper))?;
    let own = fs::metadata(&upper).map_err(StoreError::io("read", &upper))?;
    if (own.uid(), own.gid()) != (root.st_uid, root.st_gid) {
        let given = chown(&upper, Some(root.st_uid), Some(root.st_gid));
        given.map_err(StoreError::io("change the owner of", &upper))?;
    }
    if own.mode() & 0o7777 != root.st_mode & 0o7777 {
        let mode = fs::Permissions::from_mode(root.st_mode & 0o7777);
        fs::set_permissions(&upper, mode).map_err(StoreError::io("change the mode of", &upper))?;
    }
    Ok(())
}

/// Stacks the top on mounts or folders, bottom first.
pub(super) fn mount(
    paths: &Paths,
    below: &[OwnedFd],
    folder: &Path,
    marks: Marks,
    lasting: Lasting,
) -> Result<OwnedFd> {
    let (upper, work) = (upper(folder), work(folder));
    forget_volatile(&work)?;
    let skeleton = skeleton(paths)?;
    let mut lower: Vec<_> = below.iter().rev().map(AsFd::as_fd).collect();
    // Lowest, so that whatever an image has there counts.
    lower.push(skeleton.as_fd());
    let upper = Upper { upper: &upper, work: &work, volatile: lasting == Lasting::ThrownAway };
    let options: &[(&str, &str)] = if marks == Marks::User { &[("userxattr", "")] } else { &[] };
    sys::mount::overlay(&lower, Some(upper), options)
        .map_err(|source| StoreError::Mount { driver: super::DriverKind::Overlay, source })
}

/// Where the changes are.
pub(super) fn upper(folder: &Path) -> PathBuf {
    folder.join("upper")
}

fn work(folder: &Path) -> PathBuf {
    folder.join("work")
}

/// Overlay refuses a work folder that was used without syncing, since what is above may be lost
/// after a crash. Whoever throws a top away does not mind.
fn forget_volatile(work: &Path) -> Result<()> {
    let mark = work.join("work/incompat");
    match fs::symlink_metadata(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("read", &mark)(error)),
        Ok(_) => gc::remove_all(&work.join("work")),
    }
}

/// Where containers have their mounts although their images have nothing there: folders and empty
/// files below every stack, so that they do not count as changes of the container.
const SKELETON: [(&str, Option<u32>); 11] = [
    ("dev", None),
    ("dev/pts", None),
    ("dev/shm", None),
    ("dev/mqueue", None),
    ("proc", None),
    ("sys", None),
    ("etc", None),
    ("etc/hosts", Some(0o644)),
    ("etc/hostname", Some(0o644)),
    ("etc/resolv.conf", Some(0o644)),
    (".dockerenv", Some(0o755)),
];

/// The skeleton's folder, made now if this boot has none yet.
pub(super) fn skeleton(paths: &Paths) -> Result<OwnedFd> {
    let folder = paths.run().join("skeleton");
    if let Ok(found) = sys::fs::open_folder(&folder) {
        return Ok(found);
    }
    crate::paths::create_private(paths.run())?;
    let name = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
    let aside = paths.run().join(format!("skeleton-{name}"));
    fill_skeleton(&aside).map_err(StoreError::io("create", &aside))?;
    match fs::rename(&aside, &folder) {
        // Somebody else was quicker with the same thing.
        Err(_) if folder.exists() => gc::remove_all(&aside)?,
        other => other.map_err(StoreError::io("rename", &aside))?,
    }
    sys::fs::open_folder(&folder).map_err(StoreError::io("open", &folder))
}

fn fill_skeleton(folder: &Path) -> io::Result<()> {
    let open = |mode| fs::Permissions::from_mode(mode);
    fs::create_dir(folder)?;
    fs::set_permissions(folder, open(0o755))?;
    for (name, file) in SKELETON {
        let path = folder.join(name);
        match file {
            None => fs::create_dir(&path)?,
            Some(_) => fs::write(&path, "")?,
        }
        fs::set_permissions(&path, open(file.unwrap_or(0o755)))?;
    }
    std::os::unix::fs::symlink("/proc/mounts", folder.join("etc/mtab"))
}
