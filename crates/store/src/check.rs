//! `system check`: is everything what it says it is, and can it be mended?
//!
//! Every digest is computed again, every record followed, every layer read once more and compared
//! with its index and its folder. A fault names the thing and what is wrong with it. Repair uses
//! only what is there: one form of a layer from another; what nothing needs is swept away.

mod layer;
mod repair;

use std::collections::BTreeSet;

use spec::{ChainId, Document, ImageConfig, ImageId};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::tables::Tables;
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
    cure: Cure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cure {
    None,
    /// Make the layer's tar, index and folder again from its blob or its tar.
    Rebuild(ChainId),
    /// Forget the compressed blob; the plain tar is good.
    ForgetBlob(ChainId),
    /// Forget the manifest; the image stays under its id.
    ForgetManifest(ImageId),
    /// Forget the index of several platforms that a name came with.
    ForgetIndex(String),
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
            Cure::ForgetIndex(_) => Some("forget it; the images themselves are good".to_owned()),
            Cure::Sweep => Some("remove it".to_owned()),
        };
        Fault { what: what.into(), why: why.into(), remedy, mended: false, cure }
    }
}

impl Store {
    /// Looks at everything; with `repair`, mends what can be mended.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        // Nobody takes away what is being looked at. A full disk has no room for a lease; looking
        // is all the more needed then.
        let lease = self.lease().ok();
        let leased = lease.as_ref().and_then(|lease| lease.protect_all().ok());
        let tables = match leased.map_or_else(|| self.tables(), Ok) {
            // Without its documents nothing can be said of the rest, and nothing may be swept.
            Err(StoreError::Damaged { what, why }) => {
                let faults = vec![Fault::new(what, why, Cure::None)];
                return Ok(CheckReport { faults, ..CheckReport::default() });
            }
            other => other?,
        };
        let mut report = CheckReport {
            images: tables.images.images.len(),
            layers: tables.layers.layers.len(),
            ..CheckReport::default()
        };
        for (chain, record) in &tables.layers.layers {
            report.blobs += 1 + usize::from(record.blob.is_some());
            report.bytes += record.bytes + record.blob.as_ref().map_or(0, |blob| blob.bytes);
            if let Some(parent) = record.parent.filter(|p| !tables.layers.layers.contains_key(p)) {
                let why = format!("it stands on {parent}, which is not here");
                report.faults.push(Fault::new(format!("layer {chain}"), why, Cure::None));
            }
            let record = with_any_blob(record, &tables);
            report.faults.extend(self.layer_faults(chain, &record, &tables.layers)?);
        }
        self.check_images(&tables, &mut report)?;
        self.check_strays(lease.as_ref(), &mut report)?;
        drop(lease);
        if repair && !report.faults.is_empty() {
            self.repair(&mut report)?;
            // Mended is what is well when it is looked at again: one cure may heal several faults,
            // and one that was tried may have failed.
            let left = self.check(false)?.faults;
            for fault in &mut report.faults {
                fault.mended = !left.iter().any(|other| other.what == fault.what);
            }
        }
        Ok(report)
    }

    fn check_images(&self, tables: &Tables, report: &mut CheckReport) -> Result<()> {
        for (id, record) in &tables.images.images {
            report.blobs += 1 + usize::from(record.manifest.is_some());
            let what = format!("image {}", id.0.short());
            let config = match self.read_document(&id.0) {
                Ok(bytes) => ImageConfig::parse(&bytes).map_err(|error| error.to_string()),
                Err(error) => Err(reason(error)),
            };
            match config {
                Err(why) => report.faults.push(Fault::new(
                    format!("the configuration of {what}"),
                    why,
                    Cure::None,
                )),
                Ok(config) if ChainId::of(&config.rootfs.diff_ids) != record.top => {
                    let why = "its layers are not those of its configuration";
                    report.faults.push(Fault::new(what.clone(), why, Cure::None));
                }
                Ok(_) => {}
            }
            if let Some(top) = record.top.filter(|top| !tables.layers.layers.contains_key(top)) {
                let why = format!("its topmost layer {} is not here", top.0.short());
                report.faults.push(Fault::new(what.clone(), why, Cure::None));
            }
            let Some(manifest) = &record.manifest else { continue };
            let why = match self.read_document(&manifest.digest) {
                Ok(bytes) => Document::parse(&bytes).err().map(|error| error.to_string()),
                Err(error) => Some(reason(error)),
            };
            if let Some(why) = why {
                let what = format!("the manifest of {what}");
                report.faults.push(Fault::new(what, why, Cure::ForgetManifest(*id)));
            }
        }
        for (name, record) in &tables.images.names {
            let index = record.index.as_ref().map(|index| self.read_document(&index.digest));
            let why = index.and_then(|index| match index {
                Ok(bytes) => Document::parse(&bytes).err().map(|error| error.to_string()),
                Err(error) => Some(reason(error)),
            });
            if let Some(why) = why {
                let what = format!("the index of {name}");
                report.faults.push(Fault::new(what, why, Cure::ForgetIndex(name.clone())));
            }
            for id in record.images().filter(|id| !tables.images.images.contains_key(id)) {
                let why = format!("it stands for {}, which is not here", id.0.short());
                report.faults.push(Fault::new(format!("name {name}"), why, Cure::None));
            }
        }
        Ok(())
    }

    /// What lies here and nothing needs: left by those who died on the way.
    fn check_strays(&self, lease: Option<&Lease>, report: &mut CheckReport) -> Result<()> {
        let _alone = crate::lease::hold(self.paths(), sys::lock::Mode::Exclusive)?;
        // Others may have come and gone since the documents were read.
        let tables = &self.tables()?;
        let views = self.views()?;
        let mut in_use: BTreeSet<ChainId> = views.iter().filter_map(|view| view.top).collect();
        in_use.extend(self.snapshot_stacks()?);
        let protected = crate::lease::protected(self.paths(), lease)?;
        let keeps_tar = self.driver().keeps_tar();
        let plan = crate::plan(tables, keeps_tar, &in_use, &protected, &self.present()?);
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
        Ok(())
    }
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
