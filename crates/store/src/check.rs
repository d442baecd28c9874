//! `system check`: is everything what it says it is, and can it be mended?
//!
//! Every digest is computed again, every record followed, every index built anew in the mind of
//! its tar. A fault names the thing and what is wrong with it. Repair uses only what is there: one
//! form of a layer from another; what nothing needs is swept away.

use std::fs::File;
use std::path::PathBuf;

use image::erofs::IndexReader;
use spec::{ChainId, Digest, Document, ImageConfig, ImageId};

use crate::Store;
use crate::blobs::hash_file;
use crate::driver::Stacked;
use crate::error::{Result, StoreError};
use crate::index;
use crate::tables::{LayerRecord, Tables};

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
            Cure::Sweep => Some("remove it".to_owned()),
        };
        Fault { what: what.into(), why: why.into(), remedy, mended: false, cure }
    }
}

impl Store {
    /// Looks at everything; with `repair`, mends what can be mended.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let tables = self.tables()?;
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
            report.faults.extend(self.layer_faults(chain, &record)?);
        }
        self.check_images(&tables, &mut report)?;
        self.check_strays(&tables, &mut report)?;
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

    /// What is wrong with one layer's forms.
    pub(crate) fn layer_faults(&self, chain: &ChainId, record: &LayerRecord) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        let what = format!("layer {}", chain.0.short());
        let blob_fault = match &record.blob {
            Some(blob) => self.blob_fault(&blob.digest)?,
            None => None,
        };
        let tar_needed = self.driver().keeps_tar() || record.blob.is_none();
        let tar_here = self.has_blob(&record.diff.0);
        let tar_fault = match tar_here || tar_needed {
            true => self.blob_fault(&record.diff.0)?,
            false => None,
        };
        let can_rebuild = match (&record.blob, &blob_fault, &tar_fault) {
            (_, _, None) => tar_here || record.blob.is_some(),
            (Some(_), None, _) => true,
            _ => false,
        };
        let rebuild = if can_rebuild { Cure::Rebuild(*chain) } else { Cure::None };
        if let Some(why) = tar_fault.clone() {
            faults.push(Fault::new(format!("the tar of {what}"), why, rebuild.clone()));
        }
        if let Some(why) = blob_fault {
            let cure = match tar_here && tar_fault.is_none() {
                true => Cure::ForgetBlob(*chain),
                false => Cure::None,
            };
            faults.push(Fault::new(format!("the compressed blob of {what}"), why, cure));
        }
        if let Some(why) = self.index_fault(chain, record) {
            faults.push(Fault::new(format!("the index of {what}"), why, rebuild.clone()));
        }
        let stacked = Stacked { chain: *chain, diff: record.diff };
        if tar_fault.is_none() && !self.driver().has(&stacked) {
            let why = format!("the {} driver has nothing of it", self.driver().kind());
            faults.push(Fault::new(what, why, rebuild));
        }
        Ok(faults)
    }

    /// Why a blob is not what its name says, if it is not.
    fn blob_fault(&self, digest: &Digest) -> Result<Option<String>> {
        match hash_file(&self.paths().blob(digest), digest.algorithm()) {
            Ok(arrived) if arrived.digest == *digest => Ok(None),
            Ok(arrived) => Ok(Some(format!("its bytes are {}", arrived.digest))),
            Err(StoreError::Io { source, .. }) => Ok(Some(match source.kind() {
                std::io::ErrorKind::NotFound => "it is missing".to_owned(),
                _ => format!("it cannot be read: {source}"),
            })),
            Err(error) => Err(error),
        }
    }

    fn index_fault(&self, chain: &ChainId, record: &LayerRecord) -> Option<String> {
        let path = self.paths().index(chain);
        let open = || File::open(&path).map_err(StoreError::io("open", &path));
        let digest = |file: File| {
            let digest = index::digest(&file, record.index.algorithm());
            digest.map(|digest| (digest, file)).map_err(StoreError::io("read", &path))
        };
        match open().and_then(digest) {
            Ok((digest, file)) if digest == record.index => {
                IndexReader::open(file).err().map(|error| error.to_string())
            }
            Ok(_) => Some("its bytes have changed".to_owned()),
            Err(error) => Some(reason(error)),
        }
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
            for id in record.images().filter(|id| !tables.images.images.contains_key(id)) {
                let why = format!("it stands for {}, which is not here", id.0.short());
                report.faults.push(Fault::new(format!("name {name}"), why, Cure::None));
            }
        }
        Ok(())
    }

    /// What lies here and nothing needs: left by those who died on the way.
    fn check_strays(&self, tables: &Tables, report: &mut CheckReport) -> Result<()> {
        let _alone = crate::lease::hold(self.paths(), sys::lock::Mode::Exclusive)?;
        let views = self.views()?;
        let in_use = views.iter().filter_map(|view| view.top).collect();
        let protected = crate::lease::protected(self.paths())?;
        let plan = crate::plan(tables, &in_use, &protected, &self.present()?);
        let mut stray = |what: String| {
            report.faults.push(Fault::new(what, "nothing needs it", Cure::Sweep));
        };
        plan.records.iter().for_each(|chain| stray(format!("layer {}", chain.0.short())));
        plan.blobs.iter().for_each(|(digest, _)| stray(format!("blob {digest}")));
        let indexes = plan.indexes.iter().filter(|chain| !plan.records.contains(chain));
        indexes.for_each(|chain| stray(format!("index {}", chain.0.short())));
        let forms = plan.forms.iter().filter(|chain| !plan.records.contains(chain));
        forms.for_each(|chain| stray(format!("folder or mount {}", chain.0.short())));
        plan.asides.iter().for_each(|name| stray(format!("unfinished {name}")));
        plan.strangers.iter().for_each(|path| stray(path.display().to_string()));
        Ok(())
    }

    fn repair(&self, report: &mut CheckReport) -> Result<()> {
        let mut swept = false;
        let mut rebuilt: Vec<(ChainId, bool)> = Vec::new();
        for fault in &mut report.faults {
            fault.mended = match &fault.cure {
                Cure::None => false,
                Cure::Sweep => {
                    if !swept {
                        self.collect()?;
                        swept = true;
                    }
                    true
                }
                Cure::Rebuild(chain) => match rebuilt.iter().find(|(done, _)| done == chain) {
                    Some((_, well)) => *well,
                    None => {
                        let well = self.rebuild(chain).is_ok();
                        rebuilt.push((*chain, well));
                        well
                    }
                },
                Cure::ForgetBlob(chain) => self.change::<_, StoreError>(|tables| {
                    if let Some(record) = tables.layers.layers.get_mut(chain) {
                        record.blob = None;
                    }
                    Ok(true)
                })?,
                Cure::ForgetManifest(id) => self.change_images::<_, StoreError>(|images| {
                    if let Some(record) = images.images.get_mut(id) {
                        record.manifest = None;
                    }
                    Ok(true)
                })?,
            };
        }
        Ok(())
    }

    /// Makes a layer's forms again from whichever one is good.
    fn rebuild(&self, chain: &ChainId) -> Result<()> {
        let tables = self.tables()?;
        let layers = &tables.layers;
        let record = layers.layers.get(chain).ok_or(StoreError::NoLayer(*chain))?;
        let record = with_any_blob(record, &tables);
        let lease = self.lease()?;
        let tar_good = self.has_blob(&record.diff.0) && self.blob_fault(&record.diff.0)?.is_none();
        let mut source = record.clone();
        if !tar_good {
            // Out of the way, so that the blob is what the layer is read from.
            let tar: PathBuf = self.paths().blob(&record.diff.0);
            if tar.exists() {
                std::fs::remove_file(&tar).map_err(StoreError::io("remove", &tar))?;
            }
        } else {
            source.blob = None;
        }
        for victim in self.driver().remove(chain)? {
            let _ = std::fs::remove_dir_all(victim);
        }
        let (made, mut renewed) = self.reuse_layer(&lease, &source, record.parent, layers)?;
        debug_assert_eq!(made, *chain);
        renewed.blob = record.blob;
        self.change::<_, StoreError>(|tables| {
            tables.layers.layers.insert(*chain, renewed);
            Ok(())
        })
    }
}

/// A layer's record with the compressed blob that any record of the same tar has.
fn with_any_blob(record: &LayerRecord, tables: &Tables) -> LayerRecord {
    let mut record = record.clone();
    if record.blob.is_none() {
        let same = tables.layers.layers.values().filter(|other| other.diff == record.diff);
        record.blob = same.filter_map(|other| other.blob.clone()).next();
    }
    record
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
