//! What is kept of a container, and how it is.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use spec::Timestamp;
use spec::bundle::{NamespaceKind, OCI_VERSION, Spec, State, Status};

use crate::cgroup::{Cgroup, Layout};
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
    /// Its group's path, or its scope of systemd's; empty where it has none of its own.
    pub cgroup: String,
    /// When it was made.
    pub created: Timestamp,
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
        cgroup: Option<&Cgroup>,
        spec: &Spec,
    ) -> Result<Record> {
        Ok(Record {
            id: id.to_owned(),
            bundle: bundle.display().to_string(),
            pid,
            started: started(pid).ok_or(RuntimeError::InitGone)?,
            cgroup: cgroup.map_or_else(String::new, Cgroup::name),
            created: Timestamp::now(),
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

    /// The first process, if it is still the one that was recorded.
    pub(super) fn pidfd(&self) -> Option<OwnedFd> {
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty());
        // Compared when it is held: from here on the number cannot mean another process.
        pidfd.ok().filter(|_| started(self.pid) == Some(self.started))
    }

    /// Its group, if it has one of its own.
    pub(super) fn own_cgroup(&self) -> Result<Option<Cgroup>> {
        match self.cgroup.as_str() {
            "" => Ok(None),
            path => Cgroup::at(Layout::of_host()?, path).map(Some),
        }
    }

    /// What is left of its own group.
    pub(super) fn left_cgroup(&self) -> Result<Option<Cgroup>> {
        match self.cgroup.as_str() {
            "" => Ok(None),
            path => Cgroup::left_at(Layout::of_host()?, path),
        }
    }

    /// Its group, which what is to be done needs.
    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        let none = || {
            let what = format!("container {} was made without a cgroup of its own", self.id);
            RuntimeError::invalid(what)
        };
        self.own_cgroup()?.ok_or_else(none)
    }

    /// How it is, asked of the kernel.
    pub(super) fn status(&self) -> Status {
        if self.pidfd().is_none() {
            return Status::Stopped;
        }
        // One that waits to be started can stand still too.
        match self.own_cgroup() {
            Ok(Some(cgroup)) if cgroup.is_frozen() => Status::Paused,
            _ if self.waits => Status::Created,
            _ => Status::Running,
        }
    }

    pub(super) fn state(&self) -> State {
        let status = self.status();
        let pid = if status == Status::Stopped { 0 } else { self.pid };
        State { status, pid, ..self.stored_state() }
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

    pub(super) fn namespaces(&self) -> Vec<NamespaceKind> {
        let linux = self.spec.linux.as_ref();
        linux.map(|l| l.namespaces.iter().map(|n| n.kind).collect()).unwrap_or_default()
    }
}

/// A container as `state` and `list` show it, with what other runtimes tell besides.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// What the specification asks for.
    #[serde(flatten)]
    pub state: State,
    /// The folder that is its root.
    pub rootfs: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it, by name where the host has one for them.
    pub owner: String,
}

impl From<&Record> for Shown {
    fn from(record: &Record) -> Shown {
        let root = record.spec.root.as_ref().map_or("", |root| root.path.as_str());
        Shown {
            state: record.state(),
            rootfs: Path::new(&record.bundle).join(root).display().to_string(),
            created: record.created,
            owner: user_name(record.owner),
        }
    }
}

fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// When a process was born, unless it is there no more or has ended and only waits to be taken in.
fn started(pid: i32) -> Option<u64> {
    sys::watched::started(pid).ok().flatten()
}
