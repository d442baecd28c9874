//! What is to be compressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use image::codec::expand;
use spec::Digest;
use store::{LayerBlob, LayerRecord, Lease, StoreError};

use crate::Engine;
use crate::error::{EngineError, Result};

/// A layer's plain tar: the one that is kept, or one made from the blob for the moment. Whether it is
/// what its name says shows when it has been read: packed anew it gets another name, and nobody after
/// could tell.
pub(crate) struct Plain {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    /// What it has to hash to.
    pub(crate) digest: Digest,
    /// The blob that it is, or was made from.
    from: Digest,
}

impl Plain {
    /// The tar of a layer.
    pub(crate) fn of(engine: &Engine, lease: &Lease, layer: &LayerRecord) -> Result<Plain> {
        let (store, digest, bytes) = (engine.store(), layer.diff.0, layer.bytes);
        let blob = match &layer.blob {
            Some(LayerBlob { digest, .. }) if !store.has_blob(&layer.diff.0) => *digest,
            _ => return Ok(Plain { file: store.open_blob(&digest)?, bytes, digest, from: digest }),
        };
        let mut file = store.scratch(lease)?;
        let kept = store.open_blob(&blob)?;
        let expanded = expand(BufReader::new(kept)).map_err(EngineError::Read).and_then(|it| {
            // More than there is to be would not be read.
            let copied = io::copy(&mut it.1.take(bytes), &mut file);
            copied.and_then(|_| file.rewind()).map_err(EngineError::io("expand", "a layer"))
        });
        if let Err(error) = expanded {
            store.verify_blob(&blob)?;
            return Err(error);
        }
        Ok(Plain { file, bytes, digest, from: blob })
    }

    /// A tar with what it has to hash to.
    #[cfg(test)]
    pub(super) fn new(file: File, bytes: u64, digest: Digest) -> Plain {
        Plain { file, bytes, digest, from: digest }
    }

    /// Why it was not what its name says, now that it has been read.
    pub(crate) fn fault(&self, engine: &Engine) -> EngineError {
        let what = format!("layer {}", self.digest.short());
        let why = "it changed while it was read, or its blob holds something else".to_owned();
        match engine.store().verify_blob(&self.from) {
            Ok(()) => StoreError::Damaged { what, why }.into(),
            Err(error) => error.into(),
        }
    }
}
