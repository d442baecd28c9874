//! What goes to another engine as a tar: a build's context, and a few files of no great size.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ::build::ignore::{Ignore, file_names, read_patterns};
use image::tar::{Entry, EntryKind, Limits, TarReader, TarWriter, Time};

use crate::error::{EngineError, Result};

/// What a file of a few is at most: nobody's certificate is longer.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// And so many there are.
const MAX_FILES: u64 = 64;
/// Permission bits of an entry.
const MODE: u32 = 0o7777;

/// A folder on its way to be the context of a build elsewhere.
pub struct SendContext {
    /// The folder.
    pub folder: PathBuf,
    /// The Dockerfile's path in it.
    pub dockerfile: String,
    /// A Dockerfile from elsewhere, which then stands in the context under that path.
    pub text: Option<Vec<u8>>,
}

impl SendContext {
    /// Writes the tar: what is not ignored, everything root's, as docker's client sends it.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        let mut walk = Walk { tar: TarWriter::new(BufWriter::new(out)), ignore: self.ignore()? };
        walk.folder(&self.folder, "", self.text.as_ref().map(|_| self.dockerfile.as_str()))?;
        if let Some(text) = &self.text {
            append(&mut walk.tar, &self.dockerfile, text).map_err(EngineError::Write)?;
        }
        let mut out = walk.tar.finish().map_err(EngineError::Write)?;
        out.flush().map_err(EngineError::Write)
    }

    /// What is left out; never the files that say what is to be done.
    fn ignore(&self) -> Result<Ignore> {
        for name in file_names(&self.dockerfile) {
            let path = self.folder.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let mut patterns = read_patterns(&text);
                    patterns.extend([format!("!{}", self.dockerfile), "!.dockerignore".to_owned()]);
                    return Ok(Ignore::new(&patterns)?);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(EngineError::io("read", path)(error)),
            }
        }
        Ok(Ignore::default())
    }
}

struct Walk<W: Write> {
    tar: TarWriter<W>,
    ignore: Ignore,
}

impl<W: Write> Walk<W> {
    /// Adds what is in a folder whose own path is `below`, but for one file that comes otherwise.
    fn folder(&mut self, folder: &Path, below: &str, but: Option<&str>) -> Result<()> {
        let failed = || EngineError::io("read", folder);
        let entries = fs::read_dir(folder).map_err(failed())?;
        let mut names: Vec<_> = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()
            .map_err(failed())?;
        names.sort();
        for name in names {
            let path = folder.join(&name);
            let inner = match below {
                "" => name.to_string_lossy().into_owned(),
                below => format!("{below}/{}", name.to_string_lossy()),
            };
            if but == Some(inner.as_str()) {
                continue;
            }
            let left_out = self.ignore.excludes(&inner);
            let meta = fs::symlink_metadata(&path).map_err(EngineError::io("read", &path))?;
            if meta.is_dir() {
                if !left_out {
                    self.entry(&path, &inner, &meta)?;
                }
                if !self.ignore.skips_folder(&inner) {
                    self.folder(&path, &inner, but)?;
                }
            } else if !left_out {
                self.entry(&path, &inner, &meta)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, inner: &str, meta: &fs::Metadata) -> Result<()> {
        let failed = || EngineError::io("read", path);
        let mut entry = Entry {
            path: inner.as_bytes().to_vec(),
            mode: meta.mode() & MODE,
            mtime: Time { seconds: meta.mtime(), nanos: meta.mtime_nsec() as u32 },
            ..Entry::default()
        };
        let kind = meta.file_type();
        if kind.is_dir() {
            entry.path.push(b'/');
            entry.kind = EntryKind::Directory;
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(failed())?;
            entry.kind = EntryKind::Symlink(target.as_os_str().as_bytes().to_vec());
        } else if kind.is_file() {
            let file = File::open(path).map_err(failed())?;
            entry.size = meta.len();
            // One that grows meanwhile is as long as it was; one that shrinks is an error.
            return self.tar.append(&entry, &mut file.take(meta.len())).map_err(failed());
        } else {
            // Sockets and the like mean nothing elsewhere.
            return Ok(());
        }
        self.tar.append(&entry, &mut io::empty()).map_err(EngineError::Write)
    }
}

fn append<W: Write>(tar: &mut TarWriter<W>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_bytes().to_vec();
    let entry = Entry { path, mode: 0o644, size: bytes.len() as u64, ..Entry::default() };
    tar.append(&entry, &mut &bytes[..])
}

/// Writes a few files as a tar.
pub fn write_files(out: &mut dyn Write, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let mut tar = TarWriter::new(out);
    files.iter().try_for_each(|(path, bytes)| append(&mut tar, path, bytes))?;
    tar.finish().map(drop)
}

/// Reads a few files out of a tar; what is no file is passed over.
pub fn read_files(from: &mut dyn Read) -> io::Result<Vec<(String, Vec<u8>)>> {
    let limits = Limits { max_entries: MAX_FILES, ..Limits::default() };
    let mut tar = TarReader::new(BufReader::new(from), limits);
    let mut files = Vec::new();
    while let Some(entry) = tar.next().map_err(io::Error::other)? {
        if entry.kind != EntryKind::File {
            continue;
        }
        if entry.size > MAX_FILE_BYTES {
            return Err(io::Error::other("a file in it is too long"));
        }
        let mut bytes = Vec::new();
        tar.data().read_to_end(&mut bytes)?;
        files.push((String::from_utf8_lossy(&entry.path).into_owned(), bytes));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_goes_without_what_is_ignored() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().to_owned();
        fs::create_dir_all(folder.join("a/keep")).unwrap();
        fs::create_dir_all(folder.join("b")).unwrap();
        let files = [
            ("Dockerfile", "FROM x"),
            (".dockerignore", "a\n!a/keep\nb\nDockerfile"),
            ("a/no", "1"),
            ("a/keep/yes", "2"),
            ("b/no", "3"),
            ("c", "4"),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let names = |text: Option<Vec<u8>>| {
            let send =
                SendContext { folder: folder.clone(), dockerfile: "Dockerfile".into(), text };
            let mut tar = Vec::new();
            send.write(&mut tar).unwrap();
            read_files(&mut &tar[..]).unwrap()
        };
        let sent = names(None);
        let found: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, [".dockerignore", "Dockerfile", "a/keep/yes", "c"]);
        let sent = names(Some(b"FROM y".to_vec()));
        assert_eq!(sent.last().unwrap(), &("Dockerfile".to_owned(), b"FROM y".to_vec()));
        assert_eq!(sent.len(), 4);
    }
}
