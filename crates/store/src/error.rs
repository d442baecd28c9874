//! What can go wrong in the store, and what the user can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use image::erofs::IndexError;
use image::layer::LayerError;
use image::tree::TreeError;
use image::upper::UpperError;
use spec::{ChainId, Digest};

use crate::driver::DriverKind;
use crate::migrate::Busy;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("blob {wanted} arrived as {got}")]
    WrongBytes { wanted: Digest, got: Digest },
    #[error("blob {wanted} arrived with {got} bytes instead of {expected}")]
    WrongSize { wanted: Digest, got: u64, expected: u64 },
    #[error("the layer's plain tar is {got}, but its image says {wanted}")]
    WrongDiffId { wanted: Digest, got: Digest },
    #[error("blob {0} is not here")]
    NoBlob(Digest),
    #[error("layer {0} is not here")]
    NoLayer(ChainId),
    #[error("the index of layer {0} is not here")]
    NoIndex(ChainId),
    #[error("a stack of {layers} layers cannot be mounted: the kernel takes {limit}")]
    HighStack { layers: usize, limit: usize },
    #[error("snapshot {0} is not here")]
    NoSnapshot(String),
    #[error("layer {} cannot be replaced while it is in use by {user}", chain.0.short())]
    InUse { chain: ChainId, user: String },
    #[error("others may change what is in {}", .0.display())]
    RunRoot(PathBuf),
    #[error("cannot tell what was changed in {}", folder.display())]
    Changes { folder: PathBuf, source: UpperError },
    #[error("{what} is damaged: {why}")]
    Damaged { what: String, why: String },
    #[error("{} is damaged: {why}", path.display())]
    DamagedFormat { path: PathBuf, why: String },
    #[error("cannot unpack the layer")]
    Layer(#[source] LayerError),
    #[error("cannot read the index of layer {chain}")]
    Index { chain: ChainId, source: IndexError },
    #[error("{} was made by a newer mica: format {found}, and this one knows {known}", root.display())]
    NewerFormat { root: PathBuf, found: u32, known: u32 },
    #[error("{} is kept by the {kept} driver, not {asked}", root.display())]
    OtherDriver { root: PathBuf, kept: DriverKind, asked: DriverKind },
    #[error("the driver of {} was changed to {now} a moment ago", root.display())]
    Migrated { root: PathBuf, now: DriverKind },
    #[error("the storage driver cannot be changed now: {0}")]
    Busy(Busy),
    #[error("the {driver} driver does not work here: {why}")]
    DriverUnfit { driver: DriverKind, why: String },
    #[error("no storage driver works here: {0}")]
    NoDriver(String),
    #[error("the {driver} driver cannot mount the layers")]
    Mount { driver: DriverKind, source: io::Error },
    #[error("the users of the layers cannot be mapped")]
    MapUsers { source: io::Error },
    #[error("cannot {doing} {}", path.display())]
    MountAt { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("a document of {bytes} bytes is larger than the limit of {limit}")]
    LargeDocument { bytes: u64, limit: u64 },
}

impl From<TreeError> for StoreError {
    fn from(error: TreeError) -> StoreError {
        StoreError::Layer(LayerError::Refused(error))
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Busy::Work => f.write_str("another command is at work"),
            Busy::View(image) => write!(f, "image {} is mounted", image.0.short()),
            Busy::Snapshot(name) => write!(f, "snapshot {name} stands on it"),
        }
    }
}

/// What kind of error it is, for exit codes and HTTP statuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// What was named is not there.
    NotFound,
    /// It is used, or there already.
    Conflict,
    /// The request or its input is wrong.
    InvalidInput,
    /// What is on disk or arrived is not what it should be.
    Corrupt,
    /// The machine cannot do it.
    Unsupported,
    /// Anything else, mostly input and output.
    Other,
}

