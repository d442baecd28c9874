//! The two documents that say what there is: images with their names, and layers.
//!
//! Each is one file, replaced whole. An image exists from the moment in which `images.json` names
//! it, all at once with its names. Layers are written before the images that stand on them and
//! removed after them, so that a crash between the two leaves only what the next clean-up deletes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::{ChainId, DiffId, Digest, ImageId, MediaType, Timestamp};

use crate::error::{Result, StoreError};
use crate::paths::Paths;
use crate::platform::PlatformName;
use crate::sorted::SortedMap;

/// Images and their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Images {
    /// Every image under its id.
    pub images: SortedMap<ImageId, ImageRecord>,
    /// Every full name with its tag (`docker.io/library/debian:12`), and what it stands for.
    pub names: SortedMap<String, NameRecord>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The topmost layer's stack; none for an image without layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<ChainId>,
    /// When its maker says it was made.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_nanos")]
    pub created: Option<Timestamp>,
    /// When it last got a name here.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_nanos")]
    pub tagged: Option<Timestamp>,
    /// The sizes of its layers' plain tars, bottom first.
    pub layers: Vec<u64>,
    /// What it runs on.
    pub platform: PlatformName,
    /// The manifest it came with, kept so that it can leave with the same digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Box<ManifestRef>>,
    /// Names with digests under which registries know it (`name@sha256:…`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub repo_digests: BTreeSet<String>,
    /// The image it was made from, where it was made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ImageId>,
}

impl ImageRecord {
    /// The sum of its layers' plain tars.
    pub fn size(&self) -> u64 {
        self.layers.iter().sum()
    }
}

/// Times as one number: every listing reads all of them, and a number reads fastest. A time that
/// is too far off to be one is as good as none.
mod as_nanos {
    use serde::{Deserialize, Deserializer, Serializer};
    use spec::Timestamp;

    const SECOND: i64 = 1_000_000_000;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let nanos = time.and_then(|time| {
            time.unix_seconds().checked_mul(SECOND)?.checked_add(i64::from(time.nanos()))
        });
        match nanos {
            Some(nanos) => serializer.serialize_i64(nanos),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let nanos = Option::<i64>::deserialize(deserializer)?;
        Ok(nanos.map(|nanos| {
            Timestamp::from_unix(nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND) as u32)
        }))
    }
}

/// A manifest among the blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its size.
    pub size: u64,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The image for this machine, or the only one.
    pub image: ImageId,
    /// The images for other platforms under the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ImageId>,
    /// The index they came in, kept like a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Box<ManifestRef>>,
}

impl NameRecord {
    /// A name for one image.
    pub fn of(image: ImageId) -> NameRecord {
        NameRecord { image, others: Vec::new(), index: None }
    }

    /// All images under the name.
    pub fn images(&self) -> impl Iterator<Item = ImageId> + '_ {
        std::iter::once(self.image).chain(self.others.iter().copied())
    }
}

impl Images {
    /// Every document that images and names need.
    pub(crate) fn documents(&self) -> BTreeSet<Digest> {
        let manifests = self.images.values().filter_map(|record| record.manifest.as_ref());
        let indexes = self.names.values().filter_map(|name| name.index.as_ref());
        let kept = manifests.chain(indexes).map(|kept| kept.digest);
        self.images.keys().map(|id| id.0).chain(kept).collect()
    }

    /// The full names of an image, in order.
    pub fn names_of(&self, image: ImageId) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter(move |(_, record)| record.images().any(|id| id == image))
            .map(|(name, _)| name.as_str())
    }
}

/// Layers under the stacks that they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// A layer stands here once for each stack that it is the top of.
    pub layers: SortedMap<ChainId, LayerRecord>,
}

/// One layer on its stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The stack below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChainId>,
    /// The digest of its plain tar.
    pub diff: DiffId,
    /// The plain tar's size.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// The digest of its index file.
    pub index: Digest,
    /// The blob it came as, if that was compressed and is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<LayerBlob>,
    /// The boot in which it was written, until its bytes are known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<String>,
}

/// A layer's compressed form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

impl Layers {
    /// A stack's layers, bottom first.
    pub fn stack(&self, top: Option<ChainId>) -> Result<Vec<(ChainId, &LayerRecord)>> {
        let mut stack = Vec::new();
        let mut next = top;
        while let Some(chain) = next {
            let record = self.layers.get(&chain).ok_or(StoreError::NoLayer(chain))?;
            if stack.len() > self.layers.len() {
                let why = "its layers stand on each other in a ring".to_owned();
                return Err(StoreError::Damaged { what: format!("layer {chain}"), why });
            }
            stack.push((chain, record));
            next = record.parent;
        }
        stack.reverse();
        Ok(stack)
    }

    /// All stacks that these stand on, themselves included.
    pub fn closure(&self, tops: impl IntoIterator<Item = ChainId>) -> BTreeSet<ChainId> {
        let mut seen = BTreeSet::new();
        for top in tops {
            let mut next = Some(top);
            while let Some(chain) = next {
                if !seen.insert(chain) {
                    break;
                }
                next = self.layers.get(&chain).and_then(|record| record.parent);
            }
        }
        seen
    }

