//! A layer put together from what is here: parts that layers of this store have too are copied, and
//! only the others are fetched, by one request where the registry answers that. The tables of contents say what is the same, and nobody believes
//! them: the layer's digest is checked over all of it, as if it had come whole.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use image::archive::BundledLayer;
use image::chunked::{Extent, FOOTER_BYTES, Place};
use registry::{PartsReader, Repository};
use spec::Digest;
use store::Store;

/// A smaller layer is fetched before its table would be.
const WORTH_BYTES: u64 = 1 << 20;
/// What is here between two parts that are not is fetched with them if it is shorter.
const BRIDGE_BYTES: u64 = 16 << 10;
/// A layer is fetched in so many parts at most: some registries give each by a request of its own.
const PARTS: usize = 128;
/// As many layers of this store are looked at, those that came last.
const CANDIDATES: usize = 256;

/// A layer that is read from here and there.
pub(super) struct Assembled<'a> {
    segments: VecDeque<Segment>,
    /// What is fetched, one part behind the other.
    fetched: PartsReader<'a>,
}

/// A part of the layer, and where it is.
#[derive(Clone)]
enum Segment {
    Here { file: Arc<File>, at: u64, bytes: u64 },
    There { at: u64, bytes: u64 },
    Read(Cursor<Arc<[u8]>>),
}

impl Segment {
    /// Where it is in the layer, if it is fetched.
    fn place(&self) -> Option<Range<u64>> {
        match self {
            Segment::There { at, bytes } => Some(*at..*at + *bytes),
            Segment::Here { .. } | Segment::Read(_) => None,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Segment::Here { bytes, .. } | Segment::There { bytes, .. } => *bytes,
            Segment::Read(cursor) => cursor.get_ref().len() as u64,
        }
    }
}

impl<'a> Assembled<'a> {
    /// What a layer can be put together from; nothing where fetching it whole is as good.
    pub(super) fn plan(
        store: &Store,
        repository: &'a Repository<'a>,
        layer: &BundledLayer,
    ) -> Option<Assembled<'a>> {
        let (digest, bytes) = (layer.blob?, layer.bytes?);
        let candidates = candidates(store, &digest);
        if bytes < WORTH_BYTES || candidates.is_empty() {
            return None;
        }
        let fetch = |at: u64, end: u64| {
            let mut part = Vec::new();
            let reader = repository.blob_part(digest, at, end).ok();
            reader?.read_to_end(&mut part).ok().map(|_| part)
        };
        let place = Place::find(&fetch(bytes - FOOTER_BYTES, bytes)?, bytes)?;
        let table: Arc<[u8]> = fetch(place.at, place.at + place.bytes)?.into();
        let extents = place.read(&table)?;
        let found = find(&extents, candidates);
        let mut segments = Vec::new();
        for extent in &extents {
            let Extent { at, bytes, .. } = *extent;
            segments.push(match found.get(&(extent.key, bytes)) {
                Some(Some((file, at))) => Segment::Here { file: file.clone(), at: *at, bytes },
                _ => Segment::There { at, bytes },
            });
        }
        let end = place.at + place.bytes;
        segments.push(Segment::Read(Cursor::new(table)));
        segments.push(Segment::There { at: end, bytes: bytes - end });
        let segments = bridged(segments);
        let fetched: u64 = segments.iter().filter(|part| is_there(part)).map(Segment::bytes).sum();
        let is_worth = fetched + place.bytes < bytes / 4 * 3;
        let parts: Vec<Range<u64>> = segments.iter().filter_map(Segment::place).collect();
        let fetched = repository.blob_parts(digest, &parts);
        is_worth.then_some(Assembled { segments: segments.into(), fetched })
    }
}

/// The compressed layers of this store, those that came last first.
fn candidates(store: &Store, but: &Digest) -> Vec<(File, u64)> {
    let Ok(tables) = store.tables() else { return Vec::new() };
    let blobs = tables.layers.layers.values().filter_map(|layer| layer.blob.clone());
    let mut found: Vec<_> = blobs
        .filter(|blob| blob.digest != *but && blob.bytes >= FOOTER_BYTES)
        .filter_map(|blob| {
            let file = store.open_blob(&blob.digest).ok()?;
            let came = file.metadata().ok()?.modified().ok()?;
            Some((came, blob.digest, file, blob.bytes))
        })
        .collect();
    found.sort_by_key(|(came, digest, ..)| (std::cmp::Reverse(*came), *digest));
    found.dedup_by_key(|(_, digest, ..)| *digest);
    found.into_iter().take(CANDIDATES).map(|(.., file, bytes)| (file, bytes)).collect()
}

/// Where extents are here, by what they are.
type Found = HashMap<(Digest, u64), Option<(Arc<File>, u64)>>;

