//! A run by another OCI runtime: its bundle, and what has to be on the host's tree for it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use runtime::external::External;
use runtime::reaper;
use spec::bundle::{Mount, Namespace, Root, Spec};

use super::opened::Opened;
use crate::Engine;
use crate::container::ContainerRecord;
use crate::error::{EngineError, Result};

/// The bundle's folder in a container's folder for this boot.
const FOLDER: &str = "oci";
/// Where the container's files are mounted in it.
const ROOT: &str = "rootfs";
/// Where single places are mounted.
const PLACES: &str = "places";
/// Where this program is mounted, for containers with an init.
const INIT: &str = "init";
/// Where this process finds what it has open.
const OPEN: &str = "/proc/self/fd/";

/// A bundle in place, and the runtime that it is for. Both go when this does.
pub(super) struct Outside {
    pub(super) runtime: External,
    run_folder: PathBuf,
}

impl Outside {
    /// Puts a container's files where a path leads to them and writes its bundle; nothing where our
    /// own runtime is to run it.
    pub(super) fn prepare(
        engine: &Engine,
        record: &ContainerRecord,
        root: &mut Option<OwnedFd>,
        spec: &mut Spec,
        opened: &Opened,
    ) -> Result<Option<Outside>> {
        let run_folder = engine.container_run_folder(&record.id);
        let Some(runtime) = of(record, &run_folder) else { return Ok(None) };
        // What a run that was killed has left is in the way.
        release(record, &run_folder)?;
        let folder = run_folder.join(FOLDER);
        create(&folder)?;
        engine.store().paths().seclude()?;
        let outside = Outside { runtime, run_folder };
        if let Some(root) = root.take() {
            attach(&root, &folder.join(ROOT), true)?;
        }
        spec.root = Some(Root {
            path: ROOT.to_owned(),
            readonly: spec.root.as_ref().is_some_and(|root| root.readonly),
        });
        for (number, (target, place)) in opened.places().enumerate() {
            let path = folder.join(PLACES).join(number.to_string());
            let copy = sys::mount::clone_of(place, true);
            let copy = copy.map_err(EngineError::io("mount", &path))?;
            let is_folder = rustix::fs::fstat(place).is_ok_and(|stat| {
                rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
            });
            attach(&copy, &path, is_folder)?;
            let mounts = spec.mounts.iter_mut().filter(|mount| mount.destination == *target);
            mounts.for_each(|mount| mount.source = path.display().to_string());
        }
        if record.host_config.init == Some(true) {
            give_init(&folder.join(INIT), spec)?;
        }
        let namespaces = spec.linux.iter_mut().flat_map(|linux| &mut linux.namespaces);
        namespaces.for_each(show);
        outside.runtime.write(spec)?;
        Ok(Some(outside))
    }
}

/// What is open here is open for others under our number.
fn show(namespace: &mut Namespace) {
    if let Some(number) = namespace.path.strip_prefix(OPEN) {
        namespace.path = format!("/proc/{}/fd/{number}", std::process::id());
    }
}

/// Makes this program a file for the container, and its first process.
fn give_init(path: &Path, spec: &mut Spec) -> Result<()> {
    let own = runtime::shelter::file()?;
    if attach(&own, path, false).is_err() {
        // Where the kernel mounts nothing of what was never attached, it is a copy.
        fs::copy("/proc/self/exe", path).map_err(EngineError::io("create", path))?;
    }
    put_init(path, spec);
    Ok(())
}

/// Puts a file that is this program before the container's own: it takes in orphans, and hands
/// signals on.
pub(in crate::container) fn put_init(path: &Path, spec: &mut Spec) {
    spec.mounts.push(Mount {
        destination: reaper::PLACE.to_owned(),
        kind: "bind".to_owned(),
        source: path.display().to_string(),
        options: ["bind", "ro"].map(str::to_owned).into(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.args.splice(..0, [reaper::PLACE, "--"].map(str::to_owned));
    }
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(EngineError::io("create", folder))
}

fn attach(mount: &impl AsFd, target: &Path, is_folder: bool) -> Result<()> {
    match (is_folder, target.parent()) {
        (true, _) | (false, None) => create(target)?,
        (false, Some(above)) => {
            create(above)?;
            fs::write(target, "").map_err(EngineError::io("create", target))?;
        }
    }
    sys::mount::attach(mount, target).map_err(EngineError::io("mount", target))
}

/// The runtime that a container was made for, unless it is our own.
pub(in crate::container) fn of(record: &ContainerRecord, run_folder: &Path) -> Option<External> {
    let program = record.runtime.clone()?;
    Some(External::new(program, &record.id.to_string(), &run_folder.join(FOLDER)))
}

/// Ends what a run has left with another runtime, and takes its bundle away.
pub(super) fn release(record: &ContainerRecord, run_folder: &Path) -> Result<()> {
    if let Some(runtime) = of(record, run_folder)
        && run_folder.join(FOLDER).exists()
    {
        runtime.delete()?;
    }
    unmount(run_folder)
}

/// Takes a bundle away from which nothing runs any more. Nothing is removed that is mounted.
pub(in crate::container) fn unmount(run_folder: &Path) -> Result<()> {
    let folder = run_folder.join(FOLDER);
    if !folder.exists() {
        return Ok(());
    }
    let places = fs::read_dir(folder.join(PLACES)).into_iter().flatten().flatten();
    let own = [folder.join(INIT), folder.join(ROOT)];
    for path in places.map(|entry| entry.path()).chain(own) {
        while path.exists()
            && sys::mount::is_mounted(&path).map_err(EngineError::io("look at", &path))?
        {
            sys::mount::detach(&path).map_err(EngineError::io("unmount", &path))?;
        }
    }
    fs::remove_dir_all(&folder).map_err(EngineError::io("remove", folder))
}

impl Drop for Outside {
    fn drop(&mut self) {
        // The next run, or the next clean-up, finds what cannot be let go of now.
        let _ = self.runtime.delete();
        let _ = unmount(&self.run_folder);
    }
}
