//! What a descriptor says of a layer's table, as the layer itself has it: a descriptor may be lost,
//! or made anew, while the layer stays.

use std::fs::File;
use std::io::{self, Cursor};
use std::os::unix::fs::FileExt;

use spec::{Annotations, Digest, Hasher};

use super::{
    CHUNKED_POSITION, CHUNKED_SUM, FOOTER_BYTES, Kind, OLD_POSITION, OLD_SUM, Place,
    SPLIT_POSITION, STARGZ_SUM, table_of_stargz,
};

/// The annotations of the layer that so many bytes of a file are; none where it has no table.
pub fn annotations(file: &File, bytes: u64) -> io::Result<Annotations> {
    let mut footer = [0; FOOTER_BYTES as usize];
    let Some(at) = bytes.checked_sub(FOOTER_BYTES) else { return Ok(Annotations::new()) };
    file.read_exact_at(&mut footer, at)?;
    let Some(place) = Place::find(&footer, bytes) else { return Ok(Annotations::new()) };
    let mut table = vec![0; place.bytes as usize];
    file.read_exact_at(&mut table, place.at)?;
    Ok(match place.kind {
        Kind::Chunked => of_chunked(&footer, &table),
        Kind::Stargz => of_stargz(&table).unwrap_or_default(),
    })
}

fn of_stargz(table: &[u8]) -> Option<Annotations> {
    let mut hasher = Hasher::sha256();
    io::copy(&mut table_of_stargz(Cursor::new(table))?, &mut hasher).ok()?;
    Some([(STARGZ_SUM.to_owned(), hasher.finish().to_string())].into())
}

/// Of a footer, and the table that it leads to. Older layers have the last three numbers of the
/// four alone, at the end.
fn of_chunked(footer: &[u8], table: &[u8]) -> Annotations {
    let numbers: Vec<u64> = footer
        .chunks_exact(8)
        .map(|number| u64::from_le_bytes(number.try_into().unwrap_or_default()))
        .collect();
    let is_new = numbers[3] == super::ending::KIND;
    let table_numbers = if is_new { &numbers[..4] } else { &numbers[3..7] };
    of_table(table, table_numbers, &numbers[4..7], is_new)
}

/// What is said of a table that is there: place, length, plain length and kind; and of the tar's
/// bytes without its files, place, length and plain length.
pub(super) fn of_table(table: &[u8], place: &[u64], split: &[u64], is_new: bool) -> Annotations {
    let joined =
        |numbers: &[u64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(":");
    let (sum, place) = (Digest::of(table).to_string(), joined(place));
    let (sum_key, place_key) = match is_new {
        true => (CHUNKED_SUM, CHUNKED_POSITION),
        false => (OLD_SUM, OLD_POSITION),
    };
    let mut said = vec![(sum_key, sum), (place_key, place)];
    if is_new && split[1] > 0 {
        said.push((SPLIT_POSITION, joined(split)));
    }
    said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
