//! `ci`: everything that must pass before a change lands.

use std::process::Command;

use crate::{Result, process, test};

/// Runs the checks from the quickest to the slowest and stops at the first that fails.
pub(crate) fn run() -> Result {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    process::run(
        cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    test::run(&[])
}

fn cargo() -> Command {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(crate::workspace());
    cargo
}
