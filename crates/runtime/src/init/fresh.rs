//! File systems that this process has made a moment ago: `/dev`, `/proc` and `/sys`.
//!
//! Nobody else has put anything into them, so a name in one is what it says, and one call does what
//! takes several where an image decides what a path means.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the kernel itself has links among its names.
const LINKS: [&str; 4] = ["self", "thread-self", "mounts", "net"];

/// The file systems, each with the place where it was put.
pub(super) struct Fresh {
    made: Vec<(PathBuf, OwnedFd)>,
    /// Whether paths through descriptors work: they do not where the host's `/proc` shows other
    /// processes than ours.
    pub(super) has_paths: bool,
}

impl Fresh {
    pub(super) fn new(has_paths: bool) -> Fresh {
        Fresh { made: Vec::new(), has_paths }
    }

    /// Whether a new file system here is one that others are looked for in.
    pub(super) fn wants(kind: &str, target: &Path) -> bool {
        let places = [("tmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")];
        places.iter().any(|(of, place)| *of == kind && target == Path::new(place))
    }

    /// Adds one.
    pub(super) fn add(&mut self, target: &Path, mount: OwnedFd) {
        self.made.push((target.to_owned(), mount));
    }

    /// Something else is put here: what is below is no longer reached.
    pub(super) fn cover(&mut self, target: &Path) {
        self.made.retain(|(place, _)| !place.starts_with(target));
    }

    /// One by its place.
    pub(super) fn at(&self, target: &Path) -> Option<BorrowedFd<'_>> {
        self.made.iter().find(|(place, _)| place == target).map(|(_, mount)| mount.as_fd())
    }

    /// Keeps the descriptors open: see [`super::leave_open`].
    pub(super) fn leave_open(self) {
        self.made.into_iter().for_each(|(_, mount)| super::leave_open(mount));
    }

    /// For a path directly in one of them that a classic call may name: that file system, and the
    /// name in it.
    pub(super) fn find<'a>(&self, path: &'a Path) -> Option<(BorrowedFd<'_>, &'a str)> {
        if !self.has_paths {
            return None;
        }
        let name = path.file_name()?.to_str()?;
        let plain = !LINKS.contains(&name) && !name.starts_with(|c: char| c.is_ascii_digit());
        // A path that is written in another way means the same, and is looked up.
        let folder = path.parent().filter(|above| plain && above.join(name) == path)?;
        Some((self.at(folder)?, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_directly_inside_are_found() {
        let mut fresh = Fresh::new(true);
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        fresh.add(Path::new("/proc"), file());
        fresh.add(Path::new("/dev"), file());
        let found = |path: &str, fresh: &Fresh| {
            fresh.find(Path::new(path)).map(|(_, name)| name.to_owned())
        };
        assert_eq!(found("/proc/keys", &fresh).as_deref(), Some("keys"));
        assert_eq!(found("/dev/shm", &fresh).as_deref(), Some("shm"));
        for path in ["/proc", "/proc/self", "/proc/1", "/proc/sys/kernel", "/dev/..", "/etc/x"] {
            assert_eq!(found(path, &fresh), None, "{path}");
        }
        fresh.cover(Path::new("/proc"));
        assert_eq!(found("/proc/keys", &fresh), None);
        assert_eq!(found("/dev/pts", &fresh).as_deref(), Some("pts"));
        fresh.has_paths = false;
        assert_eq!(found("/dev/pts", &fresh), None);
    }
}
