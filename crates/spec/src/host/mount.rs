//! What is mounted into a container, as `-v`, `--mount` and `--tmpfs` say it.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_is_default};

mod bind;
mod fields;
mod idmap;
mod tmpfs;

pub use bind::{Bind, parse_bind};
pub use fields::parse_mount;
pub use idmap::IdMaps;
pub use tmpfs::parse_tmpfs;

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A folder or file of the host.
    Bind,
    /// A volume, made when it is not there.
    #[default]
    Volume,
    /// A folder in memory.
    Tmpfs,
    /// An image, read-only.
    Image,
}

impl MountKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            MountKind::Bind => "bind",
            MountKind::Volume => "volume",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Image => "image",
        }
    }
}

impl FromStr for MountKind {
    type Err = MountError;

    fn from_str(text: &str) -> Result<MountKind, MountError> {
        let all = [MountKind::Bind, MountKind::Volume, MountKind::Tmpfs, MountKind::Image];
        let found = all.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| MountError::Kind(text.to_owned()))
    }
}

/// Something that is mounted, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// What kind of thing it is.
    #[serde(rename = "Type", deserialize_with = "null_is_default")]
    pub kind: MountKind,
    /// A path, a volume's name or an image's; empty for what needs none.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub source: String,
    /// Where it is inside.
    #[serde(deserialize_with = "null_is_default")]
    pub target: String,
    /// Whether it cannot be written.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Of macOS; kept and without effect.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub consistency: String,
    /// Options of a bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// Options of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// Options of a folder in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// How mounts below it reach the other side: `rprivate` and its like.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub propagation: String,
    /// Whether mounts below it stay behind.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub non_recursive: bool,
    /// Whether a source that is not there is made as a folder.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub create_mountpoint: bool,
    /// Whether mounts below a read-only one stay writable.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub read_only_non_recursive: bool,
    /// Whether it fails where the kernel cannot make mounts below read-only too.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub read_only_force_recursive: bool,
    /// Who its files belong to inside, if not to whom they belong on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_map: Option<IdMaps>,
}

/// Options of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Whether a new volume stays empty instead of getting what the image has there.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub no_copy: bool,
    /// Labels of a new volume.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// A path in the volume that is mounted in its place.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub subpath: String,
    /// Who keeps a new volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<VolumeDriver>,
}

/// Who keeps a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeDriver {
    /// The driver's name.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub name: String,
    /// Its options.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, String>,
}

/// Options of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    /// A path in the image that is mounted in its place.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub subpath: String,
}

/// Options of a folder in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Bytes it may hold; 0 is the kernel's default.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub size_bytes: i64,
    /// Its permissions; 0 is 1777.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub mode: u32,
    /// Further mount options, each a name and perhaps a value.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub options: Vec<Vec<String>>,
}

/// Something that is mounted, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// What kind of thing it is.
    #[serde(rename = "Type", deserialize_with = "null_is_default")]
    pub kind: MountKind,
    /// The volume's name.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub name: String,
    /// Where it is on the host.
    #[serde(deserialize_with = "null_is_default")]
    pub source: String,
    /// Where it is inside.
    #[serde(deserialize_with = "null_is_default")]
    pub destination: String,
    /// Who keeps the volume.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub driver: String,
    /// Words that `-v` gave after the second colon.
    #[serde(deserialize_with = "null_is_default")]
    pub mode: String,
    /// Whether it can be written.
    #[serde(rename = "RW", deserialize_with = "null_is_default")]
    pub writable: bool,
    /// How mounts below it reach the other side.
    #[serde(deserialize_with = "null_is_default")]
    pub propagation: String,
}

impl Mount {
    /// Whether its source is made as a folder if it is not there.
    pub fn is_made(&self) -> bool {
        self.bind_options.as_ref().is_some_and(|options| options.create_mountpoint)
    }
}

/// Why a text says no mount, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// `-v` has parts that make no sense together.
    #[error("invalid volume specification: '{0}'")]
    Bind(String),
    /// `-v` has a word after the second colon that nobody knows.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// A volume's name has letters that no name has.
    #[error(
        "create {0}: {0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Name(String),
    /// A volume's name is but one letter.
    #[error(
        "create {0}: volume name is too short, names should be at least two alphanumeric characters"
    )]
    ShortName(String),
    /// `-v` names a place that there cannot be.
    #[error("invalid volume specification: '{text}': invalid mount config for type {:?}: {why}", kind.as_str())]
    Place {
        /// What was given.
        text: String,
        /// What would be mounted.
        kind: MountKind,
        /// What is wrong with the place.
        why: Box<MountError>,
    },
    /// The place inside is no full path.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    Relative(String),
    /// The place inside is the root.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// Nothing of this kind is mounted.
    #[error("invalid mount config for type {0:?}: mount type unknown")]
    Kind(String),
    /// Anything wrong with `--mount`.
    #[error("{0}")]
    Field(String),
}

/// A path without `.`, `..`, doubled and trailing slashes, which must be absolute and not the root.
pub fn mount_target(path: &str) -> Result<String, MountError> {
    if !path.starts_with('/') {
        return Err(MountError::Relative(path.to_owned()));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => Err(MountError::Root),
        false => Ok(format!("/{}", parts.join("/"))),
    }
}

/// The ways in which mounts reach the other side.
pub const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Fails if a text is no name that a volume may have.
pub fn check_volume_name(name: &str) -> Result<(), MountError> {
    match is_volume_name(name) {
        true => Ok(()),
        false if name.len() == 1 => Err(MountError::ShortName(name.to_owned())),
        false => Err(MountError::Name(name.to_owned())),
    }
}

/// Whether a text is a name that a volume may have.
pub fn is_volume_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric();
    let mut letters = name.chars();
    letters.next().is_some_and(letter)
        && name.len() > 1
        && letters.all(|c| letter(c) || "_.-".contains(c))
}

#[cfg(test)]
mod tests;
