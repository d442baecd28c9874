//! Layers of steps: written by one thread, read into the store by another, and put on their stacks.

use std::io::Write;
use std::os::fd::OwnedFd;

use image::stream::pour;
use spec::ChainId;
use store::{Expected, Lease, StepLayer, Store, Unpacked};

use crate::error::{EngineError, Result};

/// Takes in the layer that `write` writes.
pub(super) fn written(
    store: &Store,
    lease: &Lease,
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
) -> Result<Unpacked> {
    let (mut out, mut reader) = pour();
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            write(&mut out)?;
            out.flush().map_err(EngineError::Write)
        });
        let unpacked = store.unpack_layer(lease, &mut reader, Expected::default());
        // The writer must not wait for a reader that gave up.
        drop(reader);
        let written = writing.join().expect("a writer of layers does not panic");
        match (written, unpacked) {
            // That nobody reads says only that the reader had a reason.
            (Err(EngineError::Write(_)), Err(error)) => Err(error.into()),
            (Err(error), _) => Err(error),
            (Ok(()), unpacked) => Ok(unpacked?),
        }
    })
}

/// Puts a layer on a stack.
pub(super) fn adopt(
    store: &Store,
    lease: &Lease,
    unpacked: Unpacked,
    parent: Option<ChainId>,
) -> Result<(ChainId, StepLayer)> {
    let layer = StepLayer { diff: unpacked.diff(), bytes: unpacked.bytes() };
    let chain = ChainId::extend(parent, layer.diff);
    if let Some((chain, record)) = store.adopt_unless_here(lease, unpacked, parent)? {
        store.change::<_, EngineError>(|tables| {
            tables.layers.add(chain, record);
            Ok(())
        })?;
    }
    Ok((chain, layer))
}

/// Puts a layer that is here already on another stack; nothing if it is not here any more.
pub(super) fn move_to(
    store: &Store,
    lease: &Lease,
    layer: StepLayer,
    parent: Option<ChainId>,
) -> Result<Option<ChainId>> {
    let chain = ChainId::extend(parent, layer.diff);
    lease.protect_chain(&chain)?;
    let layers = store.layers()?;
    if layers.layers.contains_key(&chain) {
        return Ok(Some(chain));
    }
    let Some(known) = layers.by_diff(layer.diff) else { return Ok(None) };
    let Ok((chain, record)) = store.reuse_layer(lease, known, parent, &layers) else {
        return Ok(None);
    };
    store.change::<_, EngineError>(|tables| {
        tables.layers.layers.insert(chain, record);
        Ok(())
    })?;
    Ok(Some(chain))
}

/// A read-only mount of a stack.
pub(super) fn view(store: &Store, top: Option<ChainId>) -> Result<OwnedFd> {
    Ok(store.view(&store.stacked(top, &*store.layers()?)?)?)
}
