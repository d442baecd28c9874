//! Device files: made where that is allowed, else borrowed from the host.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use spec::bundle::Device;

use super::Result;
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
pub(super) fn make(plan: &Plan, root: BorrowedFd<'_>, host: &Host) -> Result<()> {
    let dev = Path::new("/dev");
    let shared = |mount: &crate::plan::MountPlan| {
        mount.target == dev && matches!(mount.what, What::Bind { .. })
    };
    if plan.mounts.iter().any(shared) {
        return Ok(());
    }
    for (place, major, minor) in ALWAYS {
        if !plan.devices.iter().any(|device| device.path == *place) {
            let device = Device {
                path: (*place).to_owned(),
                kind: "c".to_owned(),
                major: *major,
                minor: *minor,
                file_mode: Some(0o666),
                ..Device::default()
            };
            one(&device, root, host).during(format_args!("make the device {place}"))?;
        }
    }
    for device in &plan.devices {
        one(device, root, host).during(format_args!("make the device {}", device.path))?;
    }
    let folder = path::ensure(root, dev, Missing::Folder);
    let folder = folder.call("openat2", "/dev").during("make links in /dev")?;
    for (target, name) in LINKS {
        match rustix::fs::symlinkat(*target, &folder, *name) {
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

fn one(device: &Device, root: BorrowedFd<'_>, host: &Host) -> Result<()> {
    let place = Path::new(&device.path);
    let (folder, name) = path::parent(root, place).call("openat2", &device.path)?;
    let kind = match device.kind.as_str() {
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    let number = |number: i64| u32::try_from(number).unwrap_or(0);
    let id = rustix::fs::makedev(number(device.major), number(device.minor));
    let umask = rustix::process::umask(Mode::empty());
    let made = rustix::fs::mknodat(&folder, &name, kind, mode, id);
    rustix::process::umask(umask);
    match made {
        Ok(()) => {}
        Err(Errno::EXIST) => return same(&folder, &name, device, id),
        // Users of a namespace of their own make no devices: they get the host's.
        Err(Errno::PERM) => return borrow(device, root, host),
        Err(error) => return Err(error).call("mknodat", &device.path),
    }
    if let (None | Some(0), None | Some(0)) = (device.uid, device.gid) {
        return Ok(());
    }
    let (uid, gid) = (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw));
    rustix::fs::chownat(&folder, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
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
