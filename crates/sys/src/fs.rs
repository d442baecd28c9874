//! Files below an open folder, copied, compared and made durable.

mod names;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

pub use names::{each_name, first_names, names};
pub use rustix::fs::{FileType, Stat};

/// Opens a folder to work below it.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a folder below another one; no link is followed, nothing above is reached.
pub fn folder_beneath(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(folder.as_fd(), path, flags, resolve)
}

/// The folder in which a path below another one ends, and the name that it has there; no link is
/// followed on the way, nothing above is reached.
pub fn place_beneath(folder: impl AsFd, path: &[u8]) -> io::Result<(OwnedFd, &[u8])> {
    let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    Ok((folder_beneath(folder, above)?, name))
}

/// Opens a file below a folder for reading; no link is followed, nothing above is reached.
pub fn file_beneath(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(folder.as_fd(), path, flags, resolve).map(File::from)
}

/// Opens a path as it looks to a process whose root is this folder.
pub fn file_in_root(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(folder.as_fd(), path, flags, resolve).map(File::from)
}

/// Opens a folder as it looks to a process whose root is this folder.
pub fn folder_in_root(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(folder.as_fd(), path, flags, resolve)
}

/// Names whatever a path means to a process whose root is this folder; a last link is followed.
pub fn path_in_root(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(folder.as_fd(), path, flags, resolve)
}

fn openat2(
    folder: BorrowedFd<'_>,
    path: impl rustix::path::Arg,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    path.into_with_c_str(|path| {
        loop {
            match rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve) {
                // The kernel asks to try again when a rename raced with the walk.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    })
    .map_err(io::Error::from)
}

/// Makes a new file in a folder; one that is there already, of any kind, is an error.
pub fn create_new(folder: impl AsFd, name: impl rustix::path::Arg, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode)).map(File::from)?)
}

/// Makes a new file in a folder that has no name yet; none where the file system cannot.
pub fn create_unnamed(folder: &Path, mode: u32) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(mode)) {
        // Old kernels take it for a folder that is to be written to.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        opened => Ok(Some(File::from(opened?))),
    }
}

/// Gives a name to a file that has none.
pub fn name_file(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(rustix::fs::CWD, open, rustix::fs::CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Makes a folder in a folder.
pub fn make_folder(folder: impl AsFd, name: impl rustix::path::Arg, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(mode))?)
}

/// Makes a symbolic link in a folder.
pub fn make_link(
    target: impl rustix::path::Arg,
    folder: impl AsFd,
    name: impl rustix::path::Arg,
) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, folder, name)?)
}

/// Gives a file a second name; a link at its old name is linked itself, not followed.
pub fn hard_link(
    from: impl AsFd,
    old: impl rustix::path::Arg,
    to: impl AsFd,
    new: impl rustix::path::Arg,
) -> io::Result<()> {
    Ok(rustix::fs::linkat(from, old, to, new, AtFlags::empty())?)
}

/// Makes a device, a pipe or a socket in a folder.
pub fn make_node(
    folder: impl AsFd,
    name: impl rustix::path::Arg,
    mode: u32,
    device: (u32, u32),
) -> io::Result<()> {
    let kind = FileType::from_raw_mode(mode);
    let device = rustix::fs::makedev(device.0, device.1);
    Ok(rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(mode & 0o7777), device)?)
}

