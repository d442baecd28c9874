//! Containerd's `hosts.toml`: a folder for each registry, a table for each host that serves it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use spec::Reference;

use super::{HUB, HUB_HOST, Place, Rules, Security, Serves, split_port};
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
    proxy: Option<String>,
    dial_timeout: Option<String>,
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
    let names = [with_port(host), Some(host.to_owned()), Some("_default".to_owned())];
    for folder in names.iter().flatten().flat_map(|name| below(name)) {
        if let Some(hosts) = read_folder(&folder)? {
            return Ok(Some(hosts));
        }
    }
    Ok(None)
}

/// The name of a folder that says the port without a colon: `host_5000_`.
fn with_port(host: &str) -> Option<String> {
    let (bare, port) = split_port(host);
    port.map(|port| format!("{bare}_{port}_"))
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
    let hosts: Vec<_> = hosts.into_iter().map(|(_, host, table)| (host, table)).collect();
    for table in hosts.iter().map(|(_, table)| table).chain([&file.own]) {
        table.connect().map_err(|text| malformed(format!("{text:?} is no dial_timeout")))?;
    }
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
        let own = Place { pushes: self.file.own.can("push", true), ..own };
        mirrors.chain([own]).collect()
    }

    fn place(&self, rules: &Rules, address: &str, table: &HostTable, name: &Reference) -> Place {
        let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let security = match (scheme, table.skip_verify) {
            ("http", _) => Security::Plain,
            // A host that may be anybody is still one that is asked over TLS.
            (_, true) => Security::Unverified,
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
        let place = Place::at(&format!("{host}/{}", name.path()), security);
        let (resolves, pulls) = (table.can("resolve", true), table.can("pull", true));
        let serves = match (resolves, pulls) {
            (true, true) => Serves::All,
            (true, false) => Serves::Tags,
            (false, _) => Serves::Digests,
        };
        Place {
            root,
            security,
            headers: headers.collect(),
            authorities: ca,
            client: self.client(table),
            proxy: table.proxy.clone().filter(|proxy| !proxy.is_empty()),
            connect: table.connect().unwrap_or_default(),
            namespace: namespace(&place.host, name.domain()),
            serves,
            reads: resolves || pulls,
            ..place
        }
    }

    /// `client = "both.pem"`, or a list of such files and of pairs `["cert", "key"]`, of which the
    /// first counts. A pair without a key has it in the first file too.
    fn client(&self, table: &HostTable) -> Option<(PathBuf, PathBuf)> {
        let value = table.client.as_ref()?;
        let first = value.as_array().map_or(Some(value), |list| list.first())?;
        let pair = first.as_array().map_or(std::slice::from_ref(first), Vec::as_slice);
        let certificate = pair.first()?.as_str()?;
        let key = pair.get(1).and_then(toml::Value::as_str).filter(|path| !path.is_empty());
        Some((self.folder.join(certificate), self.folder.join(key.unwrap_or(certificate))))
    }
}

/// What a host that is not the registry itself is told: whose images are meant.
fn namespace(host: &str, registry: &str) -> Option<String> {
    let is_itself = host == registry || (registry == HUB && host == HUB_HOST);
    (!is_itself).then(|| registry.to_owned())
}

impl HostTable {
    /// How long a connection may take, or the text that says no time.
    fn connect(&self) -> Result<Option<Duration>, &str> {
        let Some(text) = self.dial_timeout.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let nanos = spec::parse_go_duration(text).map_err(|_| text)?;
        let time = Duration::from_nanos(u64::try_from(nanos).map_err(|_| text)?);
        Ok(Some(time).filter(|time| !time.is_zero()))
    }

    /// Whether it is used for this, as it says itself. An empty list says nothing.
    fn can(&self, what: &str, otherwise: bool) -> bool {
        let said = self.capabilities.as_ref().filter(|list| !list.is_empty());
        said.map_or(otherwise, |list| list.iter().any(|word| word.eq_ignore_ascii_case(what)))
    }
}
