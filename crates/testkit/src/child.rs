//! A second process that runs the same test in another role.

use std::process::{Command, Stdio};

/// Tells a child which role it has.
const ROLE: &str = "MICA_TESTKIT_ROLE";

/// What this process is in a test of several processes.
pub enum Child {
    /// The one that the runner started.
    Parent,
    /// One that a parent started, with its role.
    Role(String),
}

impl Child {
    /// What this process is.
    pub fn this() -> Child {
        match std::env::var(ROLE) {
            Ok(role) => Child::Role(role),
            Err(_) => Child::Parent,
        }
    }
}

/// A command that runs the test `name` (its full path within the test binary) in another process.
pub fn child(name: &str, role: &str) -> Command {
    let program = std::env::current_exe().expect("a running program has a file");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).stdin(Stdio::null());
    command
}
