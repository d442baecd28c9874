//! What is in the files of a context, remembered: a file whose path, inode, size and times have not
//! changed is not read again.
//!
//! A time says nothing about a file that was written in the moment it was looked at: it could be
//! written again and keep the time. So only files are remembered that were at rest when they were
//! read. The memory is one file for each context folder, replaced whole; losing it costs only the
//! reading.

mod rows;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use spec::Digest;
use sys::fs::Stat;

use rows::Rows;

/// What is in a file.
pub(super) type Hash = [u8; 32];

/// A file that is not larger is kept when it is read, so that its layer need not read it again.
const KEPT_BYTES: u64 = 128 << 10;

/// A file as the file system tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    inode: u64,
    pub(super) bytes: u64,
    changed: (i64, u32),
    modified: (i64, u32),
}

/// Room for ten million files.
const MAX_BYTES: u64 = 2 << 30;
/// How long a file must have been at rest. Clocks of file systems tick every few milliseconds; some
/// count only seconds.
const REST_NANOS: i128 = 20_000_000;
const REST_SECONDS_NANOS: i128 = 2_000_000_000;

/// The remembered hashes of one context.
pub(super) struct Hashes {
    path: PathBuf,
    known: Rows,
    learned: Mutex<HashMap<Vec<u8>, (Seen, Hash)>>,
}

impl Hashes {
    /// What is remembered of a context folder, in this folder of ours.
    pub(super) fn read(folder: &Path, context: &Path) -> Hashes {
        let name = Digest::of(context.as_os_str().as_encoded_bytes());
        let path = folder.join(name.hex());
        let bytes = sys::read::replaced(&path, MAX_BYTES).ok();
        let bytes = bytes.filter(|bytes| bytes.len() as u64 <= MAX_BYTES);
        let known = bytes.and_then(Rows::parse).unwrap_or_default();
        Hashes { path, known, learned: Mutex::default() }
    }

    /// A memory that ends with the build.
    pub(super) fn nowhere() -> Hashes {
        Hashes { path: PathBuf::new(), known: Rows::default(), learned: Mutex::default() }
    }

    /// The hash of a file below an open folder. Reads it only if it is not known; what was read of a
    /// file that fits into `room` comes with it, so that nobody need read it again.
    pub(super) fn of(
        &self,
        root: impl AsFd,
        path: &[u8],
        seen: Seen,
        room: &mut u64,
    ) -> io::Result<(Hash, Option<Arc<[u8]>>)> {
        if let Some(hash) = self.find(path, &seen) {
            return Ok((hash, None));
        }
        let began = now();
        let (hash, bytes) = match seen.bytes {
            size if size <= KEPT_BYTES.min(*room) => {
                let bytes = read_small(root, path, size)?;
                *room = room.saturating_sub(bytes.len() as u64);
                (hash_of(&Digest::of(&bytes)), Some(bytes.into()))
            }
            _ => (read_hash(root, path)?, None),
        };
        self.learn(path, seen, hash, began);
        Ok((hash, bytes))
    }

    /// The hash of a file, if it is known.
    pub(super) fn find(&self, path: &[u8], seen: &Seen) -> Option<Hash> {
        let is_it = |(known, hash): (Seen, Hash)| (known == *seen).then_some(hash);
        let learned = || self.learned().get(path).copied();
        self.known.find(path).and_then(is_it).or_else(|| learned().and_then(is_it))
    }

    /// Whether a file has to be read, and nothing of the same size was seen in its place, so that it
    /// cannot be what it was.
    pub(super) fn is_new(&self, path: &[u8], seen: Seen) -> bool {
        let has_memory = !self.path.as_os_str().is_empty();
        let alike = self.known.find(path).is_some_and(|(known, _)| known.bytes == seen.bytes);
        has_memory && !alike && self.find(path, &seen).is_none()
    }

    /// Remembers what is in a file that was read from `began` on, unless it may have changed since it
    /// was seen: then it is another one the next time.
    pub(super) fn learn(&self, path: &[u8], seen: Seen, hash: Hash, began: i128) {
        if seen.is_at_rest(began) {
            self.learned().insert(path.to_vec(), (seen, hash));
        }
    }

