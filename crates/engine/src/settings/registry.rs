//! What is set about registries: by mica's file, by docker's, containers' and containerd's, and by
//! the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::{Credentials, Mirror, Proxies, Rule, Secret, Serves, StoreSettings};

use crate::error::Result;
use crate::sign::Policy;
use crate::system::RegistryView;

use super::file::{CredentialsKept, RegistriesTable};
use super::{Standing, folder_of};

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Mica's own rules.
    pub rules: Vec<Rule>,
    /// Hosts and networks that need not prove who they are.
    pub insecure: Vec<String>,
    /// Where containers' file may be, and the folders with pieces of it: the first that is there
    /// counts.
    pub registries_conf: (Vec<PathBuf>, Vec<PathBuf>),
    /// Folders with a folder for each host: certificates, and containerd's `hosts.toml`.
    pub host_folders: Vec<PathBuf>,
    /// The authorities to trust instead of the system's.
    pub authorities: Option<PathBuf>,
    /// Where logins are.
    pub credentials: StoreSettings,
    /// Somebody who is asked in the place of those.
    pub lender: Option<Lender>,
    /// The proxies.
    pub proxies: Proxies,
    /// The file that says what may be pulled, if one was named; and where one may be.
    pub policy: (Option<PathBuf>, Vec<PathBuf>),
    /// Where containers' file may be that says what may be pulled, if ours does not: the first that is
    /// there counts.
    pub containers_policy: Vec<PathBuf>,
    /// Where lists of manifests are that were made here.
    pub manifest_lists: PathBuf,
}

/// Somebody who lends credentials of their own.
#[derive(Clone)]
pub struct Lender(pub Arc<dyn Credentials>);

impl fmt::Debug for Lender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Lender")
    }
}

impl RegistrySettings {
    pub(super) fn gather(
        table: RegistriesTable,
        environment: &BTreeMap<String, String>,
    ) -> RegistrySettings {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let place = table.file.display().to_string();
        let rules = table.rules.into_iter().map(|rule| Rule { file: place.clone(), ..rule });
        let config = folder_of(environment, "XDG_CONFIG_HOME", ".config");
        let data = folder_of(environment, "XDG_DATA_HOME", ".local/share");
        let home = environment.get("HOME").map_or("/", String::as_str);
        let docker = variable("DOCKER_CONFIG").map(PathBuf::from);
        let docker = docker.unwrap_or_else(|| Path::new(home).join(".docker"));
        let named = table
            .registries_conf
            .or_else(|| variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from));
        let credentials = StoreSettings {
            docker_config: docker.join("config.json"),
            inline: variable("DOCKER_AUTH_CONFIG").map(Secret::new),
            others: [
                variable("REGISTRY_AUTH_FILE").map(PathBuf::from),
                variable("XDG_RUNTIME_DIR").map(|it| Path::new(it).join("containers/auth.json")),
                Some(config.join("containers/auth.json")),
            ]
            .into_iter()
            .flatten()
            .collect(),
            vault: config.join("mica/credentials.json"),
            key: data.join("mica/credentials.key"),
            plain: table.credentials == CredentialsKept::Plain,
            path: variable("PATH").cloned(),
        };
        RegistrySettings {
            rules: rules.collect(),
            insecure: table.insecure,
            registries_conf: named
                .map_or_else(|| containers(&config), |file| (vec![file], Vec::new())),
            host_folders: table.host_folders.unwrap_or_else(|| host_folders(&config, environment)),
            authorities: variable("SSL_CERT_FILE").map(PathBuf::from),
            credentials,
            lender: None,
            proxies: Proxies::of(environment),
            policy: (table.policy, policies(&config, environment)),
            containers_policy: [&config, Path::new("/etc")]
                .map(|folder| folder.join("containers/policy.json"))
                .to_vec(),
            manifest_lists: config.join("mica/manifests"),
        }
    }
}

impl RegistrySettings {
    /// Asks these mirrors of the Hub first, each `[http[s]://]host[:port][/path]`, as docker does.
    pub fn add_mirrors(&mut self, mirrors: &[String]) {
        if mirrors.is_empty() {
            return;
        }
        let mirror = |text: &String| {
            let (scheme, place) = text.split_once("://").unwrap_or(("https", text));
            Mirror {
                location: place.trim_end_matches('/').to_owned(),
                insecure: scheme == "http",
                serves: Serves::All,
            }
        };
        let mirrors = mirrors.iter().map(mirror).collect();
        let rule = Rule { prefix: "docker.io".to_owned(), mirrors, ..Rule::default() };
        self.rules.insert(0, rule);
    }

    /// What there is to see of them.
    pub(crate) fn view(&self) -> RegistryView {
        let hub = self.rules.iter().find(|rule| rule.prefix == "docker.io");
        let address = |mirror: &Mirror| {
            let scheme = if mirror.insecure { "http" } else { "https" };
            format!("{scheme}://{}/", mirror.location)
        };
        let mirrors = hub.map(|rule| rule.mirrors.iter().map(address).collect());
        RegistryView { mirrors: mirrors.unwrap_or_default(), insecure: self.insecure.clone() }
    }

    /// Goes through these proxies, named as the environment names them, and no others.
    pub fn use_proxies(&mut self, environment: &BTreeMap<String, String>) {
        self.proxies = Proxies::of(environment);
    }

    /// What may be pulled, if anybody says so. A file that was named must be there.
    pub fn policy(&self) -> Result<Option<Policy>> {
        let (named, usual) = &self.policy;
        let file = named.as_ref().or_else(|| usual.iter().find(|file| may_be_there(file)));
        let containers = self.containers_policy.iter().find(|file| may_be_there(file));
        Policy::open(file.map(PathBuf::as_path), containers.map(PathBuf::as_path))
    }
}

/// Whether there is a file, or may be one that cannot be reached: then it must be read, which fails,
/// rather than passed over.
fn may_be_there(file: &Path) -> bool {
    let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    file.symlink_metadata().map_or_else(|error| !missing.contains(&error.kind()), |_| true)
}

/// The user's own policy, and the system's; root has only the latter.
fn policies(config: &Path, environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let system = PathBuf::from("/etc/mica/policy.toml");
    match Standing::of(environment).is_of_user() {
        true => vec![config.join("mica/policy.toml"), system],
        false => vec![system],
    }
}

/// Containers' file: the user's own if there is one, else the system's; and the pieces beside it.
fn containers(config: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let system = Path::new("/etc/containers");
    let own = config.join("containers");
    let files = [&own, system].map(|folder| folder.join("registries.conf")).to_vec();
    let folders = [system, &own].map(|folder| folder.join("registries.conf.d")).to_vec();
    (files, folders)
}

fn host_folders(config: &Path, environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let mut folders = vec!["/etc/docker/certs.d".into(), "/etc/containerd/certs.d".into()];
    if Standing::of(environment).is_of_user() {
        folders.insert(0, config.join("docker/certs.d"));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_reached_is_no_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        for (name, to) in [("gone", "nowhere"), ("round", "round")] {
            std::os::unix::fs::symlink(to, at(name)).unwrap();
        }
        for (name, expected) in [
            ("file", true),
            ("gone", true),
            ("round", true),
            ("round/policy.json", true),
            ("none", false),
            ("none/policy.json", false),
            ("file/policy.json", false),
        ] {
            assert_eq!(may_be_there(&at(name)), expected, "{name}");
        }
    }
}
