//! How much space what takes, exactly: images from their records, blobs and indexes from their
//! files, and only what lies unpacked by a walk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::FileType;
use spec::{ChainId, ImageId};

use crate::error::{Result, StoreError};
use crate::tables::{ImageRecord, Tables};
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
    /// All layers, each once: those of images, and those that somebody works in whose image is
    /// gone. That is what docker calls the images' size.
    pub layers: u64,
    /// Those of them that nobody works in: what goes with the images that nothing uses.
    pub reclaimable: u64,
    /// Blobs on disk: tars, compressed layers, documents.
    pub blobs: u64,
    /// Indexes on disk.
    pub indexes: u64,
    /// What the driver keeps besides, in blocks of the disk.
    pub folders: u64,
    /// Compressed blobs that are kept beside their plain tar and could go.
    pub evictable: u64,
    /// What was written to each snapshot.
    pub tops: BTreeMap<String, TopShare>,
}

/// What was written to one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopShare {
    /// Bytes of its files, a file with several names once.
    pub bytes: u64,
    /// Whether it is mounted somewhere, so that somebody works in it.
    pub mounted: bool,
}

impl Store {
    /// Counts.
    pub fn usage(&self, tables: &Tables) -> Result<Usage> {
        let mut tars = BTreeMap::new();
        let in_use = self.in_use()?;
        let tops = tables.images.images.values().filter_map(|record| record.top);
        for (_, record) in tables.layers.stack_records(tops.chain(in_use.iter().copied())) {
            tars.insert(record.diff, record.bytes);
        }
        let layers = tars.values().sum();
        for (_, record) in tables.layers.stack_records(in_use) {
            tars.remove(&record.diff);
        }
        Ok(Usage {
            images: image_shares(tables),
            layers,
            reclaimable: tars.values().sum(),
            blobs: blobs::list(self.paths())?.0.iter().map(|(_, bytes)| bytes).sum(),
            indexes: self.index_bytes(tables),
            folders: self.folder_bytes()?,
            evictable: self.evictable_bytes(tables),
            tops: self.top_shares()?,
        })
    }

    /// An index claims the full length of sparse files and takes what they hold.
    fn index_bytes(&self, tables: &Tables) -> u64 {
        let bytes = |chain: &ChainId| {
            let meta = std::fs::metadata(self.paths().index(chain));
            meta.map_or(0, |meta| meta.len().min(meta.blocks() * 512))
        };
        tables.layers.layers.keys().map(bytes).sum()
    }

    fn evictable_bytes(&self, tables: &Tables) -> u64 {
        if !self.driver().keeps_tar() {
            return 0;
        }
        let kept = tables.layers.layers.values().filter_map(|record| record.blob.as_ref());
        let kept: BTreeMap<_, _> = kept.map(|blob| (blob.digest, blob.bytes)).collect();
        kept.values().sum()
    }

    /// What the driver keeps unpacked.
    fn folder_bytes(&self) -> Result<u64> {
        let path = self.paths().folders(self.driver().kind().as_str());
        match sys::fs::open_folder(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            folder => folder.and_then(|folder| disk_bytes(&folder, &mut BTreeSet::new())),
        }
        .map_err(StoreError::io("read", &path))
    }

    fn top_shares(&self) -> Result<BTreeMap<String, TopShare>> {
        let mounted = self.mounted_snapshots()?;
        let mut tops = BTreeMap::new();
        for name in self.snapshots()? {
            let top = self.snapshot(&name).and_then(|snapshot| self.snapshot_usage(&snapshot));
            let bytes = match top {
                Ok(top) => top.bytes,
                // Removed a moment ago.
                Err(_) if !self.paths().snapshots().join(&name).exists() => continue,
                Err(error) => return Err(error),
            };
            let mounted = mounted.contains(&name);
            tops.insert(name, TopShare { bytes, mounted });
        }
        Ok(tops)
    }
}

/// The blocks that what is in a folder takes, a file with several names once.
fn disk_bytes(folder: &OwnedFd, seen: &mut BTreeSet<(u64, u64)>) -> io::Result<u64> {
    let mut bytes = 0;
    for (name, _) in sys::fs::names(folder)? {
        let stat = match sys::fs::stat(folder, &name) {
            // It went meanwhile, and takes nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_folder && stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
            continue;
        }
        bytes += stat.st_blocks as u64 * 512;
        if is_folder {
            match sys::fs::folder_beneath(folder, &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                inner => bytes += disk_bytes(&inner?, seen)?,
            }
        }
    }
    Ok(bytes)
}

/// How much of each image is its own, and how much it shares.
fn image_shares(tables: &Tables) -> BTreeMap<ImageId, ImageUsage> {
    let layers = &tables.layers;
    let mut users: BTreeMap<ChainId, u32> = BTreeMap::new();
    for record in tables.images.images.values() {
        for chain in layers.closure(record.top) {
            *users.entry(chain).or_default() += 1;
        }
    }
    let share = |record: &ImageRecord| {
        let mut share = ImageUsage::default();
        for (chain, layer) in layers.stack_records(record.top) {
            share.size += layer.bytes;
            match users.get(&chain) {
                Some(1) => share.unique += layer.bytes,
                _ => share.shared += layer.bytes,
            }
        }
        share
    };
    tables.images.images.iter().map(|(id, record)| (*id, share(record))).collect()
}