    fn learned(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, (Seen, Hash)>> {
        self.learned.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps what was learned. What cannot be kept is read again next time.
    pub(super) fn keep(&self) {
        let new = std::mem::take(&mut *self.learned());
        if new.is_empty() || self.path.as_os_str().is_empty() {
            return;
        }
        let old = self.known.all().filter(|(path, _)| !new.contains_key(*path));
        let new = new.iter().map(|(path, row)| (&path[..], *row));
        let bytes = Rows::write(old.chain(new).collect());
        let Some(folder) = self.path.parent() else { return };
        let random = sys::host::random_id().unwrap_or_default();
        let aside = folder.join(format!("{random}.new"));
        let _ = fs::create_dir_all(folder);
        let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
    }
}

impl Seen {
    pub(super) fn of(stat: &Stat) -> Seen {
        Seen {
            inode: stat.st_ino,
            bytes: stat.st_size as u64,
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
        }
    }

    fn is_at_rest(&self, now: i128) -> bool {
        [self.changed, self.modified].iter().all(|(seconds, nanos)| {
            let time = i128::from(*seconds) * 1_000_000_000 + i128::from(*nanos);
            let rest = if *nanos == 0 { REST_SECONDS_NANOS } else { REST_NANOS };
            time + rest <= now
        })
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128
}

pub(super) fn hash_of(digest: &Digest) -> Hash {
    digest.bytes().try_into().expect("a SHA-256 has 32 bytes")
}

/// All of a small file. A read that does not fill the buffer was its end.
fn read_small(root: impl AsFd, path: &[u8], size: u64) -> io::Result<Vec<u8>> {
    let mut file = sys::fs::file_beneath(root, path)?;
    let mut bytes = vec![0; size as usize + 1];
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => {
                let count = other?;
                filled += count;
                if count == 0 || filled < bytes.len() {
                    break;
                }
                // It has grown meanwhile.
                bytes.resize(bytes.len() * 2, 0);
            }
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn read_hash(root: impl AsFd, path: &[u8]) -> io::Result<Hash> {
    let mut file = sys::fs::file_beneath(root, path)?;
    let mut hasher = spec::Hasher::new(spec::Algorithm::Sha256);
    let mut buffer = [0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash_of(&hasher.finish()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let (memory, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = context.path().join("a");
        let root = sys::fs::open_folder(context.path()).unwrap();
        let hash = |hashes: &Hashes| {
            let stat = sys::fs::stat(&root, "a").unwrap();
            hashes.of(&root, b"a", Seen::of(&stat), &mut 0).unwrap().0
        };
        // Too young to be remembered: it may change within the same tick. One look of many is soon
        // enough.
        let young = || {
            fs::write(&file, "one").unwrap();
            let hashes = Hashes::read(memory.path(), context.path());
            (hash(&hashes), hashes)
        };
        let mut looks = (0..100).map(|_| young());
        let (one, hashes) = looks.find(|(_, hashes)| hashes.learned().is_empty()).unwrap();
        assert_eq!(one, <[u8; 32]>::try_from(Digest::of(b"one").bytes()).unwrap());
        std::thread::sleep(Duration::from_millis(30));
        hash(&hashes);
        assert_eq!(hashes.learned().len(), 1);
        hashes.keep();
        let hashes = Hashes::read(memory.path(), context.path());
        assert_eq!(hashes.known.len(), 1);
        // Known, so the file is not even opened.
        let stat = sys::fs::stat(&root, "a").unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(hashes.of(&root, b"a", Seen::of(&stat), &mut 0).unwrap(), (one, None));
        fs::write(&file, "two").unwrap();
        assert_ne!(hash(&hashes), one);
    }

    #[test]
    fn what_is_read_of_small_files_is_kept() {
        let (memory, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = sys::fs::open_folder(context.path()).unwrap();
        let hashes = Hashes::read(memory.path(), context.path());
        let mut room = 200 << 10;
        let mut check = |size: usize, wanted| {
            let content = vec![7; size];
            fs::write(context.path().join("a"), &content).unwrap();
            let stat = sys::fs::stat(&root, "a").unwrap();
            assert!(hashes.is_new(b"a", Seen::of(&stat)));
            let (hash, bytes) = hashes.of(&root, b"a", Seen::of(&stat), &mut room).unwrap();
            assert_eq!(hash, hash_of(&Digest::of(&content)), "{size}");
            assert_eq!(bytes.is_some(), wanted, "{size}");
            assert!(bytes.is_none_or(|bytes| *bytes == *content));
        };
        check(0, true);
        check(5, true);
        check(128 << 10, true);
        check((128 << 10) + 1, false);
        // There is no room for more.
        check(100 << 10, false);
        check(50 << 10, true);
    }
}
