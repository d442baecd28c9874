//! A further process in a container that runs.

use serde::{Deserialize, Serialize};

/// What `exec` is asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecProcess {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// As whom it runs; empty is as the container's own process.
    pub user: String,
    /// Further variables.
    pub env: Vec<String>,
    /// Where it starts; empty is where the container's own process did.
    pub working_dir: String,
    /// Whether it has all capabilities.
    pub privileged: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}
