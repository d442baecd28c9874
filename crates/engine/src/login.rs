//! Who we are to registries: the client that asks as somebody, logging in and out.

use std::sync::Arc;

use registry::{
    Anonymous, Client, ClientSettings, Credential, CredentialError, CredentialStore, Credentials,
    Direct, Kept, Limits, RegistryError, Rules, Secret, read_registries_conf, server_key,
};

use crate::error::Result;
use crate::settings::{RegistrySettings, Settings};
use crate::system::VERSION;

/// A request to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The registry, as it was named: a host, an address, or nothing for the Hub.
    pub server: Option<String>,
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// Where it was written down.
    pub kept: Kept,
}

/// The Hub's host as docker's configuration names it.
const HUB: &str = "docker.io";

impl Settings {
    /// A client for registries, which has talked to nobody yet.
    pub fn client(&self) -> Result<Client> {
        self.registry.client(None, Limits::default())
    }

    /// Who asks hosts that are no registries.
    pub fn direct(&self) -> Direct {
        let RegistrySettings { proxies, authorities, .. } = &self.registry;
        Direct::new(proxies.clone(), authorities.clone(), format!("mica/{VERSION}"))
    }

    /// One for somebody behind whom others wait, who have patience of their own.
    pub fn hasty_client(&self) -> Result<Client> {
        let usual = Limits::default();
        let (attempts, connect) = (2, usual.connect / 6);
        self.registry.client(None, Limits { attempts, connect, pause: usual.pause / 5, ..usual })
    }
}

/// Who somebody else is, to one registry: whoever asks on their behalf is nobody anywhere else.
struct Only {
    server: String,
    credential: Credential,
}

impl Credentials for Only {
    fn find(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(Some(&self.credential).filter(|_| server == self.server).cloned())
    }
}

impl Settings {
    /// A client that is somebody else to one host, or nobody anywhere: never who we are.
    pub fn client_for(&self, host: &str, credential: Option<Credential>) -> Result<Client> {
        let server = server_key(self::host(Some(host))).to_owned();
        let credentials: Arc<dyn Credentials> = match credential {
            Some(credential) => Arc::new(Only { server, credential }),
            None => Arc::new(Anonymous),
        };
        self.registry.client(Some(credentials), Limits::default())
    }

    /// Tries a name and a password, or a token, at a registry; keeps nothing. Gives the token that
    /// the registry wants to see from now on, if it has one.
    pub fn try_login(
        &self,
        server: Option<&str>,
        credential: &Credential,
    ) -> Result<Option<Secret>> {
        let client = self.registry.client(Some(Arc::new(Anonymous)), Limits::default())?;
        Ok(client.login(host(server), credential)?)
    }
}

impl RegistrySettings {
    fn client(&self, credentials: Option<Arc<dyn Credentials>>, limits: Limits) -> Result<Client> {
        let (files, folders) = &self.registries_conf;
        let file = files.iter().find(|file| file.exists()).or(files.last());
        let read = |file| read_registries_conf(file, folders);
        let rules = Rules {
            own: self.rules.clone(),
            containers: file.map(|file| read(file)).transpose()?.unwrap_or_default(),
            host_folders: self.host_folders.clone(),
            insecure: self.insecure.clone(),
        };
        Ok(Client::new(ClientSettings {
            rules,
            certificates: self.host_folders.clone(),
            authorities: self.authorities.clone(),
            proxies: self.proxies.clone(),
            limits,
            credentials: credentials
                .or_else(|| self.lender.as_ref().map(|lender| lender.0.clone()))
                .unwrap_or_else(|| Arc::new(self.store())),
            user_agent: format!("mica/{VERSION}"),
        }))
    }

    fn store(&self) -> CredentialStore {
        CredentialStore::new(self.credentials.clone())
    }

    /// What is known of a server already. A helper that fails knows nobody.
    pub fn known(&self, server: Option<&str>) -> Result<Option<Credential>> {
        match self.store().find(server_key(host(server))) {
            Err(CredentialError::Helper { .. }) => Ok(None),
            found => Ok(found.map_err(RegistryError::from)?),
        }
    }

    /// Tries a name and a password at a registry, and keeps them if they are right.
    pub fn login(&self, login: &Login) -> Result<LoggedIn> {
        let host = host(login.server.as_deref());
        let Login { user, password, .. } = login.clone();
        let credential = Credential::Password { user: user.clone(), password };
        let refresh = self.client(None, Limits::default())?.login(host, &credential)?;
        let credential = match refresh {
            Some(token) => Credential::IdentityToken { user, token },
            None => credential,
        };
        let kept =
            self.store().store(server_key(host), &credential).map_err(RegistryError::from)?;
        Ok(LoggedIn { kept })
    }

    /// Forgets who we are to a registry. Says whether that was known.
    pub fn logout(&self, server: Option<&str>) -> Result<bool, CredentialError> {
        self.store().erase(server_key(host(server)))
    }
}

/// The host of a server, which may be written as an address.
fn host(server: Option<&str>) -> &str {
    let server = server.unwrap_or(HUB);
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    let host = bare.unwrap_or(server).split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => HUB,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn servers_are_hosts() {
        assert_eq!(host(None), "docker.io");
        assert_eq!(host(Some("https://index.docker.io/v1/")), "docker.io");
        assert_eq!(host(Some("localhost:5000")), "localhost:5000");
        assert_eq!(host(Some("http://a.org/v2/")), "a.org");
    }
}
