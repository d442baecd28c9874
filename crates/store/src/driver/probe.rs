//! Which driver works here, found out by trying, and why.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use image::erofs::write_index;
use image::folder::Ownership;
use image::tree::{LayerTree, TreeLimits};

use super::DriverKind;
use crate::error::{Result, StoreError};

/// A driver and the reason for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The driver.
    pub kind: DriverKind,
    /// Why this one.
    pub why: String,
}

/// The first kernel that mounts EROFS from a file.
const FILE_BACKED: (u32, u32) = (6, 12);

/// Picks a driver for a new store: the wanted one if it works, else the best that does. What keeps
/// the trial itself from being made, such as a full disk, says nothing about any driver.
pub fn choose(wanted: Option<DriverKind>, scratch: &Path, owners: &Ownership) -> Result<Choice> {
    let root = owners.is_of_root();
    if let Some(kind) = wanted {
        return match fit(kind, scratch, root)? {
            Ok(()) => Ok(Choice { kind, why: "asked for".to_owned() }),
            Err(why) => Err(StoreError::DriverUnfit { driver: kind, why }),
        };
    }
    let mut passed_over = Vec::new();
    for kind in DriverKind::ALL {
        match fit(kind, scratch, root)? {
            Ok(()) => {
                let why = match passed_over.is_empty() {
                    true => "the best, and it works here".to_owned(),
                    false => format!("the best that works here; {}", passed_over.join("; ")),
                };
                return Ok(Choice { kind, why });
            }
            Err(why) => passed_over.push(format!("not {kind}: {why}")),
        }
    }
    Err(StoreError::NoDriver(passed_over.join("; ")))
}

/// Whether a driver works in a folder of this file system for the host's root or for somebody else,
/// or what is missing.
fn fit(kind: DriverKind, scratch: &Path, root: bool) -> Result<Result<(), String>> {
    match kind {
        DriverKind::Erofs if !root => Ok(Err("only root may mount EROFS images".to_owned())),
        DriverKind::Erofs => fit_erofs(scratch),
        DriverKind::Overlay => fit_overlay(scratch, root),
        DriverKind::Btrfs if !root => {
            Ok(Err("only root may delete subvolumes with what is in them".to_owned()))
        }
        DriverKind::Btrfs => fit_btrfs(scratch),
        // Files can be copied anywhere.
        DriverKind::Vfs => Ok(Ok(())),
    }
}

fn fit_erofs(scratch: &Path) -> Result<Result<(), String>> {
    if let Err(error) = sys::support::file_system(sys::support::FileSystem::Erofs) {
        return Ok(Err(error.to_string()));
    }
    let (index, tar) = (scratch.join("trial-index"), scratch.join("trial-tar"));
    let prepare = || -> io::Result<()> {
        let mut tar_file =
            File::options().read(true).write(true).create(true).truncate(true).open(&tar)?;
        tar_file.write_all(&[0; 1024])?;
        let out = File::create(&index)?;
        write_index(&LayerTree::new(TreeLimits::default()), [7; 16], Some(&tar_file), 1024, &out)
            .map(drop)
    };
    prepare().map_err(StoreError::io("try a storage driver in", scratch))?;
    let mounted = sys::mount::erofs(&index, &tar, false);
    let _ = (fs::remove_file(&index), fs::remove_file(&tar));
    if let Err(error) = mounted {
        return Ok(Err(no_file(&sys::host::kernel_release(), sys::host::kernel_version(), &error)));
    }
    fit_overlay(scratch, true)
}

/// Why EROFS is not mounted from a file.
fn no_file(release: &str, version: (u32, u32), error: &io::Error) -> String {
    match version >= FILE_BACKED {
        false => format!(
            "Linux {release} does not mount EROFS from a file ({error}); it takes 6.12 or newer"
        ),
        // A newer one does, but not on every file system: not on tmpfs, for one.
        true => format!("EROFS is not mounted from files on this file system ({error})"),
    }
}

fn fit_overlay(scratch: &Path, root: bool) -> Result<Result<(), String>> {
    if let Err(error) = sys::support::file_system(sys::support::FileSystem::Overlay) {
        return Ok(Err(error.to_string()));
    }
    let (one, two) = (scratch.join("trial-1"), scratch.join("trial-2"));
    let prepare = || -> io::Result<_> {
        fs::create_dir_all(&one)?;
        fs::create_dir_all(&two)?;
        Ok([sys::fs::open_folder(&one)?, sys::fs::open_folder(&two)?])
    };
    let folders = prepare().map_err(StoreError::io("try a storage driver in", scratch))?;
    let options: &[(&str, &str)] = if root { &[] } else { &[("userxattr", "")] };
    let mounted = sys::mount::overlay(&[folders[0].as_fd(), folders[1].as_fd()], None, options);
    let _ = (fs::remove_dir(&one), fs::remove_dir(&two));
    Ok(mounted.map(drop).map_err(|error| format!("overlay cannot be mounted here ({error})")))
}

fn fit_btrfs(scratch: &Path) -> Result<Result<(), String>> {
    if !sys::btrfs::is_btrfs(scratch).map_err(StoreError::io("look at", scratch))? {
        return Ok(Err(format!("{} is not on btrfs", scratch.display())));
    }
    let (one, two) = (OsStr::new("trial-1"), OsStr::new("trial-2"));
    let folder = sys::fs::open_folder(scratch).map_err(StoreError::io("open", scratch))?;
    let attempt = || -> io::Result<()> {
        sys::btrfs::create_subvolume(&folder, one)?;
        sys::btrfs::snapshot(sys::fs::open_folder(&scratch.join(one))?, &folder, two)
    };
    let made = attempt();
    let clear = |name| match scratch.join(name).exists() {
        true => sys::btrfs::delete_subvolume(&folder, name),
        false => Ok(()),
    };
    let gone = clear(one).and(clear(two));
    Ok(made.and(gone).map_err(|error| format!("subvolumes cannot be made here ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_new_enough_is_not_the_reason() {
        let error = io::Error::from_raw_os_error(15);
        let old = no_file("6.11.2", (6, 11), &error);
        assert!(old.contains("it takes 6.12 or newer"), "{old}");
        let new = no_file("6.18.44", (6, 18), &error);
        assert!(new.contains("on this file system (Block device required"), "{new}");
        assert!(!new.contains("newer"), "{new}");
    }
}
