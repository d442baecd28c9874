//! Docker's `config.json`. What we do not know in it stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::helper::Helper;
use crate::error::CredentialError;
use crate::secret::{Credential, Secret};

/// A configuration, and where it lies.
pub(super) struct DockerConfig {
    path: PathBuf,
    document: Map<String, Value>,
}

impl DockerConfig {
    /// Reads it. One that is missing is empty, and so is one that is none, as docker has it: whoever
    /// uses it was told.
    pub(super) fn read(path: &Path) -> Result<DockerConfig, CredentialError> {
        let empty = || DockerConfig { path: path.to_owned(), document: Map::new() };
        match DockerConfig::open(path) {
            Err(CredentialError::Malformed { .. }) => Ok(empty()),
            Ok(found) => Ok(found.unwrap_or_else(empty)),
            Err(error) => Err(error),
        }
    }

    fn open(path: &Path) -> Result<Option<DockerConfig>, CredentialError> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(super::io("read", path)(error)),
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                DockerConfig::parse(path.to_owned(), &text).map(Some)
            }
        }
    }

    /// What is wrong with a configuration, if anything is.
    pub(super) fn trouble(path: &Path) -> Option<String> {
        let check = |config: DockerConfig| {
            let auths = config.document.get("auths").and_then(Value::as_object);
            let mut entries = auths.into_iter().flat_map(Map::values);
            entries.try_for_each(|entry| config.credential(entry).map(|_| ()))
        };
        match DockerConfig::open(path).and_then(|found| found.map_or(Ok(()), check)) {
            Err(CredentialError::Malformed { why, .. }) => Some(why),
            _ => None,
        }
    }

    pub(super) fn parse(path: PathBuf, text: &str) -> Result<DockerConfig, CredentialError> {
        let malformed = |why: &str| {
            // Not the parser's own words: they could quote what is a secret.
            CredentialError::Malformed { path: path.display().to_string(), why: why.to_owned() }
        };
        if text.trim().is_empty() {
            return Ok(DockerConfig { path, document: Map::new() });
        }
        let document = serde_json::from_str(text).map_err(|error| {
            malformed(&format!("no JSON object (line {}, column {})", error.line(), error.column()))
        })?;
        Ok(DockerConfig { path, document })
    }

    /// The helper for a server: its own, or the one for all.
    pub(super) fn helper(&self, server: &str, path: &Option<String>) -> Option<Helper> {
        let helpers = self.document.get("credHelpers").and_then(Value::as_object);
        let own = helpers
            .and_then(|helpers| helpers.get(server).or_else(|| helpers.get(host_of(server))));
        let name = own.and_then(Value::as_str).filter(|name| !name.is_empty());
        match name {
            Some(name) => Some(Helper::new(name, path)),
            None => self.default_helper(path),
        }
    }

    pub(super) fn default_helper(&self, path: &Option<String>) -> Option<Helper> {
        let name = self.document.get("credsStore")?.as_str().filter(|name| !name.is_empty())?;
        Some(Helper::new(name, path))
    }

    /// The plain entry for a server: under its name, or under an address at that host.
    pub(super) fn find(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        let Some(auths) = self.document.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let by_host = || {
            auths.iter().find(|(name, _)| host_of(name) == host_of(server)).map(|(_, entry)| entry)
        };
        match auths.get(server).or_else(by_host) {
            Some(entry) => self.credential(entry),
            None => Ok(None),
        }
    }

    /// The plain entry for a whole registry, as containers' tools write it: repositories have entries of
    /// their own there, which are for nobody else.
    pub(super) fn find_host(&self, server: &str) -> Option<Credential> {
        let auths = self.document.get("auths").and_then(Value::as_object)?;
        let host = super::host_known_as(server);
        let is_host = |name: &str| match name.contains("://") {
            true => super::host_known_as(host_of(name)) == host,
            false => super::host_known_as(name) == host,
        };
        let entry = auths.iter().find(|(name, _)| is_host(name)).map(|(_, entry)| entry)?;
        self.credential(entry).unwrap_or_default()
    }

    fn credential(&self, entry: &Value) -> Result<Option<Credential>, CredentialError> {
        let text =
            |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        let mut user = text("username").unwrap_or_default().to_owned();
        let mut password = text("password").map(Secret::new);
        if let Some(pair) = text("auth") {
            let pair = decoded(pair).ok_or_else(|| self.malformed("an `auth` is no base64"))?;
            let (name, secret) = pair
                .expose()
                .split_once(':')
                .ok_or_else(|| self.malformed("an `auth` has no colon"))?;
            user = name.to_owned();
            password = Some(Secret::new(secret.trim_matches('\0')));
        }
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Credential::IdentityToken { user, token: Secret::new(token) }));
        }
        let password = password.filter(|_| !user.is_empty());
        Ok(password.map(|password| Credential::Password { user, password }))
    }

    fn malformed(&self, why: &str) -> CredentialError {
        CredentialError::Malformed { path: self.path.display().to_string(), why: why.to_owned() }
    }

    /// All servers with plain entries.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        let auths = self.document.get("auths").and_then(Value::as_object);
        let rows = auths.into_iter().flatten().filter_map(|(server, entry)| {
            let credential = self.credential(entry).ok()??;
            Some((server.clone(), super::user_of(&credential).to_owned()))
        });
        rows.collect()
    }

    /// Writes a plain entry.
    pub(super) fn put(&mut self, server: &str, credential: &Credential) -> bool {
        let entry = match credential {
            Credential::Password { user, password } => {
                let pair = Secret::new(format!("{user}:{}", password.expose()));
                json!({ "auth": BASE64_STANDARD.encode(pair.expose()) })
            }
            Credential::IdentityToken { user, token } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:"));
                json!({ "auth": pair, "identitytoken": token.expose() })
            }
            Credential::RegistryToken(token) => json!({ "registrytoken": token.expose() }),
        };
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        auths[server] = entry;
        true
    }

    /// Takes a plain entry away.
    pub(super) fn remove(&mut self, server: &str) -> bool {
        let auths = self.document.get_mut("auths").and_then(Value::as_object_mut);
        auths.is_some_and(|auths| {
            let before = auths.len();
            auths.retain(|name, _| name != server && host_of(name) != host_of(server));
            auths.len() < before
        })
    }

    /// Changes the file, and says whether there was something to change.
    pub(super) fn change(
        mut self,
        change: impl FnOnce(&mut DockerConfig) -> bool,
    ) -> Result<bool, CredentialError> {
        if !change(&mut self) {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, tabs);
        self.document.serialize(&mut writer).expect("a document is written to memory");
        super::replace(&self.path, &bytes)?;
        Ok(true)
    }
}

/// The host of a server's name, which may be an address.
fn host_of(server: &str) -> &str {
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    bare.unwrap_or(server).split('/').next().unwrap_or_default()
}

fn decoded(text: &str) -> Option<Secret> {
    let bytes = BASE64_STANDARD.decode(text.trim()).ok()?;
    String::from_utf8(bytes).ok().map(Secret::new)
}
