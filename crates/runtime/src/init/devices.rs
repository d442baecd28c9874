//! Device files: made where that is allowed, else borrowed from the host.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use spec::bundle::Device;

use super::Result;
use super::fresh::Fresh;
use super::root::Host;
use crate::error::{During, Explain, refused};
use crate::path::{self, Missing};
use crate::plan::{Plan, What};

/// What every container has.
const ALWAYS: &[(&str, i64, i64)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Links that every container has.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Makes the devices, unless the container shares `/dev` with the host.
pub(super) fn make(plan: &Plan, root: BorrowedFd<'_>, host: &Host, fresh: &Fresh) -> Result<()> {
    let dev = Path::new("/dev");
    let shared = |mount: &crate::plan::MountPlan| {
        mount.target == dev && matches!(mount.what, What::Bind { .. })
    };
    if plan.mounts.iter().any(shared) {
        return Ok(());
    }
    // Whoever may use a device is said by its own mode.
    let umask = rustix::process::umask(Mode::empty());
    let made = all(plan, root, host, fresh);
    rustix::process::umask(umask);
    made
}

fn all(plan: &Plan, root: BorrowedFd<'_>, host: &Host, fresh: &Fresh) -> Result<()> {
    let place = Place { root, host, fresh };
    for (path, major, minor) in ALWAYS {
        if !plan.devices.iter().any(|device| device.path == *path) {
            let device = Device {
                path: (*path).to_owned(),
                kind: "c".to_owned(),
                major: *major,
                minor: *minor,
                file_mode: Some(0o666),
                ..Device::default()
            };
            one(&device, &place).during(format_args!("make the device {path}"))?;
        }
    }
    for device in &plan.devices {
        one(device, &place).during(format_args!("make the device {}", device.path))?;
    }
    match fresh.at(Path::new("/dev")) {
        Some(folder) => link(folder),
        None => {
            let folder = path::ensure(root, Path::new("/dev"), Missing::Folder);
            link(folder.call("openat2", "/dev").during("make links in /dev")?.as_fd())
        }
    }
}

fn link(folder: BorrowedFd<'_>) -> Result<()> {
    for (target, name) in LINKS {
        match rustix::fs::symlinkat(*target, folder, *name) {
            Ok(()) | Err(Errno::EXIST) => {}
            // An image's own /dev on a root that cannot be written to has what it has.
            Err(Errno::ROFS) => break,
            Err(error) => {
                return Err(error).call("symlinkat", name).during("make links in /dev");
            }
        }
    }
    Ok(())
}

/// Where devices are made.
struct Place<'a> {
    root: BorrowedFd<'a>,
    host: &'a Host,
    fresh: &'a Fresh,
}

fn one(device: &Device, place: &Place<'_>) -> Result<()> {
    let path = Path::new(&device.path);
    if let Some((folder, name)) = place.fresh.find(path) {
        return make_in(folder, Path::new(name), device, place);
    }
    let (folder, name) = path::parent(place.root, path).call("openat2", &device.path)?;
    make_in(folder.as_fd(), &name, device, place)
}

fn make_in(folder: BorrowedFd<'_>, name: &Path, device: &Device, place: &Place<'_>) -> Result<()> {
    let kind = match device.kind.as_str() {
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    let number = |number: i64| u32::try_from(number).unwrap_or(0);
    let id = rustix::fs::makedev(number(device.major), number(device.minor));
    match rustix::fs::mknodat(folder, name, kind, mode, id) {
        Ok(()) => {}
        Err(Errno::EXIST) => return same(folder, name, device, id),
        // Users of a namespace of their own make no devices: they get the host's.
        Err(Errno::PERM) => return borrow(device, place.root, place.host),
        Err(error) => return Err(error).call("mknodat", &device.path),
    }
    if let (None | Some(0), None | Some(0)) = (device.uid, device.gid) {
        return Ok(());
    }
    let (uid, gid) = (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw));
    rustix::fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .call("fchownat", &device.path)
}

/// What an image has at a device's place must be that device.
fn same(folder: impl AsFd, name: &Path, device: &Device, id: u64) -> Result<()> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.call("fstatat", &device.path)?;
    match device.kind == "p" || stat.st_rdev == id {
        true => Ok(()),
        false => Err(refused("check", format_args!("{} is something else", device.path))),
    }
}

fn borrow(device: &Device, root: BorrowedFd<'_>, host: &Host) -> Result<()> {
    let made = match device.path.as_str() {
        "/dev/null" => sys::mount::clone_of(&host.null, false),
        path => sys::mount::clone(Path::new(path), false),
    };
    let made = made.call("open_tree", &device.path)?;
    let target = path::ensure(root, Path::new(&device.path), Missing::File);
    let target = target.call("openat2", &device.path)?;
    sys::mount::attach_at(made, target).call("move_mount", &device.path)
}
