//! Where networks lie: definitions below the data root, what ends with the boot below the run root.
//!
//! A lease of an address or a port is a file whose name is what was leased and whose content is
//! the endpoint that has it, so that giving one out reads one folder and no document.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use spec::Protocol;
use sys::lock::Mode;

use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::error::{NetworkError, Result};

/// The folders of one store's networks.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    definitions: PathBuf,
    run: PathBuf,
}

/// Held by whoever changes anything.
pub(crate) struct Lock(#[allow(dead_code)] File);

/// A port of the host that somebody has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct HeldPort {
    pub(crate) protocol: Protocol,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl HeldPort {
    fn name(&self) -> String {
        format!("{}-{}-{}", self.protocol, self.port, self.address)
    }

    fn parse(name: &str) -> Option<HeldPort> {
        let (protocol, rest) = name.split_once('-')?;
        let (port, address) = rest.split_once('-')?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => Protocol::Sctp,
        };
        Some(HeldPort { protocol, address: address.parse().ok()?, port: port.parse().ok()? })
    }

    /// Whether both cannot be had at once.
    pub(crate) fn collides(&self, other: &HeldPort) -> bool {
        self.protocol == other.protocol
            && self.port == other.port
            && self.address.is_ipv4() == other.address.is_ipv4()
            && (self.address == other.address
                || self.address.is_unspecified()
                || other.address.is_unspecified())
    }
}

impl Documents {
    /// Makes nothing: who only looks or removes, as on a full disk, needs no folders.
    pub(crate) fn open(data: &Path, run: &Path) -> Documents {
        Documents { definitions: data.join("networks"), run: run.join("networks") }
    }

