//! A layer on its way in: read once, hashed and kept as it passes, and checked against what was
//! said of it.

use std::io::{self, Read, Seek};

use image::codec::Codec;
use image::layer::{Taps, read_layer};
use image::stream::{Peeked, Tap};
use image::tree::LayerTree;
use spec::{Algorithm, DiffId, Digest};

use crate::Store;
use crate::blobs::{Arrived, Ingest};
use crate::driver::UnpackedFolder;
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::tables::LayerBlob;

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
    pub(crate) diff: DiffId,
    pub(crate) bytes: u64,
    stored: Arrived,
    compressed: bool,
    pub(crate) tree: LayerTree,
    /// The plain tar, if it is to be kept.
    pub(crate) tar: Option<Ingest>,
    /// The compressed bytes, if they are to be kept.
    pub(crate) blob: Option<Ingest>,
    pub(crate) folder: Option<UnpackedFolder>,
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

    /// How much memory its tree takes, about, until it is adopted.
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }

    /// The compressed form that its record will name.
    pub(crate) fn kept_blob(&self) -> Option<LayerBlob> {
        let Arrived { digest, bytes } = self.stored;
        self.blob.as_ref().map(|_| LayerBlob { digest, bytes })
    }
}

/// Which forms of a layer are wanted, where there is a choice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those that the driver needs and those that an image can name.
    All,
    /// The plain tar, if the driver needs it.
    Tar,
    /// None: they are here.
    Nothing,
}

/// How much is looked at to recognise a compression.
const PEEK_BYTES: usize = 512;

impl Store {
    /// Reads a layer: hashes it, keeps what is to be kept, and learns what is in it. May run for
    /// several layers at once and in any order.
    pub fn unpack_layer(
        &self,
        lease: &Lease,
        source: &mut (dyn Read + Send),
        expected: Expected,
    ) -> Result<Unpacked> {
        self.read_layer(lease, source, expected, Keep::All)
    }

    /// Checks a layer against what was said of it only after it was read. It is read once more if
    /// that takes another hash.
    pub fn confirm_layer(
        &self,
        lease: &Lease,
        unpacked: Unpacked,
        expected: Expected,
    ) -> Result<Unpacked> {
        let plain = Arrived { digest: unpacked.diff.0, bytes: unpacked.bytes };
        let other = |digest: Option<Digest>, known: Digest| {
            digest.is_some_and(|digest| digest.algorithm() != known.algorithm())
        };
        let rehash = other(expected.diff.map(|diff| diff.0), plain.digest)
            || other(expected.blob, unpacked.stored.digest);
        let kept = unpacked.blob.as_ref().or(unpacked.tar.as_ref()).and_then(Ingest::file);
        if let (true, Some(file)) = (rehash, kept) {
            let root = self.paths().root();
            let mut file = file.try_clone().map_err(StoreError::io("read a layer in", root))?;
            file.rewind().map_err(StoreError::io("read a layer in", root))?;
            return self.unpack_layer(lease, &mut file, expected);
        }
        check(&expected, unpacked.compressed, unpacked.stored, plain)?;
        Ok(unpacked)
    }

    pub(crate) fn read_layer(
        &self,
        lease: &Lease,
        source: &mut (dyn Read + Send),
        expected: Expected,
        keep: Keep,
    ) -> Result<Unpacked> {
        let root = self.paths().root();
        let mut source = Bounded { inner: source, seen: 0, limit: expected.blob_bytes };
        let peeked = Peeked::new(&mut source, PEEK_BYTES);
        let mut peeked = peeked.map_err(StoreError::io("read a layer into", root))?;
        let codec = Codec::detect(peeked.head());
        let compressed = codec != Codec::None;
        let begin = |wanted: bool, algorithm| match wanted {
            true => Ingest::create(lease.aside(), algorithm),
            false => Ok(Ingest::nowhere(algorithm)),
        };
        // What no image can name is not worth keeping; then the plain tar is all there is.
        let keeps_blob = keep == Keep::All && matches!(codec, Codec::Gzip | Codec::Zstd);
        let keeps_tar = match keep {
            Keep::All => self.driver().keeps_tar() || !keeps_blob,
            Keep::Tar => self.driver().keeps_tar(),
            Keep::Nothing => false,
        };
        let blob_algorithm = expected.blob.map_or(Algorithm::Sha256, |blob| blob.algorithm());
        let diff_algorithm = expected.diff.map_or(Algorithm::Sha256, |diff| diff.0.algorithm());
        let mut stored = begin(keeps_blob, blob_algorithm)?;
        let mut plain = begin(keeps_tar, diff_algorithm)?;
        let mut folder = self.driver().begin(&lease.aside())?;
        let files = folder.as_mut().map(|folder| &mut folder.sink as _);
        let read = match compressed {
            true => {
                let taps = Taps { stored: &mut stored, plain: &mut plain };
                read_layer(&mut peeked, codec, taps, files, self.limits())
            }
            false => {
                // Plain bytes are both; they are hashed twice only if two hashes are asked for.
                let twice = blob_algorithm != diff_algorithm;
                let mut both = Both { one: &mut plain, two: twice.then_some(&mut stored) };
                let taps = Taps { stored: &mut both, plain: &mut Ingest::nowhere(diff_algorithm) };
                read_layer(&mut peeked, codec, taps, files, self.limits())
            }
        };
        drop(peeked);
        source.check(&expected)?;
        let tree = read.map_err(StoreError::Layer)?;
        let arrived = plain.arrived();
        let came = match compressed || blob_algorithm != diff_algorithm {
            true => stored.arrived(),
            false => arrived,
        };
        check(&expected, compressed, came, arrived)?;
        let kept = |ingest: Ingest| ingest.file().is_some().then_some(ingest);
        let Arrived { digest, bytes } = arrived;
        let (tar, blob) = (kept(plain), kept(stored));
        Ok(Unpacked {
            diff: DiffId(digest),
            bytes,
            stored: came,
            compressed,
            tree,
            tar,
            blob,
            folder,
        })
    }
}

/// A stream that ends in an error once it is longer than it was said to be.
struct Bounded<'a> {
    inner: &'a mut (dyn Read + Send),
    seen: u64,
    limit: Option<u64>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.seen += bytes as u64;
        match self.limit {
            Some(limit) if self.seen > limit => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "more came than was announced"))
            }
            _ => Ok(bytes),
        }
    }
}

impl Bounded<'_> {
    /// Too much is what is wrong, whatever else went wrong because of it.
    fn check(&self, expected: &Expected) -> Result<()> {
        match (self.limit, expected.blob) {
            (Some(expected), Some(wanted)) if self.seen > expected => {
                Err(StoreError::WrongSize { wanted, got: self.seen, expected })
            }
            _ => Ok(()),
        }
    }
}

/// Two who see the same bytes.
struct Both<'a> {
    one: &'a mut Ingest,
    two: Option<&'a mut Ingest>,
}

impl Tap for Both<'_> {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.one.pass(bytes)?;
        self.two.as_mut().map_or(Ok(()), |two| two.pass(bytes))
    }
}

fn check(expected: &Expected, compressed: bool, came: Arrived, plain: Arrived) -> Result<()> {
    if let Some(bytes) = expected.blob_bytes.filter(|bytes| *bytes != came.bytes) {
        let wanted = expected.blob.unwrap_or(came.digest);
        return Err(StoreError::WrongSize { wanted, got: came.bytes, expected: bytes });
    }
    if let Some(wanted) = expected.blob.filter(|wanted| *wanted != came.digest) {
        return Err(StoreError::WrongBytes { wanted, got: came.digest });
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
