//! Image configurations: docker's document about how an image is run and what it is made of.
//!
//! The document's digest is the image's id, so whoever needs the id keeps the original bytes; what
//! is written here keeps every field, known or not, but not the order and spaces of the original.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::ids::{DiffId, ImageId};
use crate::json::{is_default, null_is_default, with_members_of};
use crate::platform::Platform;
use crate::time::Timestamp;

mod container;

pub use container::{ContainerConfig, Healthcheck};

/// No configuration may be longer; honest ones have a few kilobytes.
pub const MAX_CONFIG_BYTES: usize = 8 << 20;

/// What an image is: for which platform, how to run it, which layers, and how it came about.
///
/// Fields are written in alphabetical order, as BuildKit does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ImageConfig {
    /// The processor in Go's words.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    /// Who made it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub author: String,
    /// What `docker commit -m` said.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub comment: String,
    /// How containers of this image run unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerConfig>,
    /// The container this was committed from, in old images.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub container: String,
    /// How that container was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The docker that made it, in old images.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub docker_version: String,
    /// How it came about, oldest step first.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub history: Vec<History>,
    /// The operating system in Go's words.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// What the system must offer.
    #[serde(rename = "os.features", default, deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "is_default")]
    pub os_features: Vec<String>,
    /// The version of the system, which Windows images need.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The image this was built on, in old images.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub parent: String,
    /// Its layers.
    #[serde(default = "RootFs::missing")]
    pub rootfs: RootFs,
    /// The generation of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields we do not know, kept as they are.
    #[serde(flatten, skip_deserializing)]
    pub rest: Map<String, Value>,
}

with_members_of!(ImageConfig, rest);

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The layers, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One step of how an image came about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The instruction or command.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub created_by: String,
    /// Who did it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub author: String,
    /// What was said about it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub comment: String,
    /// Whether it made no layer.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub empty_layer: bool,
}

/// Why bytes are no image configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The document is longer than any honest one.
    #[error("image configuration of {bytes} bytes is larger than {MAX_CONFIG_BYTES}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// The bytes are not JSON of the right form.
    #[error("malformed image configuration")]
    Json(#[from] serde_json::Error),
    /// The document says nothing about layers; docker's words.
    #[error("invalid image JSON, no RootFS key")]
    NoRootFs,
    /// The layers are of a kind nobody knows.
    #[error("unsupported root file system type {0:?}")]
    RootFsType(String),
}

impl ImageConfig {
    /// Reads a configuration that may come from anybody.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, ConfigError> {
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge { bytes: bytes.len() });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The id of the image whose configuration is these bytes.
    pub fn id(bytes: &[u8]) -> ImageId {
        ImageId(Digest::of(bytes))
    }

    /// The document's bytes: compact, fields in alphabetical order, the same for the same content.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self)
            .expect("a configuration is made of strings, numbers and their maps")
    }

    /// The platform the image is for, normalised.
    pub fn platform(&self) -> Platform {
        let platform = Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        };
        platform.normalized()
    }

    /// Whether an image can be made of this. History that does not fit the layers is borne with:
    /// squashed and converted images have it.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.rootfs.kind.as_str() {
            "layers" => Ok(()),
            "" if self.rootfs.diff_ids.is_empty() => Err(ConfigError::NoRootFs),
            other => Err(ConfigError::RootFsType(other.to_owned())),
        }
    }

    /// The steps of the history, oldest first, each with the number of the layer it made. Steps
    /// beyond the last layer made none.
    pub fn history_with_layers(&self) -> Vec<(&History, Option<usize>)> {
        let mut layers = 0..self.rootfs.diff_ids.len();
        let layer = |step: &History| {
            if step.empty_layer { None } else { layers.next() }
        };
        let numbers: Vec<Option<usize>> = self.history.iter().map(layer).collect();
        self.history.iter().zip(numbers).collect()
    }
}

impl RootFs {
    /// Layers, bottom first.
    pub fn new(diff_ids: Vec<DiffId>) -> RootFs {
        RootFs { kind: "layers".to_owned(), diff_ids }
    }

    /// What a document without layers has, so that it can be told from one with no layers.
    fn missing() -> RootFs {
        RootFs { kind: String::new(), diff_ids: Vec::new() }
    }
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs::new(Vec::new())
    }
}

#[cfg(test)]
mod tests;
