//! A layer's tar compressed as a stream, by all processors, and always to the same bytes.
//!
//! The tar is cut into pieces, and each becomes a gzip member, or some zstd frames, of its own;
//! members one after the other are a gzip file, and frames a zstd file. Where the cuts are does not
//! depend on how many processors there are, so neither do the bytes.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use image::chunked::Ending;
use spec::{Annotations, Descriptor, Digest, Hasher};

use crate::progress::Item;

mod coding;
mod pieces;
mod plain;

pub use coding::LayerCoding;
use pieces::{Piece, Pieces};
pub(crate) use plain::Plain;

/// More threads than this only wait for the network.
const THREADS: usize = 8;

/// How it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Squeeze {
    pub(crate) coding: LayerCoding,
    pub(crate) level: Option<i32>,
}

impl Squeeze {
    fn is_chunked(self) -> bool {
        self.coding == LayerCoding::ZstdChunked
    }
}

/// The compressed stream, which is hashed as it is read, and with it the tar that it is made of.
pub(crate) struct Packer<'a> {
    squeeze: Squeeze,
    /// What has been read of the tar, and what all of it has to be.
    plain: (Hasher, Digest),
    /// A queue for each thread; the pieces come from them in turn.
    queues: Vec<Receiver<io::Result<Piece>>>,
    next: usize,
    piece: Vec<u8>,
    at: usize,
    ending: Option<Awaited>,
    annotations: Annotations,
    hasher: Hasher,
    bytes: u64,
    item: Box<dyn Item + 'a>,
}

/// The end of a layer that has a table: who writes it is told how long its parts became.
struct Awaited {
    lengths: Sender<u64>,
    ending: Receiver<io::Result<Ending>>,
}

impl<'a> Packer<'a> {
    /// Compresses a tar for as long as `take` reads.
    pub(crate) fn run<T>(
        tar: &Plain,
        squeeze: Squeeze,
        item: Box<dyn Item + 'a>,
        take: impl FnOnce(&mut Packer<'a>) -> T,
    ) -> T {
        let Plain { file, bytes, digest, .. } = tar;
        let (file, bytes) = (file, *bytes);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let pieces = &Pieces::of((file, bytes), squeeze);
        std::thread::scope(|scope| {
            let mut queues = Vec::new();
            for first in 0..threads {
                let (send, receive) = sync_channel(1);
                queues.push(receive);
                scope.spawn(move || pack(file, pieces, squeeze, (first, threads), &send));
            }
            let ending = pieces.cuts().map(|cuts| {
                let ((lengths, told), (send, ending)) = (channel(), sync_channel(1));
                scope.spawn(move || {
                    // Nobody may listen any more.
                    send.send(Ending::of((file, bytes), cuts, &mut told.into_iter())).ok()
                });
                Awaited { lengths, ending }
            });
            let mut packer = Packer {
                squeeze,
                plain: (Hasher::new(digest.algorithm()), *digest),
                queues,
                next: 0,
                piece: Vec::new(),
                at: 0,
                ending,
                annotations: Annotations::new(),
                hasher: Hasher::sha256(),
                bytes: 0,
                item,
            };
            // When it is dropped the threads find nobody who listens, and end.
            take(&mut packer)
        })
    }

    /// What came out of it; nothing if the tar was not what its name says.
    pub(crate) fn finish(&mut self) -> Option<Descriptor> {
        let (plain, expected) = &self.plain;
        if plain.clone().finish() != *expected {
            return None;
        }
        self.item.done();
        let (media_type, digest) = (self.squeeze.coding.media_type(), self.hasher.clone().finish());
        let annotations = std::mem::take(&mut self.annotations);
        Some(Descriptor { annotations, ..Descriptor::new(media_type, digest, self.bytes) })
    }

    /// Goes on with the next piece; false after the last.
    fn advance(&mut self) -> io::Result<bool> {
        self.at = 0;
        // The first thread that has nothing more had the last piece's successor.
        if let Ok(piece) = self.queues[self.next].recv() {
            let Piece { packed, plain, parts } = piece?;
            if let Some(Awaited { lengths, .. }) = &self.ending {
                // If it is not heard, the ending says why.
                parts.iter().try_for_each(|length| lengths.send(*length)).ok();
            }
            self.piece = packed;
            self.next = (self.next + 1) % self.queues.len();
            self.plain.0.update(&plain);
            self.item.advance(plain.len() as u64);
            return Ok(true);
        }
        self.piece.clear();
        let Some(Awaited { lengths, ending }) = self.ending.take() else { return Ok(false) };
        drop(lengths);
        let ending = ending.recv().map_err(io::Error::other)??;
        (self.piece, self.annotations) = (ending.bytes, ending.annotations);
        Ok(true)
    }
}

/// Compresses every `step`th piece.
fn pack(
    file: &File,
    pieces: &Pieces,
    squeeze: Squeeze,
    (first, step): (usize, usize),
    send: &SyncSender<io::Result<Piece>>,
) {
    for number in (first..pieces.count()).step_by(step) {
        let piece = pieces.pack(file, number, squeeze);
        let failed = piece.is_err();
        if send.send(piece).is_err() || failed {
            return;
        }
    }
}

impl Read for Packer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if !self.advance()? {
                return Ok(0);
            }
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
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use image::codec::Codec;
    use spec::Digest;

