//! `system check`: is everything what it says it is, and can it be mended?
//!
//! Every digest is computed again, every record followed, every layer read once more and compared
//! with its index and its folder. A fault names the thing and what is wrong with it. Repair uses
//! only what is there: one form of a layer from another; what nothing needs is swept away.

mod images;
mod layer;
mod renew;
mod repair;

use std::collections::BTreeSet;

use spec::{ChainId, Digest, ImageId};
use sys::lock::Mode;

use crate::error::{Result, StoreError};
use crate::lease::{self, Lease};
use crate::tables::{LayerRecord, Layers, Tables};
use crate::{EventFilter, Plan, Store};
use repair::with_any_blob;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The thing.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What repair would do or did; nothing if it cannot help.
    pub remedy: Option<String>,
    /// Whether it was mended.
    pub mended: bool,
    /// Why a repair that was tried failed.
    pub obstacle: Option<String>,
    /// What a repair that was done did not bring back, or perhaps not.
    pub missing: Option<String>,
    cure: Cure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cure {
    None,
    /// Make the layer's tar, index and folder again from its blob or its tar.
    Rebuild(ChainId),
    /// Forget the compressed blob; the plain tar is good.
    ForgetBlob(Digest),
    /// Forget the manifest; the image stays under its id.
    ForgetManifest(ImageId),
    /// Take from the image's configuration and layers what its record says of them.
    Recount(ImageId),
    /// Make a document again from what it named.
    Renew,
    /// Forget the index or the manifest that a name came with.
    ForgetOriginals(String),
    /// Remove what nothing needs.
    Sweep,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Images looked at.
    pub images: usize,
    /// Layers looked at.
    pub layers: usize,
    /// Blobs hashed.
    pub blobs: usize,
    /// Bytes hashed.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl CheckReport {
    /// Whether nothing is wrong, or nothing any more.
    pub fn is_clean(&self) -> bool {
        self.faults.iter().all(|fault| fault.mended)
    }
}

impl Fault {
    fn new(what: impl Into<String>, why: impl Into<String>, cure: Cure) -> Fault {
        let remedy = match &cure {
            Cure::None => None,
            Cure::Rebuild(_) => Some("make it again from the layer's other form".to_owned()),
            Cure::ForgetBlob(_) => Some("forget it; the plain tar is good".to_owned()),
            Cure::ForgetManifest(_) => Some("forget it; the image itself is good".to_owned()),
            Cure::Recount(_) => Some("take it from there".to_owned()),
            Cure::Renew => Some(
                "make it again from what it named, and names from the journal of events".to_owned(),
            ),
            Cure::ForgetOriginals(_) => {
                Some("forget it; the images themselves are good".to_owned())
            }
            Cure::Sweep => Some("remove it".to_owned()),
        };
        Fault {
            what: what.into(),
            why: why.into(),
            remedy,
            mended: false,
            obstacle: None,
            missing: None,
            cure,
        }
    }
}

impl Store {
    /// Looks at everything; with `repair`, mends what can be mended.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let mut report = self.look_at_all()?;
        let renewed = match &mut *report.faults {
            [document] if repair && document.cure == Cure::Renew => {
                match self.renew_documents() {
                    Ok(missing) => (document.mended, document.missing) = (true, missing),
                    Err(error) => {
                        document.obstacle = Some(layer::causes(&error));
                        return Ok(report);
                    }
                }
                let renewed = report.faults;
                report = self.look_at_all()?;
                renewed
            }
            _ => Vec::new(),
        };
        if repair && report.faults.iter().any(|fault| fault.cure != Cure::None) {
            self.repair(&mut report)?;
            // Mended is what is well when it is looked at again: one cure may heal several faults,
            // and one that was tried may have failed.
            let left = self.look_at_all()?.faults;
            for fault in &mut report.faults {
                fault.mended = !left.iter().any(|other| other.what == fault.what);
            }
            // What only shows now is wrong all the same.
            let known = |fault: &Fault| report.faults.iter().any(|other| other.what == fault.what);
            let new: Vec<Fault> = left.into_iter().filter(|fault| !known(fault)).collect();
            report.faults.extend(new);
        }
        report.faults.splice(0..0, renewed);
        Ok(report)
    }

    fn look_at_all(&self) -> Result<CheckReport> {
        let (guard, found) = Guard::take(self)?;
        let (tables, before) = match found {
            // Without its documents nothing can be said of the rest, and nothing may be swept.
            Err(StoreError::Damaged { what, why }) => {
                // A snapshot's own document is nothing that others could tell.
                let ours = [self.paths().images(), self.paths().layers()];
                let is_ours = ours.iter().any(|path| path.display().to_string() == what);
                let cure = if is_ours { Cure::Renew } else { Cure::None };
                let faults = vec![Fault::new(what, why, cure)];
                return Ok(CheckReport { faults, ..CheckReport::default() });
            }
            other => other?,
        };
        let mut report = CheckReport {
            images: tables.images.images.len(),
            layers: tables.layers.layers.len(),
            ..CheckReport::default()
        };
        let mut layers = tables.layers.clone();
        // What nothing needs may go at any moment.
        before.records.iter().for_each(|chain| drop(layers.layers.remove(chain)));
        let mut damaged = BTreeSet::new();
        for (chain, record) in &layers.layers {
            report.blobs += 1 + usize::from(record.blob.is_some());
            report.bytes += record.bytes + record.blob.as_ref().map_or(0, |blob| blob.bytes);
            report.faults.extend(record_fault(chain, record, &layers));
            let record = with_any_blob(record, &layers);
            let faults = self.layer_faults(chain, &record, &layers)?;
            if !faults.is_empty() {
                damaged.insert(*chain);
            }
            report.faults.extend(faults);
        }
        self.check_images(&tables, &mut report);
        self.check_snapshots(&mut report)?;
        self.check_events(&mut report);
        // What came or went while we looked is the business of those who work here.
        let after = guard.unneeded(self)?;
        drop(guard);
        self.remember_checked(&layers, &damaged);
        // If it cannot be done now, as on a read-only disk, the next full collection does it.
        let _ = self.let_go(&tables);
        report_strays(&before.also_in(&after), &mut report);
        Ok(report)
    }

    fn check_snapshots(&self, report: &mut CheckReport) -> Result<()> {
        for name in self.snapshots()? {
            let read = self.snapshot(&name);
            let why = match read {
                // The layers are read after the snapshot, which came after them.
                Ok(snapshot) => {
                    let layers = self.tables()?.layers.layers;
                    let missing = snapshot.below.filter(|below| !layers.contains_key(below));
                    missing.map(|below| format!("it stands on {below}, which is not here"))
                }
                Err(StoreError::NoSnapshot(_)) => {
                    let is_there =
                        std::fs::symlink_metadata(self.paths().snapshots().join(&name)).is_ok();
                    is_there.then(|| "its document is missing".to_owned())
                }
                Err(error) => Some(reason(error)),
            };
            let fault = |why| Fault::new(format!("snapshot {name}"), why, Cure::None);
            report.faults.extend(why.map(fault));
        }
        Ok(())
    }

    fn check_events(&self, report: &mut CheckReport) {
        let read = || -> Result<()> {
            let mut events = self.events(EventFilter::default())?;
            while events.next_ready()?.is_some() {}
            Ok(())
        };
        if let Err(error) = read() {
            report.faults.push(Fault::new("the journal of events", reason(error), Cure::None));
        }
    }

    /// The documents, and what nothing needs. The caller holds the store's lock alone.
    fn found(&self, own: Option<&Lease>) -> Result<(Tables, Plan)> {
        let tables = self.tables()?;
        let protected = lease::protected(self.paths(), own)?;
        let keeps_tar = self.driver().keeps_tar();
        let mut held = self.in_use()?;
        held.extend(self.held_by_steps()?);
        let plan = crate::plan(&tables, keeps_tar, &held, &protected, &self.present()?);
        Ok((tables, plan))
    }
}

