//! The document of layers as it was read last: who asks for each step of a build reads it once.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::tables::{self, Layers};

/// What was read last, if anything was.
#[derive(Default)]
pub(crate) struct SeenLayers(Mutex<Option<Seen>>);

struct Seen {
    /// The file that it was read from or that was there before, held open so that no other gets its
    /// number.
    _file: File,
    number: (u64, u64),
    layers: Arc<Layers>,
}

impl Store {
    /// The layers as they are now.
    ///
    /// Documents are replaced whole: the same file holds the same.
    pub fn layers(&self) -> Result<Arc<Layers>> {
        let path = self.paths.layers();
        let io = |doing| StoreError::io(doing, &path);
        let mut last = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = &*last
            && std::fs::metadata(&path).is_ok_and(|now| number(&now) == seen.number)
        {
            return Ok(seen.layers.clone());
        }
        // Opened before it is read: what is read is this file, or one that came after it.
        let file = File::open(&path);
        let layers = Arc::new(tables::read_layers(&self.paths)?);
        let _file = file.map_err(io("open"))?;
        let number = number(&_file.metadata().map_err(io("look at"))?);
        *last = Some(Seen { _file, number, layers: layers.clone() });
        Ok(layers)
    }
}

fn number(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}
