//! A registry in a folder.
//!
//! A document is written aside, synced, renamed and its folder synced; a blob the same, except that
//! its bytes were synced as they came. So whatever was acknowledged survives a crash, and what was
//! not is at most a file in `uploads` or `temporary`, which the collector deletes.

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use spec::{Algorithm, Digest};
use sys::lock::{Mode, lock};

use super::{Appended, Blob, Hold, IsOld, Storage, Taken, Thing, Watch, paths};
use crate::error::{HubError, Result};
use crate::names::UploadId;

/// The version of the layout that is written.
const VERSION: u64 = 1;
/// Bytes come in pieces of this length: few system calls, and still warm when they are hashed.
const PIECE_BYTES: usize = 256 << 10;

/// A registry in a folder.
pub(crate) struct Folder {
    root: PathBuf,
    next: AtomicU64,
}

/// What `registry.json` says.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Format {
    version: u64,
}

impl Format {
    /// The document for a new registry.
    pub(super) fn document() -> Vec<u8> {
        serde_json::to_vec(&Format { version: VERSION }).expect("a number is JSON")
    }

    /// Refuses what a newer mica wrote.
    pub(super) fn check(bytes: &[u8], root: &Path) -> Result<()> {
        let path = paths::FORMAT.to_owned();
        let format: Format =
            serde_json::from_slice(bytes).map_err(|source| HubError::Damaged { path, source })?;
        match format.version > VERSION {
            true => {
                let (path, found) = (root.to_owned(), format.version);
                Err(HubError::Newer { path, found, known: VERSION })
            }
            false => Ok(()),
        }
    }
}

impl Folder {
    /// Opens a folder, and makes it a registry's if it is not one.
    pub(crate) fn open(root: &Path) -> Result<Folder> {
        let folder = Folder { root: root.to_owned(), next: AtomicU64::new(0) };
        for part in ["blobs", paths::REPOSITORIES, "uploads", "temporary"] {
            let path = root.join(part);
            make_folder(&path).map_err(|source| HubError::Write { path, source })?;
        }
        match folder.read(paths::FORMAT)? {
            None => folder.write(paths::FORMAT, &Format::document())?,
            Some(bytes) => Format::check(&bytes, root)?,
        }
        Ok(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Where a blob lies; the folders between keep each folder small.
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut path = self.path("blobs");
        path.extend([digest.algorithm().as_str(), &hex[..2], &hex]);
        path
    }

    fn upload_folder(&self, id: &UploadId) -> PathBuf {
        self.path("uploads").join(id.as_str())
    }

    fn upload_data(&self, id: &UploadId) -> PathBuf {
        self.upload_folder(id).join("data")
    }

    /// Writes a file durably, so that it is there whole or not at all.
    fn put(&self, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let aside = self.path("temporary").join(format!("{}-{number}", std::process::id()));
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let placed = written.and_then(|()| place(&aside, target));
        if placed.is_err() {
            let _ = fs::remove_file(&aside);
        }
        placed
    }

    fn lock(&self, mode: Mode) -> Result<Hold> {
        let path = self.path("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let locked = file.and_then(|file| lock(&file, mode).map(|()| file));
        let file = locked.map_err(|source| HubError::Write { path, source })?;
        Ok(Hold { _lock: Some(file) })
    }
}

impl Storage for Folder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(path);
        found(fs::read(&path)).map_err(|source| HubError::Read { path, source })
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(path);
        self.put(&path, bytes).map_err(|source| HubError::Write { path, source })
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let path = self.path(path);
        unlink(&path).map_err(|source| HubError::Write { path, source })
    }

    fn remove_if(&self, path: &str, seen: &[u8]) -> Result<bool> {
        Ok(self.read(path)?.is_some_and(|bytes| bytes == seen) && self.remove(path)?)
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        let path = self.path(path);
        let mut names = found(names(&path)).map_err(|source| HubError::Read { path, source })?;
        names.iter_mut().for_each(|names| names.sort_unstable());
        Ok(names.unwrap_or_default())
    }

    fn age(&self, path: &str) -> Result<Option<Duration>> {
        let path = self.path(path);
        found(age(&path)).map_err(|source| HubError::Read { path, source })
    }

