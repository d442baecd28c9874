//! Blobs under their digest, and blobs on their way in.
//!
//! A blob that arrives twice at once is written once, if its digest is known beforehand: the file
//! of whoever is first stands in `ingest/` under the digest, locked for as long as its maker lives,
//! and others wait for it. If the digest is known only when all bytes have passed, as of a tar that
//! is imported, each writes its own file, and the last one to be whole stays.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use image::stream::Tap;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use spec::{Algorithm, Digest, Hasher};
use sys::lock::{Mode, lock, try_lock};

use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::paths::{Paths, entries_of};

/// A document (manifest, index, configuration) is read into memory whole; this is as much as we
/// take.
pub const DOCUMENT_BYTES: u64 = 8 << 20;

/// How much is copied at once.
const COPY_BYTES: usize = 256 << 10;

/// In such pieces what is written goes on to the disk.
const PIECE_BYTES: u64 = 8 << 20;
/// As many pieces stay in memory: a layer of common size is read from there when it is first used.
const PIECES_KEPT: u64 = 8;

/// Who has written nothing for so long is not waited for: perhaps it waits for us.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a maker is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// A blob on its way in: hashed and counted as it is written, invisible until committed, gone when
/// dropped.
pub struct Ingest {
    hasher: Hasher,
    bytes: u64,
    aside: Option<Aside>,
}

/// A file of a lease's own name: gone when dropped, unless it was published.
pub(crate) struct Aside {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Aside {
    pub(crate) fn create(path: PathBuf) -> Result<Aside> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        Ok(Aside { file, path, published: false })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name; what had that name before goes.
    pub(crate) fn publish(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).map_err(StoreError::io("rename", &self.path))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Published, the name is another's by now; else nobody will miss the file.
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What there is of a blob whose maker died, or was cut off, while it arrived. It is ours now, and
/// gone when dropped. Only the digest of the whole blob can tell whether its bytes are right.
pub struct LeftOver {
    aside: Aside,
    bytes: u64,
}

impl LeftOver {
    /// Takes what is left of a blob, if nobody is at work on it.
    pub(crate) fn take(lease: &Lease, digest: &Digest) -> Result<Option<LeftOver>> {
        let turn = lease.paths().turn(digest);
        let failed = |error: io::Error| StoreError::io("take over", &turn)(error);
        let file = match File::options().read(true).write(true).open(&turn) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        if !try_lock(&file, Mode::Exclusive).map_err(failed)? || !is_at(&file, &turn) {
            return Ok(None);
        }
        let path = lease.aside();
        match fs::rename(&turn, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        }
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Some(LeftOver { aside: Aside { file, path, published: false }, bytes }))
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file that has them.
    pub fn file(&self) -> &File {
        &self.aside.file
    }
}

/// What an ingest turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// The hash of its bytes.
    pub digest: Digest,
    /// How many there were.
    pub bytes: u64,
}

/// Whether the bytes must survive a power cut before the blob is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Synced before it becomes visible.
    Synced,
    /// Written out when the kernel likes; the layer's record says so.
    Lazy,
}

/// Lets the kernel start to write out each piece that has just become whole, and give back the
/// memory of one that is long written: a blob as large as the memory pushes out nobody's pages, and
/// pages that are used again cost half of what fresh ones do. It is only advice.
fn trail(file: &File, from: u64, to: u64) {
    for piece in from / PIECE_BYTES..to / PIECE_BYTES {
        let old = piece.checked_sub(PIECES_KEPT);
        for piece in [Some(piece), old].into_iter().flatten() {
            let _ = sys::fs::drop_range(file, piece * PIECE_BYTES, PIECE_BYTES);
        }
    }
}

/// Waits until a file's maker has finished or died; not for one that stands still.
fn wait_for(file: &File) -> io::Result<bool> {
    let (mut length, mut since) = (0, Instant::now());
    while !try_lock(file, Mode::Exclusive)? {
        let now = file.metadata()?.len();
        if now != length {
            (length, since) = (now, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            return Ok(false);
        }
        std::thread::sleep(GLANCE);
    }
    Ok(true)
}

/// Whether this is still the file at a path.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    there.is_some() && identity(file) == there
}

