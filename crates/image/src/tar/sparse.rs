//! Sparse files: where their stored data belongs, in every way GNU tar has written it down.

use super::entry::{Entry, Limits, Segment};
use super::error::{Fault, TarError};
use super::header::{BLOCK, Block, Dialect, Header, field, number};
use super::pax::digits;
use super::reader::TarReader;
use std::io::BufRead;

/// Offset and length in an old GNU map, twelve bytes each.
const PIECE: usize = 24;

/// Where the pieces lie in a block that continues an old GNU map, and the byte that says whether
/// another such block follows.
const CONTINUED: std::ops::Range<usize> = 0..21 * PIECE;
const CONTINUED_IS_EXTENDED: usize = CONTINUED.end;

/// A map under way, which may not grow beyond what the reader accepts.
pub(super) struct Map {
    pub(super) segments: Vec<Segment>,
    limit: usize,
}

impl Map {
    pub(super) fn new(limits: &Limits) -> Map {
        Map { segments: Vec::new(), limit: limits.max_sparse_segments }
    }

    fn push(&mut self, segment: Segment) -> Result<(), Fault> {
        self.allow(self.segments.len() as u64 + 1)?;
        self.segments.push(segment);
        Ok(())
    }

    fn allow(&self, pieces: u64) -> Result<(), Fault> {
        let limit = self.limit as u64;
        match pieces > limit {
            true => Err(Fault::Limit { what: "pieces in a sparse file", limit }),
            false => Ok(()),
        }
    }

    /// Takes the map that came as pax records.
    pub(super) fn take_records(
        &mut self,
        segments: Vec<Segment>,
        announced: Option<u64>,
    ) -> Result<(), Fault> {
        self.allow(segments.len() as u64)?;
        if announced.is_some_and(|announced| announced != segments.len() as u64) {
            return Err(Fault::Sparse("the map has another length than announced"));
        }
        self.segments = segments;
        Ok(())
    }

    /// Takes the part of an old GNU map that the header holds; says whether blocks with more follow.
    pub(super) fn take_header(&mut self, header: Header<'_>) -> Result<bool, Fault> {
        if header.dialect() != Dialect::Gnu {
            return Err(Fault::Sparse("only GNU archives mark files as sparse by their type"));
        }
        self.take_pieces(&header.0[field::GNU_SPARSE])?;
        Ok(header.0[field::GNU_IS_EXTENDED] != 0)
    }

    /// Takes a block that continues an old GNU map; says whether another follows.
    pub(super) fn take_continuation(&mut self, block: &Block) -> Result<bool, Fault> {
        self.take_pieces(&block[CONTINUED])?;
        Ok(block[CONTINUED_IS_EXTENDED] != 0)
    }

    /// Takes pieces up to the first unused place.
    fn take_pieces(&mut self, pieces: &[u8]) -> Result<(), Fault> {
        for piece in pieces.chunks_exact(PIECE).take_while(|piece| piece[0] != 0) {
            let (offset, length) = piece.split_at(PIECE / 2);
            let offset = number("sparse offset", offset)?;
            let length = number("sparse length", length)?;
            match (u64::try_from(offset), u64::try_from(length)) {
                (Ok(offset), Ok(length)) => self.push(Segment { offset, length })?,
                _ => return Err(Fault::Sparse("a piece has a negative offset or length")),
            }
        }
        Ok(())
    }

    /// Checks that the pieces are in order, lie inside the file and make up the stored data, and
    /// leaves out the empty ones.
    pub(super) fn finish(mut self, size: u64, stored: u64) -> Result<Vec<Segment>, Fault> {
        let mut end = 0;
        let mut total = 0u64;
        for segment in &self.segments {
            if segment.offset < end {
                return Err(Fault::Sparse("its pieces overlap or are out of order"));
            }
            end = segment.offset.saturating_add(segment.length);
            total = total.saturating_add(segment.length);
        }
        if end > size {
            return Err(Fault::Sparse("a piece lies beyond its end"));
        }
        if total != stored {
            return Err(Fault::Sparse("its pieces are not as long as its data"));
        }
        self.segments.retain(|segment| segment.length > 0);
        Ok(self.segments)
    }
}

