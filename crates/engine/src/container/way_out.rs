//! The way out of an ordinary user's container: a program of the system's carries its packets,
//! since bridges, addresses and rules of the host are root's.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use network::{CarriedPort, Endpoint, NetNs, PublishedPort, UserNetwork, UserRequest};
use spec::{HostPorts, NetworkMode, PortMapping, Protocol};

use super::ContainerRecord;
use crate::error::{EngineError, Result};

/// A namespace of networks and who carries its packets, which ends with this.
#[derive(Debug)]
pub(super) struct WayOut {
    /// What others are told of it.
    pub(super) endpoint: Endpoint,
    carrier: UserNetwork,
    /// Where the program finds the namespace. It ends when there is nothing any more.
    pinned: PathBuf,
}

/// Where the namespace is mounted, in the container's folder for this boot.
const NAMESPACE_FILE: &str = "netns";
/// Where the endpoint is written down, in the container's folder for this boot.
const ENDPOINT_FILE: &str = "network.json";
/// No honest endpoint is longer.
const ENDPOINT_BYTES: u64 = 1 << 20;
/// The one network that a user has.
const NETWORK: &str = "bridge";

impl WayOut {
    /// Opens a way for a container, in a namespace of its own. Its ports are published at `default`
    /// unless they name an address.
    pub(super) fn open(
        record: &ContainerRecord,
        ports: &[PortMapping],
        default: Option<IpAddr>,
        run_folder: &Path,
    ) -> Result<(NetNs, WayOut)> {
        release(run_folder)?;
        let file = runtime::rootless::network_namespace()?;
        let namespace = NetNs::open(&PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        let ports = choose(ports, default)?;
        let pinned = run_folder.join(NAMESPACE_FILE);
        namespace.pin(&pinned)?;
        let request = UserRequest {
            namespace: pinned.clone(),
            ports: ports.clone(),
            folder: run_folder.to_owned(),
        };
        let carrier = match UserNetwork::start(&request) {
            Ok(carrier) => carrier,
            Err(error) => {
                // The first error is the one to tell.
                let _ = release(run_folder);
                return Err(error.into());
            }
        };
        let published = ports.iter().flat_map(|port| published(port, listens)).collect();
        let way = WayOut { endpoint: endpoint(record, published), carrier, pinned };
        let path = run_folder.join(ENDPOINT_FILE);
        let written = serde_json::to_vec(&way.endpoint).map_err(io::Error::other);
        let written = written.and_then(|bytes| fs::write(&path, bytes));
        written.map_err(EngineError::io("write", &path))?;
        Ok((namespace, way))
    }

    /// The server that answers for names inside.
    pub(super) fn names(&self) -> IpAddr {
        self.carrier.names()
    }
}

impl Drop for WayOut {
    fn drop(&mut self) {
        // What is left is let go of by the next run, or with the container.
        let _ = NetNs::unpin(&self.pinned);
    }
}

/// Lets go of the way out of a container whose monitor was killed.
pub(super) fn release(run_folder: &Path) -> Result<()> {
    Ok(NetNs::unpin(&run_folder.join(NAMESPACE_FILE))?)
}

/// Refuses a network that an ordinary user cannot have.
pub(super) fn check(record: &ContainerRecord) -> Result<()> {
    let mode = NetworkMode::parse(&record.host_config.network_mode);
    let links = record.host_config.links.iter().flatten().next().is_some();
    let known = [NETWORK, "default", "host", "none"];
    let others = record.networks.keys().any(|name| !known.contains(&name.as_str()));
    match mode.is_user_defined() || links || others {
        true => Err(EngineError::NoBridges),
        false => Ok(()),
    }
}

/// What was written down of a container that runs.
pub(crate) fn written(run_folder: &Path) -> Vec<Endpoint> {
    let bytes = sys::read::limited(&run_folder.join(ENDPOINT_FILE), ENDPOINT_BYTES);
    let endpoint = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    endpoint.into_iter().collect()
}

fn endpoint(record: &ContainerRecord, ports: Vec<PublishedPort>) -> Endpoint {
    let container = record.id.to_string();
    Endpoint {
        id: container.clone(),
        network: NETWORK.to_owned(),
        network_name: NETWORK.to_owned(),
        container,
        container_name: record.name.clone(),
        ports,
        ..Endpoint::blank()
    }
}

/// Chooses the host's ports. Until all are chosen each is held, so that none is chosen twice.
fn choose(ports: &[PortMapping], default: Option<IpAddr>) -> Result<Vec<CarriedPort>> {
    let default = default.filter(|address| !address.is_unspecified());
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for port in ports {
        let host_address = port.host_address.or(default);
        let address = host_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (first, last) = match port.host {
            HostPorts::Any => (0, 0),
            HostPorts::Within(first, last) => (first, last),
        };
        let mut tried =
            (first..=last).map(|number| Held::take(port.container.protocol, address, number));
        let taken = match tried.find(|held| !matches!(held, Err(error) if is_taken(error))) {
            Some(taken) => taken.map_err(EngineError::io("publish", format!("{address}:{first}"))),
            None => Err(EngineError::Start(format!(
                "Bind for {} failed: port is already allocated",
                SocketAddr::new(address, last)
            ))),
        }?;
        let (container, host_port) = (port.container, taken.1);
        held.push(taken.0);
        chosen.push(CarriedPort { container, host_address, host_port });
    }
    Ok(chosen)
}

/// A port as others are told of it: one for all addresses is one of each family that is listened on.
fn published(
    port: &CarriedPort,
    listens: fn(Protocol, u16) -> bool,
) -> impl Iterator<Item = PublishedPort> + use<> {
    let CarriedPort { container, host_address, host_port } = *port;
    let second = host_address.is_none() && listens(container.protocol, host_port);
    let first = host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let addresses = [Some(first), second.then_some(Ipv6Addr::UNSPECIFIED.into())];
    let row = move |host_address| PublishedPort { container, host_address, host_port };
    addresses.into_iter().flatten().map(row)
}

/// Whether somebody listens at all addresses of IPv6: the program does so where the host leads out
/// by it.
fn listens(protocol: Protocol, port: u16) -> bool {
    let text = fs::read_to_string(format!("/proc/self/net/{protocol}6")).unwrap_or_default();
    let wanted = format!("{:032X}:{port:04X}", 0);
    text.lines().any(|line| line.split_whitespace().nth(1) == Some(&wanted))
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// A port of the host that nobody else gets meanwhile.
enum Held {
    Tcp { _socket: TcpListener },
    Udp { _socket: UdpSocket },
}

impl Held {
    fn take(protocol: Protocol, address: IpAddr, number: u16) -> io::Result<(Held, u16)> {
        match protocol {
            Protocol::Tcp => {
                let socket = TcpListener::bind((address, number))?;
                let number = socket.local_addr()?.port();
                Ok((Held::Tcp { _socket: socket }, number))
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind((address, number))?;
                let number = socket.local_addr()?.port();
                Ok((Held::Udp { _socket: socket }, number))
            }
            Protocol::Sctp => {
                let words = "an ordinary user publishes ports of TCP and UDP, not of SCTP";
                Err(io::Error::new(io::ErrorKind::Unsupported, words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> PortMapping {
        spec::port_mappings(text).unwrap().remove(0)
    }

    #[test]
    fn ports_are_chosen_among_those_that_are_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = choose(&[mapping(&format!("127.0.0.1:{port}:80"))], None).unwrap_err();
        assert!(refused.to_string().ends_with("failed: port is already allocated"), "{refused}");
        let any = mapping("127.0.0.1::80");
        let chosen = choose(&[any.clone(), any], None).unwrap();
        assert!(chosen[0].host_port != chosen[1].host_port && chosen[0].host_port != 0);
        assert!(choose(&[mapping("127.0.0.1::80/sctp")], None).is_err());
    }

    #[test]
    fn a_port_is_no_wider_open_than_it_was_asked_for() {
        let address = |text: &str, default: &str| {
            choose(&[mapping(text)], default.parse().ok()).unwrap()[0].host_address
        };
        let parsed = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(address("80", "127.0.0.1"), parsed("127.0.0.1"));
        assert_eq!(address("0.0.0.0::80", "127.0.0.1"), parsed("0.0.0.0"));
        assert_eq!(address("0.0.0.0::80", ""), parsed("0.0.0.0"));
        assert_eq!((address("80", ""), address("80", "0.0.0.0")), (None, None));
    }

    #[test]
    fn what_is_told_of_a_port_is_what_is_listened_on() {
        let rows = |host: Option<&str>, ipv6: bool| -> Vec<String> {
            let container = "80/tcp".parse().unwrap();
            let host_address = host.map(|text| text.parse().unwrap());
            let port = CarriedPort { container, host_address, host_port: 8 };
            let listens: fn(Protocol, u16) -> bool = if ipv6 { |_, _| true } else { |_, _| false };
            published(&port, listens).map(|row| row.host_address.to_string()).collect()
        };
        assert_eq!(rows(None, true), ["0.0.0.0", "::"]);
        assert_eq!(rows(None, false), ["0.0.0.0"]);
        assert_eq!(rows(Some("0.0.0.0"), true), ["0.0.0.0"]);
        let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
            return testkit::skip("the host has no IPv6");
        };
        let port = listener.local_addr().unwrap().port();
        assert!(listens(Protocol::Tcp, port));
        assert!(!listens(Protocol::Sctp, port));
    }
}
