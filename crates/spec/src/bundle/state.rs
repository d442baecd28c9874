//! What a runtime says of a container.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer to `state`, and what hooks are given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The specification's version.
    pub oci_version: String,
    /// The container's name.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// Its first process; 0 when there is none.
    #[serde(default)]
    pub pid: i32,
    /// The bundle's folder.
    pub bundle: String,
    /// As in the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It is ready; its program has not been started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes stand still.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}