    /// The records of all stacks that these stand on, themselves included.
    pub fn stack_records(
        &self,
        tops: impl IntoIterator<Item = ChainId>,
    ) -> impl Iterator<Item = (ChainId, &LayerRecord)> {
        let closure = self.closure(tops).into_iter();
        closure.filter_map(|chain| Some((chain, self.layers.get(&chain)?)))
    }

    /// Any record of a layer with this plain tar.
    pub fn by_diff(&self, diff: DiffId) -> Option<&LayerRecord> {
        self.layers.values().find(|record| record.diff == diff)
    }
}

/// Reads a document; one that is not there yet is empty.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    read_with_bytes(path).map(|(document, _)| document)
}

/// Reads a document and gives its bytes too, to tell afterwards whether a change changed it.
pub(crate) fn read_with_bytes<T: DeserializeOwned + Default>(path: &Path) -> Result<(T, Vec<u8>)> {
    let Some(bytes) = read_limited(path, TABLE_BYTES)? else {
        return Ok((T::default(), Vec::new()));
    };
    let damaged = |why: String| StoreError::Damaged { what: path.display().to_string(), why };
    // Checked once and as a whole, which is quicker than string by string.
    let text = str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    let document = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    Ok((document, bytes))
}

/// No document of ours is larger: room for a million images.
const TABLE_BYTES: u64 = 1 << 30;

/// Reads a file whole, unless it is larger than any of its kind can be; nothing if there is none.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io("open", path))?,
    };
    let read = || -> io::Result<Vec<u8>> {
        let expected = file.metadata()?.len().min(limit);
        let mut bytes = Vec::with_capacity(expected as usize + 1);
        (&file).take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(StoreError::io("read", path))?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(StoreError::Damaged { what: path.display().to_string(), why });
    }
    Ok(Some(bytes))
}

/// Makes the two documents of a new store. Later, one that is missing is damage, not a beginning:
/// without what it names, everything would be garbage.
pub(crate) fn begin(paths: &Paths) -> Result<()> {
    let (_, images) = read_with_bytes::<Images>(&paths.images())?;
    let (_, layers) = read_with_bytes::<Layers>(&paths.layers())?;
    let new = |bytes: &[u8], empty: Vec<u8>| bytes.is_empty() || bytes == empty;
    if !new(&images, to_bytes(&Images::default())) || !new(&layers, to_bytes(&Layers::default())) {
        let why = "it is missing, but the store is not empty".to_owned();
        return Err(StoreError::Damaged { what: paths.format().display().to_string(), why });
    }
    write(&paths.layers(), &Layers::default())?;
    write(&paths.images(), &Images::default())
}

/// Images and names, with their bytes.
pub(crate) fn read_images(paths: &Paths) -> Result<(Images, Vec<u8>)> {
    read_one_of_two(&paths.images(), &paths.layers())
}

/// Reads one of the two documents; it may be missing only with the other one.
fn read_one_of_two<T: DeserializeOwned + Default>(
    path: &Path,
    other: &Path,
) -> Result<(T, Vec<u8>)> {
    let (document, bytes) = read_with_bytes(path)?;
    if bytes.is_empty() && other.exists() {
        let (what, why) = (path.display().to_string(), "it is missing".to_owned());
        return Err(StoreError::Damaged { what, why });
    }
    Ok((document, bytes))
}

/// Replaces a document: written aside, synced, renamed, and the folder synced. The caller holds
/// the store's lock, so that one name aside is enough.
pub(crate) fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    write_bytes(path, &to_bytes(document))
}

/// A document as it is written.
pub(crate) fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("our own documents have only string keys")
}

/// Where a document is written before it gets its name.
pub(crate) fn aside(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

/// As `write`, for a document that has been made into bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = aside(path);
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&aside, path)
    };
    if let Err(error) = write() {
        // What is half written takes room that is perhaps what was missing.
        let _ = fs::remove_file(&aside);
        return Err(StoreError::io("write", path)(error));
    }
    let folder = path.parent().expect("a document lies in a folder");
    sys::fs::sync_folder(folder).map_err(StoreError::io("sync", folder))
}

/// Both documents, as a change sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// Images and names.
    pub images: Images,
    /// Layers.
    pub layers: Layers,
}

impl Tables {
    pub(crate) fn read(paths: &Paths) -> Result<Tables> {
        // Images first: what they stand on was there before them.
        let (images, _) = read_images(paths)?;
        let (layers, _) = read_one_of_two(&paths.layers(), &paths.images())?;
        Ok(Tables { images, layers })
    }

    /// Carries a change to disk in an order that a crash can cut anywhere.
    pub(crate) fn write(&self, before: &Tables, paths: &Paths) -> Result<()> {
        let (new, old) = (&self.layers.layers, &before.layers.layers);
        let gone = old.keys().any(|chain| !new.contains_key(chain));
        let changed = new.iter().any(|(chain, record)| old.get(chain) != Some(record));
        if changed {
            let mut both = self.layers.clone();
            for (chain, record) in old {
                both.layers.insert_new(*chain, || record.clone());
            }
            write(&paths.layers(), &both)?;
        }
        if self.images != before.images {
            write(&paths.images(), &self.images)?;
        }
        if gone {
            write(&paths.layers(), &self.layers)?;
        }
        Ok(())
    }
}
