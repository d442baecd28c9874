//! The column of ports: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp`.

use std::net::IpAddr;

use engine::PublishedPort;
use spec::{ContainerPort, Protocol};

/// One port as docker sorts them: the container's, then where it is published, if it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    private: u16,
    /// Docker sorts addresses as text; `0.0.0.0` goes before `::`, as it does here.
    host: Option<(IpAddr, u16)>,
    protocol: Protocol,
}

/// Ports that follow each other and are published alike, or not at all.
struct Run {
    address: Option<IpAddr>,
    protocol: Protocol,
    first: u16,
    last: u16,
}

impl Run {
    fn text(&self) -> String {
        let Run { address, protocol, first, last } = self;
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        match address {
            Some(address) => format!("{}->{ports}/{protocol}", joined(*address, &ports)),
            None => format!("{ports}/{protocol}"),
        }
    }
}

/// An address with a port, the sixth version's in brackets.
pub(super) fn joined(address: IpAddr, port: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

/// The column's text.
pub(crate) fn column(published: &[PublishedPort], exposed: &[ContainerPort]) -> String {
    let of_host = published.iter().map(|port| Shown {
        private: port.container.number,
        host: Some((port.host_address, port.host_port)),
        protocol: port.container.protocol,
    });
    let bare = exposed.iter().map(|port| Shown {
        private: port.number,
        host: None,
        protocol: port.protocol,
    });
    let mut all: Vec<Shown> = of_host.chain(bare).collect();
    all.sort();
    let (mut ended, mut open, mut others) = (Vec::new(), Vec::<Run>::new(), Vec::new());
    for Shown { private, host, protocol } in all {
        // Only ports that are the same on both sides make ranges.
        if let Some((address, port)) = host.filter(|(_, port)| *port != private) {
            others.push(format!("{}->{private}/{protocol}", joined(address, &port.to_string())));
            continue;
        }
        let address = host.map(|(address, _)| address);
        let fresh = Run { address, protocol, first: private, last: private };
        let same = |run: &&mut Run| run.address == address && run.protocol == protocol;
        match open.iter_mut().find(same) {
            None => open.push(fresh),
            Some(run) if run.last.checked_add(1) == Some(private) => run.last = private,
            Some(run) => ended.push(std::mem::replace(run, fresh).text()),
        }
    }
    ended.extend(open.iter().map(Run::text));
    ended.extend(others);
    ended.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(published: &[(&str, u16, &str)], exposed: &[&str], expected: &str) {
        let port = |(address, host_port, container): &(&str, u16, &str)| PublishedPort {
            container: container.parse().unwrap(),
            host_address: address.parse().unwrap(),
            host_port: *host_port,
        };
        let published: Vec<_> = published.iter().map(port).collect();
        let exposed: Vec<_> = exposed.iter().map(|port| port.parse().unwrap()).collect();
        assert_eq!(column(&published, &exposed), expected);
    }

    #[test]
    fn ports_as_docker_shows_them() {
        check(&[], &[], "");
        check(&[], &["443/tcp", "80/tcp"], "80/tcp, 443/tcp");
        check(&[], &["80/tcp", "81/tcp", "82/tcp", "81/udp"], "80-82/tcp, 81/udp");
        check(
            &[("0.0.0.0", 8080, "80/tcp"), ("::", 8080, "80/tcp")],
            &["443/tcp"],
            "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        );
        check(
            &[("127.0.0.1", 90, "90/tcp"), ("127.0.0.1", 91, "91/tcp")],
            &[],
            "127.0.0.1:90-91->90-91/tcp",
        );
        check(
            &[("0.0.0.0", 5, "5/tcp"), ("0.0.0.0", 7, "7/tcp")],
            &[],
            "0.0.0.0:5->5/tcp, 0.0.0.0:7->7/tcp",
        );
    }
}
