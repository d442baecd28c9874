//! How much space what takes: exact, from the records, without walking any tree.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use spec::{ChainId, DiffId, ImageId};

use crate::error::Result;
use crate::tables::Tables;
use crate::{Store, blobs};

/// The space of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageUsage {
    /// All its layers.
    pub size: u64,
    /// Those that other images have too.
    pub shared: u64,
    /// Those that only it has.
    pub unique: u64,
}

/// The space of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Each image.
    pub images: BTreeMap<ImageId, ImageUsage>,
    /// All layers of all images, each once: what docker calls the images' size.
    pub layers: u64,
    /// What would be free without the images that nothing uses.
    pub reclaimable: u64,
    /// Blobs on disk: tars, compressed layers, documents.
    pub blobs: u64,
    /// Indexes on disk.
    pub indexes: u64,
    /// Compressed blobs that are kept beside their plain tar and could go.
    pub evictable: u64,
}

impl Store {
    /// Counts.
    pub fn usage(&self, tables: &Tables) -> Result<Usage> {
        let layers = &tables.layers;
        let mut users: BTreeMap<ChainId, u32> = BTreeMap::new();
        for record in tables.images.images.values() {
            for chain in layers.closure(record.top) {
                *users.entry(chain).or_default() += 1;
            }
        }
        let bytes = |chain: &ChainId| layers.layers.get(chain).map_or(0, |record| record.bytes);
        let mut usage = Usage::default();
        for (id, record) in &tables.images.images {
            let mut one = ImageUsage::default();
            for chain in layers.closure(record.top) {
                one.size += bytes(&chain);
                match users.get(&chain) {
                    Some(1) => one.unique += bytes(&chain),
                    _ => one.shared += bytes(&chain),
                }
            }
            usage.images.insert(*id, one);
        }
        let mut tars: BTreeMap<DiffId, u64> = BTreeMap::new();
        for chain in users.keys() {
            if let Some(record) = layers.layers.get(chain) {
                tars.insert(record.diff, record.bytes);
            }
        }
        usage.layers = tars.values().sum();
        // Without containers, every image is one that nothing uses.
        usage.reclaimable = usage.layers;
        usage.blobs = blobs::list(self.paths())?.0.iter().map(|(_, bytes)| bytes).sum();
        for chain in layers.layers.keys() {
            // An index claims the full length of sparse files and takes what they hold.
            let meta = std::fs::metadata(self.paths().index(chain));
            usage.indexes += meta.map_or(0, |meta| meta.len().min(meta.blocks() * 512));
        }
        if self.driver().keeps_tar() {
            let kept = layers.layers.values().filter_map(|record| record.blob.as_ref());
            let kept: BTreeMap<_, _> = kept.map(|blob| (blob.digest, blob.bytes)).collect();
            usage.evictable = kept.values().sum();
        }
        Ok(usage)
    }
}
