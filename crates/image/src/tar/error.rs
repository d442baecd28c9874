//! What can be wrong with an archive, and where.

use super::entry::shown;
use std::io;

/// Why an archive cannot be read or an entry cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream beneath failed.
    #[error("cannot read the archive at byte {offset}")]
    Read {
        /// How far reading had come.
        offset: u64,
        /// What the stream said.
        source: io::Error,
    },
    /// The stream ended inside an entry.
    #[error("the archive breaks off at byte {offset}, in the {part} of `{path}`")]
    Truncated {
        /// Where the stream ended.
        offset: u64,
        /// What was being read: data or a sparse map.
        part: &'static str,
        /// The entry, as far as it was known.
        path: String,
    },
    /// The stream ended inside a header.
    #[error("the archive breaks off at byte {offset}, inside a header")]
    TruncatedHeader {
        /// Where the stream ended.
        offset: u64,
    },
    /// There is no header where one must be.
    #[error("there is no tar header at byte {offset}: its checksum is wrong")]
    Checksum {
        /// Where the header should be.
        offset: u64,
    },
    /// One block of zeros, which neither ends an archive nor is a header.
    #[error("a single block of zeros at byte {offset} is followed by more entries")]
    LoneZeroBlock {
        /// Where the block is.
        offset: u64,
    },
    /// A field that must be a number is none.
    #[error("the {field} of `{path}` is no number: `{value}` (header at byte {offset})")]
    Number {
        /// Where the header is.
        offset: u64,
        /// The entry.
        path: String,
        /// The field or record.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// A number that makes no sense for its field: a negative size, an owner beyond 64 bits.
    #[error("the {field} of `{path}` is out of range: {value} (header at byte {offset})")]
    Range {
        /// Where the header is.
        offset: u64,
        /// The entry.
        path: String,
        /// The field or record.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// A pax header that does not parse.
    #[error("the extended header `{path}` at byte {offset} is malformed: {reason}")]
    Record {
        /// Where the header is.
        offset: u64,
        /// The extended header's own name.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A sparse file whose map does not fit its data.
    #[error("the sparse file `{path}` at byte {offset} cannot be: {reason}")]
    Sparse {
        /// Where the header is.
        offset: u64,
        /// The entry.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More of something than the reader was told to accept.
    #[error("`{path}` at byte {offset} is too much: more than {limit} {what}")]
    Limit {
        /// Where the header is.
        offset: u64,
        /// The entry.
        path: String,
        /// What is counted.
        what: &'static str,
        /// How much is accepted.
        limit: u64,
    },
    /// Reading went on after an error: where the next header is cannot be known.
    #[error("the archive was given up after an error")]
    GivenUp,
    /// An entry that no archive can hold.
    #[error("cannot put `{path}` into an archive: {reason}")]
    Unwritable {
        /// The entry.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that gave less data than its entry promised.
    #[error("`{path}` gave {got} bytes where {wanted} were promised")]
    ShortData {
        /// The entry.
        path: String,
        /// The size in the header, which is already written.
        wanted: u64,
        /// How much came.
        got: u64,
    },
}

impl TarError {
    /// The archive error inside an error that a `Read` or `Write` gave, if there is one.
    pub fn inside(error: &io::Error) -> Option<&TarError> {
        error.get_ref()?.downcast_ref()
    }

    /// The kind of the `io::Error` that carries this one.
    fn io_kind(&self) -> io::ErrorKind {
        match self {
            TarError::Read { source, .. } => source.kind(),
            TarError::Truncated { .. }
            | TarError::TruncatedHeader { .. }
            | TarError::ShortData { .. } => io::ErrorKind::UnexpectedEof,
            TarError::Unwritable { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> io::Error {
        io::Error::new(error.io_kind(), error)
    }
}

impl TryFrom<io::Error> for TarError {
    type Error = io::Error;

    /// Takes the archive error back out; gives any other error back as it came.
    fn try_from(error: io::Error) -> Result<TarError, io::Error> {
        error.downcast()
    }
}

/// What is wrong inside a header, before anyone knows where that header is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Number { field: &'static str, value: Vec<u8> },
    Range { field: &'static str, value: String },
    Record(&'static str),
    Sparse(&'static str),
    Limit { what: &'static str, limit: u64 },
}

impl Fault {
    /// A value that must be a number and is none.
    pub(super) fn number(field: &'static str, value: &[u8]) -> Fault {
        Fault::Number { field, value: value.to_vec() }
    }

    /// A number that its field cannot mean.
    pub(super) fn range(field: &'static str, value: impl ToString) -> Fault {
        Fault::Range { field, value: value.to_string() }
    }

    /// Adds whose header it is, and where.
    pub(super) fn at(self, offset: u64, path: &[u8]) -> TarError {
        let path = shown(path);
        match self {
            Fault::Number { field, value } => {
                TarError::Number { offset, path, field, value: shown(&value) }
            }
            Fault::Range { field, value } => TarError::Range { offset, path, field, value },
            Fault::Record(reason) => TarError::Record { offset, path, reason },
            Fault::Sparse(reason) => TarError::Sparse { offset, path, reason },
            Fault::Limit { what, limit } => TarError::Limit { offset, path, what, limit },
        }
    }
}
