//! An EROFS index over a layer's tar: the file tree without the files.
//!
//! The tar stays as it came. The index is a small file system image that holds every directory,
//! inode, name and extended attribute, and points into the tar for the contents, which the kernel
//! reads in place through EROFS's extra-device table. Writing it costs a few dozen bytes a file;
//! mounting it costs the same for ten files and for half a million.

mod folder;
mod format;
mod plan;
mod reader;
mod verify;
mod writer;

pub use folder::{Entries, IndexEntry};
pub use reader::{IndexError, IndexInode, IndexReader, Nid};
pub use verify::difference;
pub use writer::write_index;
