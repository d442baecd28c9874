//! A layer on its way in: read once, hashed and kept as it passes, and checked against what was
//! said of it.

use std::io::{self, Read, Seek};

use image::codec::Codec;
use image::layer::{LayerError, Taps, read_layer};
use image::stream::{Peeked, Tap};
use image::tree::LayerTree;
use spec::{Algorithm, DiffId, Digest};

use crate::Store;
use crate::blobs::{Arrived, Durability, Ingest, LeftOver};
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
    /// Whether the compressed bytes are kept.
    keeps_blob: bool,
    pub(crate) tree: LayerTree,
    /// What is kept and has no name yet: the plain tar.
    pub(crate) tar: Option<Ingest>,
    /// Likewise the compressed bytes.
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

    /// How much memory its tree takes, about, until it is adopted.
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }

    /// The compressed form that its record will name.
    pub(crate) fn kept_blob(&self) -> Option<LayerBlob> {
        let Arrived { digest, bytes } = self.stored;
        self.keeps_blob.then_some(LayerBlob { digest, bytes })
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
    /// What there is of a blob that somebody did not bring to its end.
    pub fn left_over(&self, lease: &Lease, digest: &Digest) -> Result<Option<LeftOver>> {
        LeftOver::take(lease, digest)
    }

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
        if rehash {
            let root = self.paths().root();
            let kept = unpacked.blob.as_ref().or(unpacked.tar.as_ref()).and_then(Ingest::file);
            let mut file = match kept {
                Some(file) => file.try_clone().map_err(StoreError::io("read a layer in", root))?,
                None if unpacked.keeps_blob => self.open_blob(&unpacked.stored.digest)?,
                None => self.open_blob(&unpacked.diff.0)?,
            };
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
        // What no image can name is not worth keeping; then the plain tar is all there is.
        let keeps_blob = keep == Keep::All && matches!(codec, Codec::Gzip | Codec::Zstd);
        let keeps_tar = match keep {
            Keep::All => self.driver().keeps_tar() || !keeps_blob,
            Keep::Tar => self.driver().keeps_tar(),
            Keep::Nothing => false,
        };
        let blob_algorithm = expected.blob.map_or(Algorithm::Sha256, |blob| blob.algorithm());
        let diff_algorithm = expected.diff.map_or(Algorithm::Sha256, |diff| diff.0.algorithm());
        // Of plain bytes, one digest is as good as the other.
        let plain_blob = expected.blob.filter(|_| !compressed);
        let tar = expected.diff.map(|diff| diff.0).or(plain_blob);
        // A form that is being mended must not appear before the others are ready.
        let known = |digest: Option<Digest>| digest.filter(|_| keep == Keep::All);
        // Compressed first and plain second, for all who take turns: nobody waits in a ring.
        let mut stored = Arriving::begin(lease, keeps_blob, blob_algorithm, known(expected.blob))?;
        let mut plain = Arriving::begin(lease, keeps_tar, diff_algorithm, known(tar))?;
        let mut folder = self.driver().begin(&lease.aside())?;
        let files = folder.as_mut().map(|folder| &mut folder.sink as _);
        let read = match compressed {
            true => {
                let taps = Taps { stored: &mut stored.ingest, plain: &mut plain.ingest };
                read_layer(&mut peeked, codec, taps, files, self.limits())
            }
            false => {
                // Plain bytes are both; they are hashed twice only if two hashes are asked for.
                let twice = blob_algorithm != diff_algorithm;
                let two = twice.then_some(&mut stored.ingest);
                let mut both = Both { one: &mut plain.ingest, two };
                let taps = Taps { stored: &mut both, plain: &mut Ingest::nowhere(diff_algorithm) };
                read_layer(&mut peeked, codec, taps, files, self.limits())
            }
        };
        drop(peeked);
        source.check(&expected)?;
        let tree = match read {
            Ok(tree) => tree,
            Err(error) => {
                // Where the source broke off, and not what came was wrong, one may go on from there.
                if matches!(error, LayerError::Read(_)) {
                    if compressed { stored } else { plain }.leave();
                }
                return Err(StoreError::Layer(error));
            }
        };
        let arrived = plain.ingest.arrived();
        let came = match compressed || blob_algorithm != diff_algorithm {
            true => stored.ingest.arrived(),
            false => arrived,
        };
        check(&expected, compressed, came, arrived)?;
        let Arrived { digest, bytes } = arrived;
        let (tar, blob) = (plain.kept(self)?, stored.kept(self)?);
        Ok(Unpacked {
            diff: DiffId(digest),
            bytes,
            stored: came,
            compressed,
            keeps_blob,
            tree,
            tar,
            blob,
            folder,
        })
    }
}

/// One form of a layer on its way in.
struct Arriving {
    ingest: Ingest,
    /// Whether others wait for it.
    turn: bool,
}

impl Arriving {
    fn begin(
        lease: &Lease,
        wanted: bool,
        algorithm: Algorithm,
        known: Option<Digest>,
    ) -> Result<Arriving> {
        let (ingest, turn) = match known.filter(|known| known.algorithm() == algorithm) {
            _ if !wanted => (Ingest::nowhere(algorithm), false),
            None => (Ingest::create(lease.aside(), algorithm)?, false),
            // If the bytes are here, what is in them is read all the same.
            Some(digest) => {
                (Ingest::awaited(lease, &digest)?.unwrap_or(Ingest::nowhere(algorithm)), true)
            }
        };
        Ok(Arriving { ingest, turn })
    }

    /// Leaves what has come where others look for it, if it has a name there.
    fn leave(self) {
        if self.turn {
            self.ingest.leave();
        }
    }

    /// What is kept and gets its name only with the layer. Who is waited for gives the name now.
    fn kept(self, store: &Store) -> Result<Option<Ingest>> {
        if !self.turn {
            return Ok(self.ingest.file().is_some().then_some(self.ingest));
        }
        self.ingest.commit(store.paths(), Durability::Lazy).map(|_| None)
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
