//! Layers on their way in: read once, then put on their stack.
//!
//! `unpack` may run for several layers at once and in any order; `adopt` goes from the bottom up,
//! because a folder that a layer only implies has the attributes that the layers below gave it.

use std::fs::{self, File};
use std::io::{self, Read};

use image::codec::Codec;
use image::erofs::{IndexInode, IndexReader, write_index};
use image::layer::{Taps, read_layer};
use image::stream::Peeked;
use image::tree::{LayerTree, NodeId};
use spec::{Algorithm, ChainId, DiffId, Digest};

use crate::blobs::{Arrived, Durability, Ingest, hash_file};
use crate::driver::{Made, Stacked, UnpackedFolder};
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::tables::{LayerBlob, LayerRecord, Layers};
use crate::Store;

/// What is known of a layer before it arrives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The digest of the bytes as they come.
    pub blob: Option<Digest>,
    /// How many they are.
    pub blob_bytes: Option<u64>,
    /// The digest without compression.
    pub diff: Option<DiffId>,
}

/// A layer that has been read and checked, and has no place on a stack yet.
pub struct Unpacked {
    diff: DiffId,
    bytes: u64,
    stored: Arrived,
    compressed: bool,
    tree: LayerTree,
    tar: Option<Ingest>,
    blob: Option<Ingest>,
    folder: Option<UnpackedFolder>,
}

impl Unpacked {
    /// The digest of the plain tar.
    pub fn diff(&self) -> DiffId {
        self.diff
    }

    /// The size of the plain tar.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes as they came.
    pub fn stored(&self) -> Arrived {
        self.stored
    }

    /// Whether they came compressed.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }
}

/// How much is looked at to recognise a compression.
const PEEK_BYTES: usize = 512;

impl Store {
    /// Reads a layer: hashes it, keeps what is to be kept, and learns what is in it.
    pub fn unpack_layer(
        &self,
        lease: &Lease,
        source: &mut (dyn Read + Send),
        expected: Expected,
    ) -> Result<Unpacked> {
        self.read(lease, source, expected, true)
    }

