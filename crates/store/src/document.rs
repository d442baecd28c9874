//! Documents: small files of JSON, read whole and replaced whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sys::read::Bytes;

use crate::error::{Result, StoreError};

/// Reads a document; one that is not there yet is empty.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    read_with_bytes(path).map(|(document, _)| document)
}

/// Reads a document and gives its bytes too, to tell afterwards whether a change changed it.
pub(crate) fn read_with_bytes<T: DeserializeOwned + Default>(path: &Path) -> Result<(T, Bytes)> {
    read_by(path, |text| serde_json::from_str(text))
}

/// The same for who reads JSON in a way of his own.
pub(crate) fn read_by<T: Default>(
    path: &Path,
    read: impl FnOnce(&str) -> serde_json::Result<T>,
) -> Result<(T, Bytes)> {
    let Some(bytes) = bytes(path)? else { return Ok((T::default(), Bytes::default())) };
    let damaged = |why: String| StoreError::Damaged { what: path.display().to_string(), why };
    // Checked once and as a whole, which is quicker than string by string.
    let text = str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    let document = read(text).map_err(|error| damaged(error.to_string()))?;
    Ok((document, bytes))
}

/// The bytes of a document; nothing if it is not there.
pub(crate) fn bytes(path: &Path) -> Result<Option<Bytes>> {
    found(sys::read::replaced(path, TABLE_BYTES), path, TABLE_BYTES)
}

/// No document of ours is larger: room for a million images.
const TABLE_BYTES: u64 = 1 << 30;

/// Reads a file whole, unless it is larger than any of its kind can be; nothing if there is none.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    found(sys::read::limited(path, limit), path, limit)
}

/// The bytes of a file that is not too large; nothing if there is none.
fn found<B: Deref<Target = [u8]>>(
    read: io::Result<B>,
    path: &Path,
    limit: u64,
) -> Result<Option<B>> {
    let bytes = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io("read", path))?,
    };
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(StoreError::Damaged { what: path.display().to_string(), why });
    }
    Ok(Some(bytes))
}

/// Replaces a document: written aside, synced, renamed, and the folder synced. The caller holds
/// the store's lock, so that one name aside is enough.
pub(crate) fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    write_bytes(path, &to_bytes(document))
}

/// A document as it is written.
pub(crate) fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("our own documents have only string keys")
}

/// Where a document is written before it gets its name.
pub(crate) fn aside(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

/// As `write`, but a power cut may bring back the document that was there before: the folder is synced
/// with what is written next.
pub(crate) fn write_soon<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    replace(path, &to_bytes(document))
}

/// As `write`, for a document that has been made into bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes)?;
    let folder = path.parent().expect("a document lies in a folder");
    sys::fs::sync_folder(folder).map_err(StoreError::io("sync", folder))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = aside(path);
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&aside, path)
    };
    if let Err(error) = write() {
        // What is half written takes room that is perhaps what was missing.
        let _ = fs::remove_file(&aside);
        return Err(StoreError::io("write", path)(error));
    }
    Ok(())
}
