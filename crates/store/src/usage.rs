//! How much space what takes, exactly: images from their records, blobs and indexes from their
//! files, and only what lies unpacked by a walk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::FileType;
use spec::{ChainId, DiffId, ImageId};

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
    /// All layers of all images, each once: what docker calls the images' size.
    pub layers: u64,
    /// Images that are mounted, or that snapshots stand on.
    pub active: BTreeSet<ImageId>,
    /// What would be free without the images that nothing uses.
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
        let views = self.views()?;
        let stacks = self.snapshot_stacks()?;
        let is_below = |record: &ImageRecord| record.top.is_some_and(|top| stacks.contains(&top));
        let below = tables.images.images.iter().filter(|(_, record)| is_below(record));
        usage.active = below.map(|(id, _)| *id).collect();
        usage.active.extend(views.iter().map(|view| view.image));
        usage.active.retain(|id| tables.images.images.contains_key(id));
        for (_, record) in layers.stack_records(self.in_use()?) {
            tars.remove(&record.diff);
        }
        usage.reclaimable = tars.values().sum();
        usage.blobs = blobs::list(self.paths())?.0.iter().map(|(_, bytes)| bytes).sum();
        for chain in layers.layers.keys() {
            // An index claims the full length of sparse files and takes what they hold.
            let meta = std::fs::metadata(self.paths().index(chain));
            usage.indexes += meta.map_or(0, |meta| meta.len().min(meta.blocks() * 512));
        }
        usage.folders = self.folder_bytes()?;
        usage.tops = self.top_shares()?;
        if self.driver().keeps_tar() {
            let kept = layers.layers.values().filter_map(|record| record.blob.as_ref());
            let kept: BTreeMap<_, _> = kept.map(|blob| (blob.digest, blob.bytes)).collect();
            usage.evictable = kept.values().sum();
        }
        Ok(usage)
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
