//! Layers that say where in them everything is: zstd:chunked and eStargz. Files are compressed one by
//! one, and a table of contents stands at the end, so the same file is the same bytes in every layer
//! that was made in the same way.
//!
//! What is read here is believed by nobody: it says only what is worth looking at. Whoever puts a
//! layer together from pieces checks it as one that came whole.

mod cuts;
mod ending;
mod said;

pub use cuts::{Cuts, Part};
pub use ending::Ending;
pub use said::annotations;

use std::fmt;
use std::io::{BufRead, BufReader, Cursor, Read};

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use spec::{Annotations, Digest, Hasher};

use crate::codec::{Codec, decoder};

/// So much of a layer's end says where its table is.
pub const FOOTER_BYTES: u64 = 64;
/// A longer table is not looked at: reading it would cost more than it saves.
const TABLE_BYTES: u64 = 50 << 20;
/// The same once it is plain.
const PLAIN_BYTES: u64 = 512 << 20;
/// What a zstd:chunked layer ends with.
const CHUNKED: &[u8] = b"GnUlInUx";
/// What an eStargz layer ends with: an empty gzip member with a field that holds the table's place.
const STARGZ_BYTES: usize = 51;
const STARGZ: &[u8] = b"STARGZ";
/// What the table of an eStargz layer is called in its tar.
const STARGZ_TABLE: &[u8] = b"stargz.index.json\0";

/// The annotation with the digest of a zstd:chunked layer's table, compressed as it is.
const CHUNKED_SUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Where that table is: its place, its length, its plain length, its kind.
const CHUNKED_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// Where the tar's bytes without files are: place, length, plain length.
const SPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";

/// What the first two are called by programs of before 2023. They lose times and devices when they
/// fetch parts, so no layer of ours is called so.
const OLD_SUM: &str = "io.containers.zstd-chunked.manifest-checksum";
const OLD_POSITION: &str = "io.containers.zstd-chunked.manifest-position";
/// The annotation with the digest of an eStargz layer's table as it is plain.
const STARGZ_SUM: &str = "containerd.io/snapshot/stargz/toc.digest";

/// The annotations of layers that have a table, whatever they say.
const ANNOTATIONS: &[&str] = &[CHUNKED_SUM, OLD_SUM, STARGZ_SUM];

/// Whether a layer's annotations say that it has a table.
pub fn is_told(annotations: &Annotations) -> bool {
    ANNOTATIONS.iter().any(|key| annotations.contains_key(*key))
}

/// Those of a layer's annotations that say where its table is: true of the same bytes anywhere.
pub fn told(annotations: &Annotations) -> Annotations {
    let all = ANNOTATIONS.iter().chain(&[CHUNKED_POSITION, SPLIT_POSITION, OLD_POSITION]);
    let pair = |key: &&str| annotations.get_key_value(*key);
    all.filter_map(pair).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Where a layer's table of contents is, in the layer's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    kind: Kind,
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chunked,
    Stargz,
}

/// A part of a layer. Two with the same key and length are very likely the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What is in it: a file's content by its digest, or headers by what they say.
    pub key: Digest,
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
}

impl Place {
    /// Reads the last [`FOOTER_BYTES`] of a layer of so many bytes; nothing where it has no table.
    pub fn find(footer: &[u8], layer_bytes: u64) -> Option<Place> {
        let place = of_chunked(footer).or_else(|| of_stargz(footer, layer_bytes))?;
        let end = place.at.checked_add(place.bytes)?;
        (end <= layer_bytes && (1..=TABLE_BYTES).contains(&place.bytes)).then_some(place)
    }

    /// Reads the table itself. The extents are in order, do not overlap, and end before it.
    pub fn read(&self, table: &[u8]) -> Option<Vec<Extent>> {
        let reader = Cursor::new(table);
        let extents = match self.kind {
            Kind::Chunked => {
                let plain = decoder(Codec::Zstd, reader).take(PLAIN_BYTES);
                self.parse(plain)
            }
            Kind::Stargz => self.parse(table_of_stargz(reader)?),
        };
        extents.filter(|extents| extents.len() > 1)
    }

    fn parse(&self, table: impl Read) -> Option<Vec<Extent>> {
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(table));
        let mut cutter = Cutter::new();
        (&mut json).deserialize_map(Table(&mut cutter)).ok()?;
        cutter.finish(self)
    }
}

