//! The processes of a container, as the host's `ps` shows them.

use runtime::RuntimeError;
use runtime::cgroup::{Cgroup, Layout};
pub use runtime::table::ProcessTable;
use spec::{ContainerId, HostConfig, NamespaceMode};

use super::bundle;
use crate::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// The processes of a container that runs, with the columns that options of `ps` ask for.
    pub fn container_processes(
        &self,
        id: &ContainerId,
        options: &[String],
    ) -> Result<ProcessTable> {
        let state = self.container_state(id)?;
        match state.status {
            runtime::state::Status::Restarting => {
                return Err(EngineError::Refused(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            status if !status.is_alive() => return Err(EngineError::NotRunning(id.to_string())),
            _ => {}
        }
        let record = self.containers().read(id)?;
        let is_of_user = self.settings().standing.is_of_user();
        if is_of_user && shares_processes(&record.host_config) {
            return Err(EngineError::NoGroups("telling a container's processes from others'"));
        }
        let pids = match is_of_user {
            true => runtime::table::in_namespace_of(state.process.pid)?,
            false => Cgroup::at(Layout::of_host()?, &bundle::cgroup_path(&record))?.processes()?,
        };
        let table = ProcessTable::of(&pids, options).map_err(|error| match error {
            RuntimeError::ProcessList { why } => EngineError::Refused(why),
            other => other.into(),
        })?;
        self.container_event("top", &record, &[]);
        Ok(table)
    }
}

/// Whether processes of others are in the namespace of processes too.
fn shares_processes(host: &HostConfig) -> bool {
    let mode = NamespaceMode::parse(&host.pid_mode);
    matches!(mode, Some(NamespaceMode::Host | NamespaceMode::Container(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_others_says_nothing_of_one_container() {
        let shares = |mode: &str| {
            let pid_mode = mode.to_owned();
            shares_processes(&HostConfig { pid_mode, ..HostConfig::default() })
        };
        assert_eq!(["", "host", "container:x"].map(shares), [false, true, true]);
    }
}
