//! Archives that carry images: docker's own form, OCI layouts, both in one, and skopeo's `dir:`.
//!
//! A [`Bundle`] is a set of named parts: the members of a tar file, the files of a folder, or what
//! became of a stream. [`read_bundle`] says which images the parts make up.

mod bundle;
mod dir;
mod parts;
mod plan;
mod write;

pub use bundle::{Bundle, FolderBundle, Part, TarBundle};
pub use dir::plan_dir;
pub use parts::Parts;
pub use plan::{
    ArchiveError, Bundled, BundledLayer, IMAGE_NAME, Original, REF_NAME, layout_entries,
    read_bundle, read_entry,
};
pub use write::{
    ArchiveContent, ArchiveFamily, ArchiveImage, ArchivePlan, Member, merge_index, plan_archive,
};

/// A document in an archive (manifest, index, configuration) is at most this large.
pub const DOCUMENT_BYTES: u64 = 8 << 20;
