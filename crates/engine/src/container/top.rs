//! The processes of a container, as the host's `ps` shows them.

use runtime::RuntimeError;
use runtime::cgroup::{Cgroup, Layout};
pub use runtime::table::ProcessTable;
use runtime::table::in_namespace_of;
use spec::bundle::NamespaceKind;
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
        let pids = match self.settings().standing.is_of_user() {
            true => in_namespace_of(state.process.pid, telling(&record.host_config))?,
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

/// The namespace that tells a container's processes from others' where there are no control
/// groups. That of processes may have others in it; that of mounts is always a container's own, but
/// a process may have left it.
fn telling(host: &HostConfig) -> NamespaceKind {
    match NamespaceMode::parse(&host.pid_mode) {
        Some(NamespaceMode::Host | NamespaceMode::Container(_)) => NamespaceKind::Mount,
        _ => NamespaceKind::Pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_others_says_nothing_of_one_container() {
        let told = |mode: &str| {
            let pid_mode = mode.to_owned();
            telling(&HostConfig { pid_mode, ..HostConfig::default() })
        };
        let mount = NamespaceKind::Mount;
        assert_eq!(["", "host", "container:x"].map(told), [NamespaceKind::Pid, mount, mount]);
    }
}
