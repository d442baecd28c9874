//! What is mounted into a container besides plain folders: volumes with options, places in volumes,
//! images. All of it is there before the plan is made, and let go of when the run has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use spec::{MountKind, MountPoint};
use store::Users;

use crate::Engine;
use crate::container::ContainerRecord;
use crate::error::{EngineError, Result};
use crate::volume::VolumeUse;

/// Where images are mounted, in a container's folder for this boot.
const IMAGES: &str = "images";

/// What a run holds open.
#[derive(Default)]
pub(super) struct Opened {
    volumes: Vec<VolumeUse>,
    /// Open places, by where they will be inside.
    places: BTreeMap<String, OwnedFd>,
    /// Where volumes will be that are folders of our own.
    plain: BTreeSet<String>,
    images: Vec<PathBuf>,
}

impl Opened {
    /// Opens all that a container's mounts name.
    pub(super) fn of(
        engine: &Engine,
        record: &ContainerRecord,
        users: Option<Users<'_>>,
    ) -> Result<Opened> {
        let mut opened = Opened::default();
        for point in &record.mounts {
            match point.kind {
                MountKind::Volume => opened.volume(engine, record, point)?,
                MountKind::Image => opened.image(engine, record, point, users)?,
                MountKind::Bind | MountKind::Tmpfs => {}
            }
        }
        Ok(opened)
    }

    fn volume(
        &mut self,
        engine: &Engine,
        record: &ContainerRecord,
        point: &MountPoint,
    ) -> Result<()> {
        let volume = engine.volume(&point.name)?;
        match engine.use_volume(&volume)? {
            Some(used) => self.volumes.push(used),
            None => drop(self.plain.insert(point.destination.clone())),
        }
        let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
        let options = told.and_then(|mount| mount.volume_options.as_ref());
        if let Some(options) = options.filter(|options| !options.subpath.is_empty()) {
            let path = &volume.mountpoint;
            let folder = sys::fs::open_folder(path).map_err(EngineError::io("open", path))?;
            let place = inside(&folder, &options.subpath, path)?;
            self.places.insert(point.destination.clone(), place);
        }
        Ok(())
    }

    /// An image is attached to the host's tree: only from there can a part of it be mounted.
    fn image(
        &mut self,
        engine: &Engine,
        record: &ContainerRecord,
        point: &MountPoint,
        users: Option<Users<'_>>,
    ) -> Result<()> {
        let id = engine.find_image(&point.source)?.id;
        let images = engine.store().images()?;
        let layers = engine.store().tables()?.layers;
        let stack = engine.store().stacked(images.images[&id].top, &layers)?;
        let view = engine.store().view_for(&stack, users)?;
        let number = self.images.len().to_string();
        let target = engine.container_run_folder(&record.id).join(IMAGES).join(number);
        fs::create_dir_all(&target).map_err(EngineError::io("create", &target))?;
        engine.store().paths().seclude()?;
        sys::mount::attach(view, &target).map_err(EngineError::io("mount", &target))?;
        self.images.push(target.clone());
        let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
        let options = told.and_then(|mount| mount.image_options.as_ref());
        let part = options.map_or("", |options| options.subpath.as_str());
        let folder = sys::fs::open_folder(&target).map_err(EngineError::io("open", &target))?;
        let place = match part {
            "" => folder,
            part => inside(&folder, part, Path::new(&point.source))?,
        };
        self.places.insert(point.destination.clone(), place);
        Ok(())
    }

    /// What is open, with where it will be.
    pub(super) fn places(&self) -> impl Iterator<Item = (&String, &OwnedFd)> {
        self.places.iter()
    }

    /// Where volumes will be that are folders of our own, and nothing that was mounted for them.
    pub(super) fn plain(&self) -> &BTreeSet<String> {
        &self.plain
    }

    /// Paths of what is open, by where it will be.
    pub(super) fn paths(&self) -> BTreeMap<String, PathBuf> {
        let path = |file: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        self.places.iter().map(|(place, file)| (place.clone(), path(file))).collect()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.places.clear();
        // The container has mounts of its own of what it needs.
        for image in self.images.drain(..) {
            let _ = sys::mount::detach(&image);
            let _ = fs::remove_dir(&image);
        }
    }
}

/// A folder or file in a folder, however links in it are set: none leads out.
fn inside(folder: impl AsFd, part: &str, of: &Path) -> Result<OwnedFd> {
    let found = sys::fs::path_in_root(folder, Path::new(part));
    found.map_err(|error| {
        EngineError::Start(format!(
            "cannot access path {}: {}",
            of.join(part).display(),
            super::run::io_words(error.raw_os_error().unwrap_or_default())
        ))
    })
}

/// Takes away what a run that was killed has left mounted.
pub(super) fn clear(run_folder: &Path) -> Result<()> {
    let folder = run_folder.join(IMAGES);
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        while sys::mount::is_mounted(&path).map_err(EngineError::io("look at", &path))? {
            sys::mount::detach(&path).map_err(EngineError::io("unmount", &path))?;
        }
    }
    Ok(())
}
