//! Storage drivers: the ways to keep a stack of layers so that it can be mounted.

mod erofs;
mod overlay;
mod probe;
mod top;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use image::folder::{FolderSink, Holds, Marks, Ownership};
use image::tree::LayerTree;
use serde::{Deserialize, Serialize};
use spec::{ChainId, DiffId};

use crate::error::{Result, StoreError};
use crate::paths::Paths;
use crate::remove::remove_all;

pub use probe::{Choice, choose};
pub(crate) use top::{is_given, remove_empty as remove_empty_top};

/// The drivers there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// Layers stay tars and are mounted in place through an index.
    Erofs,
    /// Layers are folders, stacked by overlay.
    Overlay,
    /// Stacks are subvolumes, each made from a snapshot of the one below.
    Btrfs,
    /// Stacks are folders, each made from a copy of the one below.
    Vfs,
}

impl DriverKind {
    /// All of them, the best first.
    pub const ALL: [DriverKind; 4] =
        [DriverKind::Erofs, DriverKind::Overlay, DriverKind::Btrfs, DriverKind::Vfs];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            DriverKind::Erofs => "erofs",
            DriverKind::Overlay => "overlay",
            DriverKind::Btrfs => "btrfs",
            DriverKind::Vfs => "vfs",
        }
    }

    /// What docker calls it in its documents, where programs look for that name.
    pub fn docker_name(self) -> &'static str {
        match self {
            DriverKind::Overlay => DOCKER_OVERLAY,
            other => other.as_str(),
        }
    }
}

/// Docker's own name for folders laid over each other.
const DOCKER_OVERLAY: &str = "overlay2";

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DriverKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = DriverKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        let known = known.or((name == DOCKER_OVERLAY).then_some(DriverKind::Overlay));
        known.ok_or_else(|| {
            let all: Vec<_> = DriverKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("unknown storage driver {name:?}: there are {}", all.join(", "))
        })
    }
}

/// A layer that has been read and now gets its place on a stack.
pub struct Made<'a> {
    /// Its stack.
    pub chain: ChainId,
    /// The stack below, which the driver already has.
    pub parent: Option<ChainId>,
    /// What is in it; implied folders have their attributes.
    pub tree: &'a LayerTree,
    /// The folder it was unpacked into, if the driver began one.
    pub folder: Option<UnpackedFolder>,
}

/// A folder on its way in, named with a lease's own name: gone when dropped, unless it was renamed.
pub struct AsideFolder(PathBuf);

impl Deref for AsideFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for AsideFolder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for AsideFolder {
    fn drop(&mut self) {
        // The collector deletes what cannot be removed now.
        let _ = remove_all(&self.0);
    }
}

/// A folder that a layer is being unpacked into.
pub struct UnpackedFolder {
    /// Where it is.
    pub path: AsideFolder,
    /// What writes it.
    pub sink: FolderSink,
}

impl UnpackedFolder {
    /// Begins one in a folder that the driver has made just now.
    fn begin(path: &Path, marks: Option<Marks>, owners: &Ownership) -> Result<UnpackedFolder> {
        let aside = AsideFolder(path.to_owned());
        let folder = sys::fs::open_folder(path).map_err(StoreError::io("open", path))?;
        let sink = FolderSink::new(folder, marks, owners.clone());
        Ok(UnpackedFolder { path: aside, sink })
    }
}

/// A layer in a stack that is to be mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stacked {
    /// The stack that ends with it.
    pub chain: ChainId,
    /// Its plain tar.
    pub diff: DiffId,
}

/// Whether what is written to the top of a stack is to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lasting {
    /// It is a container's.
    Kept,
    /// It goes with the process that wrote it, so nothing needs to be synced.
    ThrownAway,
}

/// Whose the files of a mount are: those to whom they belong on disk are somebody else in a namespace
/// of users, and so are they in the mount. On disk all stays as it is in the layers.
#[derive(Clone, Copy, Debug)]
pub struct Users<'a> {
    /// The namespace, whose maps say it.
    pub namespace: BorrowedFd<'a>,
    /// Who its root is outside: user and group.
    pub root: (u32, u32),
}

impl Users<'_> {
    /// A second mount of an open folder, with its users mapped.
    fn map(&self, folder: impl AsFd) -> Result<OwnedFd> {
        sys::mount::clone_mapped(folder, self.namespace)
            .map_err(|source| StoreError::MapUsers { source })
    }
}

/// Open folders as a mount is to show them.
fn shown(folders: Vec<OwnedFd>, users: Option<Users<'_>>) -> Result<Vec<OwnedFd>> {
    match users {
        None => Ok(folders),
        Some(users) => folders.iter().map(|folder| users.map(folder)).collect(),
    }
}

/// What a driver has of the top of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Top {
    /// A folder of changes, with marks for what they hide.
    Changes {
        /// Where it is.
        folder: PathBuf,
        /// Overlay's own folder beside it.
        work: PathBuf,
        /// How the marks are written.
        marks: Marks,
    },
    /// A whole tree, changed.
    Whole {
        /// Where it is.
        folder: PathBuf,
    },
}

