//! Compression that gives the same bytes for the same content, however that arrives.

use super::{Codec, CodecError};
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// What encoders are fed at a time. Some encoders' output depends on the sizes of what they are
/// given; so they are always given the same.
const CHUNK: usize = 64 * 1024;

/// The operating system a gzip header names: unknown.
const NO_SYSTEM: u8 = 255;

const GZIP_LEVELS: std::ops::RangeInclusive<i32> = 0..=9;
/// Half the time of gzip's own 6, for layers that are a twelfth larger (decision 0042).
const GZIP_DEFAULT: i32 = 2;

/// Compresses what is written to it. Without `finish` the stream is not complete.
pub struct Encoder<W: Write> {
    inner: Inner<W>,
    chunk: Vec<u8>,
}

enum Inner<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

/// Starts a compressed stream: gzip at levels 0 to 9, zstd at its own, or none; the usual level if
/// none is given. What is written depends on content and level alone.
pub fn encoder<W: Write>(codec: Codec, level: Option<i32>, writer: W) -> io::Result<Encoder<W>> {
    let zstd_levels = zstd::compression_level_range();
    let inner = match (codec, level) {
        (Codec::None, _) => Inner::None(writer),
        (Codec::Gzip, level) if level.is_none_or(|level| GZIP_LEVELS.contains(&level)) => {
            let level = flate2::Compression::new(level.unwrap_or(GZIP_DEFAULT) as u32);
            let header = flate2::GzBuilder::new().mtime(0).operating_system(NO_SYSTEM);
            Inner::Gzip(header.write(writer, level))
        }
        (Codec::Zstd, level) if level.is_none_or(|level| zstd_levels.contains(&level)) => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            let mut encoder = zstd::stream::write::Encoder::new(writer, level)?;
            encoder.include_checksum(true)?;
            Inner::Zstd(encoder)
        }
        (codec, level) => {
            return Err(CodecError::NoEncoder { codec, level: level.unwrap_or(0) }.into());
        }
    };
    Ok(Encoder { inner, chunk: Vec::with_capacity(CHUNK) })
}

/// Compresses pieces to zstd frames of their own, with memory that is used again.
pub struct Frames(zstd::bulk::Compressor<'static>);

impl Frames {
    /// At one of zstd's levels, or the usual one.
    pub fn new(level: Option<i32>) -> io::Result<Frames> {
        let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_checksum(true)?;
        Ok(Frames(compressor))
    }

    /// One piece, whole.
    pub fn frame(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(plain)
    }
}

impl<W: Write> Encoder<W> {
    /// Completes the stream and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&self.chunk)?;
        match self.inner {
            Inner::None(writer) => Ok(writer),
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Inner<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Inner::None(writer) => writer.write_all(bytes),
            Inner::Gzip(encoder) => encoder.write_all(bytes),
            Inner::Zstd(encoder) => encoder.write_all(bytes),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A whole chunk need not be copied to be one.
        if self.chunk.is_empty() && bytes.len() >= CHUNK {
            self.inner.write_all(&bytes[..CHUNK])?;
            return Ok(CHUNK);
        }
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.inner.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(count)
    }

    /// Forces nothing out: a flush in the middle would change the stream. `finish` does.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
