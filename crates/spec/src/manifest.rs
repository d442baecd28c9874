//! Manifests: what an image consists of, and which image serves which platform.
//!
//! Documents come from strangers. [`Document::parse`] decides once what a document is and refuses
//! one that could be read as two things. Unknown fields are dropped: who needs a document's digest
//! keeps its original bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::json::{is_default, null_is_default};
use crate::media::MediaType;
use crate::platform::Platform;

/// No manifest or index may be longer, as registries agree.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

const SCHEMA_VERSION: i64 = 2;

/// Free text about a document, sorted by key as Go writes maps.
pub type Annotations = BTreeMap<String, String>;

/// A blob or document, by its address: what it is, how long, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: MediaType,
    /// Their digest.
    pub digest: Digest,
    /// How many bytes there are.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// Where else the bytes may be found.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub urls: Vec<String>,
    /// Free text about the bytes.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub annotations: Annotations,
    /// The bytes themselves in base64, where they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform an image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What an artifact is that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Describes bytes by type, digest and length alone.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Describes bytes that are at hand.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Whether this entry of an index only says how another one was built, and cannot be run.
    pub fn is_attestation(&self) -> bool {
        self.annotations
            .get("vnd.docker.reference.type")
            .is_some_and(|kind| kind == "attestation-manifest")
    }
}

/// One image: its configuration and its layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: i64,
    /// What the document says it is.
    #[serde(default, deserialize_with = "media_type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The document this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text about the image.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub annotations: Annotations,
}

impl Manifest {
    /// Makes the manifest of an image; its own type follows that of the configuration.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        let media_type = match config.media_type {
            MediaType::DockerConfig => MediaType::DockerManifest,
            _ => MediaType::OciManifest,
        };
        Manifest {
            schema_version: SCHEMA_VERSION,
            media_type: Some(media_type),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// The document's bytes: compact, with OCI's order of fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is made of strings and numbers")
    }
}

/// Several images under one name, one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: i64,
    /// What the document says it is.
    #[serde(default, deserialize_with = "media_type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The images, in no order that matters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The document this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text about the images.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub annotations: Annotations,
}

impl Index {
    /// Makes an OCI index of images.
    pub fn new(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: SCHEMA_VERSION,
            media_type: Some(MediaType::OciIndex),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// The image that serves a platform best; the first of equals. Entries that name no platform
    /// serve only where no other does.
    pub fn best(&self, wanted: &Platform) -> Option<&Descriptor> {
        let images = || self.manifests.iter().filter(|entry| !entry.is_attestation());
        let ranked =
            images().filter_map(|entry| Some((entry.platform.as_ref()?.rank(wanted)?, entry)));
        let nameless = || images().find(|entry| entry.platform.is_none());
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry).or_else(nameless)
    }

    /// The document's bytes: compact, with OCI's order of fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index is made of strings and numbers")
    }
}

/// What a name in a registry leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several images, one for each platform.
    Index(Index),
}

/// Why bytes are no document we read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document is longer than any honest one.
    #[error("document of {bytes} bytes is larger than {MAX_DOCUMENT_BYTES}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// The bytes are not JSON of the right form.
    #[error("malformed document")]
    Json(#[from] serde_json::Error),
    /// Docker's first schema, which has been dead since 2017.
    #[error(
        "image manifest schema 1 is no longer supported: the image must be pushed again with a current tool"
    )]
    Schema1,
    /// The document claims another schema, or none.
    #[error("unsupported manifest schema version {0}")]
    SchemaVersion(i64),
    /// The document can be read as a manifest and as an index.
    #[error("ambiguous document: it is both a manifest and an index")]
    Ambiguous,
    /// The document's fields are not those of the type it claims.
    #[error("document says it is {0} but has not its fields")]
    WrongType(MediaType),
    /// The document claims a type that is neither.
    #[error("unsupported manifest media type {0}")]
    UnknownType(MediaType),
    /// The document has the fields of neither.
    #[error("document is neither a manifest nor an index")]
    Neither,
}

/// The fields that tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: i64,
    #[serde(default, deserialize_with = "media_type")]
    media_type: Option<MediaType>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document that may come from anybody.
    pub fn parse(bytes: &[u8]) -> Result<Document, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge { bytes: bytes.len() });
        }
        if serde_json::from_slice::<Probe>(bytes)?.is_index()? {
            Ok(Document::Index(serde_json::from_slice(bytes)?))
        } else {
            Ok(Document::Manifest(serde_json::from_slice(bytes)?))
        }
    }

    /// The type the document is to be served as, also where it does not say.
    pub fn media_type(&self) -> MediaType {
        match self {
            Document::Index(index) => index.media_type.clone().unwrap_or(MediaType::OciIndex),
            Document::Manifest(manifest) => {
                match (&manifest.media_type, &manifest.config.media_type) {
                    (Some(media_type), _) => media_type.clone(),
                    (None, MediaType::DockerConfig) => MediaType::DockerManifest,
                    (None, _) => MediaType::OciManifest,
                }
            }
        }
    }

    /// The document's bytes: compact, with OCI's order of fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Document::Manifest(manifest) => manifest.to_bytes(),
            Document::Index(index) => index.to_bytes(),
        }
    }
}

impl Probe {
    /// Decides between index and manifest, and refuses whatever is not exactly one of them.
    fn is_index(&self) -> Result<bool, DocumentError> {
        let is_schema1 = self.media_type.as_ref().is_some_and(MediaType::is_schema1);
        if is_schema1 || self.schema_version == 1 || self.fs_layers.is_some() {
            return Err(DocumentError::Schema1);
        }
        if self.schema_version != SCHEMA_VERSION {
            return Err(DocumentError::SchemaVersion(self.schema_version));
        }
        let is_manifest = self.config.is_some() || self.layers.is_some();
        let is_index = self.manifests.is_some();
        match &self.media_type {
            _ if is_manifest && is_index => Err(DocumentError::Ambiguous),
            Some(claim) if claim.is_index() && is_manifest => {
                Err(DocumentError::WrongType(claim.clone()))
            }
            Some(claim) if claim.is_index() => Ok(true),
            Some(claim) if claim.is_manifest() && self.config.is_none() => {
                Err(DocumentError::WrongType(claim.clone()))
            }
            Some(claim) if claim.is_manifest() => Ok(false),
            Some(claim) => Err(DocumentError::UnknownType(claim.clone())),
            None if is_index => Ok(true),
            None if self.config.is_some() => Ok(false),
            None => Err(DocumentError::Neither),
        }
    }
}

/// One image in the `manifest.json` of an archive that `docker save` writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ArchiveManifest {
    /// The path of the configuration in the archive.
    pub config: String,
    /// The names the image has.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// The paths of the layers in the archive, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<String>,
    /// Where layers come from, by diff id, for those whose blobs are not in the archive.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub layer_sources: BTreeMap<String, Descriptor>,
}

/// Reads a length; what does not fit Go's `int64` nobody else could read.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = i64::deserialize(deserializer)?;
    let negative = |_| serde::de::Error::custom(format!("negative size {size}"));
    u64::try_from(size).map_err(negative)
}

/// Reads a document's own type; an empty one is as good as none.
fn media_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MediaType>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    Ok(text.as_deref().map(MediaType::from))
}

#[cfg(test)]
mod tests;
