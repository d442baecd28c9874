//! What steps gave, in a form that travels: a manifest whose configuration says which layer came of
//! which step. The documents are BuildKit's; the keys of steps are our own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spec::{Descriptor, DiffId, Digest, MediaType, Reference};
use store::StepLayer;

use super::depot::{BucketCache, GithubCache};
use super::output::Packing;

/// Where what steps gave is kept for others, or comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// An OCI layout in a folder.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What it is called there, or its manifest's digest.
        tag: String,
    },
    /// A registry.
    Registry(Reference),
    /// A bucket of an object store.
    Bucket(Box<BucketCache>),
    /// The cache of one of GitHub's workflows.
    Github(GithubCache),
}

/// Where what steps gave goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheTarget {
    /// To a place of its own.
    Place {
        /// Which one.
        place: CachePlace,
        /// All steps, not only those whose layers the images have.
        all: bool,
        /// How layers are packed.
        packing: Packing,
        /// Whether a failure only is told.
        ignore_error: bool,
    },
    /// Into the images' own configurations.
    Inline,
}

/// The field of an image's configuration that says which step made which layer.
pub(super) const INLINE: &str = "moby.buildkit.cache.v0";

/// The type of the configuration.
pub(super) fn config_type() -> MediaType {
    MediaType::Other("application/vnd.buildkit.cacheconfig.v0".to_owned())
}

/// Which layer came of which step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct CacheConfig {
    /// The layers; those of an inline configuration are the image's.
    #[serde(default)]
    pub(super) layers: Vec<CacheLayer>,
    /// The steps.
    #[serde(default)]
    pub(super) records: Vec<CacheRecord>,
}

/// A layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CacheLayer {
    /// What it is packed as.
    blob: Digest,
    /// The layer below: none has one, since a layer serves on any stack.
    #[serde(default)]
    parent: i64,
    annotations: LayerFacts,
}

/// What is told of a layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerFacts {
    media_type: MediaType,
    #[serde(rename = "diffID")]
    diff: DiffId,
    size: u64,
}

impl CacheLayer {
    pub(super) fn new(diff: DiffId, packed: &Descriptor) -> CacheLayer {
        let (media_type, size) = (packed.media_type.clone(), packed.size);
        let annotations = LayerFacts { media_type, diff, size };
        CacheLayer { blob: packed.digest, parent: -1, annotations }
    }

    /// The digest of its plain tar.
    pub(super) fn diff(&self) -> DiffId {
        self.annotations.diff
    }

    /// As manifests describe it.
    pub(super) fn descriptor(&self) -> Descriptor {
        let LayerFacts { media_type, size, .. } = &self.annotations;
        Descriptor::new(media_type.clone(), self.blob, *size)
    }
}

/// A step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    /// The name of all that it depended on.
    pub(super) digest: Digest,
    /// The layer it made, if it made one.
    #[serde(rename = "layers", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) results: Vec<CacheResult>,
    /// The instruction.
    #[serde(default)]
    pub(super) text: String,
    /// What it depended on, part by part.
    pub(super) rest: Box<RawValue>,
}

/// What a step gave.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct CacheResult {
    /// Its layer's place in the list.
    pub(super) layer: usize,
    /// The size of the layer's plain tar.
    pub(super) bytes: u64,
}

/// A step of a build, by its key, and whether its layer is the image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) key: Digest,
    pub(super) layer: Option<StepLayer>,
    pub(super) in_image: bool,
}