    fn touch(&self, path: &str) -> Result<bool> {
        let path = self.path(path);
        let touched = found(touch(&path)).map_err(|source| HubError::Write { path, source })?;
        Ok(touched.is_some())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>> {
        let path = self.blob_path(digest);
        let opened = File::open(&path).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok(Blob::File { file, bytes })
        });
        found(opened).map_err(|source| HubError::Read { path, source })
    }

    fn put_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.blob_path(digest);
        self.put(&path, bytes).map_err(|source| HubError::Write { path, source })
    }

    fn touch_blob(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        let touched = found(touch(&path)).map_err(|source| HubError::Write { path, source })?;
        Ok(touched.is_some())
    }

    fn blobs(&self, see: &mut dyn FnMut(Digest, Duration) -> Result<()>) -> Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = format!("blobs/{algorithm}");
            for part in self.list(&folder)? {
                let folder = format!("{folder}/{}", part.trim_end_matches('/'));
                for hex in self.list(&folder)? {
                    let Ok(digest) = format!("{algorithm}:{hex}").parse() else { continue };
                    if let Some(age) = self.age(&format!("{folder}/{hex}"))? {
                        see(digest, age)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn upload_bytes(&self, id: &UploadId) -> Result<Option<u64>> {
        let path = self.upload_data(id);
        let length = fs::metadata(&path).map(|data| data.len());
        found(length).map_err(|source| HubError::Read { path, source })
    }

    fn begin_upload(&self, id: &UploadId) -> Result<()> {
        let path = self.upload_data(id);
        let made = make_folder(&self.upload_folder(id)).and_then(|()| {
            File::create(&path)?;
            sys::fs::sync_folder(&self.upload_folder(id))
        });
        made.map_err(|source| HubError::Write { path, source })
    }

    fn append(
        &self,
        id: &UploadId,
        at: u64,
        from: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<Appended> {
        let path = self.upload_data(id);
        let failed = |source| HubError::Write { path: path.clone(), source };
        let mut file = File::options().write(true).open(&path).map_err(failed)?;
        // What a crash left behind the acknowledged bytes is written over.
        file.set_len(at).and_then(|()| file.seek(SeekFrom::Start(at))).map_err(failed)?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut appended = Appended { bytes: 0, cut: None };
        loop {
            let (count, cut) = fill(from, &mut buffer);
            watch(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(failed)?;
            appended.bytes += count as u64;
            appended.cut = cut;
            if count < buffer.len() {
                break;
            }
        }
        file.sync_data().map_err(failed)?;
        Ok(appended)
    }

    fn read_upload(&self, id: &UploadId, at: u64) -> Result<Box<dyn Read + Send>> {
        let path = self.upload_data(id);
        let opened = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(at))?;
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(HubError::Read { path, source }),
        }
    }

    fn keep_upload(&self, id: &UploadId, digest: &Digest, bytes: u64) -> Result<()> {
        if self.upload_bytes(id)? != Some(bytes) {
            return Err(HubError::Raced { what: format!("upload {id}") });
        }
        let path = self.blob_path(digest);
        let kept = place(&self.upload_data(id), &path).and_then(|()| touch(&path));
        kept.map_err(|source| HubError::Write { path, source })?;
        self.remove_upload(id)
    }

    fn remove_upload(&self, id: &UploadId) -> Result<()> {
        let path = self.upload_folder(id);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(HubError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    fn uploads(&self) -> Result<Vec<(UploadId, Duration)>> {
        let mut uploads = Vec::new();
        for name in self.list("uploads")? {
            let Some(id) = UploadId::parse(name.trim_end_matches('/')) else { continue };
            let data = self.upload_data(&id);
            let youngest = age(&data).or_else(|_| age(&self.upload_folder(&id)));
            uploads.extend(youngest.ok().map(|age| (id, age)));
        }
        Ok(uploads)
    }

    fn hold(&self) -> Result<Hold> {
        self.lock(Mode::Shared)
    }

    fn hold_alone(&self) -> Result<Hold> {
        self.lock(Mode::Exclusive)
    }

    fn take(&self, thing: &Thing, is_old: &IsOld<'_>) -> Result<Option<Taken>> {
        let path = match thing {
            Thing::Blob(digest) => self.blob_path(digest),
            Thing::Link(name, digest) => self.path(&paths::blob_link(name, digest)),
            Thing::Manifest(name, digest) => self.path(&paths::manifest(name, digest)),
        };
        let failed = |source| HubError::Write { path: path.clone(), source };
        let look = || -> io::Result<Option<u64>> {
            let data = found(fs::metadata(&path))?.map(|data| data.len());
            let is_old = found(age(&path))?.is_some_and(is_old);
            Ok(data.filter(|_| is_old))
        };
        // What is not old now will not be in a moment: nobody is held up for it.
        if look().map_err(failed)?.is_none() {
            return Ok(None);
        }
        let _alone = self.hold_alone()?;
        let Some(bytes) = look().map_err(failed)? else { return Ok(None) };
        let (id, thing) = (String::new(), thing.clone());
        let taken = Taken { id, thing, bytes, document: None, upload: None };
        Ok(unlink(&path).map_err(failed)?.then_some(taken))
    }
}

/// Nothing where there is no such file.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            name.push('/');
        }
        names.push(name);
    }
    Ok(names)
}

/// A clock that was put back makes everything young: nothing is taken too early.
fn age(path: &Path) -> io::Result<Duration> {
    Ok(fs::metadata(path)?.modified()?.elapsed().unwrap_or_default())
}

fn touch(path: &Path) -> io::Result<()> {
    File::open(path)?.set_times(FileTimes::new().set_modified(SystemTime::now()))
}

/// Moves a synced file to its place, durably.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(folder)?;
            fs::rename(from, to)?;
        }
        other => other?,
    }
    sys::fs::sync_folder(folder)
}

/// Makes a folder and those above it, durably.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(path.parent().ok_or(error)?)?;
            match fs::create_dir(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        other => other?,
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sys::fs::sync_folder(parent),
        None => sys::fs::sync_folder(Path::new(".")),
    }
}

fn unlink(path: &Path) -> io::Result<bool> {
    let removed = found(fs::remove_file(path))?.is_some();
    if let Some(folder) = path.parent().filter(|_| removed) {
        sys::fs::sync_folder(folder)?;
    }
    Ok(removed)
}

/// Fills a buffer as far as bytes come; fewer than it holds are the last ones.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}
