//! What a container prints, kept and read again.
//!
//! [`Log`] writes it by a driver: `json-file` and `local` into files that rotate, `syslog` and
//! `journald` to a daemon, with a copy in a `local` file so that `logs` can show it. [`LogReader`]
//! reads the files.

mod config;
mod error;
mod journald;
mod json;
mod line;
mod local;
mod outlet;
mod reader;
mod rotate;
mod show;
mod syslog;
mod tag;
mod tail;
mod tls;
mod writer;

use std::collections::BTreeMap;

use spec::Timestamp;

pub use config::{Driver, FileLimits, LogConfig, LogFacts, Mode};
pub use error::LogError;
pub use line::{Piece, Splitter};
pub use reader::{Follow, LogReader, Selection};
pub use show::{Shown, show};
pub use syslog::{Address, Facility, SyslogConfig, SyslogFormat};
pub use tls::LogTls;
pub use writer::Log;

/// Where something was printed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Stream {
    /// Standard output, and all that a terminal shows.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One line, or a piece of a long one, as it was logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When it arrived.
    pub time: Timestamp,
    /// Where it was printed to.
    pub stream: Stream,
    /// The bytes, with the line's end if this is where the line ended.
    pub line: Vec<u8>,
    /// What the log says of the container: labels, variables, its tag.
    pub attributes: BTreeMap<String, String>,
}

/// What can be made of the bytes at some place of a log.
enum Decoded {
    /// An entry, and how many bytes it takes.
    Entry(Entry, usize),
    /// So many bytes that are no entry.
    Skip(usize),
    /// Not yet anything: more bytes are needed.
    More,
}

/// How files of a log are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Docker's: a JSON object a line.
    Json,
    /// Ours, which is smaller.
    Local,
}

/// No entry is larger in a file; what looks like one is damage.
const MAX_ENTRY_BYTES: usize = 1 << 20;
