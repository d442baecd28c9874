//! Blobs on their way out: copied by the kernel, and read beside it, so that nothing leaves under a
//! name that is not that of its bytes.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use spec::Digest;
use store::StoreError;

use crate::Engine;
use crate::error::{EngineError, Result};

/// Where a blob goes.
pub(crate) struct Outlet<'a> {
    /// The file, at its position.
    pub(crate) file: &'a File,
    /// Whether it is a plain file, and no pipe or socket.
    pub(crate) is_plain: bool,
}

impl Engine {
    /// Writes a blob of so many bytes. That it is damaged is known only when it is written: what was
    /// written must not become visible then.
    pub(crate) fn send_blob(
        &self,
        digest: &Digest,
        bytes: u64,
        outlet: Outlet<'_>,
        failed: impl FnOnce(io::Error) -> EngineError,
    ) -> Result<()> {
        let blob = self.store.open_blob(digest)?;
        let damaged = |found| {
            let (what, why) =
                (format!("blob {digest}"), format!("it has {found} bytes instead of {bytes}"));
            EngineError::from(StoreError::Damaged { what, why })
        };
        let found = blob.metadata().map_err(EngineError::io("read", "a blob"))?.len();
        if found != bytes {
            return Err(damaged(found));
        }
        let is_wanted = AtomicBool::new(true);
        let (copied, verdict) = std::thread::scope(|scope| {
            // Both read what memory then has: the second one takes no time on the disk.
            let reading = scope.spawn(|| self.store.verify_blob_while(digest, &is_wanted));
            let copied = store::send(&blob, outlet.file, bytes, outlet.is_plain);
            // Where nothing is written, nothing needs to be right.
            is_wanted.store(copied.is_ok(), Ordering::Relaxed);
            (copied, reading.join().expect("who reads a blob does not panic"))
        });
        let copied = copied.map_err(failed)?;
        verdict?;
        if copied != bytes {
            return Err(damaged(copied));
        }
        Ok(())
    }
}