/// One way to keep snapshots.
///
/// The life of a layer with a driver:
/// 1. `begin`: the layer is about to be read; a driver that wants its files in a folder makes one
///    aside. Several layers may be read at once, in any order.
/// 2. `adopt`: the layer gets its place on the stack `parent`, which was adopted before it.
///    Afterwards the driver can mount it, also after a crash, also from other processes. Adopting
///    what is there already changes nothing.
/// 3. `view`, any number of times and from any number of processes at once. A layer's mounts are
///    shared: the same file of the same layer is in the page cache once.
/// 4. `branch` once and `writable` any number of times, one after another, for a snapshot with a
///    writable top; what is written goes to the top alone.
/// 5. `remove`, when no view or snapshot uses it and nothing stands on it. Removing what is not
///    there is no error, so that a crash in the middle can be repeated.
///
/// The store calls the methods in this order and holds leases and locks; a driver keeps no state
/// but what lies in its folders. `testkit::driver_suite` checks all this for every driver.
pub trait Driver: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> DriverKind;

    /// Whether it mounts the plain tar, which then must be kept.
    fn keeps_tar(&self) -> bool;

    /// Prepares for a layer's files to be unpacked at `aside`, if the driver wants them.
    fn begin(&self, aside: &Path) -> Result<Option<UnpackedFolder>>;

    /// Gives a layer its place.
    fn adopt(&self, layer: Made<'_>) -> Result<()>;

    /// Whether a layer has its place.
    fn has(&self, layer: &Stacked) -> bool;

    /// A detached, read-only mount of a stack, bottom first, which has a layer at least.
    fn view(&self, stack: &[Stacked], users: Option<Users<'_>>) -> Result<OwnedFd>;

    /// Whether `branch` is done in a moment, however much there is in the stack.
    fn branches_at_once(&self) -> bool {
        true
    }

    /// Prepares the writable top of a stack in `folder`, which is new and empty.
    fn branch(&self, stack: &[Stacked], folder: &Path) -> Result<()>;

    /// A detached, writable mount of a stack under the top that `branch` prepared. A top is mounted
    /// by one at a time.
    fn writable(
        &self,
        stack: &[Stacked],
        folder: &Path,
        lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd>;

    /// What a top holds.
    fn top(&self, folder: &Path) -> Top;

    /// A view of these layers has gone; what memory holds of them twice may go too.
    fn rest(&self, _stack: &[Stacked]) {}

    /// What belongs to a layer and must go with it; `remove` has already let go of it.
    fn remove(&self, chain: &ChainId) -> Result<Vec<PathBuf>>;

    /// What `inspect` shows of a stack as `GraphDriver.Data`, if the driver tells anything.
    fn data(&self, stack: &[Stacked]) -> Option<BTreeMap<String, String>>;

    /// The stacks that the driver has something of, for finding what nobody needs.
    fn kept(&self) -> Result<Vec<ChainId>>;

    /// The folder in which the driver keeps a layer's files and what of them it holds, if it keeps
    /// them in one: a check compares it with the layer.
    fn folder(&self, _chain: &ChainId) -> Option<(PathBuf, Holds)> {
        None
    }
}

/// Opens the driver of a store.
pub(crate) fn open(kind: DriverKind, paths: &Paths, owners: &Ownership) -> Box<dyn Driver> {
    match kind {
        DriverKind::Erofs => Box::new(erofs::Erofs::new(paths.clone())),
        DriverKind::Overlay => Box::new(overlay::Overlay::new(paths.clone(), owners.clone())),
        DriverKind::Btrfs | DriverKind::Vfs => {
            Box::new(whole::Whole::new(kind, paths.clone(), owners.clone()))
        }
    }
}

/// Gives a folder that was made aside its place among a driver's folders.
fn place(made: &Path, folders: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(folders).map_err(StoreError::io("create", folders))?;
    match fs::rename(made, target) {
        // Somebody else was quicker with the same layer; ours goes when it is dropped.
        Err(_) if target.exists() => Ok(()),
        other => other.map_err(StoreError::io("rename", made)),
    }
}

/// So many folders the kernel lays over each other.
const MAX_STACKED: usize = 500;

/// Refuses a stack of more layers than the kernel takes; `own` of them are ours.
fn must_fit(stacked: usize, own: usize) -> Result<()> {
    match stacked > MAX_STACKED {
        true => Err(StoreError::HighStack { layers: stacked - own, limit: MAX_STACKED - own }),
        false => Ok(()),
    }
}

/// A detached, read-only mount of a folder.
fn read_only_clone(driver: DriverKind, folder: &Path, users: Option<Users<'_>>) -> Result<OwnedFd> {
    let mount = |source| StoreError::Mount { driver, source };
    let view = clone(driver, folder, users)?;
    sys::mount::make_read_only(&view).map_err(mount)?;
    Ok(view)
}

/// A detached mount of a folder.
fn clone(driver: DriverKind, folder: &Path, users: Option<Users<'_>>) -> Result<OwnedFd> {
    let made = sys::mount::clone(folder, false);
    let made = made.map_err(|source| StoreError::Mount { driver, source })?;
    match users {
        None => Ok(made),
        Some(users) => users.map(&made),
    }
}

/// The stacks named by the files in a folder.
fn chains_in(folder: &Path) -> Result<Vec<ChainId>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("list", folder))?,
    };
    let mut chains = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let name = entry.file_name();
        chains.extend(crate::paths::parse_file_name(&name.to_string_lossy()).map(ChainId));
    }
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_is_too_high_is_refused_before_the_kernel_is_asked() {
        assert!(must_fit(500, 0).is_ok() && must_fit(500, 1).is_ok());
        let error = must_fit(501, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a stack of 500 layers cannot be mounted: the kernel takes 499"
        );
        assert!(error.hint().unwrap().contains("system migrate --to vfs"));
    }
}
