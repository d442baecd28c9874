//! What of `/proc` and `/sys` is hidden, and what may only be read.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use sys::mount::Change;

use super::fresh::Fresh;
use super::root::Host;
use super::{Result, leave_open};
use crate::error::Explain;
use crate::plan::Plan;

/// What an empty folder is made with.
const EMPTY: [(&str, Option<&str>); 2] = [("nr_blocks", Some("1")), ("nr_inodes", Some("1"))];

/// Hides paths: a folder becomes empty, a file becomes the null device.
pub(super) fn mask(plan: &Plan, root: BorrowedFd<'_>, host: &Host, fresh: &Fresh) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for masked in &plan.masked {
        match fresh.find(Path::new(masked)) {
            Some((folder, name)) => mask_fresh(folder, name, host).call("mount", masked)?,
            None => mask_path(root, masked, host, &mut empty)?,
        }
    }
    Ok(())
}

/// Hides a name of the kernel's own. Which kind it is, the kernel says: a file cannot be put on a
/// folder.
fn mask_fresh(folder: BorrowedFd<'_>, name: &str, host: &Host) -> io::Result<()> {
    let target = sys::classic::path(folder).join(name);
    let covered = match sys::classic::bind(&sys::classic::path(&host.null), &target, false) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            sys::classic::create("tmpfs", "tmpfs", &EMPTY, libc::MOUNT_ATTR_RDONLY, &target)
        }
        other => other,
    };
    match covered {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}

fn mask_path(
    root: BorrowedFd<'_>,
    masked: &str,
    host: &Host,
    empty: &mut Option<OwnedFd>,
) -> Result<()> {
    let target = match sys::fs::path_in_root(root, masked) {
        Err(error) if is_missing(&error) => return Ok(()),
        other => other.call("openat2", masked)?,
    };
    let stat = rustix::fs::fstat(&target).call("fstat", masked)?;
    let is_folder = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let cover = match (is_folder, &*empty) {
        (true, None) => {
            let made = sys::mount::create("tmpfs", Some("tmpfs"), &EMPTY, libc::MOUNT_ATTR_RDONLY);
            made.call("fsmount", "tmpfs")?
        }
        // One empty folder covers all of them.
        (true, Some(empty)) => sys::mount::clone_of(empty, false).call("open_tree", masked)?,
        (false, _) => sys::mount::clone_of(&host.null, false).call("open_tree", "/dev/null")?,
    };
    sys::mount::attach_at(&cover, &target).call("move_mount", masked)?;
    leave_open(target);
    match is_folder && empty.is_none() {
        true => *empty = Some(cover),
        false => leave_open(cover),
    }
    Ok(())
}

/// Lets paths be read alone.
pub(super) fn protect(plan: &Plan, root: BorrowedFd<'_>, fresh: &Fresh) -> Result<()> {
    let change = Change { set: libc::MOUNT_ATTR_RDONLY, ..Change::default() };
    for protected in &plan.protected {
        if let Some((folder, name)) = fresh.find(Path::new(protected)) {
            let place = sys::classic::path(folder).join(name);
            match sys::classic::bind(&place, &place, true) {
                Err(error) if is_missing(&error) => continue,
                other => other.call("mount", protected)?,
            }
            sys::mount::change_at(folder, name, change, true).call("mount_setattr", protected)?;
            continue;
        }
        let target = match sys::fs::path_in_root(root, protected.as_str()) {
            Err(error) if is_missing(&error) => continue,
            other => other.call("openat2", protected)?,
        };
        let copy = sys::mount::clone_of(&target, true).call("open_tree", protected)?;
        sys::mount::change(&copy, change, true, None).call("mount_setattr", protected)?;
        sys::mount::attach_at(&copy, &target).call("move_mount", protected)?;
    }
    Ok(())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
