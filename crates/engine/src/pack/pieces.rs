//! The pieces of a tar that threads compress one by one.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use image::chunked::Cuts;
use image::codec::{Codec, Frames, encoder};
use spec::Compression;

use super::Squeeze;

/// How much of the tar becomes one member: enough that starting anew costs nothing worth the name.
const PIECE_BYTES: u64 = 2 << 20;

/// A compressed piece.
pub(super) struct Piece {
    pub(super) packed: Vec<u8>,
    /// What of the tar is in it.
    pub(super) plain: Vec<u8>,
    /// How long each part of it became, where it has parts.
    pub(super) parts: Vec<u64>,
}

/// Where a tar is cut.
pub(super) enum Pieces {
    /// Everywhere after so many bytes.
    Even { bytes: u64 },
    /// Between files; each piece is of several parts.
    Cut { cuts: Cuts, runs: Vec<Run> },
}

/// Some parts, one behind the other.
pub(super) struct Run {
    at: u64,
    bytes: u64,
    first: usize,
    count: usize,
}

impl Pieces {
    /// Of so many bytes of a file.
    pub(super) fn of((file, bytes): (&File, u64), squeeze: Squeeze) -> Pieces {
        match squeeze.is_chunked().then(|| Cuts::of(file, bytes)).flatten() {
            Some(cuts) => Pieces::Cut { runs: runs(&cuts), cuts },
            None => Pieces::Even { bytes },
        }
    }

    /// Where files are cut out, if they are.
    pub(super) fn cuts(&self) -> Option<&Cuts> {
        match self {
            Pieces::Even { .. } => None,
            Pieces::Cut { cuts, .. } => Some(cuts),
        }
    }

    /// How many there are. Even nothing becomes a member.
    pub(super) fn count(&self) -> usize {
        match self {
            Pieces::Even { bytes } => bytes.div_ceil(PIECE_BYTES).max(1) as usize,
            Pieces::Cut { runs, .. } => runs.len(),
        }
    }

    /// Compresses one of them.
    pub(super) fn pack(&self, file: &File, number: usize, squeeze: Squeeze) -> io::Result<Piece> {
        match self {
            Pieces::Even { bytes } => {
                let at = number as u64 * PIECE_BYTES;
                member(read(file, at, PIECE_BYTES.min(bytes - at))?, squeeze)
            }
            Pieces::Cut { cuts, runs } => {
                let run = &runs[number];
                let lengths = &cuts.parts()[run.first..run.first + run.count];
                let lengths = lengths.iter().map(|part| part.bytes as usize);
                frames(read(file, run.at, run.bytes)?, lengths, squeeze)
            }
        }
    }
}

/// As many parts together as make a piece.
fn runs(cuts: &Cuts) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    for (number, part) in cuts.parts().iter().enumerate() {
        let bytes = u64::from(part.bytes);
        match runs.last_mut().filter(|run| run.bytes + bytes <= PIECE_BYTES) {
            Some(run) => (run.bytes, run.count) = (run.bytes + bytes, run.count + 1),
            None => runs.push(Run { at, bytes, first: number, count: 1 }),
        }
        at += bytes;
    }
    runs
}

fn read(file: &File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut plain = vec![0; bytes as usize];
    file.read_exact_at(&mut plain, at)?;
    Ok(plain)
}

fn member(plain: Vec<u8>, squeeze: Squeeze) -> io::Result<Piece> {
    let codec = match squeeze.coding.compression() {
        Compression::None => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Zstd => Codec::Zstd,
    };
    let mut writer = encoder(codec, squeeze.level, Vec::with_capacity(plain.len() / 2))?;
    writer.write_all(&plain)?;
    let packed = writer.finish()?;
    Ok(Piece { packed, plain, parts: Vec::new() })
}

fn frames(
    plain: Vec<u8>,
    lengths: impl Iterator<Item = usize>,
    squeeze: Squeeze,
) -> io::Result<Piece> {
    let mut frames = Frames::new(squeeze.level)?;
    let (mut packed, mut parts, mut at) = (Vec::with_capacity(plain.len() / 2), Vec::new(), 0);
    for length in lengths {
        let frame = frames.frame(&plain[at..at + length])?;
        parts.push(frame.len() as u64);
        packed.extend_from_slice(&frame);
        at += length;
    }
    Ok(Piece { packed, plain, parts })
}