    /// Gives a layer its place on the stack `parent`, which is in `layers`, and its record.
    pub fn adopt_layer(
        &self,
        lease: &Lease,
        unpacked: Unpacked,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<(ChainId, LayerRecord)> {
        let Unpacked { diff, bytes, stored, compressed, mut tree, tar, blob, folder } = unpacked;
        let chain = ChainId::extend(parent, diff);
        lease.protect_chain(&chain)?;
        lease.protect_blob(&diff.0)?;
        lease.protect_blob(&stored.digest)?;
        self.settle_implied(&mut tree, parent, layers)?;
        let index = self.write_index(lease, &tree, chain, diff, bytes, tar.as_ref())?;
        for kept in [tar, blob].into_iter().flatten() {
            kept.commit(&self.paths, Durability::Lazy)?;
        }
        self.driver.adopt(Made { chain, parent, tree: &tree, folder })?;
        let blob = compressed.then_some(LayerBlob { digest: stored.digest, bytes: stored.bytes });
        let unsynced = Some(sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?);
        let entries = tree.entries();
        Ok((chain, LayerRecord { parent, diff, bytes, entries, index, blob, unsynced }))
    }

    /// Puts a layer that is here already on another stack, from what is kept of it.
    pub fn reuse_layer(
        &self,
        lease: &Lease,
        known: &LayerRecord,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<(ChainId, LayerRecord)> {
        lease.protect_blob(&known.diff.0)?;
        let (mut file, expected) = self.best_form(known)?;
        let compressed = expected.blob.is_some_and(|blob| blob != known.diff.0);
        let unpacked = self.read(lease, &mut file, expected, compressed)?;
        let (chain, mut record) = self.adopt_layer(lease, unpacked, parent, layers)?;
        record.blob = known.blob.clone();
        Ok((chain, record))
    }

    /// The form of a layer that is quickest to read: its tar, or else its blob.
    pub(crate) fn best_form(&self, record: &LayerRecord) -> Result<(File, Expected)> {
        let diff = Some(record.diff);
        match (self.open_blob(&record.diff.0), &record.blob) {
            (Ok(file), _) => {
                let blob = Some(record.diff.0);
                Ok((file, Expected { blob, blob_bytes: Some(record.bytes), diff }))
            }
            (Err(_), Some(LayerBlob { digest, bytes })) => {
                let file = self.open_blob(digest)?;
                Ok((file, Expected { blob: Some(*digest), blob_bytes: Some(*bytes), diff }))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(
        &self,
        lease: &Lease,
        source: &mut (dyn Read + Send),
        expected: Expected,
        keep: bool,
    ) -> Result<Unpacked> {
        let root = self.paths.root();
        let mut source =
            Peeked::new(source, PEEK_BYTES).map_err(StoreError::io("read a layer into", root))?;
        let codec = Codec::detect(source.head());
        let compressed = codec != Codec::None;
        let blob_algorithm = expected.blob.map_or(Algorithm::Sha256, |blob| blob.algorithm());
        let diff_algorithm = expected.diff.map_or(Algorithm::Sha256, |diff| diff.0.algorithm());
        let first = if compressed { blob_algorithm } else { diff_algorithm };
        let mut stored = match keep {
            true => Ingest::create(lease.aside(), first)?,
            false => Ingest::nowhere(first),
        };
        let mut plain = match keep && compressed && self.driver.keeps_tar() {
            true => Ingest::create(lease.aside(), diff_algorithm)?,
            false => Ingest::nowhere(diff_algorithm),
        };
        let mut folder = self.driver.begin(&lease.aside())?;
        let files = folder.as_mut().map(|folder| &mut folder.sink as _);
        let taps = Taps { stored: &mut stored, plain: &mut plain };
        let tree = read_layer(&mut source, codec, taps, files, &self.limits)
            .map_err(StoreError::Layer)?;
        let came = stored.arrived();
        let arrived = if compressed { plain.arrived() } else { came };
        check(&expected, compressed, came, arrived)?;
        let kept = |ingest: Ingest| ingest.file().is_some().then_some(ingest);
        let (tar, blob) = if compressed { (kept(plain), kept(stored)) } else { (kept(stored), None) };
        let diff = DiffId(arrived.digest);
        let bytes = arrived.bytes;
        Ok(Unpacked { diff, bytes, stored: came, compressed, tree, tar, blob, folder })
    }

    /// Gives the folders that a layer implies what the layers below say of them.
    fn settle_implied(
        &self,
        tree: &mut LayerTree,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let implied: Vec<NodeId> = tree.implied().collect();
        let stack = layers.stack(Some(parent))?;
        let mut readers: Vec<Option<IndexReader>> = stack.iter().map(|_| None).collect();
        for node in implied {
            let path = tree.path(node);
            let parts: Vec<&[u8]> = image::tree::clean(&path);
            for (place, (chain, _)) in stack.iter().enumerate().rev() {
                if readers[place].is_none() {
                    readers[place] = Some(self.open_index(chain)?);
                }
                let reader = readers[place].as_ref().expect("it was opened above");
                let failed = |source| StoreError::Index { chain: *chain, source };
                match look(reader, &parts).map_err(failed)? {
                    Look::Folder(inode) => {
                        let mut xattrs = reader.xattrs(&inode).map_err(failed)?;
                        xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
                        tree.settle_implied(node, attributes(&inode), &xattrs);
                        break;
                    }
                    Look::Hidden => break,
                    Look::Below => {}
                }
            }
        }
        Ok(())
    }

    /// Opens a layer's index.
    pub fn open_index(&self, chain: &ChainId) -> Result<IndexReader> {
        let path = self.paths.index(chain);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoLayer(*chain),
            _ => StoreError::Io { doing: "open", path, source },
        })?;
        IndexReader::open(file).map_err(|source| StoreError::Index { chain: *chain, source })
    }

    fn write_index(
        &self,
        lease: &Lease,
        tree: &LayerTree,
        chain: ChainId,
        diff: DiffId,
        tar_bytes: u64,
        tar: Option<&Ingest>,
    ) -> Result<Digest> {
        let aside = lease.aside();
        let write = || -> io::Result<()> {
            let out = File::create(&aside)?;
            // A layer that is here already has its tar under its digest.
            let kept = File::open(self.paths.blob(&diff.0)).ok();
            let tar = tar.and_then(Ingest::file).or(kept.as_ref());
            write_index(tree, identity(chain), tar, tar_bytes, &out).map(drop)
        };
        write().map_err(StoreError::io("write", &aside))?;
        let digest = hash_file(&aside, Algorithm::Sha256)?.digest;
        let target = self.paths.index(&chain);
        fs::rename(&aside, &target).map_err(StoreError::io("rename", &aside))?;
        Ok(digest)
    }

    /// The layers of a stack as a driver wants them, bottom first, each fit for use.
    pub fn stacked(&self, top: Option<ChainId>, layers: &Layers) -> Result<Vec<Stacked>> {
        let boot = sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?;
        let mut list = Vec::new();
        for (chain, record) in layers.stack(top)? {
            if record.unsynced.as_ref().is_some_and(|written| *written != boot) {
                self.verify_layer(&chain, record)?;
            }
            list.push(Stacked { chain, diff: record.diff });
        }
        Ok(list)
    }

    /// Checks a layer's forms against its digests, as after a power cut, and remembers the result.
    fn verify_layer(&self, chain: &ChainId, record: &LayerRecord) -> Result<()> {
        if let Some(fault) = self.layer_faults(chain, record)?.into_iter().next() {
            let why = format!("{} since the machine stopped before it was on disk", fault.why);
            return Err(StoreError::Damaged { what: fault.what, why });
        }
        self.change::<_, StoreError>(|tables| {
            if let Some(record) = tables.layers.layers.get_mut(chain) {
                record.unsynced = None;
            }
            Ok(())
        })
    }

    /// Makes durable what was written lazily in this boot, and says so in the records.
    pub fn settle(&self) -> Result<usize> {
        let boot = sys::host::boot_id().map_err(StoreError::io("read", "/proc"))?;
        let tables = self.tables()?;
        let waiting: Vec<ChainId> = tables
            .layers
            .layers
            .iter()
            .filter(|(_, record)| record.unsynced.as_ref() == Some(&boot))
            .map(|(chain, _)| *chain)
            .collect();
        if waiting.is_empty() {
            return Ok(0);
        }
        let root = self.paths.root();
        let file = File::open(root).map_err(StoreError::io("open", root))?;
        sys::fs::sync_file_system(&file).map_err(StoreError::io("sync", root))?;
        self.change::<_, StoreError>(|tables| {
            for chain in &waiting {
                if let Some(record) = tables.layers.layers.get_mut(chain) {
                    record.unsynced = None;
                }
            }
            Ok(())
        })?;
        Ok(waiting.len())
    }
}

fn check(expected: &Expected, compressed: bool, came: Arrived, plain: Arrived) -> Result<()> {
    if let Some(bytes) = expected.blob_bytes.filter(|bytes| *bytes != came.bytes) {
        let wanted = expected.blob.unwrap_or(came.digest);
        return Err(StoreError::WrongSize { wanted, got: came.bytes, expected: bytes });
    }
    let same_hash = |wanted: &Digest, got: &Digest| wanted.algorithm() == got.algorithm();
    match expected.blob {
        Some(wanted) if same_hash(&wanted, &came.digest) && wanted != came.digest => {
            return Err(StoreError::WrongBytes { wanted, got: came.digest });
        }
        _ => {}
    }
    match expected.diff {
        Some(DiffId(wanted)) if wanted != plain.digest => {
            // A plain layer's blob and diff are the same bytes: say it once, and simply.
            let got = plain.digest;
            Err(match compressed {
                true => StoreError::WrongDiffId { wanted, got },
                false => StoreError::WrongBytes { wanted, got },
            })
        }
        _ => Ok(()),
    }
}

enum Look {
    Folder(IndexInode),
    Hidden,
    Below,
}

/// What one layer says of a folder: its attributes, that it is gone, or nothing.
fn look(reader: &IndexReader, parts: &[&[u8]]) -> Result<Look, image::erofs::IndexError> {
    let mut at = reader.inode(reader.root())?;
    for part in parts {
        match reader.child(&at, part)? {
            Some(next) if next.is_folder() => at = next,
            Some(_) => return Ok(Look::Hidden),
            None if reader.is_opaque(&at)? => return Ok(Look::Hidden),
            None => return Ok(Look::Below),
        }
    }
    Ok(Look::Folder(at))
}

fn attributes(inode: &IndexInode) -> image::tree::Attributes {
    image::tree::Attributes {
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        mtime: inode.mtime.0,
        mtime_nanos: inode.mtime.1,
    }
}

/// A file system UUID for an index: half of the stack's own digest.
fn identity(chain: ChainId) -> [u8; 16] {
    chain.0.bytes()[..16].try_into().expect("a digest has at least 32 bytes")
}