    /// Waits until nobody else changes networks.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.run.join("lock");
        let open = || File::options().create(true).append(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.run).and_then(|()| open())
            }
            other => other,
        };
        let file = file.map_err(NetworkError::io("open", &path))?;
        sys::lock::lock(&file, Mode::Exclusive).map_err(NetworkError::io("lock", &path))?;
        Ok(Lock(file))
    }

    /// All definitions, in no order.
    pub(crate) fn networks(&self) -> Result<Vec<Network>> {
        documents(&self.definitions)
    }

    pub(crate) fn save_network(&self, network: &Network) -> Result<()> {
        let folder = &self.definitions;
        fs::create_dir_all(folder).map_err(NetworkError::io("make", folder))?;
        let path = folder.join(format!("{}.json", network.id));
        replace(&path, network, true)
    }

    pub(crate) fn forget_network(&self, id: &str) -> Result<()> {
        remove(&self.definitions.join(format!("{id}.json")))?;
        self.forget_use(id)
    }

    /// Whether somebody was in a network since its bridge was last taken away.
    pub(crate) fn was_used(&self, id: &str) -> bool {
        self.run.join(id).exists()
    }

    /// Forgets what there was of a network that nobody is in.
    pub(crate) fn forget_use(&self, id: &str) -> Result<()> {
        let folder = self.run.join(id);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::io("remove", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Everybody in a network.
    pub(crate) fn endpoints(&self, network: &str) -> Result<Vec<Endpoint>> {
        documents(&self.endpoint_folder(network))
    }

    /// Everybody.
    pub(crate) fn all_endpoints(&self) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        for network in names(&self.run)? {
            all.extend(self.endpoints(&network)?);
        }
        Ok(all)
    }

    /// Every network that somebody is or was in, and when somebody last came or went.
    pub(crate) fn endpoint_folders(&self) -> Result<Vec<(String, SystemTime)>> {
        let networks = names(&self.run)?.into_iter();
        let dated = networks.filter_map(|network| {
            let data = fs::metadata(self.endpoint_folder(&network)).ok()?;
            Some((network, data.modified().ok()?))
        });
        Ok(dated.collect())
    }

    fn endpoint_folder(&self, network: &str) -> PathBuf {
        self.run.join(network).join("endpoints")
    }

    /// A container has one endpoint in a network, so that is what its document is called after.
    fn endpoint_file(&self, network: &str, container: &str) -> PathBuf {
        self.endpoint_folder(network).join(format!("{container}.json"))
    }

    pub(crate) fn save_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let folder = self.endpoint_folder(&endpoint.network);
        fs::create_dir_all(&folder).map_err(NetworkError::io("make", &folder))?;
        replace(&self.endpoint_file(&endpoint.network, &endpoint.container), endpoint, false)
    }

    /// The endpoint of a container in a network.
    pub(crate) fn endpoint(&self, network: &str, container: &str) -> Result<Option<Endpoint>> {
        read(self.endpoint_file(network, container))
    }

    /// The endpoints of a container, in no order.
    pub(crate) fn of_container(&self, container: &str) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        for (network, _) in self.endpoint_folders()? {
            all.extend(self.endpoint(&network, container)?);
        }
        Ok(all)
    }

    /// Forgets an endpoint with all its leases; those that somebody else has by now stay.
    pub(crate) fn forget_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        release(endpoint, self.leases(endpoint))?;
        remove(&self.endpoint_file(&endpoint.network, &endpoint.container))
    }

    /// Gives up the leases of an endpoint's ports.
    pub(crate) fn release_ports(&self, endpoint: &Endpoint) -> Result<()> {
        release(endpoint, self.port_leases(endpoint))
    }

    /// The files of what an endpoint has.
    fn leases(&self, endpoint: &Endpoint) -> Vec<PathBuf> {
        let folder = self.address_folder(&endpoint.network);
        let addresses = endpoint.addresses().map(|address| folder.join(address.to_string()));
        addresses.chain(self.port_leases(endpoint)).collect()
    }

    fn port_leases(&self, endpoint: &Endpoint) -> Vec<PathBuf> {
        let ports = held(endpoint).into_iter().map(|port| self.run.join("ports").join(port.name()));
        ports.collect()
    }

    fn address_folder(&self, network: &str) -> PathBuf {
        self.run.join(network).join("addresses")
    }

    /// The addresses of a network that somebody has.
    pub(crate) fn taken(&self, network: &str) -> Result<BTreeSet<IpAddr>> {
        let names = names(&self.address_folder(network))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The ports of the host that somebody has.
    pub(crate) fn held_ports(&self) -> Result<Vec<HeldPort>> {
        let names = names(&self.run.join("ports"))?;
        Ok(names.iter().filter_map(|name| HeldPort::parse(name)).collect())
    }

    /// Leases all that an endpoint has.
    pub(crate) fn lease(&self, endpoint: &Endpoint) -> Result<()> {
        for folder in [self.address_folder(&endpoint.network), self.run.join("ports")] {
            fs::create_dir_all(&folder).map_err(NetworkError::io("make", &folder))?;
        }
        for path in self.leases(endpoint) {
            fs::write(&path, &endpoint.id).map_err(NetworkError::io("write", &path))?;
        }
        Ok(())
    }

    /// Removes the leases of endpoints that are not there any more.
    pub(crate) fn drop_loose_leases(&self, living: &BTreeSet<String>) -> Result<()> {
        let mut folders = vec![self.run.join("ports")];
        folders.extend(names(&self.run)?.iter().map(|network| self.address_folder(network)));
        for folder in folders {
            for name in names(&folder)? {
                let path = folder.join(name);
                let owner = fs::read_to_string(&path).map_err(NetworkError::io("read", &path))?;
                if !living.contains(&owner) {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Remembers that a network's bridge was made by us.
    pub(crate) fn made_bridge(&self, network: &str, bridge: &str) -> Result<()> {
        self.made(network, "bridge", bridge)
    }

    /// The bridge that we made for a network, if we did.
    pub(crate) fn own_bridge(&self, network: &str) -> Option<String> {
        fs::read_to_string(self.run.join(network).join("bridge")).ok()
    }

    pub(crate) fn forget_bridge(&self, network: &str) -> Result<()> {
        remove(&self.run.join(network).join("bridge"))
    }

    /// Remembers that the link on which a network stands was made by us.
    pub(crate) fn made_parent(&self, network: &str, parent: &str) -> Result<()> {
        self.made(network, "parent", parent)
    }

    /// The link on which a network stands, if we made it.
    pub(crate) fn own_parent(&self, network: &str) -> Option<String> {
        fs::read_to_string(self.run.join(network).join("parent")).ok()
    }

    pub(crate) fn forget_parent(&self, network: &str) -> Result<()> {
        remove(&self.run.join(network).join("parent"))
    }

    fn made(&self, network: &str, what: &str, link: &str) -> Result<()> {
        let folder = self.run.join(network);
        fs::create_dir_all(&folder).map_err(NetworkError::io("make", &folder))?;
        let path = folder.join(what);
        fs::write(&path, link).map_err(NetworkError::io("write", &path))
    }

    /// Writes down that a setting of the kernel was changed.
    pub(crate) fn note(&self, line: &str) -> Result<()> {
        let path = self.run.join("changes");
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}")).map_err(NetworkError::io("write", path))
    }
}

/// Removes those of an endpoint's leases that are still its own.
fn release(endpoint: &Endpoint, leases: Vec<PathBuf>) -> Result<()> {
    let is_own = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|owner| owner == endpoint.id);
    leases.into_iter().filter(is_own).try_for_each(|path| remove(&path))
}

/// The ports of the host that an endpoint has.
pub(crate) fn held(endpoint: &Endpoint) -> Vec<HeldPort> {
    let ports = endpoint.ports.iter().map(|port| HeldPort {
        protocol: port.container.protocol,
        address: port.host_address,
        port: port.host_port,
    });
    ports.collect()
}

/// The names in a folder; none if it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(NetworkError::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(NetworkError::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// The documents in a folder. One that goes while we look was not there.
pub(crate) fn documents<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for name in names(folder)?.into_iter().filter(|name| name.ends_with(".json")) {
        all.extend(read(folder.join(name))?);
    }
    Ok(all)
}

fn read<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>> {
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| NetworkError::Damaged { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NetworkError::io("read", path)(error)),
    }
}

/// Replaces a document whole.
fn replace(path: &Path, document: &impl Serialize, durable: bool) -> Result<()> {
    let bytes = serde_json::to_vec(document).expect("documents have string keys");
    let new = path.with_extension("json.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&new, path)?;
        match path.parent() {
            Some(folder) if durable => sys::fs::sync_folder(folder),
            _ => Ok(()),
        }
    };
    write().map_err(NetworkError::io("write", path))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: &str, port: u16) -> HeldPort {
        HeldPort { protocol: Protocol::Tcp, address: address.parse().unwrap(), port }
    }

    #[test]
    fn ports_have_names() {
        for held in [port("0.0.0.0", 80), port("::", 8080), port("fd00::1", 1)] {
            assert_eq!(HeldPort::parse(&held.name()), Some(held));
        }
        assert_eq!(HeldPort::parse("tcp-x-0.0.0.0"), None);
    }

    #[test]
    fn ports_collide_where_the_kernel_says_so() {
        assert!(port("0.0.0.0", 80).collides(&port("127.0.0.1", 80)));
        assert!(port("127.0.0.1", 80).collides(&port("127.0.0.1", 80)));
        assert!(!port("127.0.0.1", 80).collides(&port("127.0.0.2", 80)));
        assert!(!port("0.0.0.0", 80).collides(&port("::", 80)));
        assert!(!port("0.0.0.0", 80).collides(&port("0.0.0.0", 81)));
    }
}