fn find(wanted: &[Extent], candidates: Vec<(File, u64)>) -> Found {
    let mut found: Found = wanted.iter().map(|part| ((part.key, part.bytes), None)).collect();
    let mut missing = found.len();
    for (file, bytes) in candidates {
        let Some(extents) = table_of(&file, bytes) else { continue };
        let file = Arc::new(file);
        for extent in extents {
            if let Some(place @ None) = found.get_mut(&(extent.key, extent.bytes)) {
                *place = Some((file.clone(), extent.at));
                missing -= 1;
            }
        }
        if missing == 0 {
            break;
        }
    }
    found
}

fn table_of(file: &File, bytes: u64) -> Option<Vec<Extent>> {
    let mut footer = [0; FOOTER_BYTES as usize];
    file.read_exact_at(&mut footer, bytes - FOOTER_BYTES).ok()?;
    let place = Place::find(&footer, bytes)?;
    let mut table = vec![0; usize::try_from(place.bytes).ok()?];
    file.read_exact_at(&mut table, place.at).ok()?;
    place.read(&table)
}

fn is_there(segment: &Segment) -> bool {
    matches!(segment, Segment::There { .. })
}

/// Fewer and longer requests: neighbours are joined, and what lies between two parts that are
/// fetched comes with them where it is short.
fn bridged(segments: Vec<Segment>) -> Vec<Segment> {
    let mut bridge = BRIDGE_BYTES;
    let mut joined = join(segments, bridge);
    while joined.iter().filter(|part| is_there(part)).count() > PARTS {
        bridge *= 2;
        joined = join(joined, bridge);
    }
    joined
}

fn join(segments: Vec<Segment>, bridge: u64) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    // What is here since the last part that is fetched.
    let (mut here_from, mut here_bytes) = (0_usize, 0);
    for segment in segments {
        match (segment, joined.last_mut()) {
            (Segment::There { at, bytes }, _) => {
                let first = here_from.checked_sub(1).and_then(|last| joined.get_mut(last));
                if let Some(Segment::There { bytes: before, .. }) = first
                    && here_bytes < bridge
                {
                    *before += here_bytes + bytes;
                    joined.truncate(here_from);
                } else {
                    joined.push(Segment::There { at, bytes });
                }
                (here_from, here_bytes) = (joined.len(), 0);
            }
            (
                Segment::Here { file, at, bytes },
                Some(Segment::Here { file: other, at: before, bytes: length }),
            ) if Arc::ptr_eq(&file, other) && *before + *length == at => {
                *length += bytes;
                here_bytes += bytes;
            }
            (segment, _) => {
                here_bytes += segment.bytes();
                joined.push(segment);
            }
        }
    }
    joined
}

impl Read for Assembled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(segment) = self.segments.front_mut() {
            let count = match segment {
                Segment::Here { file, at, bytes } => {
                    let wanted = buffer.len().min(usize::try_from(*bytes).unwrap_or(usize::MAX));
                    let count = file.read_at(&mut buffer[..wanted], *at)?;
                    if count == 0 && wanted > 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    (*at, *bytes) = (*at + count as u64, *bytes - count as u64);
                    count
                }
                Segment::Read(cursor) => cursor.read(buffer)?,
                Segment::There { bytes, .. } => {
                    let wanted = buffer.len().min(usize::try_from(*bytes).unwrap_or(usize::MAX));
                    let count = self.fetched.read(&mut buffer[..wanted])?;
                    *bytes -= count as u64;
                    count
                }
            };
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.segments.pop_front();
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_between_two_parts_comes_with_them() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let here = |at, bytes| Segment::Here { file: file.clone(), at, bytes };
        let there = |at, bytes| Segment::There { at, bytes };
        let check = |segments: Vec<Segment>, wanted: &[(bool, u64)]| {
            let total: u64 = segments.iter().map(Segment::bytes).sum();
            let joined = bridged(segments);
            let found: Vec<_> = joined.iter().map(|part| (is_there(part), part.bytes())).collect();
            assert_eq!(found, wanted);
            assert_eq!(found.iter().map(|(_, bytes)| bytes).sum::<u64>(), total);
        };
        check(vec![there(0, 5), there(5, 5)], &[(true, 10)]);
        check(vec![there(0, 5), here(50, 5), there(10, 5)], &[(true, 15)]);
        check(vec![here(7, 5), here(12, 6), there(11, 5)], &[(false, 11), (true, 5)]);
        let long = BRIDGE_BYTES;
        check(
            vec![there(0, 5), here(50, long), here(9, 1), there(long + 6, 5)],
            &[(true, 5), (false, long), (false, 1), (true, 5)],
        );
        let many: Vec<_> =
            (0..1000).flat_map(|n| [there(n * 40_000, 20_000), here(n * 40_000, 20_000)]).collect();
        let joined = bridged(many);
        assert!(joined.iter().filter(|part| is_there(part)).count() <= PARTS);
    }
}
