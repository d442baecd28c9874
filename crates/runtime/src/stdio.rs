//! What a container's program reads from and writes to.

use std::os::fd::OwnedFd;

use spec::bundle::ConsoleSize;

/// The size of a terminal, in characters.
pub type WindowSize = ConsoleSize;

/// What a container's program reads from and writes to.
#[derive(Debug)]
pub enum Stdio {
    /// The same as this process.
    Inherit,
    /// Nothing.
    Null,
    /// These.
    Pipes {
        /// What it reads; nothing where none.
        stdin: Option<OwnedFd>,
        /// What it writes.
        stdout: OwnedFd,
        /// What it complains on.
        stderr: OwnedFd,
    },
    /// A terminal of its own, whose other end the caller is given.
    Terminal(Option<WindowSize>),
}