    use super::*;
    use crate::progress::Quiet;

    const USUAL: Squeeze = Squeeze { coding: LayerCoding::Gzip, level: None };

    /// The tar of a layer, but for what was done to it since.
    fn tar(bytes: &[u8], len: u64) -> Plain {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(bytes).unwrap();
        file.set_len(len).unwrap();
        let mut whole = bytes.to_vec();
        whole.resize(len as usize, 0);
        Plain::new(file, len, Digest::of(&whole))
    }

    /// What becomes of bytes. Those that are a tar may be cut between files, and then have a table.
    fn packed(bytes: &[u8], squeeze: Squeeze, is_tar: bool) -> Vec<u8> {
        let plain = tar(bytes, bytes.len() as u64);
        let is_cut = Pieces::of((&plain.file, plain.bytes), squeeze).cuts().is_some();
        assert_eq!(is_cut, squeeze.is_chunked() && is_tar);
        Packer::run(&plain, squeeze, Box::new(Quiet), |packer| {
            let mut all = Vec::new();
            packer.read_to_end(&mut all).unwrap();
            let told = packer.finish().unwrap();
            assert_eq!((told.digest, told.size), (Digest::of(&all), all.len() as u64));
            assert_eq!(squeeze.coding.is_of(&told), is_cut || !squeeze.is_chunked());
            all
        })
    }

    /// A tar with these bytes in a file, and files before and behind it.
    fn files(bytes: &[u8]) -> Vec<u8> {
        let layer = testkit::Layer::new().folder("a").file("a/before", "b").file("a/large", bytes);
        layer.file("a/none", "").file("behind", "c").tar()
    }

    #[test]
    fn gives_the_bytes_back_and_always_the_same() {
        let long: Vec<u8> = (0..5_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        // Bytes that are no tar have no table, and are compressed all the same.
        let chunked = Squeeze { coding: LayerCoding::ZstdChunked, level: None };
        let hard = Squeeze { coding: LayerCoding::Zstd, level: Some(7) };
        let files = files(&long);
        let some = [&b""[..], b"a", &long[..2 << 20], &long].map(|bytes| (bytes, false));
        let some = [&some[..], &[(&files, true)]].concat();
        let all = [USUAL, hard, chunked];
        let all = all.iter().flat_map(|squeeze| some.iter().map(move |some| (some, *squeeze)));
        for ((bytes, is_tar), squeeze) in all {
            let stream = packed(bytes, squeeze, *is_tar);
            let is_gzip = squeeze.coding == LayerCoding::Gzip;
            let wanted = if is_gzip { Codec::Gzip } else { Codec::Zstd };
            assert_eq!(Codec::detect(&stream), wanted);
            assert_eq!(stream, packed(bytes, squeeze, *is_tar));
            let mut plain = Vec::new();
            let (_, mut reader) = image::codec::expand(Box::new(io::Cursor::new(stream))).unwrap();
            reader.read_to_end(&mut plain).unwrap();
            assert!(plain == *bytes, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn whoever_stops_reading_stops_the_work() {
        let (squeeze, item) = (USUAL, Box::new(Quiet));
        let first = Packer::run(&tar(b"", 64 << 20), squeeze, item, |packer| {
            let mut buffer = [0; 10];
            packer.read_exact(&mut buffer).map(|()| buffer)
        });
        assert_eq!(first.unwrap()[..2], [0x1f, 0x8b]);
    }

    #[test]
    fn a_short_file_is_an_error() {
        let tar = tar(b"", 10);
        tar.file.set_len(0).unwrap();
        let (squeeze, item) = (USUAL, Box::new(Quiet));
        let read = Packer::run(&tar, squeeze, item, |packer| packer.read(&mut [0; 10]));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_tar_that_is_another_comes_to_nothing() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 7) as u8).collect();
        let files = files(&bytes);
        for (squeeze, bytes) in [
            (LayerCoding::Gzip, &bytes),
            (LayerCoding::Zstd, &bytes),
            (LayerCoding::ZstdChunked, &bytes),
            (LayerCoding::ZstdChunked, &files),
        ] {
            let tar = tar(bytes, bytes.len() as u64);
            tar.file.write_at(b"!", 2_500_000).unwrap();
            let (squeeze, item) = (Squeeze { coding: squeeze, level: None }, Box::new(Quiet));
            let told = Packer::run(&tar, squeeze, item, |packer| {
                io::copy(packer, &mut io::sink()).unwrap();
                packer.finish()
            });
            assert_eq!(told, None);
        }
    }
}
