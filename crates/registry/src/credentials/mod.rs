//! Who somebody is to which registry: docker's configuration, credential helpers, and a file of
//! mica's own that nobody can read without its key.
//!
//! Looked up in this order: `DOCKER_AUTH_CONFIG`, the helper that docker's configuration names for
//! the host or for all, mica's own file, the plain entries of docker's configuration, those of
//! containers' files. A login goes to the helper if there is one, else to mica's file, and into plain
//! text only when that is asked.

mod docker;
mod helper;
mod vault;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::CredentialError;
use crate::secret::{Credential, Credentials, Secret};
use docker::DockerConfig;
use helper::Helper;
use vault::Vault;

/// Where credentials are.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Docker's `config.json`.
    pub docker_config: PathBuf,
    /// What `DOCKER_AUTH_CONFIG` holds: a configuration that goes before the file.
    pub inline: Option<Secret>,
    /// Files of podman and skopeo, of docker's form, which are read and never written.
    pub others: Vec<PathBuf>,
    /// Mica's own file.
    pub vault: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
    /// Whether a login goes into docker's configuration as plain text.
    pub plain: bool,
    /// Where helpers are looked for: `PATH`.
    pub path: Option<String>,
}

/// Who is known where.
pub struct CredentialStore {
    settings: StoreSettings,
}

/// Where a login was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A helper has it.
    Helper(String),
    /// It is encrypted in this file.
    Encrypted(PathBuf),
    /// It is in this file for whoever can read it.
    Plain(PathBuf),
}

impl CredentialStore {
    /// A store that has read nothing yet.
    pub fn new(settings: StoreSettings) -> CredentialStore {
        CredentialStore { settings }
    }

    /// Keeps a credential for a server.
    pub fn store(&self, server: &str, credential: &Credential) -> Result<Kept, CredentialError> {
        let docker = self.docker()?;
        if let Some(helper) = self.helper(&docker, server) {
            helper.store(server, credential)?;
            return Ok(Kept::Helper(helper.name));
        }
        if self.settings.plain {
            self.change_docker(|config| config.put(server, credential))?;
            return Ok(Kept::Plain(self.settings.docker_config.clone()));
        }
        self.vault().change(|all| {
            all.insert(server.to_owned(), credential.clone());
            true
        })?;
        Ok(Kept::Encrypted(self.settings.vault.clone()))
    }

    /// Forgets a server everywhere. Says whether it was known. A helper that fails is an error, but
    /// all else is forgotten by then.
    pub fn erase(&self, server: &str) -> Result<bool, CredentialError> {
        let docker = self.docker()?;
        let erased = self.helper(&docker, server).map(|helper| {
            let known = helper.get(server).is_ok_and(|found| found.is_some());
            helper.erase(server).map(|()| known)
        });
        let vault = self.vault();
        let mut known = match vault.remove(server) {
            Ok(removed) => removed,
            // What cannot be read is of no use to anybody: whoever logs out wants it gone.
            Err(CredentialError::WrongKey { .. }) => vault.destroy()?,
            Err(error) => return Err(error),
        };
        if self.settings.docker_config.exists() {
            known |= self.change_docker(|config| config.remove(server))?;
        }
        known |= erased.transpose()?.unwrap_or_default();
        Ok(known)
    }

    /// All servers that are known, with the names that somebody has there.
    pub fn list(&self) -> Result<Vec<(String, String)>, CredentialError> {
        let docker = self.docker()?;
        let mut all: Vec<(String, String)> = docker.list();
        all.extend(
            self.vault()
                .read()?
                .iter()
                .map(|(server, credential)| (server.clone(), user_of(credential).to_owned())),
        );
        if let Some(helper) = docker.default_helper(&self.settings.path) {
            all.extend(helper.list()?);
        }
        all.sort();
        all.dedup_by(|a, b| a.0 == b.0);
        Ok(all)
    }

    fn docker(&self) -> Result<DockerConfig, CredentialError> {
        DockerConfig::read(&self.settings.docker_config)
    }

    /// Changes docker's file as it is by then.
    fn change_docker(
        &self,
        change: impl FnOnce(&mut DockerConfig) -> bool,
    ) -> Result<bool, CredentialError> {
        let _one = one_at_a_time(&self.settings.docker_config)?;
        self.docker()?.change(change)
    }

    fn helper(&self, docker: &DockerConfig, server: &str) -> Option<Helper> {
        docker.helper(server, &self.settings.path)
    }

    fn vault(&self) -> Vault {
        Vault { file: self.settings.vault.clone(), key: self.settings.key.clone() }
    }
}

impl Credentials for CredentialStore {
    fn find(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        if let Some(inline) = &self.settings.inline {
            let config = DockerConfig::parse("DOCKER_AUTH_CONFIG".into(), inline.expose())?;
            if let Some(found) = config.find(server)? {
                return Ok(Some(found));
            }
        }
        let docker = self.docker()?;
        let helped = self.helper(&docker, server).map_or(Ok(None), |helper| helper.get(server));
        if let Ok(Some(found)) = helped {
            return Ok(Some(found));
        }
        if let Some(found) = self.vault().read()?.remove(server) {
            return Ok(Some(found));
        }
        // An entry that is none is nobody's.
        let plain = docker.find(server).unwrap_or_default();
        let other = |path: &PathBuf| DockerConfig::read(path).ok()?.find_host(server);
        match plain.or_else(|| self.settings.others.iter().find_map(other)) {
            Some(found) => Ok(Some(found)),
            // Nobody else knows either: then it is of interest that the helper failed.
            None => helped,
        }
    }
}

/// What keeps docker's configuration from being understood, if anything does. It is read as if what is
/// wrong were not there.
pub fn config_trouble(path: &Path) -> Option<String> {
    DockerConfig::trouble(path)
}

/// The host of a server as containers' files name it.
fn host_known_as(server: &str) -> &str {
    match server {
        "https://index.docker.io/v1/" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

fn user_of(credential: &Credential) -> &str {
    match credential {
        Credential::Password { user, .. } | Credential::IdentityToken { user, .. } => user,
        Credential::RegistryToken(_) => "",
    }
}

/// An error of a file.
fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CredentialError {
    let path = path.display().to_string();
    move |source| CredentialError::Io { doing, path, source }
}

/// Replaces a file that only its owner may read, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CredentialError> {
    // What others link to stays where it is; a configuration is often a link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let id = sys::host::random_id().map_err(io("write", path))?;
    let aside = folder.join(format!(".{}", &id[..16]));
    let written = create_private(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, &target)
    });
    written.map_err(|error| {
        // The first error is what counts.
        let _ = fs::remove_file(&aside);
        io("write", path)(error)
    })
}

/// Whoever wants to change a file waits here until nobody else does. The folder is locked, because the
/// file is replaced. Where a file system knows no locks, who comes last counts, as with docker.
fn one_at_a_time(path: &Path) -> Result<File, CredentialError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let file = File::open(folder).map_err(io("open", folder))?;
    let _ = sys::lock::lock(&file, sys::lock::Mode::Exclusive);
    Ok(file)
}

/// A new file that only its owner may read.
fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn make_folder(folder: &Path) -> Result<(), CredentialError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(io("create", folder))
}

#[cfg(test)]
mod tests;
