//! A file that is put aside when it is large: `NAME`, `NAME.1`, `NAME.2`…, compressed `NAME.1.gz`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::local;
use super::{FileLimits, Format};

/// How much is compressed at a time, so that the container's output does not wait.
const STEP_BYTES: u64 = 256 * 1024;

/// The file that is written, and those it was.
pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    limits: FileLimits,
    /// What every file begins with.
    header: Vec<u8>,
    compression: Option<Compress>,
}

impl RotatedFile {
    /// Opens a log and goes on after its last whole entry.
    pub(super) fn open(
        path: &Path,
        format: Format,
        header: Vec<u8>,
        limits: FileLimits,
    ) -> io::Result<RotatedFile> {
        let (mut file, mut bytes) = match options().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = options().open(path)?;
                let bytes = file.metadata()?.len();
                (file, bytes)
            }
            new => (new?, 0),
        };
        if format == Format::Local && bytes > 0 {
            let sound = local::sound_length(&file)?;
            file.set_len(sound)?;
            bytes = sound;
        } else if bytes > 0 && !ends_a_line(&file, bytes)? {
            // Half a line of a monitor that was killed must not take the next one with it.
            file.write_all(b"\n")?;
            bytes += 1;
        }
        if bytes == 0 {
            file.write_all(&header)?;
            bytes = header.len() as u64;
        }
        Ok(RotatedFile { path: path.to_owned(), file, bytes, limits, header, compression: None })
    }

    /// Whether so many bytes more make the file full, so that the next entry belongs to another.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.limits.max_bytes.is_some_and(|most| self.bytes + more as u64 >= most)
    }

    /// Writes whole entries.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        self.file.write_all(entries)?;
        self.bytes += entries.len() as u64;
        Ok(())
    }

    /// Puts the file aside and begins a new one.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        while self.step()? {}
        let files = self.limits.max_files;
        if files < 2 {
            fs::remove_file(&self.path)?;
        } else {
            remove(&numbered(&self.path, files - 1, ""))?;
            remove(&numbered(&self.path, files - 1, ".gz"))?;
            for number in (1..files - 1).rev() {
                for kind in ["", ".gz"] {
                    let from = numbered(&self.path, number, kind);
                    ignore_missing(fs::rename(from, numbered(&self.path, number + 1, kind)))?;
                }
            }
            fs::rename(&self.path, numbered(&self.path, 1, ""))?;
        }
        self.file = options().create_new(true).open(&self.path)?;
        self.file.write_all(&self.header)?;
        self.bytes = self.header.len() as u64;
        if self.limits.compress {
            self.compression = Some(Compress::begin(numbered(&self.path, 1, ""))?);
        }
        Ok(())
    }

    /// Whether something is left to compress.
    pub(super) fn has_work(&self) -> bool {
        self.compression.is_some()
    }

    /// Does a little of what is left to compress, and says whether there is more.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        let Some(work) = &mut self.compression else { return Ok(false) };
        match work.step() {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                // The plain file stays; it is as good, only larger.
                self.compression = None;
                return Err(error);
            }
        }
        self.compression = None;
        Ok(false)
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).append(true).create(true).mode(0o640);
    options
}

fn ends_a_line(file: &File, bytes: u64) -> io::Result<bool> {
    let mut last = [0];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut last, bytes - 1)?;
    Ok(last == *b"\n")
}

/// The name of a file that was put aside.
pub(super) fn numbered(path: &Path, number: u32, kind: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{kind}"));
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file on its way to its compressed form.
struct Compress {
    path: PathBuf,
    from: File,
    to: GzEncoder<File>,
}

impl Compress {
    fn begin(path: PathBuf) -> io::Result<Compress> {
        let from = File::open(&path)?;
        let to = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(aside(&path))?;
        Ok(Compress { path, from, to: GzEncoder::new(to, Compression::fast()) })
    }

    /// Compresses some of it; false when the compressed file has taken the plain one's place.
    fn step(&mut self) -> io::Result<bool> {
        if io::copy(&mut (&mut self.from).take(STEP_BYTES), &mut self.to)? > 0 {
            return Ok(true);
        }
        self.to.try_finish()?;
        let mut done = self.path.clone().into_os_string();
        done.push(".gz");
        fs::rename(aside(&self.path), done)?;
        fs::remove_file(&self.path)?;
        Ok(false)
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz.new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn names(folder: &Path) -> String {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    }

    #[test]
    fn files_are_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = FileLimits { max_bytes: Some(4), max_files: 3, compress: false };
        let mut file = RotatedFile::open(&path, Format::Json, Vec::new(), limits).unwrap();
        for text in ["one\n", "two\n", "three\n", "four\n"] {
            if file.is_full(0) {
                file.rotate().unwrap();
            }
            file.append(text.as_bytes()).unwrap();
        }
        assert_eq!(names(folder.path()), "log log.1 log.2");
        assert_eq!(fs::read(numbered(&path, 2, "")).unwrap(), b"two\n");
    }

    #[test]
    fn files_that_were_put_aside_are_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = FileLimits { max_bytes: Some(4), max_files: 4, compress: true };
        let mut file = RotatedFile::open(&path, Format::Json, Vec::new(), limits).unwrap();
        for text in ["one\n", "two\n", "three\n"] {
            file.append(text.as_bytes()).unwrap();
            file.rotate().unwrap();
        }
        while file.step().unwrap() {}
        assert_eq!(names(folder.path()), "log log.1.gz log.2.gz log.3.gz");
    }

    #[test]
    fn one_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = FileLimits { max_bytes: Some(4), max_files: 1, compress: false };
        let header = local::header(&BTreeMap::new());
        let mut file = RotatedFile::open(&path, Format::Local, header.clone(), limits).unwrap();
        file.append(b"rest").unwrap();
        file.rotate().unwrap();
        assert_eq!(names(folder.path()), "log");
        assert_eq!(fs::read(&path).unwrap(), header);
    }

    #[test]
    fn half_a_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "{\"log\":\"ha").unwrap();
        RotatedFile::open(&path, Format::Json, Vec::new(), FileLimits::JSON).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{\"log\":\"ha\n");
    }
}