impl StoreError {
    /// An error of input or output, with what was done and to what.
    pub fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.as_ref().to_owned();
        move |source| StoreError::Io { doing, path, source }
    }

    /// An error of mounting or unmounting, with what was done and where.
    pub(crate) fn mount(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.as_ref().to_owned();
        move |source| StoreError::MountAt { doing, path, source }
    }

    /// What kind it is.
    pub fn kind(&self) -> ErrorKind {
        use StoreError as E;
        match self {
            E::NoBlob(_) | E::NoLayer(_) | E::NoIndex(_) | E::NoSnapshot(_) => ErrorKind::NotFound,
            E::WrongBytes { .. } | E::WrongSize { .. } | E::WrongDiffId { .. } => {
                ErrorKind::Corrupt
            }
            E::Damaged { .. } | E::DamagedFormat { .. } | E::Index { .. } => ErrorKind::Corrupt,
            E::Layer(LayerError::Read(_) | LayerError::Write(_)) => ErrorKind::Other,
            E::Layer(_) | E::LargeDocument { .. } => ErrorKind::InvalidInput,
            E::OtherDriver { .. } | E::Migrated { .. } | E::Busy(_) | E::InUse { .. } => {
                ErrorKind::Conflict
            }
            E::RunRoot(_) => ErrorKind::Conflict,
            E::NewerFormat { .. }
            | E::DriverUnfit { .. }
            | E::NoDriver(_)
            | E::HighStack { .. } => ErrorKind::Unsupported,
            E::Io { .. }
            | E::Mount { .. }
            | E::MapUsers { .. }
            | E::MountAt { .. }
            | E::Changes { .. } => ErrorKind::Other,
        }
    }

    /// Whether something is not there that should be.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// What the user can do, where we know it.
    pub fn hint(&self) -> Option<String> {
        use StoreError as E;
        match self {
            E::Io { source, .. } | E::Layer(LayerError::Write(source)) => io_hint(source),
            E::Mount { source, .. } | E::MountAt { source, .. } => mount_hint(source),
            E::MapUsers { .. } => Some(
                "this takes Linux 6.15 and a file system below the data root that can map users (ext4, xfs, btrfs, tmpfs); a container with `--userns=host` does without"
                    .to_owned(),
            ),
            E::Damaged { .. }
            | E::NoBlob(_)
            | E::NoLayer(_)
            | E::NoIndex(_)
            | E::Index { .. } => Some(
                "`mica system check` names every fault, `mica system check --repair` mends what it can; load or pull the image again for the rest"
                    .to_owned(),
            ),
            // Nothing else says which driver keeps the store, so nothing can be opened.
            E::DamagedFormat { .. } => Some(
                "put a copy of it back, or use another --data-root; the blobs beside it are as they were"
                    .to_owned(),
            ),
            E::NewerFormat { .. } => Some("use the newer mica, or another --data-root".to_owned()),
            E::OtherDriver { asked, kept, .. } => Some(format!(
                "leave --storage-driver out to go on with {kept}; `mica system migrate --to {asked}` changes it"
            )),
            E::HighStack { .. } => Some(
                "drivers that keep whole trees take any number: `mica system migrate --to vfs`"
                    .to_owned(),
            ),
            E::InUse { .. } => Some("stop or unmount what uses it, and try again".to_owned()),
            E::RunRoot(_) => Some("name a --run-root of your own".to_owned()),
            E::Migrated { .. } => Some("run the command again".to_owned()),
            E::Busy(Busy::Work) => Some("wait until other commands have ended".to_owned()),
            E::Busy(Busy::View(image)) => {
                Some(format!("`mica image unmount {}` first", image.0.short()))
            }
            E::Busy(Busy::Snapshot(_)) => {
                Some("remove containers first, with `mica rm`; their images stay".to_owned())
            }
            E::DriverUnfit { .. } => {
                Some("choose another one; a new store without --storage-driver takes the best that works".to_owned())
            }
            _ => None,
        }
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space with `mica system prune`, or use another --data-root".to_owned())
        }
        io::ErrorKind::PermissionDenied => {
            Some("run as root, or name a --data-root that you may write".to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("name a writable --data-root".to_owned()),
        _ => None,
    }
}

fn mount_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "only root may mount; `mica image files` lists what is in an image without".to_owned(),
        ),
        _ => io_hint(error),
    }
}

/// What functions of the store return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
