//! The two documents that say what there is: images with their names, and layers.
//!
//! Each is one file, replaced whole. An image exists from the moment in which `images.json` names
//! it, all at once with its names. Layers are written before the images that stand on them and
//! removed after them, so that a crash between the two leaves only what the next clean-up deletes.

#[cfg(test)]
mod arbitrary;
mod excerpt;
mod read_back;
mod written;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use spec::{ChainId, DiffId, Digest, ImageId, MediaType, Timestamp};
use sys::read::Bytes;

use crate::document;
use crate::error::{Result, StoreError};
use crate::paths::Paths;
use crate::platform::PlatformName;
use crate::sorted::SortedMap;

/// Images and their names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Images {
    /// Every image under its id.
    pub images: SortedMap<ImageId, ImageRecord>,
    /// Every full name with its tag (`docker.io/library/debian:12`), and what it stands for.
    pub names: SortedMap<String, NameRecord>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ImageRecord {
    /// The topmost layer's stack; none for an image without layers.
    #[serde(default)]
    pub top: Option<ChainId>,
    /// When its maker says it was made.
    #[serde(default, deserialize_with = "written::read_time")]
    pub created: Option<Timestamp>,
    /// When it last got a name here.
    #[serde(default, deserialize_with = "written::read_time")]
    pub tagged: Option<Timestamp>,
    /// The sizes of its layers' plain tars, bottom first.
    pub layers: Vec<u64>,
    /// What it runs on.
    pub platform: PlatformName,
    /// The manifest it came with, kept so that it can leave with the same digest.
    #[serde(default)]
    pub manifest: Option<Box<ManifestRef>>,
    /// Names with digests under which registries know it (`name@sha256:…`).
    #[serde(default)]
    pub repo_digests: BTreeSet<String>,
    /// The image it was made from, where it was made here.
    #[serde(default)]
    pub parent: Option<ImageId>,
}

impl ImageRecord {
    /// The sum of its layers' plain tars.
    pub fn size(&self) -> u64 {
        self.layers.iter().sum()
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NameRecord {
    /// The image for this machine, or the only one.
    pub image: ImageId,
    /// The images for other platforms under the same name.
    #[serde(default)]
    pub others: Vec<ImageId>,
    /// The index they came in, kept like a manifest.
    #[serde(default)]
    pub index: Option<Box<ManifestRef>>,
    /// The manifest that the image came with under this name, where the image's own is another one:
    /// a configuration may be in docker's manifest and in OCI's.
    #[serde(default)]
    pub manifest: Option<Box<ManifestRef>>,
    /// What else is kept for the name: attestations that the index names, with all that they name,
    /// and manifests that its images were pushed as beside it.
    #[serde(default)]
    pub attached: Vec<Digest>,
}

impl NameRecord {
    /// A name for one image.
    pub fn of(image: ImageId) -> NameRecord {
        let (others, attached) = Default::default();
        NameRecord { image, others, index: None, manifest: None, attached }
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
        let of_names = self.names.values();
        let of_names = of_names.flat_map(|name| name.index.iter().chain(&name.manifest));
        let kept = manifests.chain(of_names).map(|kept| kept.digest);
        let attached = self.names.values().flat_map(|name| name.attached.iter().copied());
        self.images.keys().map(|id| id.0).chain(kept).chain(attached).collect()
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
    /// Those left out because they are damaged: whoever brings them replaces what is there.
    #[serde(skip)]
    pub(crate) damaged: BTreeSet<ChainId>,
    /// Those that came since these were read.
    #[serde(skip)]
    pub(crate) arrived: BTreeSet<ChainId>,
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
    /// The boot in which it was written, until its bytes are known to be on disk; or that it was
    /// found to be damaged.
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

/// Makes the two documents of a new store. Later, one that is missing is damage, not a beginning:
/// without what it names, everything would be garbage.
pub(crate) fn begin(paths: &Paths) -> Result<()> {
    let (_, images) = document::read_with_bytes::<Images>(&paths.images())?;
    let (_, layers) = document::read_with_bytes::<Layers>(&paths.layers())?;
    let new = |bytes: &[u8], empty: Vec<u8>| bytes.is_empty() || bytes == empty;
    if !new(&images, Images::default().to_bytes())
        || !new(&layers, document::to_bytes(&Layers::default()))
    {
        let why = "it is missing, but the store is not empty".to_owned();
        return Err(StoreError::DamagedFormat { path: paths.format(), why });
    }
    document::write(&paths.layers(), &Layers::default())?;
    document::write_bytes(&paths.images(), &Images::default().to_bytes())
}

/// What is to be known of all images.
#[derive(Clone, Debug)]
pub enum About {
    /// Everything.
    All,
    /// The image of this id.
    Image(ImageId),
    /// The images that this full name stands for.
    Name(String),
}

/// What there is about an image: it and all its names. It may be more, up to all images and names,
/// and is all of them where there is no such image.
pub(crate) fn read_images_about(paths: &Paths, about: &About) -> Result<Images> {
    let bytes = document::bytes(&paths.images())?.unwrap_or_default();
    match Images::about(&bytes, about) {
        Some(excerpt) => Ok(excerpt),
        None => read_images(paths).map(|(images, _)| images),
    }
}

/// Changes what there is about an image, and says whether anything changed. Nothing is written if
/// `change` fails.
pub(crate) fn change_images_about<T, E: From<StoreError>>(
    paths: &Paths,
    about: &About,
    change: impl FnOnce(&mut Images) -> Result<T, E>,
) -> Result<(T, bool), E> {
    let bytes = document::bytes(&paths.images())?.unwrap_or_default();
    let excerpt = Images::about(&bytes, about);
    let is_part = excerpt.is_some();
    let mut images = excerpt.map_or_else(|| read_images(paths).map(|(all, _)| all), Ok)?;
    let before = images.clone();
    let result = change(&mut images)?;
    if images == before {
        return Ok((result, false));
    }
    let changed = if is_part { images.changed(&before, &bytes) } else { Some(images.to_bytes()) };
    let document = match changed {
        Some(document) => document,
        None => {
            let (mut all, _) = read_images(paths)?;
            all.change_like(&before, &images);
            all.to_bytes()
        }
    };
    document::write_bytes(&paths.images(), &document)?;
    Ok((result, true))
}

/// Images and names, with their bytes.
pub(crate) fn read_images(paths: &Paths) -> Result<(Images, Bytes)> {
    let path = paths.images();
    made(document::read_by(&path, Images::read)?, &path)
}

/// Layers alone.
pub(crate) fn read_layers(paths: &Paths) -> Result<Layers> {
    let path = paths.layers();
    made(document::read_with_bytes(&path)?, &path).map(|(layers, _)| layers)
}

/// One of the two documents, which were made with the store.
fn made<T>((document, bytes): (T, Bytes), path: &Path) -> Result<(T, Bytes)> {
    if bytes.is_empty() {
        let (what, why) = (path.display().to_string(), "it is missing".to_owned());
        return Err(StoreError::Damaged { what, why });
    }
    Ok((document, bytes))
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
        Ok(Tables { images, layers: read_layers(paths)? })
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
            let is_more = old.iter().all(|(chain, record)| new.get(chain) == Some(record));
            match is_more && self.images == before.images {
                // New layers that no image has yet: a power cut may take them.
                true => document::write_soon(&paths.layers(), &both)?,
                false => document::write(&paths.layers(), &both)?,
            }
        }
        if self.images != before.images {
            document::write_bytes(&paths.images(), &self.images.to_bytes())?;
        }
        if gone {
            document::write(&paths.layers(), &self.layers)?;
        }
        Ok(())
    }
}
