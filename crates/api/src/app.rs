//! What all calls share: how the store is opened, and who waits for a container to start.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use engine::Engine;

use crate::buildkit::Open;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::socket::Listen;
use crate::tls::Tls;

/// What is spoken with clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Speech {
    /// Docker's API.
    #[default]
    Docker,
    /// BuildKit's services alone.
    BuildKit,
}

/// How the API is served.
pub struct Settings {
    /// The store and all else that commands know too.
    pub engine: engine::Settings,
    /// What is spoken.
    pub speech: Speech,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// What clients by TCP have to prove, if they have to.
    pub tls: Option<Tls>,
    /// Whether clients by TCP may come without a proof.
    pub plain_tcp: bool,
    /// The group that may use the socket.
    pub group: String,
    /// What builds of BuildKit's clients may be allowed that they are not by themselves.
    pub entitlements: Vec<String>,
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
            speech: Speech::default(),
            listen,
            tls: None,
            plain_tcp: false,
            group: "docker".to_owned(),
            entitlements: vec!["network.host".to_owned()],
            grace: Duration::from_secs(10),
            pid_file: None,
        }
    }
}

/// Whoever has the API served.
pub trait Watch {
    /// It answers at this place.
    fn ready(&self, place: &str);
    /// A signal has come. Requests are answered meanwhile.
    fn signalled(&self) -> Next;
}

/// What becomes of a server after a signal.
pub enum Next {
    /// It goes on.
    Stay,
    /// It goes on with other settings, for requests that come from now on.
    Change(Box<engine::Settings>),
    /// It ends.
    End,
}

/// What all calls share.
pub(crate) struct App {
    settings: RwLock<Arc<engine::Settings>>,
    pub(crate) speech: Speech,
    pub(crate) entitlements: Vec<String>,
    pub(crate) gate: Gate,
    /// What BuildKit's clients have open.
    pub(crate) buildkit: Open,
}

impl App {
    pub(crate) fn new(settings: &Settings) -> App {
        App {
            settings: RwLock::new(Arc::new(settings.engine.clone())),
            speech: settings.speech,
            entitlements: settings.entitlements.clone(),
            gate: Gate::default(),
            buildkit: Open::default(),
        }
    }

    /// The engine, opened for one call: between two of them another process may have changed
    /// anything, even the way in which images are kept.
    pub(crate) fn engine(&self) -> Result<Engine, Refusal> {
        Ok(Engine::open((*self.settings()).clone())?)
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Arc<engine::Settings> {
        // What was being written is one pointer: it is there or not, whoever died meanwhile.
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has other settings from now on.
    pub(crate) fn change(&self, settings: engine::Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}
