//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Result};

/// A file on its way. Until it is whole it has no name, so that nothing is left of it whatever
/// happens; where the file system has only files with names, it has an odd one beside its place.
pub(crate) struct WholeFile {
    file: File,
    path: PathBuf,
    /// Its name until it is whole.
    aside: PathBuf,
    named: bool,
}

impl WholeFile {
    /// Begins a file that will be at this path.
    pub(crate) fn create(path: &Path, mode: u32) -> io::Result<WholeFile> {
        let aside = aside_of(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match sys::fs::create_unnamed(folder.unwrap_or(Path::new(".")), mode)? {
            Some(file) => Ok(WholeFile { file, path: path.to_owned(), aside, named: false }),
            None => {
                let file = File::options().write(true).create_new(true).mode(mode).open(&aside)?;
                Ok(WholeFile { file, path: path.to_owned(), aside, named: true })
            }
        }
    }

    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its place, after its bytes are on disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if !self.named {
            sys::fs::name_file(&self.file, &self.aside)?;
            self.named = true;
        }
        fs::rename(&self.aside, &self.path)?;
        self.named = false;
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.named {
            // An error before this one is what counts.
            let _ = fs::remove_file(&self.aside);
        }
    }
}

/// A name beside a file.
fn aside_of(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    // Process ids come again, soon in a container: what a crash has left must be in nobody's way.
    let id = sys::host::random_id()?;
    Ok(path.with_file_name(format!(".{}.{}", name.to_string_lossy(), &id[..8])))
}

/// Refuses what docker refuses to write to: whatever is there and is no plain file.
pub(crate) fn check_place(path: &Path) -> Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if let Err(why) = is_folder(folder) {
        let text = format!("invalid output path: stat {}: {why}", folder.display());
        return Err(EngineError::Output(text));
    }
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(EngineError::Write)?.file_type(),
    };
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_symlink() => "a symbolic link directly",
        kind if kind.is_fifo() => "a named pipe (FIFO)",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device file",
        kind if kind.is_block_device() => "a block device file",
        _ => "a directory",
    };
    Err(EngineError::Output(format!("cannot write to {what}")))
}

/// Whether a folder is there, and if not, why, in the words of Go's library.
fn is_folder(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err("not a directory".to_owned()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::NotADirectory => "not a directory".to_owned(),
            _ => error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "before").unwrap();
        let given_up = WholeFile::create(&path, 0o600).unwrap();
        given_up.file().write_all(b"half").unwrap();
        assert_eq!(names(folder.path()), ["file"], "nothing is seen of it");
        drop(given_up);
        let whole = WholeFile::create(&path, 0o600).unwrap();
        whole.file().write_all(b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_file_with_a_name_beside_goes_when_it_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let aside = aside_of(&path).unwrap();
        let file = File::create_new(&aside).unwrap();
        drop(WholeFile { file, path, aside, named: true });
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn only_plain_files_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let said = |path: &Path| check_place(path).unwrap_err().to_string();
        assert!(said(&link).contains("cannot write to a symbolic link directly"));
        assert!(said(folder.path()).contains("cannot write to a directory"));
        assert!(said(Path::new("/dev/null")).contains("cannot write to a character device file"));
        assert!(said(&folder.path().join("none/file")).contains("no such file or directory"));
        assert!(check_place(&folder.path().join("new")).is_ok());
    }
}
