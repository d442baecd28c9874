//! Compression: told by content, undone as a stream, done the same way every time.
//!
//! Decoders read everything a format allows to stand in one stream (several gzip members, zstd
//! frames, xz and bzip2 streams), never take a broken stream for a finished one, and use a bounded
//! amount of memory. How much may come out of them is for [`Limited`] to say.

mod encode;
mod error;
mod gzip;
mod limited;
mod zstandard;

#[cfg(test)]
mod tests;

pub use encode::{Encoder, Frames, encoder};
pub use error::CodecError;
pub use limited::Limited;

use error::{Checked, Source};
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The largest window a decoder keeps, in bytes: what `zstd` itself accepts unless told otherwise.
pub const MAX_WINDOW: u64 = 1 << 27;

/// What an xz decoder may use: the window and some room around it.
const MAX_XZ_MEMORY: u64 = MAX_WINDOW + (8 << 20);

/// How much of a stream tells its compression.
const TELLING: usize = 10;

/// A way to compress a stream, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// The bytes themselves.
    None,
    /// What nearly every layer is compressed with.
    Gzip,
    /// Smaller and faster than gzip.
    Zstd,
    /// Accepted from archives of old, never written.
    Bzip2,
    /// Accepted from archives, never written.
    Xz,
}

impl Codec {
    /// Tells the compression by a stream's first bytes; ten are enough, fewer may do.
    pub fn detect(first_bytes: &[u8]) -> Codec {
        match first_bytes {
            [0x1f, 0x8b, 0x08, ..] => Codec::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            // A frame to skip, in which tools keep an index or a signature. Its size follows.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, _, _, _, _, ..] => Codec::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if starts_bzip2_block(rest) => Codec::Bzip2,
            _ => Codec::None,
        }
    }

    /// The name users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "uncompressed",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
            Codec::Bzip2 => "bzip2",
            Codec::Xz => "xz",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A file called `BZh9` may well begin a tar: what follows must be a block or the stream's end.
fn starts_bzip2_block(rest: &[u8]) -> bool {
    const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
    const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
    let seen = &rest[..rest.len().min(6)];
    BLOCK.starts_with(seen) || END.starts_with(seen)
}

/// Undoes the compression. Errors that are the stream's own fault carry a [`CodecError`]; those of
/// `reader` pass through as they are. Nothing is read before the first `read`.
pub fn decoder<'a, R: BufRead + Send + 'a>(codec: Codec, reader: R) -> Box<dyn Read + Send + 'a> {
    let source = Source(reader);
    match codec {
        Codec::None => Box::new(source.0),
        Codec::Gzip => Box::new(Checked::new(codec, gzip::Members::new(source))),
        Codec::Zstd => Box::new(Checked::new(codec, zstandard::Frames::new(source))),
        Codec::Bzip2 => Box::new(Checked::new(codec, bzip2::bufread::MultiBzDecoder::new(source))),
        Codec::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            match liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, flags) {
                Ok(stream) => {
                    let decoder = liblzma::bufread::XzDecoder::new_stream(source, stream);
                    Box::new(Checked::new(codec, decoder))
                }
                Err(error) => Box::new(Checked::new(codec, Refused(Some(error.into())))),
            }
        }
    }
}

/// Tells a stream's compression and undoes it, also when its first bytes come one by one.
pub fn expand<'a, R: Read + Send + 'a>(
    mut reader: R,
) -> io::Result<(Codec, Box<dyn Read + Send + 'a>)> {
    let mut first = Vec::with_capacity(TELLING);
    reader.by_ref().take(TELLING as u64).read_to_end(&mut first)?;
    let codec = Codec::detect(&first);
    let whole = Cursor::new(first).chain(reader);
    Ok(match codec {
        Codec::None => (codec, Box::new(whole)),
        _ => (codec, decoder(codec, BufReader::with_capacity(64 * 1024, whole))),
    })
}

/// A decoder that could not be made, because memory is short: says so when read.
struct Refused(Option<io::Error>);

impl Read for Refused {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::OutOfMemory.into()))
    }
}
