//! What is kept of a container.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use spec::bundle::{OCI_VERSION, Spec, State, Status};

use crate::cgroup::Cgroup;
use crate::error::{Result, RuntimeError};

const FILE: &str = "record.json";

/// What is kept of a container, from its creation to its deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: String,
    /// Its bundle's folder.
    pub bundle: String,
    /// Its first process.
    pub pid: i32,
    /// When that process was born, in the kernel's ticks: another one with the same number was not.
    pub started: u64,
    /// Its group's path.
    pub cgroup: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Who made it.
    pub owner: u32,
    /// Its configuration as it was then; what becomes of the file later means nothing.
    pub spec: Spec,
    /// Whether its program waits for its start; not written.
    #[serde(skip)]
    pub(super) waits: bool,
}

impl Record {
    pub(super) fn new(
        id: &str,
        bundle: &Path,
        pid: i32,
        cgroup: &Cgroup,
        spec: &Spec,
    ) -> Result<Record> {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Record {
            id: id.to_owned(),
            bundle: bundle.display().to_string(),
            pid,
            started: started(pid).ok_or(RuntimeError::InitGone)?,
            cgroup: cgroup.path().to_owned(),
            created,
            owner: sys::host::user_id(),
            spec: spec.clone(),
            waits: true,
        })
    }

    pub(super) fn read(folder: &Path) -> Result<Record> {
        let path = folder.join(FILE);
        let failed = |source: io::Error| RuntimeError::Read { path: path.clone(), source };
        let text = fs::read(&path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|source| failed(source.into()))
    }

    /// Whole or not at all. Not synced: after another boot there is no container.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let aside = folder.join(".record.json");
        let text = serde_json::to_vec(self).expect("it has only string keys");
        let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path));
        written.map_err(|source| RuntimeError::Write { path, source })
    }

    pub(super) fn stored_state(&self) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            status: Status::Creating,
            pid: self.pid,
            bundle: self.bundle.clone(),
            annotations: self.spec.annotations.clone(),
        }
    }
}

/// When a process was born, unless it is there no more or has ended and only waits to be taken in.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
