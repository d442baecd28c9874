//! Hosts that are no registries: asked directly, by the same proxies and authorities.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;

use crate::client::Limits;
use crate::error::RegistryError;
use crate::http::{agent, lock};
use crate::proxy::{Proxies, Proxy};
use crate::tls;

/// Files come from whatever makes them: a server that packs one while it is asked may be silent for long.
const FILE_IDLE: Duration = Duration::from_secs(600);
/// Until such a server answers at all.
const FILE_ANSWER: Duration = Duration::from_secs(3600);
/// So many connections to one host are kept: a store of objects is asked for many at once.
const IDLE: usize = 32;

/// Whoever asks hosts that are no registries. Redirects and statuses are the caller's.
pub struct Direct {
    limits: Limits,
    proxies: Proxies,
    /// The authorities to trust instead of the system's.
    authorities: Option<PathBuf>,
    user_agent: String,
    /// By whether they talk TLS, by their proxy, and by whether they wait for long.
    agents: Mutex<BTreeMap<(bool, Option<Proxy>, bool), Agent>>,
}

impl Direct {
    /// One who has asked nobody yet.
    pub fn new(proxies: Proxies, authorities: Option<PathBuf>, user_agent: String) -> Direct {
        let (limits, agents) = (Limits::default(), Mutex::default());
        Direct { limits, proxies, authorities, user_agent, agents }
    }

    /// Who asks for an address: made when it is first needed, so that a machine without
    /// certificates can still ask itself without TLS.
    pub fn agent(&self, uri: &Uri) -> Result<Agent, RegistryError> {
        self.agent_of(uri, false)
    }

    /// The same, for a file that may be long in coming.
    pub(crate) fn patient_agent(&self, uri: &Uri) -> Result<Agent, RegistryError> {
        self.agent_of(uri, true)
    }

    fn agent_of(&self, uri: &Uri, is_patient: bool) -> Result<Agent, RegistryError> {
        let encrypted = uri.scheme_str() == Some("https");
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let proxy = self.proxies.of_host(encrypted, host)?;
        let key = (encrypted, proxy, is_patient);
        if let Some(agent) = lock(&self.agents).get(&key) {
            return Ok(agent.clone());
        }
        let proxy = key.1.as_ref();
        let tls = match encrypted || proxy.is_some_and(Proxy::is_encrypted) {
            true => Some(tls::of_system(self.authorities.as_deref())?),
            false => None,
        };
        let proxy = proxy.map(|proxy| (proxy, encrypted));
        let limits = match is_patient {
            true => Limits { idle: FILE_IDLE, answer: FILE_ANSWER, ..self.limits.clone() },
            false => self.limits.clone(),
        };
        let agent = agent(&limits, &self.user_agent, proxy, IDLE, tls);
        lock(&self.agents).insert(key, agent.clone());
        Ok(agent)
    }
}
