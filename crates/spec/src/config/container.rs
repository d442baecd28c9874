//! The part of an image configuration that says how its containers run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{is_default, null_is_default, one_or_many, set_as_object, with_members_of};

/// How a container runs, in docker's words. Empty fields are not written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub struct ContainerConfig {
    /// The host name inside.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub hostname: String,
    /// The domain name inside.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub domainname: String,
    /// The user, and perhaps group, that the process runs as.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub user: String,
    /// Whether standard input is attached.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub attach_stdin: bool,
    /// Whether standard output is attached.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub attach_stdout: bool,
    /// Whether standard error is attached.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub attach_stderr: bool,
    /// Ports the process listens on: `80/tcp`.
    #[serde(default, with = "set_as_object", skip_serializing_if = "is_default")]
    pub exposed_ports: BTreeSet<String>,
    /// Whether there is a terminal.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Whether standard input stays open.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub open_stdin: bool,
    /// Whether standard input closes after the first client.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub stdin_once: bool,
    /// The environment as `NAME=value`, in order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub env: Vec<String>,
    /// The arguments, or the command where there is no entry point.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether the container is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Whether the command is already quoted for Windows.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// The image this was made from, as it was named.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub image: String,
    /// Folders that are volumes.
    #[serde(default, with = "set_as_object", skip_serializing_if = "is_default")]
    pub volumes: BTreeSet<String>,
    /// The folder the process starts in.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// The command that the arguments are given to.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Whether there is no network.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    /// The hardware address of the network card.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub mac_address: String,
    /// Instructions for builds that start from this image.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub on_build: Vec<String>,
    /// Free text about containers of this image.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the process to stop.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub stop_signal: String,
    /// Seconds to wait after that signal before killing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell for commands in shell form.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields we do not know, kept as they are.
    #[serde(flatten, skip_deserializing)]
    pub rest: Map<String, Value>,
}

with_members_of!(ContainerConfig, rest);

/// How to find out whether a container is well. Times are nanoseconds; 0 means the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", arguments…]` or `["CMD-SHELL", command]`; empty means inherited.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub test: Vec<String>,
    /// The time between two checks.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub interval: i64,
    /// How long one check may take.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub timeout: i64,
    /// How long after the start failures do not count.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub start_period: i64,
    /// The time between two checks during that period.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub start_interval: i64,
    /// How many failures in a row make a container unwell.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub retries: i64,
}