/// What tells a file from all others.
pub(crate) fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Ingest {
    /// Starts a blob in a file of its own.
    pub(crate) fn create(path: PathBuf, algorithm: Algorithm) -> Result<Ingest> {
        let aside = Some(Aside::create(path)?);
        Ok(Ingest { hasher: Hasher::new(algorithm), bytes: 0, aside })
    }

    /// Starts a blob whose digest is known, protects it, and takes its turn; or waits for the one
    /// who has it. Nothing if that one has written it.
    pub(crate) fn awaited(lease: &Lease, digest: &Digest) -> Result<Option<Ingest>> {
        lease.protect_blob(digest)?;
        let mut aside = Aside::create(lease.aside())?;
        let turn = lease.paths().turn(digest);
        let failed = |error: io::Error| StoreError::io("wait for", &turn)(error);
        // Nobody else knows this file yet: it is locked before it can be waited for.
        lock(&aside.file, Mode::Exclusive).map_err(failed)?;
        loop {
            match renameat_with(CWD, &aside.path, CWD, &turn, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    aside.path = turn;
                    break;
                }
                Err(Errno::EXIST) => {}
                // Not every file system can do this; then it is written twice.
                Err(Errno::INVAL | Errno::NOSYS) => break,
                Err(error) => return Err(failed(error.into())),
            }
            let other = match File::open(&turn) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            if !wait_for(&other).map_err(failed)? {
                break;
            }
            if is_at(&other, &turn) {
                // Its maker died.
                fs::remove_file(&turn).map_err(failed)?;
            } else if is_at(&other, &lease.paths().blob(digest)) {
                return Ok(None);
            }
        }
        let hasher = Hasher::new(digest.algorithm());
        Ok(Some(Ingest { hasher, bytes: 0, aside: Some(aside) }))
    }

    /// Hashes and counts without keeping.
    pub fn nowhere(algorithm: Algorithm) -> Ingest {
        Ingest { hasher: Hasher::new(algorithm), bytes: 0, aside: None }
    }

    /// The file with what has been written so far.
    pub(crate) fn file(&self) -> Option<&File> {
        self.aside.as_ref().map(|aside| &aside.file)
    }

    /// Takes everything that a source has, or so much of it.
    pub(crate) fn take_all(&mut self, source: &mut dyn Read, limit: u64) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];
        while self.bytes < limit {
            let wanted =
                usize::try_from(limit - self.bytes).map_or(COPY_BYTES, |n| n.min(COPY_BYTES));
            match source.read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(bytes) => self.pass(&buffer[..bytes])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Arrived {
        Arrived { digest: self.hasher.clone().finish(), bytes: self.bytes }
    }

    /// Leaves what has come for whoever goes on with it.
    pub(crate) fn leave(mut self) {
        if let Some(aside) = &mut self.aside {
            aside.published = true;
        }
    }

    /// Makes the blob visible under its digest.
    pub(crate) fn commit(mut self, paths: &Paths, durability: Durability) -> Result<Arrived> {
        let arrived = self.arrived();
        let Some(aside) = self.aside.take() else { return Ok(arrived) };
        let target = paths.blob(&arrived.digest);
        let meta = aside.file.metadata().map_err(StoreError::io("read", &aside.path))?;
        if meta.len() != arrived.bytes {
            // A write failed and nobody listened; the hash alone would not tell.
            let (got, expected) = (meta.len(), arrived.bytes);
            return Err(StoreError::WrongSize { wanted: arrived.digest, got, expected });
        }
        if durability == Durability::Synced {
            aside.file.sync_all().map_err(StoreError::io("sync", &aside.path))?;
        }
        let folder = make_parent(&target)?;
        aside.publish(&target)?;
        if durability == Durability::Synced {
            sys::fs::sync_folder(folder).map_err(StoreError::io("sync", folder))?;
        }
        Ok(arrived)
    }
}

impl Tap for Ingest {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(aside) = &mut self.aside {
            aside.file.write_all(bytes)?;
            trail(&aside.file, self.bytes, self.bytes + bytes.len() as u64);
        }
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a blob for reading.
pub(crate) fn open(paths: &Paths, digest: &Digest) -> Result<File> {
    let path = paths.blob(digest);
    File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::NoBlob(*digest),
        _ => StoreError::Io { doing: "open", path, source },
    })
}