/// What keeps everything in its place while it is looked at.
enum Guard {
    /// A lease on all that something needs.
    Lease(Lease),
    /// The store's lock itself, where no lease can be written: on a full or a read-only disk. Who
    /// wants to change something waits.
    Alone(#[expect(dead_code, reason = "it is held, not read")] std::fs::File),
}

impl Guard {
    /// Reads the documents and protects what they name, unless nothing needs it: who is about to
    /// remove that must not be held back.
    fn take(store: &Store) -> Result<(Guard, Result<(Tables, Plan)>)> {
        let leased = store.lease().and_then(|lease| {
            let _alone = lease::hold(store.paths(), Mode::Exclusive)?;
            let found = store.found(Some(&lease));
            if let Ok((tables, plan)) = &found {
                lease.protect_all(tables, &plan.records)?;
            }
            Ok((Guard::Lease(lease), found))
        });
        leased.or_else(|_| {
            let alone = lease::hold(store.paths(), Mode::Exclusive)?;
            Ok((Guard::Alone(alone), store.found(None)))
        })
    }

    /// What nothing needs at this moment.
    fn unneeded(&self, store: &Store) -> Result<Plan> {
        let (own, _alone) = match self {
            Guard::Lease(lease) => {
                (Some(lease), Some(lease::hold(store.paths(), Mode::Exclusive)?))
            }
            Guard::Alone(_) => (None, None),
        };
        store.found(own).map(|(_, plan)| plan)
    }
}

/// What is wrong with a layer's place among the others.
fn record_fault(chain: &ChainId, record: &LayerRecord, layers: &Layers) -> Option<Fault> {
    let layers = &layers.layers;
    let why = match record.parent.filter(|parent| !layers.contains_key(parent)) {
        Some(parent) => format!("it stands on {parent}, which is not here"),
        None => {
            let said = ChainId::extend(record.parent, record.diff);
            (said != *chain).then(|| format!("what its record says is layer {said}"))?
        }
    };
    Some(Fault::new(format!("layer {chain}"), why, Cure::None))
}

/// What lies here and nothing needs: left by those who died on the way.
fn report_strays(plan: &Plan, report: &mut CheckReport) {
    let mut stray = |what: String| {
        report.faults.push(Fault::new(what, "nothing needs it", Cure::Sweep));
    };
    plan.records.iter().for_each(|chain| stray(format!("layer {}", chain.0.short())));
    plan.blobs.iter().for_each(|(digest, _)| stray(format!("blob {digest}")));
    let indexes = plan.indexes.iter().filter(|chain| !plan.records.contains(chain));
    indexes.for_each(|chain| stray(format!("index {}", chain.0.short())));
    let forms = plan.forms.iter().filter(|chain| !plan.records.contains(chain));
    forms.for_each(|chain| stray(format!("folder or mount {}", chain.0.short())));
    let foreign = plan.foreign.iter();
    foreign.for_each(|(kind, chain)| stray(format!("{kind} form of {}", chain.0.short())));
    plan.asides.iter().for_each(|name| stray(format!("unfinished {name}")));
    plan.strangers.iter().for_each(|path| stray(path.display().to_string()));
}

/// A fault in the words of its cause.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::NoBlob(_) => "it is missing".to_owned(),
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            "it is missing".to_owned()
        }
        StoreError::Io { source, .. } => format!("it cannot be read: {source}"),
        StoreError::Damaged { why, .. } => why,
        other => other.to_string(),
    }
}
