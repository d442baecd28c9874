//! A lease protects what is being made from the collector, for as long as its process lives.
//!
//! It is a file that its owner holds locked and that lists what the owner made or counts on. The
//! lock ends with the process, however it ends; a file that nobody holds protects nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use spec::{ChainId, Digest};
use sys::lock::{Mode, lock, try_lock};

use crate::document::read_limited;
use crate::error::{Result, StoreError};
use crate::paths::{Paths, entries_of};
use crate::tables::{Layers, Tables};

/// Room for a line about each of half a million layers.
const LEASE_BYTES: u64 = 64 << 20;

/// What nobody may collect now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// Blobs.
    pub blobs: BTreeSet<Digest>,
    /// Stacks, and with them what is below.
    pub chains: BTreeSet<ChainId>,
    /// The names of living leases; what is on its way in begins with one of them.
    pub leases: BTreeSet<String>,
}

/// A living lease.
pub struct Lease {
    id: String,
    path: PathBuf,
    lines: Mutex<Lines>,
    paths: Paths,
    made: AtomicU64,
}

/// A lease's file, and what it says already.
struct Lines {
    file: File,
    known: BTreeSet<String>,
}

impl Lease {
    /// Takes a lease. Made under the store's lock, so that the collector never sees one between
    /// its making and its locking.
    pub(crate) fn take(paths: &Paths) -> Result<Lease> {
        let id = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
        let path = paths.leases().join(&id);
        let _shared = hold(paths, Mode::Shared)?;
        let file = File::options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        lock(&file, Mode::Exclusive).map_err(StoreError::io("lock", &path))?;
        let lines = Mutex::new(Lines { file, known: BTreeSet::new() });
        Ok(Lease { id, path, lines, paths: paths.clone(), made: AtomicU64::new(0) })
    }

    /// Protects a blob, whether it is there already or not yet, and says whether it is.
    pub fn protect_blob(&self, digest: &Digest) -> Result<bool> {
        self.protect(&format!("blob {digest}\n"), || self.paths.blob(digest).exists())
    }

    /// Protects everything that the documents name, but for these layers. The caller has held the
    /// store's lock since it read them: else they could name what is gone when it is protected.
    pub(crate) fn protect_all(&self, tables: &Tables, but: &[ChainId]) -> Result<()> {
        let chains = tables.layers.layers.keys().filter(|chain| !but.contains(chain));
        let mut lines: Vec<String> = chains.map(|chain| format!("chain {chain}\n")).collect();
        lines.extend(tables.images.documents().iter().map(|digest| format!("blob {digest}\n")));
        self.write(&lines.concat())
    }

    /// Protects a stack.
    pub fn protect_chain(&self, chain: &ChainId) -> Result<()> {
        self.protect(&format!("chain {chain}\n"), || ())
    }

    /// A name that nobody else uses for something on its way in.
    pub(crate) fn aside(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.paths.ingest().join(format!("{}-{number}", self.id))
    }

    fn protect<T>(&self, line: &str, look: impl FnOnce() -> T) -> Result<T> {
        if self.lines().known.contains(line) {
            return Ok(look());
        }
        // While a reader holds the lock the collector waits, so it either sees the line or has
        // already taken away what we then find missing.
        let _shared = hold(&self.paths, Mode::Shared)?;
        self.write(line)?;
        self.lines().known.insert(line.to_owned());
        Ok(look())
    }

    /// The caller holds the store's lock.
    fn write(&self, lines: &str) -> Result<()> {
        let written = self.lines().file.write_all(lines.as_bytes());
        written.map_err(StoreError::io("write", &self.path))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// What keeps an image, and the snapshot that is being made of it, from the collector.
pub enum Making {
    /// The store's lock, shared, with the layers as they are meanwhile: for what is made in a
    /// moment.
    AtOnce(File, Layers),
    /// A lease: for what takes as long as it takes.
    InTime(Lease),
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The next collector deletes it if this fails.
        let _ = fs::remove_file(&self.path);
    }
}

/// Holds the store's lock until the file is dropped.
pub(crate) fn hold(paths: &Paths, mode: Mode) -> Result<File> {
    let path = paths.lock();
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = match open {
        // Who may only look can lock all the same.
        Err(error) if is_refusal(&error) => File::open(&path).map_err(|_| error),
        other => other,
    };
    let file = file.map_err(StoreError::io("open", &path))?;
    lock(&file, mode).map_err(StoreError::io("lock", &path))?;
    Ok(file)
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// All that living leases protect, one's own perhaps left out. The caller holds the store's lock
/// alone. Dead leases go.
pub(crate) fn protected(paths: &Paths, own: Option<&Lease>) -> Result<Protected> {
    let folder = paths.leases();
    let mut protected = Protected::default();
    for entry in entries_of(&folder)? {
        let entry = entry.map_err(StoreError::io("list", &folder))?;
        let path = entry.path();
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(StoreError::io("open", &path))?,
        };
        if try_lock(&file, Mode::Exclusive).map_err(StoreError::io("lock", &path))? {
            let _ = fs::remove_file(&path);
            continue;
        }
        let id = entry.file_name().to_string_lossy().into_owned();
        let is_own = own.is_some_and(|own| own.id == id);
        protected.leases.insert(id);
        if is_own {
            continue;
        }
        let text = read_limited(&path, LEASE_BYTES)?.unwrap_or_default();
        protected.take_lines(&String::from_utf8_lossy(&text));
    }
    Ok(protected)
}

impl Protected {
    fn take_lines(&mut self, text: &str) {
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("blob", digest)) => self.blobs.extend(digest.parse::<Digest>().ok()),
                Some(("chain", chain)) => self.chains.extend(chain.parse::<ChainId>().ok()),
                // A line that is cut off belongs to a write that never returned.
                _ => {}
            }
        }
    }
}
