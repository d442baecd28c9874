//! Where things lie below the data root and the run root. `docs/format.md` draws it.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};
use spec::{ChainId, Digest};

/// The folders of one store.
#[derive(Clone, Debug)]
pub struct Paths {
    root: PathBuf,
    run: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: PathBuf, run: PathBuf) -> Paths {
        Paths { root, run }
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run root: what does not outlive a boot.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Makes the folders that there always are, where they are not: a copy of a store may have left out
    /// what is empty.
    pub(crate) fn create_folders(&self) -> Result<()> {
        let folders = [
            self.root.clone(),
            self.blobs().join("sha256"),
            self.root.join("index"),
            self.ingest(),
            self.trash(),
            self.leases(),
        ];
        folders.iter().try_for_each(|folder| create_private(folder))
    }

    /// A blob's file.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// All blobs.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The index of a layer on its stack.
    pub fn index(&self, chain: &ChainId) -> PathBuf {
        self.root.join("index").join(file_name(&chain.0))
    }

    /// Where a driver keeps its folders.
    pub fn folders(&self, driver: &str) -> PathBuf {
        self.root.join(driver)
    }

    /// A layer's folder.
    pub fn folder(&self, driver: &str, chain: &ChainId) -> PathBuf {
        self.folders(driver).join(file_name(&chain.0))
    }

    /// What is on its way in.
    pub fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    /// A blob on its way in whose digest is known.
    pub(crate) fn turn(&self, digest: &Digest) -> PathBuf {
        self.ingest().join(file_name(digest))
    }

    /// What is on its way out.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Who is at work.
    pub fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// Stacks with a writable top.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The lock over the documents.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The store's own description.
    pub fn format(&self) -> PathBuf {
        self.root.join("format.json")
    }

    /// Images and names.
    pub fn images(&self) -> PathBuf {
        self.root.join("images.json")
    }

    /// Layers.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers.json")
    }

    /// Room that only removals may use.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The journal of events.
    pub fn events(&self) -> PathBuf {
        self.root.join("events")
    }

    /// Where a layer is mounted while it is in use.
    pub fn layer_mount(&self, chain: &ChainId) -> PathBuf {
        self.run.join("layers").join(file_name(&chain.0))
    }

    /// Where images are mounted for people.
    pub fn views(&self) -> PathBuf {
        self.run.join("views")
    }

    /// Where folders that show trees of control groups are mounted for all containers.
    pub fn groups(&self) -> PathBuf {
        self.run.join("groups")
    }
}

/// Makes a folder, and those above it that are missing, that only their owner may enter: images
/// hold other people's set-user-id programs and secrets.
pub(crate) fn create_private(folder: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(StoreError::io("create", folder))
}

/// What is in a folder; nothing if it is missing.
pub(crate) fn entries_of(folder: &Path) -> Result<Vec<io::Result<DirEntry>>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => Ok(other.map_err(StoreError::io("list", folder))?.collect()),
    }
}

/// Whether this is a folder, as far as can be known: who moved one to another disk may have left a
/// link to it, and that disk need not be mounted just now.
pub(crate) fn may_be_folder(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => {
            fs::metadata(entry.path()).map_or(true, |meta| meta.is_dir())
        }
        kind => kind.map_or(true, |kind| kind.is_dir()),
    }
}

/// A digest as a file's name.
pub(crate) fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

/// The way back.
pub(crate) fn parse_file_name(name: &str) -> Option<Digest> {
    name.replacen('-', ":", 1).parse().ok()
}
