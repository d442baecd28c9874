//! Reads a layer once: every byte is fetched, hashed, kept and placed as it passes.
//!
//! Two threads share the work. One fetches and decompresses, the other takes the tar apart; the
//! caller's taps see the bytes as they came (`stored`) and as they are without compression
//! (`plain`).

use std::io::{self, BufRead, BufReader, Read};

use crate::codec::{Codec, CodecError, Limited, decoder};
use crate::stream::{Tap, Tapped, TappedBuf, WayError, chunks};
use crate::tar::{Entry, Limits, TarError, TarReader};
use crate::tree::{LayerTree, Placed, TreeError, TreeLimits};

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LayerError {
    #[error("the layer cannot be read")]
    Read(#[source] io::Error),
    #[error("the layer is no valid tar archive")]
    Tar(#[source] TarError),
    #[error("the layer is refused")]
    Refused(#[source] TreeError),
    #[error("the layer cannot be decompressed")]
    Decompress(#[source] CodecError),
    #[error("the layer's files cannot be written")]
    Write(#[source] io::Error),
}

/// What a layer may be.
#[derive(Clone, Copy, Debug)]
pub struct LayerLimits {
    /// Bytes without compression.
    pub tar_bytes: u64,
    /// What its tar headers may be.
    pub tar: Limits,
    /// What its tree may be.
    pub tree: TreeLimits,
}

impl Default for LayerLimits {
    fn default() -> Self {
        LayerLimits { tar_bytes: 1 << 40, tar: Limits::default(), tree: TreeLimits::default() }
    }
}

/// Somewhere a layer's files are put while it is read.
pub trait FileSink {
    /// Puts one entry where the tree placed it. What is not read of `data` is skipped.
    fn put(
        &mut self,
        tree: &LayerTree,
        placed: Placed,
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()>;
}

/// Those who see a layer's bytes as they pass.
pub struct Taps<'a> {
    /// Sees the bytes as they came.
    pub stored: &'a mut dyn Tap,
    /// Sees them without compression; not called for a layer that came without.
    pub plain: &'a mut dyn Tap,
}

/// Reads a layer to its last byte and gives its tree.
pub fn read_layer(
    source: &mut (dyn Read + Send),
    codec: Codec,
    taps: Taps<'_>,
    files: Option<&mut dyn FileSink>,
    limits: &LayerLimits,
) -> Result<LayerTree, LayerError> {
    let (feeder, chunks) = chunks();
    let Taps { stored, plain } = taps;
    std::thread::scope(|scope| {
        let feeding = scope.spawn(move || match codec {
            Codec::None => {
                let tapped = Tapped::new(source, stored);
                feeder.feed(&mut Limited::new(tapped, limits.tar_bytes));
                Ok(())
            }
            codec => {
                let mut tapped = Tapped::new(source, stored);
                let buffered = BufReader::with_capacity(256 << 10, &mut tapped);
                let mut plain = Limited::new(decoder(codec, buffered), limits.tar_bytes);
                let whole = feeder.feed(&mut plain);
                drop(plain);
                match whole {
                    // What stands behind the compressed data belongs to the blob all the same.
                    true => io::copy(&mut tapped, &mut io::sink()).map(drop),
                    false => Ok(()),
                }
            }
        });
        let plain = (codec != Codec::None).then_some(plain);
        let tree = take_apart(TappedBuf::new(chunks, plain), files, limits)?;
        let fed = feeding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fed.map_err(|error| way_error(error).unwrap_or_else(LayerError::Read))?;
        Ok(tree)
    })
}

/// Reads a plain tar that nobody hashes or keeps, and gives its tree. One thread does it: there is
/// nothing to do meanwhile.
pub fn read_tree(tar: impl BufRead, limits: &LayerLimits) -> Result<LayerTree, LayerError> {
    take_apart(tar.take(limits.tar_bytes), None, limits)
}

fn take_apart(
    bytes: impl BufRead,
    mut files: Option<&mut dyn FileSink>,
    limits: &LayerLimits,
) -> Result<LayerTree, LayerError> {
    let mut tree = LayerTree::new(limits.tree);
    // A tree counts places, and an entry may make none: what is said of one holds for the other.
    let tar_limits = Limits { max_entries: limits.tree.entries as u64, ..limits.tar };
    let mut tar = TarReader::new(bytes, tar_limits);
    while let Some(entry) = tar.next().map_err(tar_error)? {
        let placed = tree.add(&entry).map_err(LayerError::Refused)?;
        if let Some(files) = &mut files {
            files.put(&tree, placed, &entry, &mut tar.data()).map_err(write_error)?;
        }
    }
    let end = tar.finish().map_err(tar_error)?;
    tree.end_at(end).map_err(LayerError::Refused)?;
    Ok(tree)
}

/// A failed read under the tar reader is not the tar's fault; say whose it is.
fn tar_error(error: TarError) -> LayerError {
    match error {
        TarError::Read { source, .. } => way_error(source).unwrap_or_else(LayerError::Read),
        other => LayerError::Tar(other),
    }
}

/// An error that came up while a file was written may be the stream's all the same.
fn write_error(error: io::Error) -> LayerError {
    match TarError::try_from(error) {
        Ok(tar) => tar_error(tar),
        Err(error) => way_error(error).unwrap_or_else(LayerError::Write),
    }
}

fn way_error(error: io::Error) -> Result<LayerError, io::Error> {
    let error = match error.downcast::<WayError>() {
        Ok(WayError::Source(source)) => return Ok(LayerError::Read(source)),
        Ok(WayError::Tap(source)) => return Ok(LayerError::Write(source)),
        Err(error) => error,
    };
    CodecError::try_from(error).map(LayerError::Decompress)
}
