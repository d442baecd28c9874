//! A layer's tar compressed as a stream, by all processors, and always to the same bytes.
//!
//! The tar is cut into pieces of one size, and each becomes a gzip member, or a zstd frame, of its own;
//! members one after the other are a gzip file, and frames a zstd file. Where the cuts are does not depend on how many processors there
//! are, so neither do the bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use image::codec::{Codec, encoder};
use spec::{Compression, Digest, Hasher};

use crate::progress::Item;

/// How much of the tar becomes one member: enough that starting anew costs nothing worth the name.
const PIECE_BYTES: u64 = 2 << 20;
/// More threads than this only wait for the network.
const THREADS: usize = 8;

/// How it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Squeeze {
    codec: Codec,
    level: Option<i32>,
}

impl Squeeze {
    /// As registries have it, unless somebody asks for something else.
    pub(crate) const USUAL: Squeeze = Squeeze { codec: Codec::Gzip, level: None };

    /// So, as hard as this level says.
    pub(crate) fn new(compression: Compression, level: Option<i32>) -> Squeeze {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip,
            Compression::Zstd => Codec::Zstd,
        };
        Squeeze { codec, level }
    }
}

/// The compressed stream, which is hashed as it is read.
pub(crate) struct Packer<'a> {
    /// A queue for each thread; the pieces come from them in turn.
    queues: Vec<Receiver<io::Result<Piece>>>,
    next: usize,
    piece: Vec<u8>,
    at: usize,
    hasher: Hasher,
    bytes: u64,
    item: Box<dyn Item + 'a>,
}

/// A member, and how much of the tar is in it.
struct Piece {
    packed: Vec<u8>,
    plain_bytes: u64,
}

impl<'a> Packer<'a> {
    /// Compresses so many bytes of a file for as long as `take` reads.
    pub(crate) fn run<T>(
        (file, bytes): (&File, u64),
        squeeze: Squeeze,
        item: Box<dyn Item + 'a>,
        take: impl FnOnce(&mut Packer<'a>) -> T,
    ) -> T {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        std::thread::scope(|scope| {
            let mut queues = Vec::new();
            for first in 0..threads {
                let (send, receive) = sync_channel(1);
                queues.push(receive);
                scope.spawn(move || pack((file, bytes), squeeze, (first, threads), &send));
            }
            let (piece, hasher) = (Vec::new(), Hasher::sha256());
            let mut packer = Packer { queues, next: 0, piece, at: 0, hasher, bytes: 0, item };
            // When it is dropped the threads find nobody who listens, and end.
            take(&mut packer)
        })
    }

    /// What came out of it.
    pub(crate) fn finish(&mut self) -> (Digest, u64) {
        self.item.done();
        (self.hasher.clone().finish(), self.bytes)
    }
}

/// Compresses every `step`th piece.
fn pack(
    (file, bytes): (&File, u64),
    squeeze: Squeeze,
    (first, step): (usize, usize),
    send: &SyncSender<io::Result<Piece>>,
) {
    for number in (first as u64..pieces(bytes)).step_by(step) {
        let start = number * PIECE_BYTES;
        let piece = member(file, start, PIECE_BYTES.min(bytes - start), squeeze);
        let failed = piece.is_err();
        if send.send(piece).is_err() || failed {
            return;
        }
    }
}

/// Even nothing becomes a member.
fn pieces(bytes: u64) -> u64 {
    bytes.div_ceil(PIECE_BYTES).max(1)
}

fn member(file: &File, start: u64, plain_bytes: u64, squeeze: Squeeze) -> io::Result<Piece> {
    let mut plain = vec![0; plain_bytes as usize];
    file.read_exact_at(&mut plain, start)?;
    let mut writer = encoder(squeeze.codec, squeeze.level, Vec::with_capacity(plain.len() / 2))?;
    writer.write_all(&plain)?;
    Ok(Piece { packed: writer.finish()?, plain_bytes })
}

impl Read for Packer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // The first thread that has nothing more had the last piece's successor.
            let Ok(piece) = self.queues[self.next].recv() else { return Ok(0) };
            let Piece { packed, plain_bytes } = piece?;
            (self.piece, self.at) = (packed, 0);
            self.next = (self.next + 1) % self.queues.len();
            self.item.advance(plain_bytes);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.hasher.update(&buffer[..count]);
        self.at += count;
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Quiet;

    fn packed(bytes: &[u8], squeeze: Squeeze) -> Vec<u8> {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(bytes).unwrap();
        Packer::run((&file, bytes.len() as u64), squeeze, Box::new(Quiet), |packer| {
            let mut all = Vec::new();
            packer.read_to_end(&mut all).unwrap();
            assert_eq!(packer.finish(), (Digest::of(&all), all.len() as u64));
            all
        })
    }

    #[test]
    fn gives_the_bytes_back_and_always_the_same() {
        let long: Vec<u8> = (0..5_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let hard = Squeeze::new(Compression::Zstd, Some(7));
        let both = [Squeeze::USUAL, hard]
            .map(|squeeze| [&b""[..], b"a", &long[..2 << 20], &long].map(|bytes| (bytes, squeeze)));
        for (bytes, squeeze) in both.into_iter().flatten() {
            let stream = packed(bytes, squeeze);
            assert_eq!(Codec::detect(&stream), squeeze.codec);
            assert_eq!(stream, packed(bytes, squeeze));
            let mut plain = Vec::new();
            let (_, mut reader) = image::codec::expand(Box::new(io::Cursor::new(stream))).unwrap();
            reader.read_to_end(&mut plain).unwrap();
            assert!(plain == bytes, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn whoever_stops_reading_stops_the_work() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        let (squeeze, item) = (Squeeze::USUAL, Box::new(Quiet));
        let first = Packer::run((&file, 64 << 20), squeeze, item, |packer| {
            let mut buffer = [0; 10];
            packer.read_exact(&mut buffer).map(|()| buffer)
        });
        assert_eq!(first.unwrap()[..2], [0x1f, 0x8b]);
    }

    #[test]
    fn a_short_file_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let (squeeze, item) = (Squeeze::USUAL, Box::new(Quiet));
        let read = Packer::run((&file, 10), squeeze, item, |packer| packer.read(&mut [0; 10]));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
