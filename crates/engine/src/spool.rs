//! A stream set down part by part, because an archive may name its layers only at its end.

use std::collections::BTreeMap;
use std::io::{BufRead, Cursor, Read};

use image::archive::{ArchiveError, Bundle, Part};
use image::tar::{EntryKind, Limits, TarReader};
use image::tree::clean;
use spec::Digest;
use store::{Lease, Store};

use crate::error::Result;

/// Parts up to this size stay in memory, as long as there is room.
const SMALL_BYTES: u64 = 1 << 20;
/// The room for small parts.
const MEMORY_BYTES: u64 = 16 << 20;

enum Kept {
    Memory(Vec<u8>),
    Blob { digest: Digest, bytes: u64 },
    Link(String),
}

/// The parts of a stream, in memory or among the store's blobs, where the lease protects them.
pub(crate) struct Spooled<'a> {
    store: &'a Store,
    parts: BTreeMap<String, Kept>,
}

impl<'a> Spooled<'a> {
    /// Reads the stream to its end.
    pub(crate) fn read(
        store: &'a Store,
        lease: &Lease,
        stream: impl BufRead,
    ) -> Result<Spooled<'a>> {
        let mut tar = TarReader::new(stream, Limits::default());
        let mut parts = BTreeMap::new();
        let mut room = MEMORY_BYTES;
        while let Some(entry) = tar.next().map_err(ArchiveError::Tar)? {
            let name = text(&clean(&entry.path).join(&b'/'));
            let kept = match entry.kind {
                EntryKind::File if entry.size <= SMALL_BYTES.min(room) => {
                    let mut bytes = Vec::with_capacity(entry.size as usize);
                    tar.data().read_to_end(&mut bytes).map_err(ArchiveError::Source)?;
                    room -= bytes.len() as u64;
                    Kept::Memory(bytes)
                }
                EntryKind::File => {
                    let arrived = store.spool_blob(lease, &mut tar.data())?;
                    Kept::Blob { digest: arrived.digest, bytes: arrived.bytes }
                }
                EntryKind::Symlink(target) => {
                    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let path = [folder.as_bytes(), b"/", target.as_slice()].concat();
                    Kept::Link(text(&clean(&path).join(&b'/')))
                }
                EntryKind::Hardlink(target) => Kept::Link(text(&clean(&target).join(&b'/'))),
                _ => continue,
            };
            parts.insert(name, kept);
        }
        tar.finish().map_err(ArchiveError::Tar)?;
        Ok(Spooled { store, parts })
    }
}

impl Bundle for Spooled<'_> {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        let mut name = text(&clean(name.as_bytes()).join(&b'/'));
        for _ in 0..8 {
            return match self.parts.get(&name) {
                None => Ok(None),
                Some(Kept::Link(target)) => {
                    name = target.clone();
                    continue;
                }
                Some(Kept::Memory(bytes)) => {
                    let reader = Box::new(Cursor::new(bytes.clone()));
                    Ok(Some(Part { reader, bytes: bytes.len() as u64 }))
                }
                Some(Kept::Blob { digest, bytes }) => {
                    let file = self.store.open_blob(digest).map_err(|error| {
                        ArchiveError::Source(std::io::Error::other(error.to_string()))
                    })?;
                    Ok(Some(Part { reader: Box::new(file), bytes: *bytes }))
                }
            };
        }
        Ok(None)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
