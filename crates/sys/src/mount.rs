//! Mounts made by descriptors: built while nobody sees them, then put in place.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    move_mount, open_tree,
};

/// Mounts an EROFS image file whose data lies in `device`, read-only, detached.
pub fn erofs(image: &Path, device: &Path, direct: bool) -> io::Result<OwnedFd> {
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    explain(&context, fsconfig_set_string(&context, "source", image))?;
    explain(&context, fsconfig_set_string(&context, "device", device))?;
    if direct {
        explain(&context, fsconfig_set_flag(&context, "directio"))?;
    }
    explain(&context, fsconfig_set_flag(&context, "ro"))?;
    explain(&context, fsconfig_create(&context))?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, for_looking())?)
}

/// The attributes of a mount that is only looked into: what is in an image gives nobody on the
/// host a set-user-id program or a device.
fn for_looking() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
}

/// The writable part of an overlay.
pub struct Upper<'a> {
    /// Where changes go.
    pub upper: &'a Path,
    /// An empty folder on the same file system, for overlay's own use.
    pub work: &'a Path,
    /// Nothing is synced: for what is thrown away anyway.
    pub volatile: bool,
    /// What the mount is called in lists of mounts.
    pub name: &'a Path,
}

/// Stacks folders or mounts, top first, into one tree, detached. Without an upper part it is
/// read-only and needs two lower ones.
pub fn overlay(
    lower: &[BorrowedFd<'_>],
    upper: Option<Upper<'_>>,
    options: &[(&str, &str)],
) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let name = upper.as_ref().map_or(Path::new("overlay"), |upper| upper.name);
    explain(&context, fsconfig_set_string(&context, "source", name))?;
    for layer in lower {
        explain(&context, set_fd(&context, "lowerdir+", *layer))?;
    }
    if let Some(upper) = &upper {
        explain(&context, fsconfig_set_string(&context, "upperdir", upper.upper))?;
        explain(&context, fsconfig_set_string(&context, "workdir", upper.work))?;
        if upper.volatile {
            explain(&context, fsconfig_set_flag(&context, "volatile"))?;
        }
    }
    for (key, value) in options {
        match value.is_empty() {
            true => explain(&context, fsconfig_set_flag(&context, *key))?,
            false => explain(&context, fsconfig_set_string(&context, *key, *value))?,
        }
    }
    explain(&context, fsconfig_create(&context))?;
    let attributes = match upper {
        Some(_) => MountAttrFlags::empty(),
        None => for_looking(),
    };
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Passes a layer to overlay by descriptor, or by its path in `/proc` on a kernel that knows
/// `lowerdir+` only as a string.
fn set_fd(context: &OwnedFd, key: &str, layer: BorrowedFd<'_>) -> rustix::io::Result<()> {
    match rustix::mount::fsconfig_set_fd(context, key, layer) {
        Err(rustix::io::Errno::INVAL) => {
            fsconfig_set_string(context, key, format!("/proc/self/fd/{}", layer.as_raw_fd()))
        }
        other => other,
    }
}

/// A second, detached mount of what is at a path; with `recursive`, of the mounts below it too.
pub fn clone(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(CWD, path, flags)?)
}

/// What is changed of a mount: bits of `MOUNT_ATTR_*`, and how it passes events on (`MS_PRIVATE`
/// and so on, 0 for no change).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Bits that are put on.
    pub set: u64,
    /// Bits that are taken off.
    pub clear: u64,
    /// How events are passed on.
    pub propagation: u64,
}

/// Changes a mount, with `recursive` those below it too; with a user namespace, maps its users.
pub fn change(
    mount: impl AsFd,
    change: Change,
    recursive: bool,
    users: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = attributes(change);
    if let Some(users) = users {
        attributes.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attributes.userns_fd = u64::try_from(users.as_raw_fd()).map_err(io::Error::other)?;
    }
    set_attributes(mount.as_fd(), c"", libc::AT_EMPTY_PATH, &attributes, recursive)
}

/// Changes the topmost mount at a name in a folder. A last link is not followed.
pub fn change_at(folder: impl AsFd, name: &str, change: Change, recursive: bool) -> io::Result<()> {
    let name = CString::new(name)?;
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    set_attributes(folder.as_fd(), &name, flags, &attributes(change), recursive)
}

fn attributes(change: Change) -> libc::mount_attr {
    libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    }
}

