//! What the machine's last end left: containers that are put in order, and started again where their
//! policy asks for it.

use std::collections::BTreeSet;

use runtime::restart;
use runtime::state::{self, State, Status};
use spec::{IpcMode, NamespaceMode, NetworkMode};

use super::start::{Starting, monitor};
use crate::error::{EngineError, Result};
use crate::{ContainerRecord, Engine};

/// A container that was to be started after a boot.
#[derive(Debug)]
pub struct Booted {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub started: Result<()>,
}

/// So many are started at once.
const AT_ONCE: usize = 8;

impl Engine {
    /// Starts what ran, or has run, in an earlier boot and whose policy asks for it; those after
    /// whose namespaces they share. What was to be removed when it ended is removed. Containers that
    /// somebody has started or stopped since the machine came up are left alone.
    pub fn boot(&self) -> Result<Vec<Booted>> {
        let boot = sys::host::boot_id().map_err(EngineError::io("read", "the boot's id"))?;
        self.start_again(Some(&boot))
    }

    /// The same when a server comes up that ends containers when it goes: what ran in this boot and
    /// runs no more is started again too.
    pub fn resume(&self) -> Result<Vec<Booted>> {
        self.start_again(None)
    }

    fn start_again(&self, boot: Option<&str>) -> Result<Vec<Booted>> {
        let mut waiting = Vec::new();
        for record in self.containers().list()? {
            let folder = self.containers().folder(&record.id);
            let io = EngineError::io("read the state in", &folder);
            let written = state::read(&folder).map_err(io)?;
            if boot == Some(written.boot.as_str()) || written.started.is_zero() {
                continue;
            }
            let state = self.container_state(&record.id)?;
            // One that was to be removed has been, if it ran when the machine went down.
            if state.status.is_alive() || state.status == Status::Removing {
                continue;
            }
            if record.host_config.auto_remove {
                self.discard_container(&record, true)?;
            } else if wants_to_run(&record, &state) {
                waiting.push(record);
            }
        }
        // The eldest first, as they were once made.
        waiting.reverse();
        Ok(self.start_in_order(waiting))
    }

    fn start_in_order(&self, mut waiting: Vec<ContainerRecord>) -> Vec<Booted> {
        let mut booted = Vec::new();
        while !waiting.is_empty() {
            let named: BTreeSet<String> = waiting.iter().flat_map(names).collect();
            let is_ready =
                |record: &ContainerRecord| !needs(record).iter().any(|name| named.contains(name));
            let (mut ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            waiting = rest;
            if ready.is_empty() {
                // They wait for each other; each says so itself when it is tried.
                ready = std::mem::take(&mut waiting);
            }
            for some in ready.chunks(AT_ONCE) {
                booted.extend(self.start_together(some));
            }
        }
        booted
    }

    fn start_together(&self, records: &[ContainerRecord]) -> Vec<Booted> {
        let begun: Vec<(String, Result<Starting>)> = records
            .iter()
            .map(|record| (record.name.clone(), self.begin_start(&record.id, None)))
            .collect();
        let finish = |(name, begun): (String, Result<Starting>)| {
            let started = begun.and_then(|Starting { mut connection, start, .. }| {
                connection.answer(start).map(drop).map_err(monitor)
            });
            Booted { name, started }
        };
        begun.into_iter().map(finish).collect()
    }
}

fn wants_to_run(record: &ContainerRecord, state: &State) -> bool {
    restart::at_boot(&record.host_config.restart_policy, state.stopped)
}

/// What others may call a container.
fn names(record: &ContainerRecord) -> Vec<String> {
    vec![record.name.clone(), record.id.to_string()]
}

/// The containers whose namespaces one shares, in whatever words.
fn needs(record: &ContainerRecord) -> Vec<String> {
    let host = &record.host_config;
    let mut list = Vec::new();
    if let NetworkMode::Container(name) = NetworkMode::parse(&host.network_mode) {
        list.push(name);
    }
    if let Some(NamespaceMode::Container(name)) = NamespaceMode::parse(&host.pid_mode) {
        list.push(name);
    }
    if let Some(IpcMode::Container(name)) = IpcMode::parse(&host.ipc_mode) {
        list.push(name);
    }
    list
}
