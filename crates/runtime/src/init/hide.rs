//! What of `/proc` and `/sys` is hidden, and what may only be read.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::FileType;
use sys::mount::Change;

use super::fresh::Fresh;
use super::root::Host;
use super::{Result, leave_open};
use crate::error::Explain;
use crate::plan::Plan;

/// Where nearly all of it is.
const PROC: &str = "/proc";
/// What an empty folder is made with.
const EMPTY: [(&str, Option<&str>); 2] = [("nr_blocks", Some("1")), ("nr_inodes", Some("1"))];

/// Names that are folders wherever they are known.
const FOLDERS: [&str; 5] = ["acpi", "asound", "scsi", "firmware", "powercap"];

/// What the kernel has in `/proc` besides processes, which a container's policy names and many a
/// kernel lacks: looked at once, so that nothing is done to what is not there.
pub(super) struct Known(Option<BTreeMap<Vec<u8>, FileType>>);

impl Known {
    pub(super) fn of(fresh: &Fresh) -> Known {
        Known(fresh.at(Path::new(PROC)).and_then(Known::list))
    }

    /// The kernel gives its own names first and processes last. So one call gives all of them, and
    /// where it does not that is seen.
    fn list(processes: BorrowedFd<'_>) -> Option<BTreeMap<Vec<u8>, FileType>> {
        let names = sys::fs::first_names(processes).ok()?;
        let is_process = |name: &[u8]| name.first().is_some_and(u8::is_ascii_digit);
        names.iter().any(|(name, _)| is_process(name)).then(|| names.into_iter().collect())
    }

    /// Whether a path is certainly not there.
    fn lacks(&self, path: &Path) -> bool {
        let (Some(names), Some(name)) = (&self.0, path.file_name()) else { return false };
        path.parent() == Some(Path::new(PROC)) && !names.contains_key(name.as_encoded_bytes())
    }

    /// Whether something in `/proc` or `/sys` is a folder, as far as that is known.
    fn is_folder(&self, name: &str) -> bool {
        let kind = self.0.as_ref().and_then(|names| names.get(name.as_bytes()));
        kind.map_or_else(|| FOLDERS.contains(&name), |kind| *kind == FileType::Directory)
    }
}

/// Hides paths: a folder becomes empty, a file becomes the null device.
pub(super) fn mask(
    plan: &Plan,
    root: BorrowedFd<'_>,
    host: &Host,
    fresh: &Fresh,
    known: &Known,
) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for masked in &plan.masked {
        match fresh.find(Path::new(masked)) {
            Some(_) if known.lacks(Path::new(masked)) => {}
            Some((folder, name)) => {
                let is_folder = known.is_folder(name);
                mask_fresh(folder, name, is_folder, host).call("mount", masked)?;
            }
            None => mask_path(root, masked, host, &mut empty)?,
        }
    }
    Ok(())
}

/// Hides a name of the kernel's own. Which kind it is, the kernel says: a file cannot be put on a
/// folder.
fn mask_fresh(folder: BorrowedFd<'_>, name: &str, is_folder: bool, host: &Host) -> io::Result<()> {
    let target = sys::classic::path(folder).join(name);
    let as_file = || sys::classic::bind(&sys::classic::path(&host.null), &target, false);
    let as_folder =
        || sys::classic::create("tmpfs", "tmpfs", &EMPTY, libc::MOUNT_ATTR_RDONLY, &target);
    let (likely, other): (&dyn Fn() -> _, &dyn Fn() -> _) = match is_folder {
        true => (&as_folder, &as_file),
        false => (&as_file, &as_folder),
    };
    let covered = match likely() {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => other(),
        done => done,
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
pub(super) fn protect(
    plan: &Plan,
    root: BorrowedFd<'_>,
    fresh: &Fresh,
    known: &Known,
) -> Result<()> {
    let bits = libc::MOUNT_ATTR_RDONLY;
    let change = Change { set: bits, ..Change::default() };
    let own = plan
        .mounts
        .iter()
        .any(|mount| mount.target == Path::new(PROC) && mount.change.set & bits != 0);
    // What is bound of a mount that can only be read can only be read: set once for all of them.
    let processes = fresh.at(Path::new(PROC)).filter(|_| !own);
    if let Some(processes) = processes {
        sys::mount::change(processes, change, false, None).call("mount_setattr", PROC)?;
    }
    for protected in &plan.protected {
        let path = Path::new(protected);
        if let Some((folder, name)) = fresh.find(path) {
            if known.lacks(path) {
                continue;
            }
            let place = sys::classic::path(folder).join(name);
            match sys::classic::bind(&place, &place, true) {
                Err(error) if is_missing(&error) => continue,
                other => other.call("mount", protected)?,
            }
            if path.parent() != Some(Path::new(PROC)) {
                let set = sys::mount::change_at(folder, name, change, true);
                set.call("mount_setattr", protected)?;
            }
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
    match processes {
        Some(processes) => {
            let back = Change { clear: bits, ..Change::default() };
            sys::mount::change(processes, back, false, None).call("mount_setattr", PROC)
        }
        None => Ok(()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