/// Reads the map that precedes the data in version 1.0: a count, then that many offsets and
/// lengths, each a line of digits; the last block is filled with NULs.
pub(super) struct MapText {
    line: Vec<u8>,
    announced: Option<u64>,
    offset: Option<u64>,
}

/// No number in a map is longer: the largest offset has 19 digits.
const LONGEST_LINE: usize = 20;

impl MapText {
    pub(super) fn new() -> MapText {
        MapText { line: Vec::with_capacity(LONGEST_LINE), announced: None, offset: None }
    }

    /// Takes a block of text into the map; says whether more must follow.
    pub(super) fn take(&mut self, block: &[u8; BLOCK], map: &mut Map) -> Result<bool, Fault> {
        for &byte in block {
            if self.is_complete(map) {
                return Ok(false);
            }
            match byte {
                b'\n' => {
                    let number = digits(&self.line);
                    let number = number.filter(|&number| i64::try_from(number).is_ok());
                    let number = number.ok_or_else(|| Fault::number("sparse map", &self.line))?;
                    self.line.clear();
                    self.take_number(number, map)?;
                }
                _ if self.line.len() == LONGEST_LINE => {
                    return Err(Fault::number("sparse map", &self.line));
                }
                _ => self.line.push(byte),
            }
        }
        Ok(!self.is_complete(map))
    }

    fn is_complete(&self, map: &Map) -> bool {
        self.announced == Some(map.segments.len() as u64)
    }

    fn take_number(&mut self, number: u64, map: &mut Map) -> Result<(), Fault> {
        if self.announced.is_none() {
            map.allow(number)?;
            self.announced = Some(number);
        } else if let Some(offset) = self.offset.take() {
            map.push(Segment { offset, length: number })?;
        } else {
            self.offset = Some(number);
        }
        Ok(())
    }
}

impl<R: BufRead> TarReader<R> {
    /// Reads a sparse file's map, wherever it is.
    pub(super) fn take_sparse(&mut self, at: u64, entry: &mut Entry) -> Result<(), TarError> {
        let is_old = Header(&self.blocks.block).kind() == b'S';
        let version = self.over.local.sparse.version;
        let has_records = self.over.local.sparse.map.is_some() || version != (None, None);
        if !is_old && !has_records {
            return Ok(());
        }
        let mut map = Map::new(&self.limits);
        if is_old {
            let size = Header(&self.blocks.block).size("real size", field::GNU_REAL_SIZE);
            entry.size = size.map_err(|fault| fault.at(at, &self.path))?;
            self.read_old_map(at, &mut map)?;
        } else {
            match version {
                (None, None) | (Some(0), Some(0 | 1)) => self.take_record_map(at, &mut map)?,
                (Some(1), Some(0)) => {
                    entry.stored_size -= self.read_text_map(at, entry, &mut map)?
                }
                _ => return Err(self.fault(at, Fault::Sparse("its version is not known"))),
            }
            entry.size = self.over.local.sparse.size.unwrap_or(entry.size);
        }
        let segments = map.finish(entry.size, entry.stored_size);
        entry.sparse = Some(segments.map_err(|fault| fault.at(at, &self.path))?);
        Ok(())
    }

    fn read_old_map(&mut self, at: u64, map: &mut Map) -> Result<(), TarError> {
        let mut more =
            map.take_header(Header(&self.blocks.block)).map_err(|fault| self.fault(at, fault))?;
        while more {
            self.read_map_block()?;
            more =
                map.take_continuation(&self.blocks.block).map_err(|fault| self.fault(at, fault))?;
        }
        Ok(())
    }

    fn take_record_map(&mut self, at: u64, map: &mut Map) -> Result<(), TarError> {
        let records = &mut self.over.local.sparse;
        let segments: Vec<Segment> = records.map.take().unwrap_or_default();
        map.take_records(segments, records.pieces).map_err(|fault| self.fault(at, fault))
    }

