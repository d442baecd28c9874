//! An archive that passes by once, as a pipe or a compressed file has it.
//!
//! Most archives say at their end which of their parts are layers. So whatever may be one is
//! unpacked as it passes, and an image that names it later takes it as it is: every byte is written
//! once, in the form in which it stays. What no image names goes with the lease.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::ops::Range;
use std::sync::Mutex;

use image::archive::{ArchiveError, Bundle, DOCUMENT_BYTES, Part, Parts};
use image::stream::chunks;
use image::tar::{Entry, EntryKind, Limits, TarError, TarReader};
use spec::Digest;
use store::{ErrorKind, Expected, Lease, Store, Unpacked};

use crate::error::{EngineError, Result};
use crate::load::is_usable;
use crate::progress::{Progress, Reported};

/// Parts up to this size stay in memory, as long as there is room.
const SMALL_BYTES: u64 = 1 << 20;
/// The room for small parts.
const MEMORY_BYTES: u64 = 8 << 20;
/// Unpacked layers hold open files and trees until an image takes them; these are as many, and as
/// much memory, as may wait. What comes then is set down as it is.
const MAX_WAITING: usize = 128;
const WAITING_BYTES: usize = 16 << 20;

/// What became of a part.
enum Kept {
    Memory(Vec<u8>),
    /// It lies in the scratch file.
    Aside(Range<u64>),
    /// It was unpacked as a layer, or could not be: its place among them, and its size.
    Layer(usize, u64),
    /// It was passed over, because the layer that it is named after is here. Its size.
    Here(u64),
}

/// The parts of an archive that has passed by.
pub(crate) struct Streamed {
    parts: Parts<Kept>,
    scratch: Option<File>,
    layers: Mutex<Vec<Option<Result<Unpacked>>>>,
}

impl Streamed {
    /// Reads an archive to its end. Its bytes are fetched, and decompressed, by a thread of its own.
    pub(crate) fn read(
        store: &Store,
        lease: &Lease,
        stream: &mut (dyn Read + Send),
        progress: &dyn Progress,
    ) -> Result<Streamed> {
        let (feeder, chunks) = chunks();
        std::thread::scope(|scope| {
            scope.spawn(|| feeder.feed(stream));
            let mut tar = TarReader::new(chunks, Limits::default());
            let mut arrival = Arrival {
                store,
                lease,
                progress,
                parts: Parts::default(),
                layers: Vec::new(),
                scratch: None,
                scratch_bytes: 0,
                room: MEMORY_BYTES,
                waiting: 0,
                waiting_bytes: 0,
            };
            while let Some(entry) = tar.next().map_err(ArchiveError::Tar)? {
                match entry.kind {
                    EntryKind::File if entry.sparse.is_none() => {
                        let kept = arrival.part(&entry, &mut tar.data())?;
                        arrival.parts.add(&entry, kept)?;
                    }
                    _ => arrival.parts.add_link(&entry)?,
                }
            }
            tar.finish().map_err(ArchiveError::Tar)?;
            let Arrival { parts, layers, scratch, .. } = arrival;
            Ok(Streamed { parts, scratch, layers: Mutex::new(layers) })
        })
    }

    /// The layer that a part was unpacked as, for the first who asks; none if it has not been.
    pub(crate) fn take(&self, name: &str) -> Option<Result<Unpacked>> {
        let Some(Kept::Layer(at, _)) = self.parts.get(name) else { return None };
        let mut layers = self.layers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        layers.get_mut(*at)?.take()
    }
}

impl Bundle for Streamed {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        Ok(match (self.parts.get(name), &self.scratch) {
            (Some(Kept::Memory(bytes)), _) => {
                let reader = Box::new(Cursor::new(bytes.clone()));
                Some(Part { reader, bytes: bytes.len() as u64 })
            }
            (Some(Kept::Aside(place)), Some(scratch)) => {
                Some(Part::of_file(scratch, place.clone())?)
            }
            (Some(Kept::Layer(_, bytes) | Kept::Here(bytes)), _) => {
                Some(Part { reader: Box::new(Gone), bytes: *bytes })
            }
            _ => None,
        })
    }
}

/// The bytes of a part that has passed by.
struct Gone;

impl Read for Gone {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("it is a layer, and has passed by"))
    }
}

/// An archive that is passing by.
struct Arrival<'a> {
    store: &'a Store,
    lease: &'a Lease,
    progress: &'a dyn Progress,
    parts: Parts<Kept>,
    layers: Vec<Option<Result<Unpacked>>>,
    scratch: Option<File>,
    scratch_bytes: u64,
    /// What is left of the room for small parts.
    room: u64,
    /// How many layers wait, and what their trees take.
    waiting: usize,
    waiting_bytes: usize,
}

