//! What is asked of a container that runs. Its monitor answers; whoever speaks to it is handed in.

use std::path::PathBuf;

use runtime::attach::StopRequest;
use runtime::state::{self, State};
use spec::{ContainerId, EndpointSettings};

use crate::Engine;
use crate::error::{EngineError, Result};

/// Whoever can speak to the monitors of containers that run.
pub trait Alive {
    /// Ends a container at once, and for good: its policy does not start it again.
    fn end(&self, id: &ContainerId) -> Result<()>;
    /// Freezes a container, or lets it go on.
    fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<()>;
    /// Puts a container into one more network.
    fn connect(&self, id: &ContainerId, network: &str, settings: &EndpointSettings) -> Result<()>;
    /// Takes a container out of a network.
    fn disconnect(&self, id: &ContainerId, network: &str) -> Result<()>;
}

impl Alive for Engine {
    fn end(&self, id: &ContainerId) -> Result<()> {
        let at_once = StopRequest { signal: Some(KILL), timeout: Some(0) };
        self.stop_container(id, at_once)
    }

    fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<()> {
        self.freeze_container(id, frozen)
    }

    fn connect(&self, id: &ContainerId, _: &str, _: &EndpointSettings) -> Result<()> {
        refuse(id, "connect")
    }

    fn disconnect(&self, id: &ContainerId, _: &str) -> Result<()> {
        refuse(id, "disconnect")
    }
}

const KILL: i32 = 9;

fn refuse(id: &ContainerId, what: &str) -> Result<()> {
    Err(EngineError::Refused(format!(
        "cannot {what} container {id} while it runs: stop it first, then {what} and start it"
    )))
}

impl Engine {
    /// How a container is. Nothing is changed by asking.
    pub fn state(&self, id: &ContainerId) -> Result<State> {
        observe(self.containers().folder(id))
    }

    /// The process whose root is a running container's, if it runs.
    pub(crate) fn process(&self, id: &ContainerId) -> Result<Option<i32>> {
        let state = self.state(id)?;
        Ok(Some(state.process.pid).filter(|pid| state.status.is_alive() && *pid > 0))
    }
}

/// The state in a container's folder.
pub(super) fn observe(folder: PathBuf) -> Result<State> {
    let observed = state::observe(&folder);
    Ok(observed.map_err(EngineError::io("read the state in", folder))?.state)
}
