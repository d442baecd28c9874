//! What this kernel can do, asked by trying.

use std::fs;
use std::io;

use rustix::mount::{FsOpenFlags, fsopen};

/// Something that mica uses where it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    /// Read-only images, mounted from a file since Linux 6.12.
    Erofs,
    /// Folders on top of each other.
    Overlay,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            FileSystem::Erofs => "erofs",
            FileSystem::Overlay => "overlay",
        }
    }
}

/// Whether the kernel knows a file system and lets this process mount it.
pub fn file_system(which: FileSystem) -> io::Result<()> {
    match fsopen(which.name(), FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok(()),
        Err(rustix::io::Errno::NODEV) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("the kernel has no {} file system", which.name()),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Whether a file system is among those the kernel has loaded.
pub fn is_listed(name: &str) -> bool {
    fs::read_to_string("/proc/filesystems")
        .is_ok_and(|list| list.lines().any(|line| line.split_whitespace().last() == Some(name)))
}
