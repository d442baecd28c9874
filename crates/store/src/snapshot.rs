//! Snapshots: a stack of layers with a writable top, which is what a container or a build step
//! works in.
//!
//! The top lies in a folder of its own below `snapshots/`, beside a small document that names the
//! stack; the collector keeps every stack that such a document names. What has been written becomes
//! a layer by one mechanism for all: the changes are written as a tar and read as any other layer.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use image::folder::Marks;
use image::merged::Merged;
use image::pack::LayerWriter;
use image::stream::pour;
use image::upper::{self, Altered};
use serde::{Deserialize, Serialize};
use spec::ChainId;

use crate::arrive::{Expected, Unpacked};
use crate::driver::{Lasting, Stacked, Top, Users};
use crate::error::{Result, StoreError};
use crate::lease::{Lease, Making};
use crate::paths::{create_private, entries_of, may_be_folder};
use crate::remove::remove_all;
use crate::{Store, document, driver, reserve, tables};

/// A stack with a writable top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the top is kept.
    pub folder: PathBuf,
    /// The stack below it; none starts from nothing.
    pub below: Option<ChainId>,
}

/// What lies beside a top.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    /// The stack below it.
    below: Option<ChainId>,
}

/// What is on disk of a snapshot's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopUsage {
    /// Bytes of its files, a file with several names once.
    pub bytes: u64,
    /// Files, folders and all else.
    pub entries: u64,
}

const DOCUMENT: &str = "snapshot.json";

impl Store {
    /// Makes a snapshot of a stack under a name that nobody has. It exists whole or not at all.
    pub fn create_snapshot(
        &self,
        making: &Making,
        name: &str,
        below: Option<ChainId>,
        lasting: Lasting,
    ) -> Result<Snapshot> {
        self.create_snapshot_on(making, name, below, lasting).map(|(snapshot, _)| snapshot)
    }

