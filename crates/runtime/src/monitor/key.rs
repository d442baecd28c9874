//! What a descriptor in the loop belongs to.

use std::os::fd::RawFd;

use crate::logs::Stream;

/// What became ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// Somebody connects.
    Listener,
    /// A signal for the monitor: its own, or that a child has ended.
    Signals,
    /// One of its outputs.
    Output(Stream),
    /// Its input.
    Input,
    /// The log's daemon.
    LogDaemon,
    /// A client.
    Client(u32),
    /// An output of a further process that nobody takes.
    ExecOutput(u32, Stream),
    /// A descriptor of an extra.
    Extra(usize, RawFd),
}
