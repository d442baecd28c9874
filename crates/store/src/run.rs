//! The run root: the locks in it, and the mount that keeps to itself what is mounted below.

use std::fs::File;
use std::io;

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
    let path = run.join(name);
    let open = File::options().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(StoreError::io("open", &path))?;
    sys::lock::lock(&file, Mode::Exclusive).map_err(StoreError::io("lock", &path))?;
    Ok(file)
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
