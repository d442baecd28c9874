//! Subvolumes of btrfs: folders that are copied and dropped as a whole.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::ioctl::{Opcode, opcode};

/// What `statfs` calls btrfs.
const MAGIC: u32 = 0x9123_683E;
/// The inode number of a subvolume's root.
const ROOT_INODE: u64 = 256;

/// What the kernel takes to delete a subvolume.
#[repr(C)]
struct Arguments {
    fd: i64,
    name: [u8; 4088],
}

/// What it takes to make one.
#[repr(C)]
struct ArgumentsV2 {
    fd: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

const SNAP_DESTROY: Opcode = opcode::write::<Arguments>(0x94, 15);
const SNAP_CREATE_V2: Opcode = opcode::write::<ArgumentsV2>(0x94, 23);
const SUBVOL_CREATE_V2: Opcode = opcode::write::<ArgumentsV2>(0x94, 24);

/// Whether a path lies on btrfs.
pub fn is_btrfs(path: &Path) -> io::Result<bool> {
    // The type of the number differs between machines; its lower half never does.
    Ok(crate::fs::file_system_magic(path)? as u32 == MAGIC)
}

/// Whether an open folder on btrfs is the root of a subvolume.
pub fn is_subvolume(folder: impl AsFd) -> io::Result<bool> {
    Ok(crate::fs::stat(folder, ".")?.st_ino == ROOT_INODE)
}

/// Makes an empty subvolume in a folder.
pub fn create_subvolume(folder: impl AsFd, name: &OsStr) -> io::Result<()> {
    let arguments =
        ArgumentsV2 { fd: 0, transaction: 0, flags: 0, unused: [0; 4], name: terminated(name)? };
    call(folder, SUBVOL_CREATE_V2, &arguments)
}

/// Makes a writable copy of a subvolume in a folder; the two share what they have in common.
pub fn snapshot(subvolume: impl AsFd, folder: impl AsFd, name: &OsStr) -> io::Result<()> {
    let arguments = ArgumentsV2 {
        fd: subvolume.as_fd().as_raw_fd().into(),
        transaction: 0,
        flags: 0,
        unused: [0; 4],
        name: terminated(name)?,
    };
    call(folder, SNAP_CREATE_V2, &arguments)
}

/// Deletes a subvolume of a folder with everything in it, but not if it has subvolumes in it.
pub fn delete_subvolume(folder: impl AsFd, name: &OsStr) -> io::Result<()> {
    call(folder, SNAP_DESTROY, &Arguments { fd: 0, name: terminated(name)? })
}

/// A name as the kernel wants it: without slashes, with zeros behind it.
fn terminated<const N: usize>(name: &OsStr) -> io::Result<[u8; N]> {
    let bytes = name.as_bytes();
    let mut field = [0; N];
    if bytes.is_empty() || bytes.len() >= N || bytes.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    field[..bytes.len()].copy_from_slice(bytes);
    Ok(field)
}

/// Hands arguments to the kernel, which only reads them.
fn call<T>(fd: impl AsFd, operation: Opcode, arguments: &T) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as it is borrowed. Each operation's number holds
    // the size of its `T`, all of which is initialised and outlives the call; the kernel reads that
    // much and writes nothing back. A name in it ends with a zero.
    let result = unsafe { libc::ioctl(fd, operation as libc::Ioctl, arguments) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_the_size_of_the_kernels() {
        assert_eq!(size_of::<Arguments>(), 4096);
        assert_eq!(size_of::<ArgumentsV2>(), 4096);
    }

    #[test]
    fn names_end_and_have_no_slashes() {
        let name: [u8; 4] = terminated(OsStr::new("abc")).unwrap();
        assert_eq!(&name, b"abc\0");
        for wrong in ["", "abcd", "a/b", "a\0b"] {
            assert!(terminated::<4>(OsStr::new(wrong)).is_err(), "{wrong:?}");
        }
    }
}
