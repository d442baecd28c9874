//! The file that says which process serves, for as long as it does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::ApiError;

/// A file with this process's id, gone when this is.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it, unless it names another process that lives.
    pub(crate) fn write(path: PathBuf) -> Result<PidFile, ApiError> {
        let own = std::process::id();
        if let Some(pid) = named(&path).filter(|pid| *pid != own)
            && Path::new(&format!("/proc/{pid}")).exists()
        {
            return Err(ApiError::Running { path, pid });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder.map_or(Ok(()), fs::create_dir_all);
        match made.and_then(|()| fs::write(&path, own.to_string())) {
            Ok(()) => Ok(PidFile(path)),
            Err(source) => Err(ApiError::PidFile { path, source }),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // One that somebody else has written meanwhile is theirs.
        if named(&self.0) == Some(std::process::id()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

fn named(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_process_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/x.pid");
        let file = PidFile::write(path.clone()).unwrap();
        assert_eq!(named(&path), Some(std::process::id()));
        drop(file);
        assert!(!path.exists());
        for stale in ["", "no number", "4194305\n"] {
            fs::write(&path, stale).unwrap();
            drop(PidFile::write(path.clone()).unwrap());
        }
        fs::write(&path, "1").unwrap();
        let refused = PidFile::write(path.clone()).err().unwrap().to_string();
        assert!(refused.ends_with("process with PID 1 is still running"), "{refused}");
        assert_eq!(named(&path), Some(1));
    }
}
