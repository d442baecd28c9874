//! Garbage: first a plan, made by a pure function, then carried out.
//!
//! The collector holds the store's lock alone while it plans and renames into the trash, which
//! takes milliseconds; what is in the trash is deleted afterwards, while others work.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use spec::{ChainId, Digest};
use sys::lock::Mode;

use crate::document;
use crate::error::{Result, StoreError};
use crate::lease::{self, Protected};
use crate::paths::{entries_of, may_be_folder};
use crate::remove::remove_all;
use crate::reserve;
use crate::tables::{Layers, Tables};
use crate::{DriverKind, Store, blobs, driver, tables};

/// What lies in the store's folders, or the part of it that a collection looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Blobs with their sizes.
    pub blobs: Vec<(Digest, u64)>,
    /// Stacks with an index.
    pub indexes: Vec<ChainId>,
    /// Stacks that the driver keeps something of.
    pub forms: Vec<ChainId>,
    /// Stacks that other drivers have something of: the store has changed its driver, or someone
    /// died on the way.
    pub foreign: Vec<(DriverKind, ChainId)>,
    /// What was on its way in: the name of each file.
    pub asides: Vec<String>,
    /// What has a name that nothing of the store has, and half-written documents.
    pub strangers: Vec<PathBuf>,
}

impl Present {
    /// Adds all that these layers' records name.
    fn add_layers(&mut self, layers: &Layers) {
        for (&chain, record) in &layers.layers {
            self.blobs.push((record.diff.0, record.bytes));
            self.blobs.extend(record.blob.iter().map(|blob| (blob.digest, blob.bytes)));
            self.indexes.push(chain);
            self.forms.push(chain);
        }
        self.blobs.sort();
        self.blobs.dedup();
    }
}

/// What will go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Records of layers.
    pub records: Vec<ChainId>,
    /// Blobs with their sizes.
    pub blobs: Vec<(Digest, u64)>,
    /// Indexes.
    pub indexes: Vec<ChainId>,
    /// What the driver keeps.
    pub forms: Vec<ChainId>,
    /// What other drivers have.
    pub foreign: Vec<(DriverKind, ChainId)>,
    /// Left-overs of those who died on the way.
    pub asides: Vec<String>,
    /// What does not belong to the store.
    pub strangers: Vec<PathBuf>,
}

impl Plan {
    /// What would go by both plans.
    pub(crate) fn also_in(mut self, other: &Plan) -> Plan {
        self.records.retain(|record| other.records.contains(record));
        self.blobs.retain(|blob| other.blobs.contains(blob));
        self.indexes.retain(|index| other.indexes.contains(index));
        self.forms.retain(|form| other.forms.contains(form));
        self.foreign.retain(|form| other.foreign.contains(form));
        self.asides.retain(|name| other.asides.contains(name));
        self.strangers.retain(|path| other.strangers.contains(path));
        self
    }
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records of layers that went, each the last with its plain tar or not.
    pub layers: Vec<ChainId>,
    /// Bytes of blobs.
    pub bytes: u64,
}

/// What must go: everything that neither an image, nor a mounted view, a snapshot or a remembered step
/// of a build, nor a lease needs. What another driver has is needed by the lease alone of who is changing the driver.
pub fn plan(
    tables: &Tables,
    keeps_tar: bool,
    in_use: &BTreeSet<ChainId>,
    protected: &Protected,
    present: &Present,
) -> Plan {
    let images = &tables.images.images;
    let tops = images.values().filter_map(|record| record.top);
    let needed = tables
        .layers
        .closure(tops.chain(in_use.iter().copied()).chain(protected.chains.iter().copied()));
    let mut blobs: BTreeSet<Digest> = protected.blobs.clone();
    blobs.extend(tables.images.documents());
    for (chain, record) in &tables.layers.layers {
        if needed.contains(chain) {
            blobs.extend((keeps_tar || record.blob.is_none()).then_some(record.diff.0));
            blobs.extend(record.blob.as_ref().map(|blob| blob.digest));
        }
    }
    let unneeded = |chains: &[ChainId]| -> Vec<ChainId> {
        chains.iter().filter(|chain| !needed.contains(chain)).copied().collect()
    };
    let leased = tables.layers.closure(protected.chains.iter().copied());
    let of_lease = |name: &str| {
        let awaited = crate::paths::parse_file_name(name);
        awaited.is_some_and(|digest| protected.blobs.contains(&digest))
            || protected.leases.iter().any(|lease| name.starts_with(lease.as_str()))
    };
    Plan {
        records: tables.layers.layers.keys().filter(|c| !needed.contains(c)).copied().collect(),
        blobs: present.blobs.iter().filter(|(d, _)| !blobs.contains(d)).copied().collect(),
        indexes: unneeded(&present.indexes),
        forms: unneeded(&present.forms),
        foreign: present.foreign.iter().filter(|(_, c)| !leased.contains(c)).copied().collect(),
        asides: present.asides.iter().filter(|name| !of_lease(name)).cloned().collect(),
        strangers: present.strangers.clone(),
    }
}

