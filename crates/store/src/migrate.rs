//! A store changes its driver, in place.
//!
//! The new driver's forms are made beside the old ones out of what is kept of every layer, while
//! others work. Then, alone and with nobody in between, `format.json` changes: from that moment on
//! it is the other driver's store. What one driver has in a store of another is garbage, which the
//! collector knows; so a crash at any point leaves a store that is whole, and something to sweep.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

use spec::{ChainId, ImageId};
use sys::lock::Mode;

use crate::arrive::{Keep, Unpacked};
use crate::below::Stack;
use crate::blobs::Durability;
use crate::driver::{DriverKind, Made};
use crate::error::{Result, StoreError};
use crate::lease::{self, Lease};
use crate::remove::remove_all;
use crate::tables::{LayerRecord, Layers, Tables};
use crate::{Format, Store, document, driver};

/// Why a store cannot change its driver now: somebody uses what the old one keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Another command is at work.
    Work,
    /// An image is mounted.
    View(ImageId),
    /// A container's files stand on it.
    Snapshot(String),
}

/// What a change of the driver did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The driver before.
    pub from: DriverKind,
    /// The driver now.
    pub to: DriverKind,
    /// Layers that were made anew.
    pub layers: usize,
    /// The bytes of their plain tars.
    pub bytes: u64,
}

/// How far a change of the driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateStep {
    /// A layer is being made anew: its stack, and the size of its tar.
    Begin(ChainId, u64),
    /// It is finished.
    Done(u64),
}

