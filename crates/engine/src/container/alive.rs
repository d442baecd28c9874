//! What is asked of a container that runs. Its monitor answers; whoever speaks to it is handed in.

use runtime::attach::{Request, StopRequest};
use spec::{ContainerId, EndpointSettings};

use super::network::Move;
use crate::Engine;
use crate::error::Result;

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
        let at_once = StopRequest { signal: Some(KILL), timeout: Some(0), for_good: true };
        self.stop_container(id, at_once)
    }

    fn freeze(&self, id: &ContainerId, frozen: bool) -> Result<()> {
        self.freeze_container(id, frozen)
    }

    fn connect(&self, id: &ContainerId, network: &str, settings: &EndpointSettings) -> Result<()> {
        let (network, settings) = (network.to_owned(), Box::new(settings.clone()));
        self.tell(id, &Move::Connect { network, settings })
    }

    fn disconnect(&self, id: &ContainerId, network: &str) -> Result<()> {
        self.tell(id, &Move::Disconnect { network: network.to_owned() })
    }
}

const KILL: i32 = 9;

impl Engine {
    pub(super) fn tell(&self, id: &ContainerId, change: &Move) -> Result<()> {
        let words = serde_json::to_value(change).expect("a change has only string keys");
        self.ask_monitor(id, &Request::Tell(words)).map(drop)
    }

    /// The process whose root is a running container's, if it runs.
    pub(crate) fn process(&self, id: &ContainerId) -> Result<Option<i32>> {
        let state = self.container_state(id)?;
        Ok(Some(state.process.pid).filter(|pid| state.status.is_alive() && *pid > 0))
    }
}
