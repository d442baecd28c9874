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
                let (above, name) = sys::fs::place_beneath(&open, path).map_err(failed)?;
                sys::fs::set_mtime(above, name, *seconds, *nanos).map_err(failed)
            }),
        }
    }
}

/// Changing a time has copied files, and the folders above them, to the top: the copies go.
fn remove(top: &OwnedFd, touched: &Touched) -> io::Result<()> {
    // What is removed changes the time of the folder it was in.
    let folders = touched.folders.iter().map(|(path, was)| {
        // None that is another way now: a link, perhaps, to anywhere.
        let Ok((above, name)) = sys::fs::place_beneath(top, path) else {
            return Ok((path, was, None));
        };
        let is = match sys::fs::stat(&above, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        Ok((path, was, is))
    });
    let folders = folders.collect::<io::Result<Vec<_>>>()?;
    for (path, _) in &touched.files {
        let (above, name) = sys::fs::place_beneath(top, path)?;
        sys::fs::remove_file(above, name)?;
    }
    // Folders in folders before those.
    for (path, was, is) in folders.into_iter().rev() {
        let Some(is) = is else { continue };
        let (above, name) = sys::fs::place_beneath(top, path)?;
        let is_gone = facts(was) == facts(&is)
            && match sys::fs::remove_folder(&above, name) {
                // What somebody has put there stays.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => false,
                other => other.map(|()| true)?,
            };
        if !is_gone {
            sys::fs::set_mtime(above, name, is.st_mtime, is.st_mtime_nsec as u32)?;
        }
    }
    Ok(())
}

/// What a folder is like, as far as a layer tells it.
fn facts(stat: &Stat) -> (u32, u32, u32, i64, i64) {
    (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec as i64)
}
