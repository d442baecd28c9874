//! What a folder holds, copied into a new file system that will cover it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::Result;
use crate::error::Explain;

/// Copies a folder's attributes and all in it. Both ends are open folders; links are copied, never
/// followed.
pub(super) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The source may be a descriptor that only names the folder.
    let from = rustix::fs::openat(from, ".", flags, Mode::empty()).call("openat", ".")?;
    let stat = rustix::fs::fstat(&from).call("fstat", ".")?;
    let to = rustix::fs::openat(to, ".", flags, Mode::empty()).call("openat", ".")?;
    rustix::fs::fchown(&to, Some(uid(&stat)), Some(gid(&stat))).call("fchown", ".")?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777)).call("fchmod", ".")?;
    for (name, _) in sys::fs::names(&from).call("getdents64", ".")? {
        entry(&from, &to, &name)?;
    }
    Ok(())
}

fn entry(from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<()> {
    let shown = String::from_utf8_lossy(name).into_owned();
    let follow = AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statat(from, name, follow).call("fstatat", &shown)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode).call("mkdirat", &shown)?;
            let inner = sys::fs::folder_beneath(from, name).call("openat2", &shown)?;
            let copy = sys::fs::folder_beneath(to, name).call("openat2", &shown)?;
            return tree(inner.as_fd(), copy.as_fd());
        }
        FileType::Symlink => {
            let target = sys::fs::read_link(from, name).call("readlinkat", &shown)?;
            rustix::fs::symlinkat(target, to, name).call("symlinkat", &shown)?;
        }
        FileType::RegularFile => {
            let source = sys::fs::file_beneath(from, name).call("openat2", &shown)?;
            let target = sys::fs::create_new(to, name, 0o600).call("openat", &shown)?;
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            sys::fs::copy_range(&source, 0, &target, 0, bytes).call("copy_file_range", &shown)?;
            rustix::fs::fchown(&target, Some(uid(&stat)), Some(gid(&stat)))
                .call("fchown", &shown)?;
            return rustix::fs::fchmod(&target, mode).call("fchmod", &shown);
        }
        kind => {
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev).call("mknodat", &shown)?;
        }
    }
    rustix::fs::chownat(to, name, Some(uid(&stat)), Some(gid(&stat)), follow)
        .call("fchownat", &shown)
}

fn uid(stat: &rustix::fs::Stat) -> Uid {
    Uid::from_raw(stat.st_uid)
}

fn gid(stat: &rustix::fs::Stat) -> Gid {
    Gid::from_raw(stat.st_gid)
}
