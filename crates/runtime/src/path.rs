//! Paths inside a container's root: made and opened without ever leaving it.
//!
//! What a path means is asked of the kernel with the root as its top, so links lead where they
//! lead inside; what comes back is a descriptor, and the path is not used again.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What is made where nothing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    /// A folder.
    Folder,
    /// An empty file.
    File,
}

/// How many links are followed, as in the kernel.
const MOST_LINKS: usize = 40;

/// Opens what is at a path, and makes it and the folders above it where they are missing. A link
/// that leads to nothing has its target made, inside.
pub(crate) fn ensure(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    ensure_as(root, path, || Ok(missing))
}

/// The same, for those who have to look first at what is to be made.
pub(crate) fn ensure_as(
    root: BorrowedFd<'_>,
    path: &Path,
    missing: impl FnOnce() -> io::Result<Missing>,
) -> io::Result<OwnedFd> {
    // Nearly always it is there.
    match sys::fs::path_in_root(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let missing = missing()?;
    let mut rest: Vec<PathBuf> = normal(path).rev().collect();
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == Path::new("..") {
            here.pop();
            continue;
        }
        let folder = sys::fs::path_in_root(root, &here)?;
        let last = rest.is_empty();
        match make(folder.as_fd(), name.as_os_str(), last, missing) {
            Ok(()) => here.push(&name),
            Err(Errno::EXIST) => match rustix::fs::readlinkat(&folder, &name, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = Path::new(OsStr::from_bytes(target.to_bytes()));
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    rest.extend(normal(target).rev());
                }
                Err(_) => here.push(&name),
            },
            Err(error) => return Err(error.into()),
        }
    }
    sys::fs::path_in_root(root, &here)
}

/// A path's names without dots; `..` stays.
fn normal(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    })
}

/// Makes one name in a folder: as `missing` says if it is the last of its path.
pub(crate) fn make(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    last: bool,
    missing: Missing,
) -> rustix::io::Result<()> {
    if last && missing == Missing::File {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        return rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644)).map(drop);
    }
    rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755))
}

/// Opens the folder that holds what a path names, and the name in it; makes the folder where it is
/// missing.
pub(crate) fn parent(root: BorrowedFd<'_>, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new("/"));
    Ok((ensure(root, above, Missing::Folder)?, PathBuf::from(name)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// What was made where, below a root with hostile links in it.
    #[track_caller]
    fn check(path: &str, missing: Missing, made: &str) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink("/etc/inner", root.join("dangling")).unwrap();
        symlink("../../../../outside", root.join("up")).unwrap();
        let folder = sys::fs::open_folder(&root).unwrap();
        ensure(folder.as_fd(), Path::new(path), missing).unwrap();
        let meta = fs::symlink_metadata(root.join(made)).unwrap();
        assert_eq!(meta.is_file(), missing == Missing::File);
        assert!(!place.path().join("outside").exists(), "it left its root");
    }

    #[test]
    fn paths_are_made_inside() {
        check("/a/b/c", Missing::Folder, "a/b/c");
        check("/a/b/c", Missing::File, "a/b/c");
        check("/dangling/x", Missing::File, "etc/inner/x");
        check("/dangling", Missing::File, "etc/inner");
        check("/up/x", Missing::Folder, "outside/x");
        check("/../../../etc/y", Missing::Folder, "etc/y");
    }

    #[test]
    fn links_in_a_circle_end() {
        let place = tempfile::tempdir().unwrap();
        symlink("b", place.path().join("a")).unwrap();
        symlink("a", place.path().join("b")).unwrap();
        let folder = sys::fs::open_folder(place.path()).unwrap();
        assert!(ensure(folder.as_fd(), Path::new("/a/x"), Missing::Folder).is_err());
    }
}
