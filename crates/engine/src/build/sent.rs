//! Folders of clients that are sent here: kept, so that only what has changed is sent again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use spec::Digest;
use sys::lock::{Mode, try_lock};

use super::mounts::make_private;
use crate::Engine;
use crate::error::{EngineError, Result};

/// After so long nobody is expected to send a folder again.
const REST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A folder that somebody sends. Nobody else has it as long as this is there.
pub struct SentFolder {
    folder: PathBuf,
    _lock: File,
    is_kept: bool,
}

impl SentFolder {
    /// Where its files are.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }
}

impl Drop for SentFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Engine {
    /// A folder for what somebody sends: with what they sent the last time under the same key,
    /// unless that is being used; an empty one that goes afterwards without a key.
    pub fn sent_folder(&self, key: Option<&str>) -> Result<SentFolder> {
        if let Some(key) = key
            && let Some(kept) = self.take_sent(&Digest::of(key.as_bytes()).hex(), true)?
        {
            return Ok(kept);
        }
        let random = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
        let taken = self.take_sent(&format!("once-{random}"), false)?;
        taken.ok_or_else(|| EngineError::Refused("a new folder is used already".to_owned()))
    }

    fn take_sent(&self, name: &str, is_kept: bool) -> Result<Option<SentFolder>> {
        let folder = self.all_sent().join(name);
        make_private(&folder)?;
        let Some(lock) = held(&folder)? else { return Ok(None) };
        // Only the clean-up asks when it was last of use.
        let _ = lock.set_modified(SystemTime::now());
        let sent = SentFolder { folder, _lock: lock, is_kept };
        make_private(&sent.files())?;
        Ok(Some(sent))
    }

    fn all_sent(&self) -> PathBuf {
        self.store().build_folder().join("sent")
    }

    /// Removes what nobody uses: all of it, or what nobody has used for long. What was to go with
    /// its build and did not, goes in any case.
    pub(super) fn sweep_sent(&self, all: bool) -> Result<u64> {
        let mut freed = 0;
        let Ok(entries) = fs::read_dir(self.all_sent()) else { return Ok(0) };
        for folder in entries.flatten().map(|entry| entry.path()) {
            let Some(lock) = held(&folder)? else { continue };
            let used = lock.metadata().and_then(|meta| meta.modified());
            let rest = used.ok().and_then(|used| used.elapsed().ok()).unwrap_or_default();
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            if all || rest > REST || name.starts_with("once-") {
                let files = sys::fs::open_folder(&folder.join("files"));
                let usage = files.and_then(|files| image::upper::usage(&files));
                freed += usage.map_or(0, |(bytes, _)| bytes);
                let _ = fs::remove_dir_all(folder.join("files"));
                // The lock of one that has a name stays: somebody may wait for it.
                if name.starts_with("once-") {
                    let _ = fs::remove_dir_all(&folder);
                }
            }
        }
        Ok(freed)
    }
}

/// The lock of a folder; nothing if somebody else has it.
fn held(folder: &Path) -> Result<Option<File>> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(EngineError::io("open", &path))?;
    let is_free = try_lock(&file, Mode::Exclusive).map_err(EngineError::io("lock", &path))?;
    Ok(is_free.then_some(file))
}
