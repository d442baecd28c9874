//! Ports of the host: which are free, and how one is held.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use spec::{ContainerPort, HostPorts, PortMapping, Protocol};

use crate::documents::HeldPort;
use crate::endpoint::{Families, PublishedPort, Reserved};
use crate::error::{NetworkError, Result};

/// Takes a port of the host for each mapping, with the sockets that hold them. The addresses are
/// those of the container, and `held` is what others have.
pub(crate) fn publish(
    mappings: &[PortMapping],
    addresses: &[IpAddr],
    families: Families,
    default: Option<IpAddr>,
    held: &mut Vec<HeldPort>,
) -> Result<(Vec<PublishedPort>, Vec<Reserved>)> {
    let (mut published, mut reserved) = (Vec::new(), Vec::new());
    for mapping in mappings {
        let (ports, sockets) = one(mapping, addresses, families, default, held)?;
        for port in &ports {
            held.push(HeldPort {
                protocol: port.container.protocol,
                address: port.host_address,
                port: port.host_port,
            });
        }
        published.extend(ports);
        reserved.extend(sockets);
    }
    Ok((published, reserved))
}

/// Why a port of the host cannot be bound.
fn unbound(source: io::Error, host: String, container: String) -> NetworkError {
    match source.kind() {
        io::ErrorKind::AddrInUse => NetworkError::PortInUse { host, container },
        _ => NetworkError::PortRefused { host, container, source },
    }
}

/// One mapping: the same port at every address that it is for.
fn one(
    mapping: &PortMapping,
    addresses: &[IpAddr],
    families: Families,
    default: Option<IpAddr>,
    held: &[HeldPort],
) -> Result<(Vec<PublishedPort>, Vec<Reserved>)> {
    let wanted = mapping.host_address.or(default.filter(|address| !address.is_unspecified()));
    let pairs = pairs(wanted, addresses, families);
    let candidates = candidates(mapping.host);
    let (first, last) = (*candidates.start(), *candidates.end());
    let start = start_of(mapping.host, held, first, last);
    let mut problem = None;
    for port in (start..=last).chain(first..start) {
        match all_at(port, mapping.container, &pairs, held) {
            Ok(done) => return Ok(done),
            Err(error) if first == last || refused(&error) => return Err(error),
            Err(error) => problem = Some(error),
        }
    }
    let address = wanted.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_string();
    Err(match problem {
        Some(_) => NetworkError::NoPort { address, first, last },
        None => NetworkError::PortTaken { address, port: first },
    })
}

/// The addresses of the host that a port is published at, each with the container's that is reached
/// there. Each family is reached by its own; a container without IPv6 is reached there all the same.
fn pairs(
    wanted: Option<IpAddr>,
    addresses: &[IpAddr],
    families: Families,
) -> Vec<(IpAddr, IpAddr)> {
    let of = |ipv6: bool| addresses.iter().find(|address| address.is_ipv6() == ipv6).copied();
    let mut pairs = Vec::new();
    if let (Some(address), None | Some(IpAddr::V4(_))) = (of(false), wanted)
        && families != Families::Ipv6
    {
        pairs.push((wanted.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), address));
    }
    let is_carried = || families == Families::Both && (wanted.is_some() || ipv6_is_usable());
    let carried = || of(false).filter(|_| is_carried());
    if let (None | Some(IpAddr::V6(_)), Some(address)) = (wanted, of(true).or_else(carried))
        && families != Families::Ipv4
    {
        pairs.push((wanted.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), address));
    }
    pairs
}

/// Whether somebody could call over IPv6.
fn ipv6_is_usable() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn refused(error: &NetworkError) -> bool {
    matches!(error, NetworkError::PortRefused { .. })
}

/// The ports that the kernel gives to those who ask for none.
fn candidates(host: HostPorts) -> std::ops::RangeInclusive<u16> {
    if let HostPorts::Within(first, last) = host {
        return first..=last;
    }
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first <= last => first..=last,
        _ => 32768..=60999,
    }
}

/// Behind the last one given out, so that a port is not given to another container as soon as it
/// is free.
fn start_of(host: HostPorts, held: &[HeldPort], first: u16, last: u16) -> u16 {
    if host != HostPorts::Any {
        return first;
    }
    let highest = held.iter().map(|held| held.port).filter(|port| (first..last).contains(port));
    highest.max().map_or(first, |port| port + 1)
}

fn all_at(
    port: u16,
    container: ContainerPort,
    pairs: &[(IpAddr, IpAddr)],
    held: &[HeldPort],
) -> Result<(Vec<PublishedPort>, Vec<Reserved>)> {
    let (mut published, mut reserved) = (Vec::new(), Vec::new());
    for (host_address, address) in pairs {
        let mine = HeldPort { protocol: container.protocol, address: *host_address, port };
        if held.iter().any(|other| other.collides(&mine)) {
            return Err(NetworkError::PortTaken { address: shown(*host_address), port });
        }
        let host = SocketAddr::new(*host_address, port);
        let socket = reserve(container.protocol, host).map_err(|source| {
            let target = SocketAddr::new(*address, container.number);
            unbound(source, host.to_string(), format!("{target}/{}", container.protocol))
        })?;
        let port = PublishedPort { container, host_address: *host_address, host_port: port };
        reserved.extend(socket.map(|socket| Reserved { port, socket: Arc::new(socket) }));
        published.push(port);
    }
    Ok((published, reserved))
}

