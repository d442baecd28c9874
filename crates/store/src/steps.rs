//! What steps of builds gave, remembered under the name of all that they depended on.
//!
//! `build/steps/KEY` is a small document about one step; `build/held/CHAIN` an empty file for each
//! stack that such a document names, so that the collector need not read them all. Both are only
//! memory: one that is lost, damaged, or names a stack that has gone, costs nothing but the work to
//! do the step again. So nothing of it is synced.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spec::{ChainId, DiffId, Digest};

use crate::error::{Result, StoreError};
use crate::paths::{create_private, file_name, parse_file_name};
use crate::{Store, document};

/// What a step gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRecord {
    /// The stack after it.
    pub top: Option<ChainId>,
    /// The layer it made, if it made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<StepLayer>,
    /// The instruction.
    pub text: String,
    /// When it was done, in seconds since 1970.
    pub made: i64,
    /// What else its maker wants to remember.
    pub rest: Box<RawValue>,
}

/// A layer that a step made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLayer {
    /// The digest of its plain tar.
    pub diff: DiffId,
    /// The plain tar's size.
    pub bytes: u64,
}

/// A record with what its file tells.
#[derive(Clone, Debug)]
pub struct RememberedStep {
    /// The name it is remembered under.
    pub key: Digest,
    /// The record.
    pub record: StepRecord,
    /// When it was last of use.
    pub used: SystemTime,
}

/// No document about a step is larger.
const RECORD_BYTES: u64 = 4 << 20;

impl Store {
    /// Where all that builds remember is kept.
    pub fn build_folder(&self) -> PathBuf {
        self.paths().root().join("build")
    }

    fn steps_folder(&self) -> PathBuf {
        self.build_folder().join("steps")
    }

    fn held_folder(&self) -> PathBuf {
        self.build_folder().join("held")
    }

    /// What a step with this key gave, if it is remembered, and notes that it was of use.
    pub fn recall_step(&self, key: &Digest) -> Result<Option<StepRecord>> {
        let path = self.steps_folder().join(file_name(key));
        let Some(bytes) = document::read_limited(&path, RECORD_BYTES)? else { return Ok(None) };
        let Ok(record) = serde_json::from_slice(&bytes) else { return Ok(None) };
        // Only the clean-up asks for it.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(Some(record))
    }

    /// Remembers what a step gave. Its stack is held from then on; until then the caller's lease
    /// holds it.
    pub fn remember_step(&self, key: &Digest, record: &StepRecord) -> Result<()> {
        let (steps, held) = (self.steps_folder(), self.held_folder());
        for folder in [&steps, &held] {
            if !folder.exists() {
                create_private(folder)?;
            }
        }
        if let Some(top) = &record.top {
            let path = held.join(file_name(&top.0));
            File::create(&path).map_err(StoreError::io("create", &path))?;
        }
        let path = steps.join(file_name(key));
        let random = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
        let aside = steps.join(format!("{random}.new"));
        fs::write(&aside, document::to_bytes(record)).map_err(StoreError::io("write", &aside))?;
        fs::rename(&aside, &path).map_err(StoreError::io("rename", &aside))
    }

    /// All steps that are remembered. What cannot be read is none.
    pub fn remembered_steps(&self) -> Result<Vec<RememberedStep>> {
        let mut steps = Vec::new();
        for (path, name) in list(&self.steps_folder())? {
            let Some(key) = parse_file_name(&name) else { continue };
            let used = fs::metadata(&path).and_then(|meta| meta.modified());
            let bytes = document::read_limited(&path, RECORD_BYTES)?;
            let record = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let (Ok(used), Some(record)) = (used, record) {
                steps.push(RememberedStep { key, record, used });
            }
        }
        Ok(steps)
    }

    /// Forgets the steps that `goes` chooses, and what cannot be read; their stacks go with the next
    /// collection unless something else needs them.
    pub fn forget_steps(
        &self,
        goes: &mut dyn FnMut(&RememberedStep) -> bool,
    ) -> Result<Vec<RememberedStep>> {
        let (gone, stay): (Vec<_>, Vec<_>) =
            self.remembered_steps()?.into_iter().partition(|step| goes(step));
        let kept: BTreeSet<String> = stay.iter().map(|step| file_name(&step.key)).collect();
        let held: BTreeSet<String> =
            stay.iter().filter_map(|step| step.record.top).map(|top| file_name(&top.0)).collect();
        for (path, name) in list(&self.steps_folder())? {
            let chosen = gone.iter().any(|step| file_name(&step.key) == name);
            // A young one is about to get its name.
            if chosen || (!kept.contains(&name) && name.ends_with(".new") && is_old(&path)) {
                remove(&path)?;
            }
        }
        for (path, name) in list(&self.held_folder())? {
            if !held.contains(&name) {
                remove(&path)?;
            }
        }
        Ok(gone)
    }

    /// The stacks that remembered steps hold.
    pub(crate) fn held_by_steps(&self) -> Result<Vec<ChainId>> {
        let names = list(&self.held_folder())?.into_iter().map(|(_, name)| name);
        Ok(names.filter_map(|name| parse_file_name(&name)).map(ChainId).collect())
    }
}

fn list(folder: &std::path::Path) -> Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("list", folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        found.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
    }
    found.sort();
    Ok(found)
}

/// No step takes so long between its being written and its getting its name.
const YOUNG: Duration = Duration::from_secs(60);

fn is_old(path: &std::path::Path) -> bool {
    let time = fs::metadata(path).and_then(|meta| meta.modified());
    time.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > YOUNG))
}

fn remove(path: &std::path::Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::io("remove", path)),
    }
}
