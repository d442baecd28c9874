//! What all calls share: how the store is opened, and who waits for a container to start.

use std::path::PathBuf;
use std::time::Duration;

use engine::Engine;

use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::socket::Listen;
use crate::tls::Tls;

/// How the API is served.
pub struct Settings {
    /// The store and all else that commands know too.
    pub engine: engine::Settings,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// What clients by TCP have to prove, if they have to.
    pub tls: Option<Tls>,
    /// Whether clients by TCP may come without a proof.
    pub plain_tcp: bool,
    /// The group that may use the socket.
    pub group: String,
    /// How long requests that are being answered get when the server is to end.
    pub grace: Duration,
    /// A file for the server's process id.
    pub pid_file: Option<PathBuf>,
}

impl Settings {
    /// On these places, and in all else as docker does it.
    pub fn new(engine: engine::Settings, listen: Vec<Listen>) -> Settings {
        Settings {
            engine,
            listen,
            tls: None,
            plain_tcp: false,
            group: "docker".to_owned(),
            grace: Duration::from_secs(10),
            pid_file: None,
        }
    }
}

/// What all calls share.
pub(crate) struct App {
    settings: engine::Settings,
    pub(crate) gate: Gate,
}

impl App {
    pub(crate) fn new(settings: engine::Settings) -> App {
        App { settings, gate: Gate::default() }
    }

    /// The engine, opened for one call: between two of them another process may have changed
    /// anything, even the way in which images are kept.
    pub(crate) fn engine(&self) -> Result<Engine, Refusal> {
        Ok(Engine::open(self.settings.clone())?)
    }

    /// The settings.
    pub(crate) fn settings(&self) -> &engine::Settings {
        &self.settings
    }
}
