//! The writable top that overlay puts on a stack: a folder of changes and one for overlay's own use.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use image::folder::Marks;
use sys::fs::Stat;
use sys::mount::Upper;

use super::{Lasting, Users};
use crate::error::{Result, StoreError};
use crate::paths::Paths;
use crate::remove::remove_all;

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
    users: Option<Users<'_>>,
) -> Result<OwnedFd> {
    let mapped = |users: Users<'_>| {
        users.map(sys::fs::open_folder(folder).map_err(StoreError::io("open", folder))?)
    };
    let top = users.map(mapped).transpose()?;
    // A mapped top has no name but this one.
    let named = |top: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", top.as_raw_fd()));
    let place = top.as_ref().map_or_else(|| folder.to_owned(), named);
    let (upper, work) = (upper(&place), work(&place));
    let skeleton = match users {
        None => skeleton(paths)?,
        Some(users) => users.map(skeleton(paths)?)?,
    };
    let mut lower: Vec<_> = below.iter().rev().map(AsFd::as_fd).collect();
    // Lowest, so that whatever an image has there counts.
    lower.push(skeleton.as_fd());
    super::must_fit(lower.len(), 1)?;
    let options: &[(&str, &str)] = if marks == Marks::User { &[("userxattr", "")] } else { &[] };
    let mount = || {
        let volatile = lasting == Lasting::ThrownAway;
        // Lists of mounts say only by its name whose top a mapped one is.
        let name = if users.is_some() { folder } else { Path::new("overlay") };
        let upper = Upper { upper: &upper, work: &work, volatile, name };
        let mount = || sys::mount::overlay(&lower, Some(upper), options);
        match users {
            None => mount(),
            // What overlay makes for itself must belong to somebody whom the map knows.
            Some(Users { root: (user, group), .. }) => {
                sys::owner::making_for(user, group, mount).flatten()
            }
        }
    };
    let mounted = match mount() {
        Err(_) if forget_volatile(&self::work(folder))? => mount(),
        other => other,
    };
    mounted.map_err(|source| match users {
        None => StoreError::Mount { driver: super::DriverKind::Overlay, source },
        Some(_) => StoreError::MapUsers { source },
    })
}

/// Where the changes are.
pub(super) fn upper(folder: &Path) -> PathBuf {
    folder.join("upper")
}

/// What overlay keeps for itself.
pub(super) fn work(folder: &Path) -> PathBuf {
    folder.join("work")
}

/// Overlay refuses a work folder that was used without syncing, since what is above may be lost
/// after a crash. Whoever throws a top away does not mind. Says whether it was such a one.
fn forget_volatile(work: &Path) -> Result<bool> {
    let mark = work.join("work/incompat");
    match fs::symlink_metadata(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", &mark)(error)),
        Ok(_) => remove_all(&work.join("work")).map(|()| true),
    }
}

/// Removes the folders of a top to which nothing was written, without looking for what is in them;
/// fails at the first that is not as it was made.
pub(crate) fn remove_empty(folder: &Path) -> io::Result<()> {
    fs::remove_dir(upper(folder))?;
    let work = work(folder);
    let mark = work.join("work/incompat/volatile");
    match fs::remove_file(mark.join("dirty")) {
        Ok(()) => {
            fs::remove_dir(&mark)?;
            fs::remove_dir(work.join("work/incompat"))?;
            fs::remove_dir(work.join("work"))?;
        }
        // One that was synced has no mark, one that was never mounted no folder either.
        Err(_) => drop(fs::remove_dir(work.join("work"))),
    }
    fs::remove_dir(work)
}

/// What stands in a place of the skeleton.
#[derive(Clone, Copy)]
enum Given {
    Folder,
    /// An empty file with these permissions.
    File(u32),
    Link(&'static str),
}

/// Where containers have their mounts although their images have nothing there: folders and empty
/// files below every stack, so that they do not count as changes of the container.
const SKELETON: [(&str, Given); 12] = [
    ("dev", Given::Folder),
    ("dev/pts", Given::Folder),
    ("dev/shm", Given::Folder),
    ("dev/mqueue", Given::Folder),
    ("proc", Given::Folder),
    ("sys", Given::Folder),
    ("etc", Given::Folder),
    ("etc/hosts", Given::File(0o644)),
    ("etc/hostname", Given::File(0o644)),
    ("etc/resolv.conf", Given::File(0o644)),
    ("etc/mtab", Given::Link("/proc/mounts")),
    (".dockerenv", Given::File(0o755)),
];

/// The time of everything in the skeleton; whatever is done to it leaves another.
const GIVEN_TIME: (i64, u32) = (0, 0);

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
        Err(_) if folder.exists() => remove_all(&aside)?,
        other => other.map_err(StoreError::io("rename", &aside))?,
    }
    sys::fs::open_folder(&folder).map_err(StoreError::io("open", &folder))
}

fn fill_skeleton(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    add_skeleton(sys::fs::open_folder(folder)?.as_fd())
}

/// Adds what a tree has not got of the skeleton; the times of its folders stay.
pub(super) fn add_skeleton(root: BorrowedFd<'_>) -> io::Result<()> {
    for (path, given) in SKELETON {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let above = match sys::fs::folder_beneath(root, above) {
            Ok(above) => above,
            // The image has a file or a link where the folder would be, and that counts.
            Err(error) if is_no_folder(&error) => continue,
            Err(error) => return Err(error),
        };
        match sys::fs::stat(&above, name) {
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let before = sys::fs::stat(&above, ".")?;
        match given {
            Given::Folder => sys::fs::make_folder(&above, name, 0o755)?,
            Given::File(mode) => drop(sys::fs::create_new(&above, name, mode)?),
            Given::Link(target) => sys::fs::make_link(target, &above, name)?,
        }
        if let Given::Folder | Given::File(_) = given {
            // Without what the process masks.
            sys::fs::set_mode(&above, name, given.mode() & 0o7777)?;
        }
        sys::fs::set_mtime(&above, name, GIVEN_TIME.0, GIVEN_TIME.1)?;
        sys::fs::set_mtime(&above, ".", before.st_mtime, before.st_mtime_nsec as u32)?;
    }
    Ok(())
}

/// Whether what stands at a path of a tree is of the skeleton and as it was made.
pub(crate) fn is_given(path: &[u8], stat: &Stat) -> bool {
    let is_at = |name: &str| path.strip_prefix(b"/") == Some(name.as_bytes());
    SKELETON.iter().any(|(name, given)| is_at(name) && given.mode() == stat.st_mode)
        && (stat.st_mtime, stat.st_mtime_nsec as u32) == GIVEN_TIME
        && stat.st_uid == sys::host::user_id()
}

impl Given {
    /// Its kind and permissions.
    fn mode(self) -> u32 {
        match self {
            Given::Folder => 0o040_755,
            Given::File(mode) => 0o100_000 | mode,
            Given::Link(_) => 0o120_777,
        }
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::NotFound | E::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