fn shown(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Where the kernel shows that it follows connections of SCTP, once it follows any.
const FOLLOWED: &str = "/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_closed";

/// Refuses SCTP on a kernel that does not follow its connections: rules would be taken, and nothing be
/// redirected. It can tell when there are rules.
pub(crate) fn check_followed(ports: &[PublishedPort]) -> Result<()> {
    let is_of_sctp = |port: &PublishedPort| port.container.protocol == Protocol::Sctp;
    match ports.iter().any(is_of_sctp) && !Path::new(FOLLOWED).exists() {
        true => Err(NetworkError::NoSctp),
        false => Ok(()),
    }
}

/// What kind of socket speaks a protocol.
pub(crate) fn socket_kind(protocol: Protocol) -> (SocketType, rustix::net::Protocol) {
    match protocol {
        Protocol::Tcp => (SocketType::STREAM, rustix::net::ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, rustix::net::ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, rustix::net::ipproto::SCTP),
    }
}

/// Binds a port, or says why not. What is redirected never arrives at the socket: it is there so
/// that nobody else binds the port. Where the kernel has no SCTP sockets, nobody can bind one.
fn reserve(protocol: Protocol, address: SocketAddr) -> io::Result<Option<OwnedFd>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = socket_kind(protocol);
    let socket = match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number)) {
        Err(rustix::io::Errno::PROTONOSUPPORT) if protocol == Protocol::Sctp => return Ok(None),
        other => other?,
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier container that are about to end do not count.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp && address.is_ipv4() {
        // Only a listening socket keeps out others who reuse addresses. With IPv6, calls to ::1
        // are not redirected: they wait for whoever carries them, and are refused without.
        rustix::net::listen(&socket, 1)?;
    }
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_has_is_told_in_dockers_words() {
        let port = testkit::free_port();
        let other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mappings = [PortMapping {
            container: "80/tcp".parse().unwrap(),
            host_address: Some(Ipv4Addr::LOCALHOST.into()),
            host: HostPorts::Within(port, port),
        }];
        let address = "172.17.0.2".parse().unwrap();
        let error =
            publish(&mappings, &[address], Families::Both, None, &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to bind host port for 127.0.0.1:{port}:172.17.0.2:80/tcp: address already in use"
            )
        );
        drop(other);
        let mut held = Vec::new();
        let (ports, sockets) =
            publish(&mappings, &[address], Families::Both, None, &mut held).unwrap();
        assert_eq!((ports.len(), sockets.len(), held.len()), (1, 1, 1));
        let error = publish(&mappings, &[address], Families::Both, None, &mut held).unwrap_err();
        let words = format!("Bind for 127.0.0.1:{port} failed: port is already allocated");
        assert_eq!(error.to_string(), words);
    }

    #[test]
    fn each_family_is_published_and_ipv4_over_both() {
        let addresses = |list: &[&str]| -> Vec<IpAddr> {
            list.iter().map(|text| text.parse().unwrap()).collect()
        };
        let at = |wanted: Option<&str>, list: &[&str]| {
            let wanted = wanted.map(|text| text.parse().unwrap());
            let found = pairs(wanted, &addresses(list), Families::Both);
            found.iter().map(|(host, to)| format!("{host} {to}")).collect::<Vec<_>>().join(", ")
        };
        let (four, six) = ("172.17.0.2", "fd00::2");
        assert_eq!(at(None, &[four, six]), "0.0.0.0 172.17.0.2, :: fd00::2");
        assert_eq!(at(None, &[six]), ":: fd00::2");
        assert_eq!(at(Some("::1"), &[four]), "::1 172.17.0.2");
        assert_eq!(at(Some("::1"), &[four, six]), "::1 fd00::2");
        assert_eq!(at(Some("127.0.0.1"), &[four, six]), "127.0.0.1 172.17.0.2");
        assert_eq!(at(Some("127.0.0.1"), &[six]), "");
        let of = |families: Families, list: &[&str]| pairs(None, &addresses(list), families).len();
        assert_eq!(of(Families::Ipv4, &[four, six]), 1);
        assert_eq!(of(Families::Ipv6, &[four, six]), 1);
        assert_eq!(of(Families::Ipv4, &[four]), 1, "nothing is carried where another one has it");
        assert_eq!(of(Families::Ipv6, &[four]), 0);
    }

    #[test]
    fn a_range_gives_its_first_free_port() {
        let mapping = |first, last| PortMapping {
            container: "80/udp".parse().unwrap(),
            host_address: Some(Ipv4Addr::LOCALHOST.into()),
            host: HostPorts::Within(first, last),
        };
        let address = "172.17.0.2".parse().unwrap();
        let mut held = vec![HeldPort {
            protocol: Protocol::Udp,
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 41_000,
        }];
        let mappings = [mapping(41_000, 41_020)];
        let (ports, _) = publish(&mappings, &[address], Families::Both, None, &mut held).unwrap();
        assert!((41_001..=41_020).contains(&ports[0].host_port));
        assert_eq!(ports[0].host_address, IpAddr::from(Ipv4Addr::LOCALHOST));
    }
}
