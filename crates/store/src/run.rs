//! The run root: the locks in it, and the mount that keeps to itself what is mounted below.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sys::lock::Mode;

use crate::error::{Result, StoreError};
use crate::paths::{Paths, create_private};

/// The lock over the mounts of layers.
pub(crate) const MOUNTING: &str = "mounting";
/// The lock over the mounts of images.
pub(crate) const VIEWING: &str = "viewing";

/// Holds a lock of the run root until the file is dropped.
pub(crate) fn hold(paths: &Paths, name: &str) -> Result<File> {
    let run = paths.run();
    create_private(run)?;
    if !crate::is_root() {
        check_owner(run)?;
    }
    let path = run.join(name);
    let open = File::options().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(StoreError::io("open", &path))?;
    sys::lock::lock(&file, Mode::Exclusive).map_err(StoreError::io("lock", &path))?;
    Ok(file)
}

/// Refuses a run root in a folder where others could put something in its place: its default for a
/// user without a session lies where everybody may make folders.
pub(crate) fn check_owner(run: &Path) -> Result<()> {
    let look =
        |path: &Path| std::fs::symlink_metadata(path).map_err(StoreError::io("look at", path));
    if look(run)?.uid() != crate::user_id() {
        return Err(StoreError::RunRoot(run.to_owned()));
    }
    let Some(above) = run.parent() else { return Ok(()) };
    let meta = look(above)?;
    let shared = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
    match shared || ![0, crate::user_id()].contains(&meta.uid()) {
        true => Err(StoreError::RunRoot(above.to_owned())),
        false => Ok(()),
    }
}

impl Paths {
    /// Makes the run root ready for a mount below it, which no other namespace is to get.
    pub fn seclude(&self) -> Result<()> {
        seclude(self)
    }
}

/// Keeps what is mounted below the run root from reaching other namespaces, where copies of it
/// would stay when it goes and hold on to its files.
///
/// The run root becomes a mount of its own, once a boot. It is made private each time: that costs
/// as much as asking whether it is, and heals what a crash left between the two.
pub(crate) fn seclude(paths: &Paths) -> Result<()> {
    let run = paths.run();
    if sys::mount::make_private(run).is_ok() {
        return Ok(());
    }
    let _alone = hold(paths, MOUNTING)?;
    if sys::mount::make_private(run).is_ok() {
        return Ok(());
    }
    match sys::mount::bind(run, run).and_then(|()| sys::mount::make_private(run)) {
        // Who may not do this may not mount at all, and is told so then.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(StoreError::mount("make a mount of", run)),
    }
}