/// Sets a file's owner; a link itself, not what it leads to.
pub fn set_owner(
    folder: impl AsFd,
    name: impl rustix::path::Arg,
    uid: u32,
    gid: u32,
) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    Ok(rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets a file's permission bits; never call it on a link.
pub fn set_mode(folder: impl AsFd, name: impl rustix::path::Arg, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(folder, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// Sets a file's modification time (and the access time with it); a link itself.
pub fn set_mtime(
    folder: impl AsFd,
    name: impl rustix::path::Arg,
    seconds: i64,
    nanos: u32,
) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A file's attributes; a link's own.
pub fn stat(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Stat> {
    Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Removes a name that is no folder.
pub fn remove_file(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
}

/// Removes an empty folder.
pub fn remove_folder(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// Renames within or between folders.
pub fn rename(
    from: impl AsFd,
    old: impl rustix::path::Arg,
    to: impl AsFd,
    new: impl rustix::path::Arg,
) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, old, to, new)?)
}

/// Where a link leads.
pub fn read_link(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes())
}

/// Copies `bytes` from one file's offset to another's, by reference where the file systems can,
/// and says how many were there to copy.
pub fn copy_range(
    from: &File,
    mut at: u64,
    to: &File,
    mut put: u64,
    bytes: u64,
) -> io::Result<u64> {
    let mut left = bytes;
    while left > 0 {
        let chunk = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut put), chunk) {
            Ok(0) => break,
            Ok(copied) => left -= copied as u64,
            Err(Errno::INTR) => {}
            // Between some file systems, into pipes and appended files the kernel will not.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => {
                return Ok(bytes - left + copy_slowly(from, at, to, put, left)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes - left)
}

fn copy_slowly(from: &File, mut at: u64, to: &File, mut put: u64, bytes: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = match from.read_at(&mut buffer[..wanted], at) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all_at(&buffer[..got], put)?;
        (at, put, left) = (at + got as u64, put + got as u64, left - got as u64);
    }
    Ok(bytes - left)
}

/// Sends `bytes` from a file's offset into a pipe, a socket or a file at its position.
pub fn send_range(from: &File, at: u64, to: impl AsFd, bytes: u64) -> io::Result<u64> {
    let (mut at, mut left) = (at, bytes);
    while left > 0 {
        let chunk = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::sendfile(&to, from, Some(&mut at), chunk) {
            Ok(0) => break,
            Ok(sent) => left -= sent as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes - left)
}

/// Makes a reference copy of a whole file where the file system can.
pub fn clone_file(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// Where a file has data at or behind a place, if not only a hole follows. A file system that knows
/// no holes has data everywhere.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    use rustix::io::Errno;
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}

/// Makes a folder's names durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything on the file system that holds `file` durable.
pub fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Tells the kernel that a file's cached pages are not needed.
pub fn drop_cache(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// The same of a part of it. What is not on the disk yet stays, and starts to be written.
pub fn drop_range(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, at, NonZeroU64::new(bytes), rustix::fs::Advice::DontNeed)?)
}

/// Free bytes for this user and all bytes of the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

/// The magic number of the file system that holds `path`.
pub fn file_system_magic(path: &Path) -> io::Result<i64> {
    #[allow(clippy::unnecessary_cast)]
    Ok(rustix::fs::statfs(path)?.f_type as i64)
}

/// Whether something is mounted on a name in a folder.
pub fn is_mount_root(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<bool> {
    use rustix::fs::{StatxAttributes, StatxFlags};
    let stat = rustix::fs::statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Which mount an open file stands in; its number is another's as soon as it is gone.
pub fn mount_number(file: impl AsFd) -> io::Result<u64> {
    use rustix::fs::StatxFlags;
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(stat.stx_mnt_id)
}

/// All extended attributes of a file below a folder; a link's own, through its path in `/proc`.
pub fn xattrs(file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    use std::os::fd::AsRawFd;
    // An O_PATH descriptor has no attribute calls of its own; its path in /proc has.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let mut list = Vec::new();
    let names = grow(|buffer| rustix::fs::listxattr(&path, buffer))?;
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let value = grow(|buffer| rustix::fs::getxattr(&path, name, buffer))?;
        list.push((name.to_vec(), value));
    }
    list.sort();
    Ok(list)
}

fn grow(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(bytes) => {
                buffer.truncate(bytes);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a file of any kind to name it, not to read it; a link is not followed.
pub fn open_path(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// Sets an extended attribute of the file that a descriptor names, a link's own included.
pub fn set_xattr(file: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty())?)
}

/// Removes a tree below an open folder without following anything out of it. What cannot be
/// removed is left, and the first error is told at the end.
pub fn remove_tree(folder: impl AsFd, name: &OsStr) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder.as_fd();
    match remove_file(folder, name) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {}
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
        Err(error) => return Err(error),
    }
    let inner = folder_beneath(folder, name)?;
    let mut first = Ok(());
    for (child, _) in names(&inner)? {
        first = first.and(remove_tree(&inner, OsStr::from_bytes(&child)));
    }
    first.and(remove_folder(folder, name))
}
