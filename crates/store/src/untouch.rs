//! Files whose times were changed for a while: what was written to a snapshot besides stays.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use sys::fs::Stat;

use crate::driver::Top;
use crate::error::{Result, StoreError};
use crate::{Snapshot, Store};

/// Files of a snapshot whose times were changed, while nothing else had been written to it, and
/// which nobody has changed since.
#[derive(Debug, Default)]
pub struct Touched {
    /// Each path, from the root without a slash in front, with the time that it had.
    pub files: Vec<(Vec<u8>, (i64, u32))>,
    /// The folders they are in, and what those were like.
    pub folders: BTreeMap<Vec<u8>, Stat>,
}

impl Store {
    /// Makes it as if the times had not been changed. The snapshot must not be mounted.
    pub fn untouch(&self, snapshot: &Snapshot, touched: &Touched) -> Result<()> {
        if touched.files.is_empty() {
            return Ok(());
        }
        let top = self.driver.top(&snapshot.folder);
        let (Top::Changes { folder, .. } | Top::Whole { folder }) = &top;
        let failed = |error| StoreError::io("change", folder)(error);
        let open = sys::fs::open_folder(folder).map_err(failed)?;
        match &top {
            Top::Changes { .. } => remove(&open, touched).map_err(failed),
            Top::Whole { .. } => touched.files.iter().try_for_each(|(path, (seconds, nanos))| {
                sys::fs::set_mtime(&open, path.as_slice(), *seconds, *nanos).map_err(failed)
            }),
        }
    }
}

/// Changing a time has copied files, and the folders above them, to the top: the copies go.
fn remove(top: &OwnedFd, touched: &Touched) -> io::Result<()> {
    for (path, _) in &touched.files {
        sys::fs::remove_file(top, path.as_slice())?;
    }
    // Folders in folders before those.
    for (path, was) in touched.folders.iter().rev() {
        let is = match sys::fs::stat(top, path.as_slice()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let facts = |stat: &Stat| {
            (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec)
        };
        if facts(was) == facts(&is) {
            match sys::fs::remove_folder(top, path.as_slice()) {
                // What somebody has put there stays.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                other => other?,
            }
        }
    }
    Ok(())
}