/// Reads a document and checks that it is what its name says.
pub(crate) fn read_document(paths: &Paths, digest: &Digest) -> Result<Vec<u8>> {
    let path = paths.blob(digest);
    let document = match sys::read::limited(&path, DOCUMENT_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NoBlob(*digest));
        }
        other => other.map_err(StoreError::io("read", &path))?,
    };
    if document.len() as u64 > DOCUMENT_BYTES {
        let bytes = fs::metadata(&path).map_or(document.len() as u64, |meta| meta.len());
        return Err(StoreError::LargeDocument { bytes, limit: DOCUMENT_BYTES });
    }
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(&document);
    let got = hasher.finish();
    if got != *digest {
        let why = format!("its bytes are {got}");
        return Err(StoreError::Damaged { what: format!("blob {digest}"), why });
    }
    Ok(document)
}

/// Hashes a file from front to back, for as long as somebody wants to know; what has been read
/// until then is all that is told.
pub(crate) fn hash_file(
    path: &Path,
    algorithm: Algorithm,
    is_wanted: &AtomicBool,
) -> Result<Arrived> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut ingest = Ingest::nowhere(algorithm);
    let mut file = WhileWanted { file, is_wanted };
    ingest.take_all(&mut file, u64::MAX).map_err(StoreError::io("read", path))?;
    Ok(ingest.arrived())
}

/// A file that ends when nobody wants more of it.
struct WhileWanted<'a> {
    file: File,
    is_wanted: &'a AtomicBool,
}

impl Read for WhileWanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_wanted.load(Ordering::Relaxed) { self.file.read(buffer) } else { Ok(0) }
    }
}

/// All blobs that are here, with their sizes, and what lies among them and is none.
pub(crate) fn list(paths: &Paths) -> Result<(Vec<(Digest, u64)>, Vec<PathBuf>)> {
    let (mut list, mut strangers) = (Vec::new(), Vec::new());
    let algorithms = [Algorithm::Sha256, Algorithm::Sha512];
    for algorithm in algorithms {
        let folder = paths.blobs().join(algorithm.as_str());
        for entry in entries_of(&folder)? {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            let name = format!("{}:{}", algorithm.as_str(), entry.file_name().to_string_lossy());
            let path = entry.path();
            let Ok(digest) = name.parse() else {
                strangers.push(path);
                continue;
            };
            // Who moved a blob to another disk may have left a link to it, which does as well.
            match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => list.push((digest, meta.len())),
                Ok(_) => strangers.push(path),
                // That disk need not be mounted just now: what cannot be looked at is no stranger.
                Err(_) if fs::symlink_metadata(&path).is_ok() => list.push((digest, 0)),
                // It went a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            }
        }
    }
    for entry in entries_of(&paths.blobs())? {
        let entry = entry.map_err(StoreError::io("list", paths.blobs()))?;
        if !algorithms.iter().any(|algorithm| entry.file_name() == algorithm.as_str()) {
            strangers.push(entry.path());
        }
    }
    list.sort();
    strangers.sort();
    Ok((list, strangers))
}

/// Makes a blob durable that somebody wrote without caring.
pub(crate) fn make_durable(paths: &Paths, digest: &Digest) -> Result<()> {
    let path = paths.blob(digest);
    open(paths, digest)?.sync_all().map_err(StoreError::io("sync", &path))?;
    let folder = path.parent().expect("a blob lies in a folder");
    sys::fs::sync_folder(folder).map_err(StoreError::io("sync", folder))
}

/// The folder of an algorithm's blobs, made now, durably, if this is its first.
fn make_parent(path: &Path) -> Result<&Path> {
    let folder = path.parent().expect("a blob lies in a folder");
    let made = match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(folder),
        other => other,
    };
    let above = folder.parent().expect("that folder lies in another");
    made.and_then(|()| sys::fs::sync_folder(above))
        .map_err(StoreError::io("create", folder))
        .map(|()| folder)
}