fn set_attributes(
    folder: BorrowedFd<'_>,
    name: &CStr,
    flags: libc::c_int,
    attributes: &libc::mount_attr,
    recursive: bool,
) -> io::Result<()> {
    let flags = flags | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a terminated string, `attributes` outlives the call and its size is
    // passed with it; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            folder.as_raw_fd(),
            name.as_ptr(),
            flags,
            attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Forbids writes, set-user-id programs and devices through a detached mount.
pub fn make_read_only(mount: impl AsFd) -> io::Result<()> {
    let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    change(mount, Change { set, ..Change::default() }, false, None)
}

/// Forbids writes to a file system wherever it is mounted, through the context that it was made in.
pub fn make_whole_read_only(context: &OwnedFd) -> io::Result<()> {
    explain(context, fsconfig_set_flag(context, "ro"))?;
    explain(context, fsconfig_reconfigure(context))
}

/// A new file system of a type, detached, with options as `mount -o` takes them.
pub fn create(
    kind: &str,
    source: Option<&str>,
    options: &[(&str, Option<&str>)],
    attributes: u64,
) -> io::Result<OwnedFd> {
    create_in_context(kind, source, options, attributes).map(|(made, _)| made)
}

/// The same, with the context that it was made in: for who closes many descriptors at once.
pub fn create_in_context(
    kind: &str,
    source: Option<&str>,
    options: &[(&str, Option<&str>)],
    attributes: u64,
) -> io::Result<(OwnedFd, OwnedFd)> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(source) = source {
        explain(&context, fsconfig_set_string(&context, "source", source))?;
    }
    for (key, value) in options {
        match value {
            None => explain(&context, fsconfig_set_flag(&context, *key))?,
            Some(value) => explain(&context, fsconfig_set_string(&context, *key, *value))?,
        }
    }
    explain(&context, fsconfig_create(&context))?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    Ok((made, context))
}

/// A second, detached mount of what an open descriptor names.
pub fn clone_of(file: impl AsFd, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(file, "", flags)?)
}

/// A second, detached mount of what an open descriptor names, without what is mounted below it. Whom
/// its files belong to there is said by the maps of a user namespace.
pub fn clone_mapped(file: impl AsFd, users: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let copy = clone_of(file, false)?;
    change(&copy, Change::default(), false, Some(users))?;
    Ok(copy)
}

/// Puts a detached mount on what an open descriptor names.
pub fn attach_at(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags)?)
}

/// Bits of [`create`] for files that are nothing but data: no devices, no programs.
pub const INERT: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// Puts a detached mount on a name in an open folder. A link is not followed.
pub fn attach_in(mount: impl AsFd, folder: impl AsFd, name: &str) -> io::Result<()> {
    Ok(move_mount(mount, "", folder, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Puts a detached mount in place.
pub fn attach(mount: impl AsFd, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(mount, "", CWD, target, flags)?)
}

/// Takes the topmost mount at a path away: at once for those who look, for good when the last
/// user is gone.
pub fn detach(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// Takes the topmost mount at a path away, unless somebody uses it.
pub fn unmount(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, UnmountFlags::NOFOLLOW)?)
}

/// Whether something is mounted exactly here.
pub fn is_mounted(target: &Path) -> io::Result<bool> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let target = CString::new(target.as_os_str().as_encoded_bytes())?;
    let stat = rustix::fs::statx(CWD, &target, flags, rustix::fs::StatxFlags::BASIC_STATS)?;
    Ok(stat.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// Keeps what happens below a mount point from reaching other namespaces and back.
pub fn make_private(target: &Path) -> io::Result<()> {
    let flags = rustix::mount::MountPropagationFlags::PRIVATE;
    Ok(rustix::mount::mount_change(target, flags)?)
}

/// Binds a path onto itself or another one, the classic way.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_bind(source, target)?)
}

/// Adds what the kernel wrote into the context's log to a failed call's error.
fn explain<T>(context: &OwnedFd, result: rustix::io::Result<T>) -> io::Result<T> {
    result.map_err(|errno| {
        let mut log = [0; 512];
        let plain = io::Error::from(errno);
        let Ok(copy) = rustix::io::dup(context) else { return plain };
        match io::Read::read(&mut File::from(copy), &mut log) {
            Ok(bytes) if bytes > 2 => {
                let text = String::from_utf8_lossy(&log[2..bytes]).trim().to_owned();
                io::Error::new(plain.kind(), format!("{text} ({plain})"))
            }
            _ => plain,
        }
    })
}
