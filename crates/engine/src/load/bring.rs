//! Layers from wherever they are into the store: unpacked side by side, and put on their stacks from
//! the bottom up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::sync_channel;

use super::queue::Queue;
use image::archive::{Bundled, BundledLayer};
use spec::{ChainId, DiffId};
use store::{LayerRecord, Layers, Lease, Store, StoreError, Unpacked};

use crate::Engine;
use crate::error::Result;
use crate::progress::Progress;

/// Somewhere layers come from.
pub(crate) trait LayerSource: Sync {
    /// As many layers are unpacked at once.
    fn workers(&self) -> usize;

    /// Reads a layer and checks it.
    fn unpack(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        progress: &dyn Progress,
    ) -> Result<Unpacked>;
}

impl Engine {
    /// Brings every layer of these images into the store, each once.
    pub(crate) fn unpack_all(
        &self,
        lease: &Lease,
        source: &dyn LayerSource,
        images: &[Bundled],
        progress: &dyn Progress,
    ) -> Result<Layers> {
        self.protect_all(lease, images)?;
        // Looked at only now: what is here and protected stays.
        let mut layers = self.store.tables()?.layers;
        let diffs = images.iter().flat_map(|image| &image.config.rootfs.diff_ids);
        self.store.keep_fit(&mut layers, diffs.copied())?;
        let mut wanted: Vec<&BundledLayer> = Vec::new();
        for layer in images.iter().flat_map(|image| &image.layers) {
            let known =
                layers.by_diff(layer.diff).is_some_and(|layer| is_usable(&self.store, layer));
            if !known && !wanted.iter().any(|other| other.diff == layer.diff) {
                wanted.push(layer);
            }
        }
        let queue = Queue::new(&wanted);
        let (send, receive) = sync_channel::<(DiffId, Result<Unpacked>)>(0);
        std::thread::scope(|scope| {
            for _ in 0..source.workers().min(wanted.len()) {
                let (send, queue) = (send.clone(), &queue);
                scope.spawn(move || {
                    while let Some(layer) = queue.next() {
                        let unpacked = source.unpack(&self.store, lease, layer, progress);
                        if send.send((layer.diff, unpacked)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let expected = wanted.iter().map(|layer| layer.diff).collect();
            let arriving = &mut receive.into_iter();
            let waiting = BTreeMap::new();
            let mut arrivals = Arrivals { expected, waiting, arriving, queue: &queue };
            for image in images {
                self.stack_up(lease, image, &mut layers, &mut arrivals)?;
            }
            Ok(layers)
        })
    }

    /// Protects everything of these images that may be here already, on whatever stack it lies.
    fn protect_all(&self, lease: &Lease, images: &[Bundled]) -> Result<()> {
        let known = self.store.tables()?.layers;
        for image in images {
            let diffs = &image.config.rootfs.diff_ids;
            for (chain, diff) in ChainId::chain(diffs).iter().zip(diffs) {
                lease.protect_chain(chain)?;
                lease.protect_blob(&diff.0)?;
                if let Some(blob) = known.by_diff(*diff).and_then(|layer| layer.blob.as_ref()) {
                    lease.protect_blob(&blob.digest)?;
                }
            }
        }
        Ok(())
    }

    /// Puts one image's layers on each other, waiting for those that are still on their way.
    fn stack_up(
        &self,
        lease: &Lease,
        image: &Bundled,
        layers: &mut Layers,
        arrivals: &mut Arrivals<'_, '_>,
    ) -> Result<()> {
        let mut parent = None;
        for diff in &image.config.rootfs.diff_ids {
            let chain = ChainId::extend(parent, *diff);
            if !layers.layers.contains_key(&chain) {
                let (chain, record) = match (arrivals.take(*diff)?, layers.by_diff(*diff)) {
                    (Some(unpacked), _) => {
                        self.store.adopt_layer(lease, unpacked, parent, layers)?
                    }
                    (None, Some(known)) => {
                        let known: LayerRecord = known.clone();
                        self.store.reuse_layer(lease, &known, parent, layers)?
                    }
                    (None, None) => return Err(StoreError::NoLayer(chain).into()),
                };
                layers.note(chain, record);
            }
            parent = Some(chain);
        }
        Ok(())
    }
}

/// Whether a layer can go on another stack: one of its forms is here.
pub(crate) fn is_usable(store: &Store, layer: &LayerRecord) -> bool {
    let blob = layer.blob.as_ref().is_some_and(|blob| store.has_blob(&blob.digest));
    blob || store.has_blob(&layer.diff.0)
}

/// Layers on their way, which come in no order.
struct Arrivals<'a, 'q> {
    /// Those that will come or have come and are not taken yet.
    expected: BTreeSet<DiffId>,
    waiting: BTreeMap<DiffId, Unpacked>,
    arriving: &'a mut dyn Iterator<Item = (DiffId, Result<Unpacked>)>,
    queue: &'a Queue<'q>,
}

impl Drop for Arrivals<'_, '_> {
    /// After an error nobody comes for the rest.
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Arrivals<'_, '_> {
    /// Waits for a layer, if it is on its way.
    fn take(&mut self, diff: DiffId) -> Result<Option<Unpacked>> {
        if !self.expected.remove(&diff) {
            return Ok(None);
        }
        self.queue.ask(true);
        while !self.waiting.contains_key(&diff) {
            let Some((arrived, unpacked)) = self.arriving.next() else { break };
            let unpacked = unpacked?;
            self.queue.arrived(unpacked.memory_bytes());
            self.waiting.insert(arrived, unpacked);
        }
        self.queue.ask(false);
        let taken = self.waiting.remove(&diff);
        self.queue.taken(taken.as_ref().map_or(0, Unpacked::memory_bytes));
        Ok(taken)
    }
}