/// Whoever is at work has so long to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is asked.
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Makes this a store of another driver. Nobody else may use it meanwhile; if it cannot be
    /// done, it stays what it was.
    pub fn migrate(
        &mut self,
        to: DriverKind,
        progress: &mut dyn FnMut(MigrateStep),
    ) -> Result<Migrated> {
        let from = self.format.driver;
        if to == from {
            return Ok(Migrated { from, to, layers: 0, bytes: 0 });
        }
        driver::choose(Some(to), &self.paths.ingest(), &self.owners)?;
        let mut target = self.with_driver(to);
        self.clear(&target)?;
        let migrated = self.make_anew(&mut target, progress);
        if migrated.is_ok() {
            *self = target;
        }
        // What the old driver had, or what the new one would have had. If this fails it is swept
        // by the next one that collects; the store is whole either way.
        let _ = self.collect();
        migrated
    }

    /// The same store, as it would be with another driver.
    fn with_driver(&self, kind: DriverKind) -> Store {
        let why = format!("converted from {}", self.format.driver);
        Store {
            paths: self.paths.clone(),
            format: Format { driver: kind, why, ..self.format.clone() },
            driver: driver::open(kind, &self.paths, &self.owners),
            owners: self.owners.clone(),
            limits: self.limits,
            seen: Default::default(),
        }
    }

    /// Throws away what an earlier attempt left of the new driver: nothing says that it is whole.
    fn clear(&self, target: &Store) -> Result<()> {
        let mut left = Vec::new();
        {
            let _alone = self.hold_idle(None)?;
            self.must_be_current()?;
            for chain in target.driver.kept()? {
                left.extend(target.driver.remove(&chain)?);
            }
        }
        left.iter().try_for_each(|path| remove_all(path))
    }

    /// Makes all layers' forms and changes the driver, or neither.
    fn make_anew(
        &self,
        target: &mut Store,
        progress: &mut dyn FnMut(MigrateStep),
    ) -> Result<Migrated> {
        let lease = self.lease()?;
        let mut done = BTreeSet::new();
        let mut bytes = 0;
        loop {
            let tables = {
                let _shared = lease::hold(&self.paths, Mode::Shared)?;
                let tables = self.tables()?;
                lease.protect_all(&tables, &[])?;
                tables
            };
            for (chain, record) in missing(&tables, &done) {
                progress(MigrateStep::Begin(chain, record.bytes));
                self.convert(target, &lease, chain, record, &tables.layers)?;
                progress(MigrateStep::Done(record.bytes));
                done.insert(chain);
                bytes += record.bytes;
            }
            let root = self.paths.root();
            let file = File::open(root).map_err(StoreError::io("open", root))?;
            sys::fs::sync_file_system(&file).map_err(StoreError::io("sync", root))?;
            let _alone = self.hold_idle(Some(&lease))?;
            // Others may have brought something in meanwhile.
            if missing(&self.tables()?, &done).is_empty() {
                document::write(&self.paths.format(), &target.format)?;
                let (from, to) = (self.format.driver, target.format.driver);
                return Ok(Migrated { from, to, layers: done.len(), bytes });
            }
        }
    }

    /// Holds the store's lock alone, when nobody else is at work or has something of the driver in
    /// use.
    fn hold_idle(&self, own: Option<&Lease>) -> Result<File> {
        let since = Instant::now();
        loop {
            // Looked at without the lock first: whoever is at work may need it to come to an end, and
            // would hardly get it from one who takes it again and again.
            let idle = self.must_be_idle(own).and_then(|()| {
                let alone = lease::hold(&self.paths, Mode::Exclusive)?;
                self.must_be_idle(own).map(|()| alone)
            });
            match idle {
                Err(StoreError::Busy(Busy::Work)) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Gives the new driver what it needs of one layer.
    fn convert(
        &self,
        target: &Store,
        lease: &Lease,
        chain: ChainId,
        record: &LayerRecord,
        layers: &Layers,
    ) -> Result<()> {
        lease.protect_blob(&record.diff.0)?;
        let (mut file, expected) = self.best_form(record)?;
        let from_tar = expected.blob == Some(record.diff.0);
        let keep = if from_tar { Keep::Nothing } else { Keep::Tar };
        let unpacked = target.read_layer(lease, &mut file, expected, keep)?;
        let Unpacked { diff, bytes, mut tree, tar, folder, .. } = unpacked;
        tree.settle(&mut Stack::new(self, record.parent, layers)?)?;
        if target.driver.keeps_tar() {
            // An index that is to be mounted holds the sparse files that the tar has in pieces.
            let aside = target.write_index(lease, &tree, chain, diff, bytes, tar.as_ref())?;
            let index = crate::index::digest(aside.file(), spec::Algorithm::Sha256)
                .map_err(StoreError::io("read", aside.path()))?;
            aside.publish(&self.paths.index(&chain))?;
            if index != record.index {
                self.change::<_, StoreError>(|tables| {
                    if let Some(record) = tables.layers.layers.get_mut(&chain) {
                        record.index = index;
                    }
                    Ok(())
                })?;
            }
            if let Some(tar) = tar {
                tar.commit(&self.paths, Durability::Lazy)?;
            }
        }
        target.driver.adopt(Made { chain, parent: record.parent, tree: &tree, folder })
    }

    /// Fails if anybody uses what the driver keeps. It stays so while the store's lock is held alone.
    fn must_be_idle(&self, own: Option<&Lease>) -> Result<()> {
        // Leases first: who lets one go has made by then what is looked for after them.
        let leases = lease::protected(&self.paths, own)?.leases;
        if leases.len() > usize::from(own.is_some()) {
            return Err(StoreError::Busy(Busy::Work));
        }
        if let Some(view) = self.views()?.into_iter().next() {
            return Err(StoreError::Busy(Busy::View(view.image)));
        }
        match self.snapshots()?.into_iter().next() {
            Some(name) => Err(StoreError::Busy(Busy::Snapshot(name))),
            None => Ok(()),
        }
    }

    /// Fails if the store has another driver than when it was opened.
    pub(crate) fn must_be_current(&self) -> Result<()> {
        let path = self.paths.format();
        let bytes = sys::read::whole(&path).map_err(StoreError::io("read", &path))?;
        let now = crate::parse_format(self.paths.root(), &bytes)?.driver;
        match now == self.format.driver {
            true => Ok(()),
            false => Err(StoreError::Migrated { root: self.paths.root().to_owned(), now }),
        }
    }
}

/// The layers that are still to be made, each behind those that it stands on.
fn missing<'a>(tables: &'a Tables, done: &BTreeSet<ChainId>) -> Vec<(ChainId, &'a LayerRecord)> {
    let layers = &tables.layers;
    let height = |chain: &ChainId| layers.stack(Some(*chain)).map_or(0, |stack| stack.len());
    let all = layers.layers.iter().filter(|(chain, _)| !done.contains(chain));
    let mut list: Vec<_> = all.map(|(chain, record)| (*chain, record)).collect();
    list.sort_by_cached_key(|(chain, _)| height(chain));
    list
}
