//! What the layers below a new one show, read from their indexes as far as it is asked for.

use std::collections::BTreeMap;

use image::erofs::{IndexError, IndexInode, IndexReader};
use image::tree::{Attributes, Below, Shown};
use spec::ChainId;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::tables::Layers;

/// A stack seen from above. Indexes are opened when the way leads to them.
pub(crate) struct Stack<'a> {
    store: &'a Store,
    /// Top first.
    layers: Vec<(ChainId, Option<IndexReader>)>,
}

impl<'a> Stack<'a> {
    pub(crate) fn new(
        store: &'a Store,
        top: Option<ChainId>,
        layers: &Layers,
    ) -> Result<Stack<'a>> {
        let stack = layers.stack(top)?;
        let layers = stack.iter().rev().map(|(chain, _)| (*chain, None)).collect();
        Ok(Stack { store, layers })
    }

    /// Asks layer after layer, from the top, until one has the answer.
    fn ask<T>(
        &mut self,
        mut question: impl FnMut(&IndexReader) -> Result<Option<T>, IndexError>,
    ) -> Result<Option<T>> {
        for (chain, reader) in &mut self.layers {
            let reader = match reader {
                Some(reader) => reader,
                None => reader.insert(self.store.open_index(chain)?),
            };
            let answer =
                question(reader).map_err(|source| StoreError::Index { chain: *chain, source })?;
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}

impl Below for Stack<'_> {
    type Error = StoreError;

    fn at(&mut self, path: &[&[u8]]) -> Result<Shown> {
        let shown = self.ask(|reader| shown_by(reader, path))?;
        Ok(shown.unwrap_or(Shown::Nothing))
    }

    fn root_names(&mut self) -> Result<Vec<Vec<u8>>> {
        // The topmost layer that has a name decides whether it is there.
        let mut names: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        self.ask::<()>(|reader| {
            for entry in reader.entries(&reader.inode(reader.root())?)? {
                let entry = entry?;
                let there = !reader.inode(entry.nid)?.is_whiteout();
                names.entry(entry.name).or_insert(there);
            }
            Ok(None)
        })?;
        Ok(names.into_iter().filter_map(|(name, there)| there.then_some(name)).collect())
    }
}

/// What one layer says of a path, unless it is for the layers below to say.
fn shown_by(reader: &IndexReader, path: &[&[u8]]) -> Result<Option<Shown>, IndexError> {
    let mut at = reader.inode(reader.root())?;
    // Below an opaque folder there is nothing but what the layer itself has.
    let mut opaque = false;
    for (depth, part) in path.iter().enumerate() {
        opaque |= reader.is_opaque(&at)?;
        match reader.child(&at, part)? {
            Some(next) if next.is_folder() => at = next,
            Some(next) if next.is_whiteout() || depth + 1 < path.len() => {
                return Ok(Some(Shown::Nothing));
            }
            Some(_) => return Ok(Some(Shown::File)),
            None => return Ok(opaque.then_some(Shown::Nothing)),
        }
    }
    attributes(reader, &at).map(|folder| Some(Shown::Folder(folder)))
}

fn attributes(reader: &IndexReader, folder: &IndexInode) -> Result<Attributes, IndexError> {
    let mut xattrs = reader.xattrs(folder)?;
    xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
    Ok(Attributes {
        mode: folder.mode,
        uid: folder.uid,
        gid: folder.gid,
        mtime: folder.mtime.0,
        mtime_nanos: folder.mtime.1,
        xattrs,
    })
}