    /// The same, with the layers that it stands on, bottom first: for who mounts it next
    /// ([`Store::mount_fresh`]).
    pub fn create_snapshot_on(
        &self,
        making: &Making,
        name: &str,
        below: Option<ChainId>,
        lasting: Lasting,
    ) -> Result<(Snapshot, Vec<Stacked>)> {
        let aside = match making {
            Making::AtOnce(..) => self.paths.ingest().join(name),
            Making::InTime(lease) => lease.aside(),
        };
        let stack = match making {
            Making::AtOnce(_, layers) => self.stacked(below, layers)?,
            Making::InTime(lease) => self.leased(lease, below)?,
        };
        self.branch(&aside, below, &stack, lasting)?;
        let folder = self.snapshot_folder(name);
        let renamed = match fs::rename(&aside, &folder) {
            // The first snapshot of the store.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_private(&self.paths.snapshots())?;
                fs::rename(&aside, &folder)
            }
            other => other,
        };
        renamed.map_err(StoreError::io("rename", &aside))?;
        if lasting == Lasting::Kept {
            let parent = self.paths.snapshots();
            sys::fs::sync_folder(&parent).map_err(StoreError::io("sync", &parent))?;
        }
        Ok((Snapshot { folder, below }, stack))
    }

    /// Makes a snapshot that ends with its lease.
    pub fn scratch_snapshot(&self, lease: &Lease, below: Option<ChainId>) -> Result<Snapshot> {
        let folder = lease.aside();
        let stack = self.leased(lease, below)?;
        self.branch(&folder, below, &stack, Lasting::ThrownAway)?;
        Ok(Snapshot { folder, below })
    }

    /// The layers of a stack, which the lease protects from now on.
    fn leased(&self, lease: &Lease, below: Option<ChainId>) -> Result<Vec<Stacked>> {
        if let Some(chain) = &below {
            lease.protect_chain(chain)?;
        }
        self.stacked(below, &tables::read_layers(&self.paths)?)
    }

    fn branch(
        &self,
        folder: &Path,
        below: Option<ChainId>,
        stack: &[Stacked],
        lasting: Lasting,
    ) -> Result<()> {
        let made = match fs::create_dir(folder) {
            // Who copies a store may lose the folders in which nothing is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.paths.create_folders()?;
                fs::create_dir(folder)
            }
            other => other,
        };
        made.map_err(StoreError::io("create", folder))?;
        self.driver.branch(stack, folder)?;
        let path = folder.join(DOCUMENT);
        let document = Document { below };
        match lasting {
            Lasting::Kept => document::write(&path, &document),
            Lasting::ThrownAway => fs::write(&path, document::to_bytes(&document))
                .map_err(StoreError::io("write", &path)),
        }
    }

    /// A snapshot that is there.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let folder = self.snapshot_folder(name);
        let path = folder.join(DOCUMENT);
        let (Document { below }, bytes) = document::read_with_bytes(&path)?;
        match bytes.is_empty() {
            true => Err(StoreError::NoSnapshot(name.to_owned())),
            false => Ok(Snapshot { folder, below }),
        }
    }

    /// The names of all snapshots.
    pub fn snapshots(&self) -> Result<Vec<String>> {
        let folder = self.paths.snapshots();
        let mut names = Vec::new();
        for entry in entries_of(&folder)? {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            // What is no folder is not ours.
            if may_be_folder(&entry) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The stacks that snapshots stand on.
    pub(crate) fn snapshot_stacks(&self) -> Result<Vec<ChainId>> {
        let mut stacks = Vec::new();
        for name in self.snapshots()? {
            match self.snapshot(&name) {
                Ok(snapshot) => stacks.extend(snapshot.below),
                // It lies on a disk that cannot be read just now, and may stand on anything.
                Err(_) if self.snapshot_folder(&name).is_symlink() => {
                    stacks.extend(tables::read_layers(&self.paths)?.layers.keys().copied());
                }
                // Removed a moment ago.
                Err(StoreError::NoSnapshot(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stacks)
    }

    /// The snapshots that are mounted somewhere, in whatever namespace of processes that can be
    /// seen from here.
    pub(crate) fn mounted_snapshots(&self) -> Result<Vec<String>> {
        let all = self.snapshots()?;
        if all.is_empty() {
            return Ok(all);
        }
        let mut mounted = BTreeSet::new();
        let processes = fs::read_dir("/proc").map_err(StoreError::io("list", "/proc"))?;
        let mut seen = BTreeSet::new();
        for process in processes.flatten() {
            // One of those who share a namespace is enough.
            let namespace = fs::read_link(process.path().join("ns/mnt"));
            if namespace.is_ok_and(|namespace| !seen.insert(namespace)) {
                continue;
            }
            // Who has ended meanwhile has nothing mounted.
            let Ok(table) = fs::read(process.path().join("mountinfo")) else { continue };
            let table = String::from_utf8_lossy(&table);
            let left = all.iter().filter(|name| !mounted.contains(*name));
            let found = left.filter(|name| is_upper(&table, &self.snapshot_folder(name)));
            mounted.extend(found.cloned().collect::<Vec<_>>());
        }
        Ok(mounted.into_iter().collect())
    }

    /// A detached, writable mount of a snapshot. Only one may be mounted at a time.
    pub fn mount_snapshot(&self, snapshot: &Snapshot, lasting: Lasting) -> Result<OwnedFd> {
        self.mount_snapshot_for(snapshot, lasting, None)
    }

    /// The same as others see it.
    pub fn mount_snapshot_for(
        &self,
        snapshot: &Snapshot,
        lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd> {
        self.driver.writable(&self.below(snapshot)?, &snapshot.folder, lasting, users)
    }

    /// The same of a snapshot that was made a moment ago on these layers, which nobody removes while it
    /// is there.
    pub fn mount_fresh(
        &self,
        name: &str,
        stack: &[Stacked],
        lasting: Lasting,
        users: Option<Users<'_>>,
    ) -> Result<OwnedFd> {
        self.driver.writable(stack, &self.snapshot_folder(name), lasting, users)
    }

    /// A detached, writable mount of a stack that is no snapshot of the store: what is written to it
    /// goes into a new folder of the caller's.
    pub fn mount_over(
        &self,
        lease: &Lease,
        below: Option<ChainId>,
        folder: &Path,
    ) -> Result<OwnedFd> {
        let stack = self.leased(lease, below)?;
        create_private(folder)?;
        self.driver.branch(&stack, folder)?;
        self.driver.writable(&stack, folder, Lasting::Kept, None)
    }

    /// What has been written to a snapshot, as paths that were added, changed or deleted.
    pub fn snapshot_changes(&self, snapshot: &Snapshot) -> Result<Vec<Altered>> {
        let below = self.merged(snapshot.below)?;
        let top = self.driver.top(&snapshot.folder);
        let (Top::Changes { folder, .. } | Top::Whole { folder }) = &top;
        let open = sys::fs::open_folder(folder).map_err(StoreError::io("open", folder))?;
        let altered = match &top {
            Top::Changes { marks, .. } => upper::changes(&open, *marks, &below),
            Top::Whole { .. } => {
                upper::changes_of_whole(&open, &below, &self.owners, &driver::is_given)
            }
        };
        altered.map_err(|source| StoreError::Changes { folder: folder.clone(), source })
    }

    /// How much has been written to a snapshot.
    pub fn snapshot_usage(&self, snapshot: &Snapshot) -> Result<TopUsage> {
        let top = self.driver.top(&snapshot.folder);
        let (Top::Changes { folder, .. } | Top::Whole { folder }) = &top;
        let open = sys::fs::open_folder(folder).map_err(StoreError::io("open", folder))?;
        let usage = match &top {
            Top::Changes { .. } => upper::usage(&open),
            Top::Whole { .. } => upper::usage_of_altered(&open, &self.snapshot_changes(snapshot)?),
        };
        let (bytes, entries) = usage.map_err(StoreError::io("read", folder))?;
        Ok(TopUsage { bytes, entries })
    }

    /// Reads what has been written to a snapshot as a layer, which then may be adopted on the stack
    /// below. No time in it is later than `clamp` seconds.
    pub fn unpack_snapshot(
        &self,
        lease: &Lease,
        snapshot: &Snapshot,
        clamp: Option<i64>,
    ) -> Result<Unpacked> {
        let top = self.driver.top(&snapshot.folder);
        let (Top::Changes { folder, .. } | Top::Whole { folder }) = &top;
        let open = sys::fs::open_folder(folder).map_err(StoreError::io("open", folder))?;
        let altered = match &top {
            Top::Changes { .. } => Vec::new(),
            Top::Whole { .. } => self.snapshot_changes(snapshot)?,
        };
        let (out, mut reader) = pour();
        std::thread::scope(|scope| {
            let (top, altered) = (&top, &altered);
            let packer = scope.spawn(move || -> io::Result<()> {
                let marks =
                    if let Top::Changes { marks, .. } = top { *marks } else { Marks::Trusted };
                let mut layer = LayerWriter::new(out, marks, clamp);
                match top {
                    Top::Changes { .. } => layer.add_folder(&open, false)?,
                    Top::Whole { .. } => layer.add_altered(&open, altered)?,
                }
                let (mut out, _) = layer.finish()?;
                out.flush()
            });
            let unpacked = self.unpack_layer(lease, &mut reader, Expected::default());
            // The packer must not wait for a reader that gave up.
            drop(reader);
            let packed = packer.join().expect("the packer does not panic");
            match unpacked {
                // What stopped the reader is why the packer could not go on.
                Err(error) => Err(error),
                Ok(unpacked) => packed.map_err(StoreError::io("read", folder)).map(|()| unpacked),
            }
        })
    }

    /// Removes a snapshot. One that is not there is no error.
    pub fn remove_snapshot(&self, name: &str) -> Result<()> {
        let folder = self.snapshot_folder(name);
        let mut bin = self.paths.trash().join(name);
        let renamed = reserve::or_spend(&self.paths, || self.put_away(&folder, &bin));
        let renamed = renamed.or_else(|_| {
            // One of the same name lies there since its removal was cut short.
            let random = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
            bin = self.paths.trash().join(random);
            self.put_away(&folder, &bin)
        });
        if !renamed? {
            return Ok(());
        }
        match remove_untouched(&bin) {
            Ok(()) => Ok(()),
            Err(_) => remove_all(&bin),
        }
    }

    /// Removes a snapshot that would end only with its lease.
    pub fn discard_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        let random = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
        let bin = self.paths.trash().join(random);
        self.put_away(&snapshot.folder, &bin)?;
        remove_all(&bin)
    }

    /// Renames a snapshot's folder into the trash, and says whether it was there.
    fn put_away(&self, folder: &Path, bin: &Path) -> Result<bool> {
        let rename = || match fs::rename(folder, bin) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true).map_err(StoreError::io("remove", folder)),
        };
        if rename()? {
            return Ok(true);
        }
        if fs::symlink_metadata(folder).is_err() {
            return Ok(false);
        }
        // It is the trash that is missing.
        self.paths.create_folders()?;
        rename()
    }

    fn below(&self, snapshot: &Snapshot) -> Result<Vec<Stacked>> {
        self.stacked(snapshot.below, &tables::read_layers(&self.paths)?)
    }

    /// The merged tree of a stack, out of its layers' indexes.
    pub fn merged(&self, top: Option<ChainId>) -> Result<Merged> {
        let stack = self.fit(top, &tables::read_layers(&self.paths)?)?;
        let indexes = stack.iter().map(|(chain, _)| self.open_index(chain));
        Ok(Merged::new(indexes.collect::<Result<_>>()?))
    }

    fn snapshot_folder(&self, name: &str) -> PathBuf {
        self.paths.snapshots().join(name)
    }
}

/// Removes a snapshot of whose folders all is known, since nothing was written to it.
fn remove_untouched(folder: &Path) -> io::Result<()> {
    driver::remove_empty_top(folder)?;
    fs::remove_file(folder.join(DOCUMENT))?;
    fs::remove_dir(folder)
}

/// Whether a table of mounts has an overlay with this snapshot's folder on top, which has its name if
/// its users are mapped.
fn is_upper(table: &str, folder: &Path) -> bool {
    let option = format!("upperdir={}/", escaped(folder, ",= \t\n\\"));
    let name = format!(" - overlay {} ", escaped(folder, "# \t\n\\"));
    table.contains(&option) || table.contains(&name)
}

/// A path as the kernel writes it, so that these characters end neither an option nor a line.
fn escaped(path: &Path, characters: &str) -> String {
    let write = |character: char| match characters.contains(character) {
        true => format!("\\{:03o}", character as u32),
        false => character.to_string(),
    };
    path.display().to_string().chars().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_top_is_found_by_its_path_or_its_name() {
        let folder = Path::new("/data, all/snapshots/a");
        let line = |name: &str, upper: &str| {
            format!("36 35 0:50 / / rw - overlay {name} rw,upperdir={upper},workdir=/w\n")
        };
        assert!(is_upper(&line("overlay", r"/data\054\040all/snapshots/a/upper"), folder));
        assert!(is_upper(&line(r"/data,\040all/snapshots/a", "/proc/self/fd/7/upper"), folder));
        assert!(!is_upper(&line(r"/data,\040all/snapshots/ab", "/proc/self/fd/7/upper"), folder));
        assert!(!is_upper(&line("overlay", r"/data\054\040all/snapshots/ab/upper"), folder));
    }
}
