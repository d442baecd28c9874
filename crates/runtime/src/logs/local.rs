//! The `local` driver's records: small, and walked from both ends.
//!
//! ```text
//! file     "MICALOG1", length of the attributes (4), attributes as an object of JSON; records
//! record   length of what is between the two lengths (4)
//!          flags (1): 1 standard error, 2 the line ends here
//!          nanoseconds since 1970 (8)
//!          the line without its end
//!          the length again (4)
//! ```
//!
//! Numbers are little endian.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use spec::Timestamp;

use super::{Decoded, Entry, MAX_ENTRY_BYTES, Piece, Stream};

const MAGIC: &[u8; 8] = b"MICALOG1";
const STDERR: u8 = 1;
const ENDS: u8 = 2;
/// Flags and time.
const FIXED: usize = 9;
const SECOND: i64 = 1_000_000_000;

/// What a file begins with.
pub(super) fn header(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let text = super::json::attributes(attributes);
    let mut out = MAGIC.to_vec();
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
    out
}

/// The attributes that a file begins with, and where its records begin. `None` if it is too short.
pub(super) fn read_header(bytes: &[u8]) -> io::Result<Option<(BTreeMap<String, String>, usize)>> {
    let Some(length) = bytes.get(8..12) else { return Ok(None) };
    let length = number(length);
    if &bytes[..8] != MAGIC || length > MAX_ENTRY_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no log of mica's"));
    }
    let Some(text) = bytes.get(12..12 + length) else { return Ok(None) };
    let attributes = match text.is_empty() {
        true => BTreeMap::new(),
        false => serde_json::from_slice(text)?,
    };
    Ok(Some((attributes, 12 + length)))
}

/// Adds a record.
pub(super) fn encode(out: &mut Vec<u8>, stream: Stream, time: Timestamp, piece: Piece<'_>) {
    let length = u32::try_from(FIXED + piece.bytes.len()).expect("pieces are short").to_le_bytes();
    let mut flags = if stream == Stream::Stderr { STDERR } else { 0 };
    flags |= if piece.ends { ENDS } else { 0 };
    let nanos = time.unix_seconds().saturating_mul(SECOND).saturating_add(i64::from(time.nanos()));
    out.extend(length);
    out.push(flags);
    out.extend(nanos.to_le_bytes());
    out.extend(piece.bytes);
    out.extend(length);
}

/// Reads the record at the begin of some bytes. After damage nothing can be found any more.
pub(super) fn decode(bytes: &[u8], attributes: &BTreeMap<String, String>) -> Decoded {
    let Some(length) = bytes.get(..4).map(number) else { return Decoded::More };
    if !(FIXED..=MAX_ENTRY_BYTES).contains(&length) {
        return Decoded::Skip(bytes.len());
    }
    let Some(record) = bytes.get(4..8 + length) else { return Decoded::More };
    let (record, end) = record.split_at(length);
    if number(end) != length {
        return Decoded::Skip(bytes.len());
    }
    let nanos = i64::from_le_bytes(record[1..9].try_into().expect("eight bytes"));
    let time = Timestamp::from_unix(nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND) as u32);
    let stream = if record[0] & STDERR != 0 { Stream::Stderr } else { Stream::Stdout };
    let mut line = record[FIXED..].to_vec();
    line.extend((record[0] & ENDS != 0).then_some(b'\n'));
    Decoded::Entry(Entry { time, stream, line, attributes: attributes.clone() }, length + 8)
}

/// Where the last whole record ends: what a writer goes on after.
pub(super) fn sound_length(file: &File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let mut head = vec![0; usize::try_from(size.min(12 + MAX_ENTRY_BYTES as u64)).unwrap_or(0)];
    file.read_exact_at(&mut head, 0)?;
    let Some((_, start)) = read_header(&head)? else { return Ok(0) };
    let start = start as u64;
    if size == start || before(file, start, size)?.is_some() {
        return Ok(size);
    }
    // Rare: a record was cut off. All are walked from the front to find where.
    let mut at = start;
    let mut length = [0; 4];
    while at + 8 <= size {
        file.read_exact_at(&mut length, at)?;
        let next = at + number(&length) as u64 + 8;
        if next > size || before(file, start, next)? != Some(at) {
            break;
        }
        at = next;
    }
    Ok(at)
}

/// Where the record begins that ends at `end`; `None` if none does.
pub(super) fn before(file: &File, start: u64, end: u64) -> io::Result<Option<u64>> {
    let mut length = [0; 4];
    if end < start + 8 + FIXED as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut length, end - 4)?;
    let bytes = number(&length) as u64;
    let Some(at) = end.checked_sub(bytes + 8).filter(|at| *at >= start) else { return Ok(None) };
    let mut first = [0; 4];
    file.read_exact_at(&mut first, at)?;
    Ok((first == length && bytes >= FIXED as u64).then_some(at))
}

fn number(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes.try_into().unwrap_or_default()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let attributes: BTreeMap<_, _> = [("k".to_owned(), "v".to_owned())].into();
        let head = header(&attributes);
        assert_eq!(read_header(&head).unwrap(), Some((attributes.clone(), head.len())));
        assert_eq!(read_header(&head[..13]).unwrap(), None);
        assert!(read_header(b"{\"log\":\"something else\"").is_err());
        let time = Timestamp::from_unix(-5, 7);
        let mut out = Vec::new();
        encode(&mut out, Stream::Stderr, time, Piece { bytes: b"line", ends: true });
        let Decoded::Entry(entry, used) = decode(&out, &attributes) else { panic!() };
        assert_eq!(used, out.len());
        assert_eq!(
            entry,
            Entry { time, stream: Stream::Stderr, line: b"line\n".into(), attributes }
        );
    }

    #[test]
    fn a_record_that_was_cut_off_is_found() {
        let mut bytes = header(&BTreeMap::new());
        for line in ["one", "two"] {
            let piece = Piece { bytes: line.as_bytes(), ends: true };
            encode(&mut bytes, Stream::Stdout, Timestamp::UNIX_EPOCH, piece);
        }
        let whole = bytes.len();
        let piece = Piece { bytes: b"three", ends: true };
        encode(&mut bytes, Stream::Stdout, Timestamp::UNIX_EPOCH, piece);
        let folder = tempfile::tempdir().unwrap();
        for cut in whole..=bytes.len() {
            let path = folder.path().join("log");
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let sound = sound_length(&File::open(&path).unwrap()).unwrap();
            assert_eq!(sound as usize, if cut == bytes.len() { cut } else { whole });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_handled(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_header(&bytes);
            decode(&bytes, &BTreeMap::new());
        }
    }
}
