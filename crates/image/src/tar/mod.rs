//! Reading and writing tar archives, byte for byte.
//!
//! A layer is a tar of unknown and perhaps hostile origin. It is read once, from front to back, and
//! an index over it needs the exact place of every file's data; so the format is read here and
//! nowhere else. Known forms: v7, ustar, GNU (long names, base-256 numbers, sparse files), star, and
//! pax with its local and archive-wide records.
//!
//! Where tools disagree about a damaged or odd archive this one takes the side of Go's, because that
//! is what built and unpacked the world's images: two readers that see different files in one
//! archive are a hole. The deliberate differences are few: archive-wide records count (except
//! attributes and sparse maps, which belong to one file), old sparse files and contiguous files
//! count as files, a hard link may carry data, which is skipped, and a
//! sparse file of an unknown version is refused.

mod assemble;
mod blocks;
mod data;
mod entry;
mod error;
mod header;
mod pax;
mod reader;
mod sparse;
mod writer;
mod xattr;

#[cfg(test)]
mod tests;

pub use data::{Data, Expanded};
pub use entry::{Entry, EntryKind, Limits, MAX_ENTRIES, Segment, Time};
pub use error::TarError;
pub use reader::TarReader;
pub use writer::{TarWriter, encode_header, padding};