/// The last 64 bytes, or 40 of older layers: the place, twice the length, the table's type, in newer
/// ones also where the tar's own bytes are; then the letters.
fn of_chunked(footer: &[u8]) -> Option<Place> {
    let footer = footer.get(footer.len().checked_sub(FOOTER_BYTES as usize)?..)?;
    footer.ends_with(CHUNKED).then_some(())?;
    let number = |place: usize| {
        let bytes = footer[place..place + 8].try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let first = [0, 24].into_iter().find(|first| number(first + 24) == Some(1))?;
    Some(Place { kind: Kind::Chunked, at: number(first)?, bytes: number(first + 8)? })
}

/// The table of an eStargz layer as it is plain: a file of the tar.
fn table_of_stargz<'a>(packed: impl BufRead + Send + 'a) -> Option<impl Read + 'a> {
    let mut plain = decoder(Codec::Gzip, packed).take(PLAIN_BYTES);
    let mut header = [0; 512];
    plain.read_exact(&mut header).ok()?;
    let size = std::str::from_utf8(&header[124..135]).ok()?;
    let size = u64::from_str_radix(size.trim(), 8).ok()?;
    header.starts_with(STARGZ_TABLE).then(|| plain.take(size))
}

fn of_stargz(footer: &[u8], layer_bytes: u64) -> Option<Place> {
    let footer = footer.get(footer.len().checked_sub(STARGZ_BYTES)?..)?;
    let field = footer[16..38].strip_suffix(STARGZ)?;
    (footer.starts_with(&[0x1f, 0x8b, 8, 4]) && footer[12..14] == *b"SG").then_some(())?;
    let at = u64::from_str_radix(std::str::from_utf8(field).ok()?, 16).ok()?;
    let bytes = layer_bytes.checked_sub(STARGZ_BYTES as u64)?.checked_sub(at)?;
    Some(Place { kind: Kind::Stargz, at, bytes })
}

/// Cuts a layer into extents as its entries go by. What stands between two contents are headers, and
/// the rest of the first content's last block: it is known by all that its entries say.
struct Cutter {
    extents: Vec<Extent>,
    /// Where the next extent begins, and what is known of it so far.
    at: u64,
    known: Hasher,
    /// Where the content ends that was told of last, and what it is: more chunks of it may follow.
    open: Option<(u64, String)>,
    is_wrong: bool,
}

impl Cutter {
    fn new() -> Cutter {
        let (extents, known) = (Vec::new(), Hasher::sha256());
        Cutter { extents, at: 0, known, open: None, is_wrong: false }
    }

    fn entry(&mut self, mut entry: serde_json::Map<String, Value>) -> Option<()> {
        let mut place = |name| entry.remove(name).and_then(|value| value.as_u64());
        let (offset, end) = (place("offset").unwrap_or(0), place("endOffset").unwrap_or(0));
        let is_chunk = entry.get("type").and_then(Value::as_str) == Some("chunk");
        if !is_chunk {
            self.close()?;
        }
        // What an entry says is what its header says, and that stands before its content. A further
        // chunk of a file whose end is known has none.
        if !(is_chunk && self.open.is_some()) {
            self.known.update(&serde_json::to_vec(&entry).ok()?);
        }
        let digest = entry.get("chunkDigest").or_else(|| entry.get("digest"));
        let digest = digest.and_then(Value::as_str).unwrap_or_default();
        // Several contents may be compressed together: then they are one extent.
        let is_with_another = offset == self.at && end == 0 && self.open.is_none();
        if offset == 0 || digest.is_empty() || is_with_another {
            return Some(());
        }
        self.cut(offset)?;
        self.known.update(digest.as_bytes());
        // Where its end is not told, the headers that follow are of one extent with it. The end of a
        // file of several chunks stands at its first.
        let end = if end > 0 { Some(end) } else { self.open.take().map(|(end, _)| end) };
        self.open = end.map(|end| (end, digest.to_owned()));
        Some(())
    }

    /// Ends the content that was told of last, if its end is known.
    fn close(&mut self) -> Option<()> {
        let Some((end, digest)) = self.open.take() else { return Some(()) };
        self.cut(end)?;
        self.known.update(digest.as_bytes());
        Some(())
    }

    /// Ends an extent.
    fn cut(&mut self, end: u64) -> Option<()> {
        let bytes = end.checked_sub(self.at)?;
        let key = std::mem::replace(&mut self.known, Hasher::sha256()).finish();
        if bytes > 0 {
            self.extents.push(Extent { key, at: self.at, bytes });
        }
        self.at = end;
        Some(())
    }

    /// Before the table stands how long it is.
    fn finish(mut self, table: &Place) -> Option<Vec<Extent>> {
        self.close()?;
        self.known.update(&table.bytes.to_le_bytes());
        self.cut(table.at).filter(|()| !self.is_wrong)?;
        Some(self.extents)
    }
}

/// A table whose entries are cut as they are read: it may be far longer than what is kept of it.
struct Table<'a>(&'a mut Cutter);

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a table of contents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "entries" => map.next_value_seed(Entries(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Entries<'a>(&'a mut Cutter);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element()? {
            self.0.is_wrong |= self.0.entry(entry).is_none();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