impl Arrival<'_> {
    fn part(&mut self, entry: &Entry, data: &mut (impl BufRead + Send)) -> Result<Kept> {
        if entry.size <= SMALL_BYTES.min(self.room) {
            let mut bytes = Vec::with_capacity(entry.size as usize);
            data.read_to_end(&mut bytes).map_err(source_error)?;
            self.room -= entry.size;
            return Ok(Kept::Memory(bytes));
        }
        let name = String::from_utf8_lossy(&entry.path);
        if let Some(digest) = named_after(&name)
            && self.is_here(&digest)?
        {
            return Ok(Kept::Here(entry.size));
        }
        let may_wait = self.waiting < MAX_WAITING && self.waiting_bytes < WAITING_BYTES;
        let first = data.fill_buf().map_err(source_error)?.first().copied();
        let is_document =
            entry.size <= DOCUMENT_BYTES && first.is_some_and(|byte| b" \t\r\n{[".contains(&byte));
        match may_wait && !is_document {
            true => self.layer(&name, entry.size, data),
            false => self.set_aside(data),
        }
    }

    fn layer(&mut self, name: &str, bytes: u64, data: &mut (impl Read + Send)) -> Result<Kept> {
        // Only an image layout promises that a part is what its name says.
        let blob = named_after(name).filter(|_| name.contains("blobs/"));
        let shown = named_after(name).map_or_else(|| name.to_owned(), |digest| digest.short());
        let item = self.progress.begin(&shown, "Loading layer", Some(bytes));
        let mut reader = Reported { inner: Watched { inner: data, failed: None }, item };
        let expected = Expected { blob, ..Expected::default() };
        let unpacked = self.store.unpack_layer(self.lease, &mut reader, expected);
        reader.item.done();
        if let Some(error) = reader.inner.failed {
            return Err(source_error(error).into());
        }
        match &unpacked {
            Ok(unpacked) => {
                self.waiting += 1;
                self.waiting_bytes += unpacked.memory_bytes();
            }
            // The part's own fault, which is none if it is no layer.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Corrupt) => {}
            Err(_) => return unpacked.map(|_| Kept::Here(bytes)).map_err(EngineError::from),
        }
        self.layers.push(Some(unpacked.map_err(EngineError::from)));
        Ok(Kept::Layer(self.layers.len() - 1, bytes))
    }

    fn set_aside(&mut self, data: &mut impl BufRead) -> Result<Kept> {
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(self.store.scratch(self.lease)?),
        };
        let start = self.scratch_bytes;
        loop {
            let piece = data.fill_buf().map_err(source_error)?;
            let bytes = piece.len();
            if bytes == 0 {
                return Ok(Kept::Aside(start..self.scratch_bytes));
            }
            let root = self.store.paths().root();
            scratch.write_all(piece).map_err(EngineError::io("write to", root))?;
            self.scratch_bytes += bytes as u64;
            data.consume(bytes);
        }
    }

    /// Whether a part is named after a layer that is here. Then that one stays.
    fn is_here(&self, digest: &Digest) -> Result<bool> {
        let layers = self.store.tables()?.layers;
        let found = layers.layers.iter().find(|(_, record)| {
            let blob = record.blob.as_ref().map(|blob| blob.digest);
            record.diff.0 == *digest || blob == Some(*digest)
        });
        let Some((chain, record)) = found else { return Ok(false) };
        self.lease.protect_chain(chain)?;
        self.lease.protect_blob(&record.diff.0)?;
        if let Some(blob) = &record.blob {
            self.lease.protect_blob(&blob.digest)?;
        }
        // Looked at only now: what is here and protected stays.
        let mut layers = self.store.tables()?.layers;
        self.store.keep_fit(&mut layers, [record.diff])?;
        Ok(layers.by_diff(record.diff).is_some_and(|layer| is_usable(self.store, layer)))
    }
}

/// The digest that a part's name gives: `blobs/sha256/HEX`, or `HEX.tar` as podman has it.
fn named_after(name: &str) -> Option<Digest> {
    let name = name.trim_start_matches("./");
    if let Some(blob) = name.strip_prefix("blobs/") {
        return blob.replace('/', ":").parse().ok();
    }
    format!("sha256:{}", name.strip_suffix(".tar").unwrap_or(name)).parse().ok()
}

/// A reader that remembers its error, so that the archive's fault is not taken for the layer's.
struct Watched<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

fn source_error(error: io::Error) -> ArchiveError {
    match TarError::try_from(error) {
        Ok(error) => ArchiveError::Tar(error),
        Err(error) => ArchiveError::Source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_digests() {
        let hex = "0123456789abcdef".repeat(4);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        for name in ["blobs/sha256/HEX", "./blobs/sha256/HEX", "HEX.tar", "HEX"] {
            assert_eq!(named_after(&name.replace("HEX", &hex)), Some(digest), "{name}");
        }
        for name in ["HEX/layer.tar", "blobs/HEX", "blobs/sha1/HEX", "layer.tar", ""] {
            assert_eq!(named_after(&name.replace("HEX", &hex)), None, "{name}");
        }
    }
}