    /// Reads the map that takes the place of the first data, and returns how long it is.
    fn read_text_map(&mut self, at: u64, entry: &Entry, map: &mut Map) -> Result<u64, TarError> {
        let mut text = MapText::new();
        let mut length = 0;
        let mut more = true;
        while more {
            length += BLOCK as u64;
            if length > entry.stored_size {
                let reason = "its map is longer than its data";
                return Err(self.fault(at, Fault::Sparse(reason)));
            }
            self.read_map_block()?;
            more = text.take(&self.blocks.block, map).map_err(|fault| self.fault(at, fault))?;
        }
        Ok(length)
    }

    /// Reads a block of a sparse map, which cannot be missing.
    fn read_map_block(&mut self) -> Result<(), TarError> {
        match self.blocks.read_block() {
            Ok(true) => Ok(()),
            Ok(false) | Err(TarError::TruncatedHeader { .. }) => Err(self.truncated("sparse map")),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(pieces: &[(u64, u64)], size: u64, stored: u64) -> Result<usize, Fault> {
        let mut map = Map::new(&Limits { max_sparse_segments: 4, ..Limits::default() });
        for &(offset, length) in pieces {
            map.push(Segment { offset, length })?;
        }
        map.finish(size, stored).map(|segments| segments.len())
    }

    #[test]
    fn a_map_must_fit_its_file() {
        assert_eq!(finish(&[], 0, 0), Ok(0));
        assert_eq!(finish(&[], 1 << 40, 0), Ok(0));
        assert_eq!(finish(&[(0, 5), (5, 0), (10, 5), (20, 0)], 20, 10), Ok(2));
        assert_eq!(finish(&[(0, 5), (5, 5)], 10, 10), Ok(2));
        assert!(finish(&[(0, 5), (4, 1)], 10, 6).is_err(), "overlap");
        assert!(finish(&[(5, 5), (0, 5)], 10, 10).is_err(), "order");
        assert!(finish(&[(0, 5), (8, 5)], 12, 10).is_err(), "beyond the end");
        assert!(finish(&[(12, 0)], 11, 0).is_err(), "an empty piece beyond the end");
        assert!(finish(&[(0, 5)], 10, 6).is_err(), "more data than pieces");
        assert!(finish(&[(0, 5)], 10, 4).is_err(), "less data than pieces");
        assert!(finish(&[(u64::MAX, 5), (u64::MAX, 5)], 10, 4).is_err(), "overflow");
        assert!(matches!(finish(&[(0, 0); 5], 10, 0), Err(Fault::Limit { .. })));
    }

    fn text(text: &str) -> Result<(usize, bool), Fault> {
        let mut map = Map::new(&Limits { max_sparse_segments: 1000, ..Limits::default() });
        let mut reader = MapText::new();
        let mut more = true;
        for part in text.as_bytes().chunks(BLOCK) {
            let mut block = [0; BLOCK];
            block[..part.len()].copy_from_slice(part);
            more = reader.take(&block, &mut map)?;
        }
        Ok((map.segments.len(), more))
    }

    #[test]
    fn a_text_map_may_span_blocks() {
        assert_eq!(text("0\n"), Ok((0, false)));
        assert_eq!(text("1\n0\n5\n"), Ok((1, false)));
        let long: String = (0..500).map(|at| format!("{}\n1\n", at * 2)).collect();
        assert_eq!(text(&format!("500\n{long}")), Ok((500, false)));
        let first_block = &format!("500\n{long}")[..BLOCK];
        assert!(text(first_block).is_ok_and(|(pieces, more)| pieces > 80 && more));
    }

    #[test]
    fn refuses_a_text_map_that_is_none() {
        assert!(text("x\n").is_err());
        assert!(text("\n").is_err());
        assert!(text("1\n-1\n5\n").is_err());
        assert!(text("123456789012345678901\n").is_err());
        assert!(text("9223372036854775808\n").is_err());
        assert!(matches!(text("1001\n"), Err(Fault::Limit { .. })));
        assert!(text("2\n0\n").is_err(), "NULs where digits must be");
    }
}
