//! BuildKit's own configuration file: what of it means something here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use registry::{Mirror, Rule};
use serde::Deserialize;

use super::SettingsError;

/// What a file says. What concerns workers' own ways of working (snapshotters, networks, garbage)
/// is not read: there is one worker, the store.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BuildKitFile {
    /// Whether all is told.
    pub debug: bool,
    /// Where everything is kept.
    pub root: Option<PathBuf>,
    /// What builds may be allowed that they are not by themselves.
    #[serde(rename = "insecure-entitlements")]
    pub entitlements: Vec<String>,
    /// Where it is listened.
    pub grpc: GrpcTable,
    registry: BTreeMap<String, RegistryTable>,
}

/// How clients come.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcTable {
    /// The addresses.
    pub address: Vec<String>,
    /// The group of sockets, as a number.
    pub gid: Option<u32>,
    /// What is proved.
    pub tls: TlsTable,
}

/// Certificates.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsTable {
    /// The server's.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Who may have signed clients'.
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RegistryTable {
    mirrors: Vec<String>,
    http: bool,
    insecure: bool,
    ca: Vec<PathBuf>,
    keypair: Vec<toml::Value>,
}

impl BuildKitFile {
    /// Reads a file; the default one may be missing.
    pub fn read(path: &Path, is_named: bool) -> Result<BuildKitFile, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
                return Ok(BuildKitFile::default());
            }
            other => {
                other.map_err(|source| SettingsError::Read { path: path.to_owned(), source })?
            }
        };
        let malformed = |why: String| SettingsError::Malformed { path: path.to_owned(), why };
        let file: BuildKitFile =
            toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
        let certified = |(_, table): &(&String, &RegistryTable)| {
            !table.ca.is_empty() || !table.keypair.is_empty()
        };
        if let Some((host, _)) = file.registry.iter().find(certified) {
            return Err(malformed(format!(
                "certificates of {host} are not read here: put them into /etc/docker/certs.d/{host}"
            )));
        }
        Ok(file)
    }

    /// Its registries as rules of ours.
    pub fn rules(&self, path: &Path) -> Vec<Rule> {
        let is_insecure =
            |host: &str| self.registry.get(host).is_some_and(|table| table.http || table.insecure);
        let mirror = |text: &String| {
            let plain = text.strip_prefix("http://");
            let location = plain.or(text.strip_prefix("https://")).unwrap_or(text);
            let host = location.split('/').next().unwrap_or_default();
            let insecure = plain.is_some() || is_insecure(host);
            Mirror { location: location.to_owned(), insecure, ..Mirror::default() }
        };
        let rule = |(host, table): (&String, &RegistryTable)| Rule {
            prefix: host.clone(),
            insecure: table.http || table.insecure,
            mirrors: table.mirrors.iter().map(mirror).collect(),
            file: path.display().to_string(),
            ..Rule::default()
        };
        self.registry.iter().map(rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_become_rules() {
        let file: BuildKitFile = toml::from_str(
            r#"
            debug = true
            insecure-entitlements = ["network.host"]
            [grpc]
            address = ["tcp://127.0.0.1:1"]
            [worker.oci]
            gc = true
            [registry."docker.io"]
            mirrors = ["http://one.test:5000", "two.test/proxy"]
            [registry."two.test"]
            http = true
            "#,
        )
        .unwrap();
        assert_eq!(file.entitlements, ["network.host"]);
        assert_eq!(file.grpc.address, ["tcp://127.0.0.1:1"]);
        let rules = file.rules(Path::new("f"));
        let [hub, two] = &rules[..] else { panic!("{rules:?}") };
        let mirrors: Vec<_> =
            hub.mirrors.iter().map(|one| (one.location.as_str(), one.insecure)).collect();
        assert_eq!(mirrors, [("one.test:5000", true), ("two.test/proxy", true)]);
        assert!(!hub.insecure && two.insecure && two.prefix == "two.test");
    }
}
