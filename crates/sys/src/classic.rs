//! Mounts made the classic way: one call each, where [`crate::mount`] takes five.
//!
//! Targets are paths through descriptors ([`path`]), so that what was opened once is not looked for
//! again; the process must have the host's `/proc`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

/// The path of what a descriptor names, for as long as it is open.
pub fn path(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

/// Mounts a new file system of a type, with options as `mount -o` takes them and attributes as
/// [`crate::mount::create`] does. Says less of what is wrong with an option than that one.
pub fn create(
    kind: &str,
    source: &str,
    options: &[(&str, Option<&str>)],
    attributes: u64,
    target: &Path,
) -> io::Result<()> {
    let mut data = String::new();
    for (key, value) in options {
        if key.contains(',') || value.is_some_and(|value| value.contains(',')) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let comma = if data.is_empty() { "" } else { "," };
        data += &match value {
            Some(value) => format!("{comma}{key}={value}"),
            None => format!("{comma}{key}"),
        };
    }
    let data = CString::new(data)?;
    Ok(rustix::mount::mount(source, target, kind, flags(attributes)?, Some(data.as_c_str()))?)
}

/// Mounts what is at a path at another one too; with `recursive`, with the mounts below it.
pub fn bind(source: &Path, target: &Path, recursive: bool) -> io::Result<()> {
    Ok(match recursive {
        true => rustix::mount::mount_bind_recursive(source, target),
        false => rustix::mount::mount_bind(source, target),
    }?)
}

/// Attributes in the classic call's words.
fn flags(attributes: u64) -> io::Result<MountFlags> {
    const WORDS: [(u64, MountFlags); 7] = [
        (libc::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (libc::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (libc::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (libc::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (libc::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (libc::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
        (libc::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
    ];
    let known = WORDS.iter().fold(0, |known, (bit, _)| known | bit);
    if attributes & !known != 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let set = WORDS.iter().filter(|(bit, _)| attributes & bit != 0);
    Ok(set.fold(MountFlags::empty(), |flags, (_, flag)| flags | *flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_classic_names_or_are_refused() {
        let both = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;
        assert_eq!(flags(both).unwrap(), MountFlags::RDONLY | MountFlags::NOSUID);
        assert_eq!(flags(0).unwrap(), MountFlags::empty());
        assert!(flags(libc::MOUNT_ATTR_NOSYMFOLLOW).is_err());
    }

    #[test]
    fn an_option_with_a_comma_would_be_two() {
        let options = [("mpol", Some("bind:0,1"))];
        let made = create("tmpfs", "tmpfs", &options, 0, Path::new("/nowhere"));
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
