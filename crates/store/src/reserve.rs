//! The reserve: a little room on the disk that only removals may use.
//!
//! A removal begins with writing: a document is replaced by one that no longer names what goes. On
//! a full disk that would fail, and nothing could ever make room again. So a file of the data root
//! holds as much room as a removal needs; one that finds none gives it up and tries once more, and
//! the next change that finds room makes it again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::FallocateFlags;

use crate::error::{Result, StoreError};
use crate::paths::Paths;

/// The least that is kept: new documents, and the folders of the trash.
const LEAST_BYTES: u64 = 256 << 10;

/// Makes the reserve, or lets it grow with the documents. Where there is no room for it, or the
/// file system cannot set room aside, there is none.
pub(crate) fn keep(paths: &Paths) {
    let wanted = wanted_bytes(paths);
    let path = paths.reserve();
    // What was copied to here may be a hole of that length.
    let holds = |meta: fs::Metadata| meta.len() >= wanted && meta.blocks() * 512 >= wanted;
    if fs::metadata(&path).is_ok_and(holds) {
        return;
    }
    let make = || -> io::Result<()> {
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, wanted)?)
    };
    if make().is_err() {
        // A part of it would only be in the way.
        let _ = fs::remove_file(&path);
    }
}

/// Both documents may have to be written anew while the old ones are still there.
fn wanted_bytes(paths: &Paths) -> u64 {
    let bytes = |path| fs::metadata(path).map_or(0, |meta: fs::Metadata| meta.len());
    let documents = bytes(paths.images()) + bytes(paths.layers());
    (2 * documents).next_multiple_of(LEAST_BYTES).max(LEAST_BYTES)
}

/// Does what a removal must do. If there is no room for it, gives up the reserve and does it again.
pub(crate) fn or_spend<T>(paths: &Paths, attempt: impl Fn() -> Result<T>) -> Result<T> {
    match attempt() {
        Err(StoreError::Io { source, .. }) if is_full(&source) && give_up(paths) => attempt(),
        other => other,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether there was a reserve, which is room for others now.
fn give_up(paths: &Paths) -> bool {
    let gone = fs::remove_file(paths.reserve()).is_ok();
    // Some file systems give room back only with what is written next.
    let _ = sys::fs::sync_folder(paths.root());
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path().to_owned(), folder.path().join("run"));
        (folder, paths)
    }

    fn full() -> Result<()> {
        Err(StoreError::io("write", "x")(io::ErrorKind::StorageFull.into()))
    }

    #[test]
    fn it_is_given_up_once_and_made_again() {
        let (_folder, paths) = paths();
        keep(&paths);
        assert!(fs::metadata(paths.reserve()).unwrap().blocks() * 512 >= LEAST_BYTES);
        let attempts = std::cell::Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            if paths.reserve().exists() { full() } else { Ok(()) }
        };
        or_spend(&paths, attempt).unwrap();
        assert_eq!(attempts.get(), 2);
        // Without a reserve there is nothing to give up, and nothing to try again.
        attempts.set(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            full()
        };
        assert!(or_spend(&paths, attempt).is_err());
        assert_eq!(attempts.get(), 1);
        keep(&paths);
        assert!(paths.reserve().exists());
    }

    #[test]
    fn other_errors_leave_it() {
        let (_folder, paths) = paths();
        keep(&paths);
        let denied = || -> Result<()> {
            Err(StoreError::io("write", "x")(io::ErrorKind::PermissionDenied.into()))
        };
        assert!(or_spend(&paths, denied).is_err());
        assert!(paths.reserve().exists());
    }

    #[test]
    fn it_grows_with_the_documents_and_a_hole_is_none() {
        let (_folder, paths) = paths();
        File::create(paths.reserve()).unwrap().set_len(1 << 30).unwrap();
        fs::write(paths.images(), vec![b' '; 300 << 10]).unwrap();
        keep(&paths);
        assert!(fs::metadata(paths.reserve()).unwrap().blocks() * 512 >= 600 << 10);
    }
}
