//! What is to be compressed.

use std::fs::File;
use std::io::{self, BufReader, Seek};

use image::codec::expand;
use store::{LayerBlob, LayerRecord, Lease};

use crate::Engine;
use crate::error::{EngineError, Result};

/// A layer's plain tar: the one that is kept, or one made from the blob for the moment. What is read
/// from is what its name says: packed anew it gets another name, and nobody after could tell.
pub(crate) fn plain(engine: &Engine, lease: &Lease, layer: &LayerRecord) -> Result<File> {
    let store = engine.store();
    if store.has_blob(&layer.diff.0) {
        store.verify_blob(&layer.diff.0)?;
        return Ok(store.open_blob(&layer.diff.0)?);
    }
    let Some(LayerBlob { digest, .. }) = &layer.blob else {
        return Ok(store.open_blob(&layer.diff.0)?);
    };
    store.verify_blob(digest)?;
    let (_, mut tar) =
        expand(BufReader::new(store.open_blob(digest)?)).map_err(EngineError::Read)?;
    let mut file = store.scratch(lease)?;
    io::copy(&mut tar, &mut file).map_err(EngineError::io("expand", "a layer"))?;
    file.rewind().map_err(EngineError::io("read", "a layer"))?;
    Ok(file)
}
