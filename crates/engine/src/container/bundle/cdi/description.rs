//! What a vendor writes of its devices, in JSON or in YAML.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Description {
    pub(super) kind: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) devices: Vec<Described>,
    pub(super) container_edits: Edits,
}

/// One device of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) container_edits: Edits,
}

/// What changes in a container that has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Edits {
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<Node>,
    pub(super) mounts: Vec<Bound>,
    pub(super) hooks: Vec<Called>,
    #[serde(deserialize_with = "list")]
    pub(super) additional_gids: Vec<u32>,
    pub(super) net_devices: Vec<Value>,
    pub(super) intel_rdt: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) host_path: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(deserialize_with = "number")]
    pub(super) major: i64,
    #[serde(deserialize_with = "number")]
    pub(super) minor: i64,
    #[serde(deserialize_with = "optional")]
    pub(super) file_mode: Option<u32>,
    pub(super) permissions: String,
    #[serde(deserialize_with = "optional")]
    pub(super) uid: Option<u32>,
    #[serde(deserialize_with = "optional")]
    pub(super) gid: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Bound {
    pub(super) host_path: String,
    pub(super) container_path: String,
    pub(super) options: Vec<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Called {
    pub(super) hook_name: String,
    pub(super) path: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    #[serde(deserialize_with = "optional")]
    pub(super) timeout: Option<i64>,
}

impl Description {
    /// Reads the text of a file.
    pub(super) fn read(text: &str, is_json: bool) -> Result<Description, String> {
        let value = match is_json {
            true => serde_json::from_str(text).map_err(|error| error.to_string())?,
            false => build::yaml::read(text)?,
        };
        serde_json::from_value(value).map_err(|error| error.to_string())
    }
}

/// A number, or the digits that YAML has for it: those after a zero are octal.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Digits(String),
}

impl Number {
    fn read<T: TryFrom<i64>, E: serde::de::Error>(self) -> Result<T, E> {
        let number = match &self {
            Number::Plain(number) => Some(*number),
            Number::Digits(text) => match text.strip_prefix("0o").or(text.strip_prefix('0')) {
                Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
                _ => text.parse().ok(),
            },
        };
        let fit = number.and_then(|number| T::try_from(number).ok());
        fit.ok_or_else(|| E::custom("a number is none, or out of range"))
    }
}

fn number<'de, T: TryFrom<i64>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Number::deserialize(from)?.read()
}

fn optional<'de, T: TryFrom<i64>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::<Number>::deserialize(from)?.map(Number::read).transpose()
}

fn list<'de, T: TryFrom<i64>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Vec::<Number>::deserialize(from)?.into_iter().map(Number::read).collect()
}
