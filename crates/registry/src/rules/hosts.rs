//! Containerd's `hosts.toml`: a folder for each registry, a table for each host that serves it.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use spec::Reference;

use super::{Place, Rules, Security, Serves};
use crate::error::RegistryError;

#[derive(Default, Deserialize)]
#[serde(default)]
struct HostsFile {
    server: Option<String>,
    host: toml::Table,
    #[serde(flatten)]
    own: HostTable,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct HostTable {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<toml::Value>,
    skip_verify: bool,
    override_path: bool,
    header: toml::Table,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

/// What a file says of a registry.
pub(super) struct Hosts {
    folder: PathBuf,
    file: HostsFile,
    hosts: Vec<(String, HostTable)>,
}

/// The file for a host, or the one for all that have none.
pub(super) fn read(folders: &[PathBuf], host: &str) -> Result<Option<Hosts>, RegistryError> {
    let below = |name: &str| folders.iter().map(|folder| folder.join(name)).collect::<Vec<_>>();
    for folder in below(host).into_iter().chain(below("_default")) {
        if let Some(hosts) = read_folder(&folder)? {
            return Ok(Some(hosts));
        }
    }
    Ok(None)
}

fn read_folder(folder: &Path) -> Result<Option<Hosts>, RegistryError> {
    let path = folder.join("hosts.toml");
    let malformed = |why: String| RegistryError::Malformed { url: path.display().to_string(), why };
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| malformed(error.to_string()))?,
    };
    let wrong = |error: toml::de::Error| malformed(error.message().to_owned());
    let file: HostsFile = toml::from_str(&text).map_err(wrong)?;
    // The order of the tables is the order in which the hosts are asked, which a map would lose.
    let mut hosts = Vec::new();
    for (host, table) in &file.host {
        let at = text.find(&format!("[host.\"{host}\"]")).unwrap_or(usize::MAX);
        hosts.push((at, host.clone(), HostTable::deserialize(table.clone()).map_err(wrong)?));
    }
    hosts.sort_by_key(|(at, ..)| *at);
    let hosts = hosts.into_iter().map(|(_, host, table)| (host, table)).collect();
    Ok(Some(Hosts { folder: folder.to_owned(), file, hosts }))
}

impl Hosts {
    /// The hosts as places, the server itself last.
    pub(super) fn places(&self, rules: &Rules, reference: &Reference) -> Vec<Place> {
        let mirrors = self.hosts.iter().map(|(host, table)| {
            let place = self.place(rules, host, table, reference);
            let pushes = table.can("push", false);
            Place { pushes, ..place }
        });
        let server = self.file.server.clone().unwrap_or_else(|| reference.domain().to_owned());
        let own = self.place(rules, &server, &self.file.own, reference);
        mirrors.chain([own]).collect()
    }

    fn place(&self, rules: &Rules, address: &str, table: &HostTable, name: &Reference) -> Place {
        let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let security = match (scheme, table.skip_verify) {
            ("http", _) => Security::Plain,
            (_, true) => Security::Loose,
            _ => rules.security(host),
        };
        let path = path.trim_end_matches('/');
        let root = match table.override_path || path.ends_with("/v2") {
            true => path.to_owned(),
            false => format!("{path}/v2"),
        };
        let ca = match &table.ca {
            None => Vec::new(),
            Some(OneOrMany::One(path)) => vec![self.folder.join(path)],
            Some(OneOrMany::Many(paths)) => {
                paths.iter().map(|path| self.folder.join(path)).collect()
            }
        };
        let text = |value: &toml::Value| value.as_str().map(str::to_owned);
        let headers = table.header.iter().flat_map(|(name, value)| match value.as_array() {
            Some(values) => values.iter().filter_map(|v| Some((name.clone(), text(v)?))).collect(),
            None => text(value).map(|value| (name.clone(), value)).into_iter().collect::<Vec<_>>(),
        });
        Place {
            root,
            security,
            headers: headers.collect(),
            authorities: ca,
            client: self.client(table),
            serves: if table.can("resolve", true) { Serves::All } else { Serves::Digests },
            ..Place::at(&format!("{host}/{}", name.path()), security)
        }
    }

    /// `client = "both.pem"`, `["cert", "key"]` or a list of such pairs, of which the first counts.
    fn client(&self, table: &HostTable) -> Option<(PathBuf, PathBuf)> {
        let path = |value: &toml::Value| Some(self.folder.join(value.as_str()?));
        let value = table.client.as_ref()?;
        let Some(list) = value.as_array() else { return Some((path(value)?, path(value)?)) };
        match list.first()? {
            toml::Value::Array(pair) => Some((path(pair.first()?)?, path(pair.last()?)?)),
            first => Some((path(first)?, path(list.last()?)?)),
        }
    }
}

impl HostTable {
    fn can(&self, what: &str, otherwise: bool) -> bool {
        self.capabilities.as_ref().map_or(otherwise, |list| list.iter().any(|word| word == what))
    }
}