impl Store {
    /// Everything that lies in the store's folders.
    pub fn present(&self) -> Result<Present> {
        let names = |folder: PathBuf| -> Result<Vec<String>> {
            let mut list = Vec::new();
            for entry in entries_of(&folder)? {
                let entry = entry.map_err(StoreError::io("list", &folder))?;
                list.push(entry.file_name().to_string_lossy().into_owned());
            }
            list.sort();
            Ok(list)
        };
        let mut present = Present {
            forms: self.driver.kept()?,
            asides: names(self.paths.ingest())?,
            ..Present::default()
        };
        for kind in DriverKind::ALL.into_iter().filter(|kind| *kind != self.driver.kind()) {
            let other = driver::open(kind, &self.paths, &self.owners);
            present.foreign.extend(other.kept()?.into_iter().map(|chain| (kind, chain)));
        }
        (present.blobs, present.strangers) = blobs::list(&self.paths)?;
        let index = self.paths.root().join("index");
        for name in names(index.clone())? {
            match crate::paths::parse_file_name(&name) {
                Some(chain) => present.indexes.push(ChainId(chain)),
                None => present.strangers.push(index.join(name)),
            }
        }
        for kind in DriverKind::ALL {
            let folder = self.paths.folders(kind.as_str());
            let odd = entries_of(&folder)?.into_iter().flatten().map(|entry| entry.path());
            let is_odd = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                crate::paths::parse_file_name(&name).is_none()
            };
            present.strangers.extend(odd.filter(is_odd));
        }
        let snapshots = self.paths.snapshots();
        for entry in entries_of(&snapshots)? {
            let entry = entry.map_err(StoreError::io("list", &snapshots))?;
            if !may_be_folder(&entry) {
                present.strangers.push(entry.path());
            }
        }
        let documents = [self.paths.images(), self.paths.layers(), self.paths.format()];
        let halves = documents.iter().map(|path| document::aside(path));
        present.strangers.extend(halves.filter(|path| path.exists()));
        Ok(present)
    }

    /// Collects everything that nothing needs, and what others left behind.
    pub fn collect(&self) -> Result<Collected> {
        self.sweep_views()?;
        self.collect_from(None)
    }

    /// Changes images and names, and collects what was needed only by those that went. Nothing
    /// happens if `change` fails.
    pub fn remove_images<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut crate::Images) -> Result<T, E>,
    ) -> Result<(T, Collected), E> {
        // One hold of the lock for both: nobody sees what is removed and not collected yet.
        let alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let (mut images, before) = tables::read_images(&self.paths)?;
        let mut gone = images.documents();
        let result = change(&mut images)?;
        let after = images.to_bytes();
        if *after != *before {
            let path = self.paths.images();
            reserve::or_spend(&self.paths, || document::write_bytes(&path, &after))?;
        }
        let left = images.documents();
        gone.retain(|digest| !left.contains(digest));
        if gone.is_empty() {
            reserve::keep(&self.paths);
            return Ok((result, Collected::default()));
        }
        let mut present = Present { blobs: self.sized(gone.into_iter()), ..Present::default() };
        // Every layer is a candidate: some may be left by a removal that was cut short.
        present.add_layers(&self.tables()?.layers);
        let (collected, bin) = self.collect_alone(Some(present))?;
        drop(alone);
        bin.map_or(Ok(()), |bin| remove_all(&bin))?;
        reserve::keep(&self.paths);
        Ok((result, collected))
    }

    /// Lets go of the compressed blobs of layers that are kept plain too. Their images stay what they
    /// are, but leave with layers of other digests, and so with another manifest than they came
    /// with.
    pub fn evict_blobs(&self) -> Result<Collected> {
        if !self.driver.keeps_tar() {
            return Ok(Collected::default());
        }
        // The tar is all that is left then, so it must be on disk, and known to be.
        self.settle()?;
        let mut present = Present::default();
        self.shrink(|tables| {
            let layers = &mut tables.layers.layers;
            let needed: BTreeSet<Digest> = layers
                .values()
                .filter(|record| record.unsynced.is_some() || !self.has_blob(&record.diff.0))
                .filter_map(|record| Some(record.blob.as_ref()?.digest))
                .collect();
            for record in layers.values_mut() {
                if let Some(blob) = record.blob.take_if(|blob| !needed.contains(&blob.digest)) {
                    present.blobs.push((blob.digest, blob.bytes));
                }
            }
        })?;
        present.blobs.sort();
        present.blobs.dedup();
        self.collect_from(Some(present))
    }

    /// The stacks that somebody works in: those that mounted views and snapshots stand on.
    pub(crate) fn in_use(&self) -> Result<BTreeSet<ChainId>> {
        let views = self.views()?.into_iter().filter_map(|view| view.top);
        Ok(views.chain(self.snapshot_stacks()?).collect())
    }

    /// Collects what others removed while somebody who only looked held all of it back.
    pub(crate) fn let_go(&self, held_back: &Tables) -> Result<()> {
        if self.tables()? == *held_back {
            return Ok(());
        }
        let documents = held_back.images.documents().into_iter();
        let mut present = Present { blobs: self.sized(documents), ..Present::default() };
        present.add_layers(&held_back.layers);
        self.collect_from(Some(present)).map(drop)
    }

    /// Blobs with their sizes.
    fn sized(&self, blobs: impl Iterator<Item = Digest>) -> Vec<(Digest, u64)> {
        blobs.map(|digest| (digest, self.blob_bytes(&digest).unwrap_or(0))).collect()
    }

    /// How long a blob's file is.
    pub(crate) fn blob_bytes(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.paths.blob(digest)).map(|meta| meta.len()).ok()
    }

    fn collect_from(&self, candidates: Option<Present>) -> Result<Collected> {
        let everything = candidates.is_none();
        let (collected, bin) = {
            let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
            self.collect_alone(candidates)?
        };
        if let Some(bin) = bin {
            remove_all(&bin)?;
        }
        if everything {
            self.empty_trash()?;
        }
        reserve::keep(&self.paths);
        Ok(collected)
    }

    /// Takes garbage out of sight, and gives the folder of the trash that is to be deleted when the
    /// caller has let go of the store's lock, which it holds alone.
    fn collect_alone(&self, candidates: Option<Present>) -> Result<(Collected, Option<PathBuf>)> {
        let mut collected = Collected::default();
        // To the wrong driver, what is needed is what others have left.
        self.must_be_current()?;
        let before = self.tables()?;
        let everything = candidates.is_none();
        let present = match candidates {
            Some(candidates) => candidates,
            None => self.present()?,
        };
        // Leases first: who lets one go has made by then what is looked for here.
        let protected = lease::protected(&self.paths, None)?;
        let in_use = self.in_use()?;
        let mut held = in_use.clone();
        held.extend(self.held_by_steps()?);
        let keeps_tar = self.driver.keeps_tar();
        let nobody_works = protected.leases.is_empty();
        let plan = plan(&before, keeps_tar, &held, &protected, &present);
        let mut after = before.clone();
        for chain in &plan.records {
            after.layers.layers.remove(chain);
        }
        reserve::or_spend(&self.paths, || after.write(&before, &self.paths))?;
        if everything {
            let needed = in_use.iter().chain(&protected.chains).copied();
            self.unmount_idle(&before.layers.closure(needed))?;
        }
        collected.layers = plan.records.clone();
        let bin = self.carry_out(&plan, &mut collected)?;
        if everything && nobody_works {
            self.remove_other_drivers();
        }
        Ok((collected, bin))
    }

    /// Renames what goes into a new folder in the trash.
    fn carry_out(&self, plan: &Plan, collected: &mut Collected) -> Result<Option<PathBuf>> {
        let mut victims: Vec<PathBuf> = Vec::new();
        for chain in &plan.forms {
            victims.extend(self.driver.remove(chain)?);
        }
        for (kind, chain) in &plan.foreign {
            victims.extend(driver::open(*kind, &self.paths, &self.owners).remove(chain)?);
        }
        victims.extend(plan.indexes.iter().map(|chain| self.paths.index(chain)));
        for (digest, bytes) in &plan.blobs {
            let path = self.paths.blob(digest);
            // A link that leads nowhere is there too.
            if fs::symlink_metadata(&path).is_ok() {
                collected.bytes += bytes;
                victims.push(path);
            }
        }
        victims.extend(plan.asides.iter().map(|name| self.paths.ingest().join(name)));
        victims.extend(plan.strangers.iter().cloned());
        self.throw_away(&victims)
    }

    /// Renames files and folders into a new folder in the trash, which the caller deletes; what is
    /// not there is no error.
    pub(crate) fn throw_away(&self, victims: &[PathBuf]) -> Result<Option<PathBuf>> {
        if victims.is_empty() {
            return Ok(None);
        }
        let name = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
        let bin = self.paths.trash().join(name);
        let create = || {
            let created = fs::create_dir(&bin).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => fs::create_dir_all(&bin),
                _ => Err(error),
            });
            created.map_err(StoreError::io("create", &bin))
        };
        reserve::or_spend(&self.paths, create)?;
        for (number, victim) in victims.iter().enumerate() {
            let place = bin.join(number.to_string());
            reserve::or_spend(&self.paths, || match fs::rename(victim, &place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other.map_err(StoreError::io("remove", victim)),
            })?;
        }
        Ok(Some(bin))
    }

    /// Removes the folders of other drivers, if there is nothing in them any more.
    fn remove_other_drivers(&self) {
        for kind in DriverKind::ALL.into_iter().filter(|kind| *kind != self.driver.kind()) {
            // It is not there, or something is in it.
            let _ = fs::remove_dir(self.paths.folders(kind.as_str()));
        }
    }

    /// Deletes what earlier collectors did not get to.
    fn empty_trash(&self) -> Result<()> {
        let trash = self.paths.trash();
        for entry in entries_of(&trash)? {
            remove_all(&entry.map_err(StoreError::io("list", &trash))?.path())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
