//! Hosts that are no registries: asked directly, by the same proxies and authorities.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use ureq::Agent;
use ureq::http::Uri;

use crate::client::Limits;
use crate::error::RegistryError;
use crate::http::lock;
use crate::proxy::Proxies;
use crate::tls;

/// Whoever asks hosts that are no registries. Redirects and statuses are the caller's.
pub struct Direct {
    limits: Limits,
    proxies: Proxies,
    /// The authorities to trust instead of the system's.
    authorities: Option<PathBuf>,
    user_agent: String,
    agents: Mutex<BTreeMap<(bool, Option<String>), Agent>>,
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
        let encrypted = uri.scheme_str() == Some("https");
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let proxy = self.proxies.of_host(encrypted, host).map(str::to_owned);
        let key = (encrypted, proxy);
        if let Some(agent) = lock(&self.agents).get(&key) {
            return Ok(agent.clone());
        }
        let proxy = key.1.as_deref().map(ureq::Proxy::new).transpose();
        let proxy = proxy.map_err(|_| RegistryError::Address("the proxy".to_owned()))?;
        let limits = &self.limits;
        let mut config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(limits.header_bytes)
            .max_idle_connections_per_host(32)
            .allow_non_standard_methods(true)
            .user_agent(self.user_agent.clone())
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.idle))
            .timeout_per_write(Some(limits.idle))
            .timeout_recv_response(Some(limits.answer))
            .input_buffer_size(256 << 10)
            .output_buffer_size(256 << 10);
        if encrypted {
            config = config.tls_config(tls::of_system(self.authorities.as_deref())?);
        }
        let agent = Agent::new_with_config(config.build());
        lock(&self.agents).insert(key, agent.clone());
        Ok(agent)
    }
}
