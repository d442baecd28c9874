//! Ports of containers, and how docker's `-p` and `--expose` write them down.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What runs over a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Protocol {
    /// Streams; what is meant where nothing is said.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
    /// Messages over several paths.
    Sctp,
}

impl Protocol {
    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// Its number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

/// A port of a container: `80/tcp`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ContainerPort {
    /// Its number, never 0.
    pub number: u16,
    /// What runs over it.
    pub protocol: Protocol,
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.number, self.protocol)
    }
}

impl From<ContainerPort> for String {
    fn from(port: ContainerPort) -> String {
        port.to_string()
    }
}

impl TryFrom<String> for ContainerPort {
    type Error = PortError;

    fn try_from(text: String) -> Result<ContainerPort, PortError> {
        text.parse()
    }
}

impl FromStr for ContainerPort {
    type Err = PortError;

    fn from_str(text: &str) -> Result<ContainerPort, PortError> {
        match exposed_ports(text)?.as_slice() {
            [one] => Ok(*one),
            _ => Err(PortError(format!("invalid port: {text}"))),
        }
    }
}

/// From which ports of the host one is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HostPorts {
    /// Any that is free, as the host gives them to whoever asks for none.
    Any,
    /// The first free one between these two, or the only one if they are the same.
    Within(u16, u16),
}

/// One port of a container that the host shall be reached at: an element of `-p`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PortMapping {
    /// Where it leads.
    pub container: ContainerPort,
    /// The host's address; all if none is given.
    pub host_address: Option<IpAddr>,
    /// The host's port.
    pub host: HostPorts,
}

/// What is wrong with a port, in docker's words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

/// The ports that a `-p` asks for: `[[ADDRESS:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]`.
pub fn port_mappings(text: &str) -> Result<Vec<PortMapping>, PortError> {
    let (address, host, rest) = parts(text)?;
    let (container, protocol) = match rest.split_once('/') {
        Some((port, protocol)) => (port, protocol),
        None => (rest, "tcp"),
    };
    if container.is_empty() {
        return Err(PortError(format!("no port specified: {text}<empty>")));
    }
    let (first, last) =
        range(container).map_err(|_| PortError(format!("invalid containerPort: {container}")))?;
    let host = match host {
        "" => None,
        host => Some(range(host).map_err(|_| PortError(format!("invalid hostPort: {host}")))?),
    };
    let count = last - first;
    if let Some((low, high)) = host
        && high - low != count
        && count > 0
    {
        return Err(PortError(format!(
            "invalid ranges specified for container and host Ports: {container} and {low}-{high}"
        )));
    }
    let protocol = protocol_of(protocol)?;
    let mapping = |offset: u16| PortMapping {
        container: ContainerPort { number: first + offset, protocol },
        host_address: address,
        host: match host {
            None => HostPorts::Any,
            Some((0, 0)) => HostPorts::Any,
            Some((low, high)) if count == 0 => HostPorts::Within(low, high),
            Some((low, _)) => HostPorts::Within(low + offset, low + offset),
        },
    };
    if first == 0 {
        return Err(PortError(format!("invalid containerPort: {container}")));
    }
    Ok((0..=count).map(mapping).collect())
}

/// The ports that `--expose` or an image's `EXPOSE` names: `CONTAINER[-CONTAINER][/PROTOCOL]`.
pub fn exposed_ports(text: &str) -> Result<Vec<ContainerPort>, PortError> {
    if text.contains(':') {
        return Err(PortError(format!("invalid port format for --expose: {text}")));
    }
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let wrong = |why| PortError(format!("invalid range format for --expose: {text}, error: {why}"));
    let (first, last) = range(ports).map_err(wrong)?;
    if first == 0 {
        return Err(wrong("no port has the number 0".to_owned()));
    }
    let protocol = protocol_of(protocol)?;
    Ok((first..=last).map(|number| ContainerPort { number, protocol }).collect())
}

/// Address, host ports and the rest; an IPv6 address stands in brackets, or is told by its colons.
fn parts(text: &str) -> Result<(Option<IpAddr>, &str, &str), PortError> {
    let Some((front, rest)) = text.rsplit_once(':') else { return Ok((None, "", text)) };
    let Some((address, host)) = front.rsplit_once(':') else {
        // `[::1]80` has no colon behind the bracket and is no address with a port.
        return Ok((None, front, rest));
    };
    let wrong = || PortError(format!("invalid IP address: {address}"));
    let address = match address.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
            Some(IpAddr::V6(inner.parse::<Ipv6Addr>().map_err(|_| wrong())?))
        }
        None if address.is_empty() => None,
        None => Some(address.parse().map_err(|_| wrong())?),
    };
    Ok((address, host, rest))
}

/// One port, or the first and the last of several; or why it is none, as docker's client says it.
fn range(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        let wrong = || format!("strconv.ParseUint: parsing {text:?}: {why}");
        text.parse::<u16>().ok().filter(|_| is_number).ok_or_else(wrong)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    match first <= last {
        true => Ok((first, last)),
        false => Err(format!("invalid range specified for port: {text}")),
    }
}

fn protocol_of(text: &str) -> Result<Protocol, PortError> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(PortError(format!("invalid proto: {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let shown = |mapping: &PortMapping| {
            let address = mapping.host_address.map(|it| format!("{it} ")).unwrap_or_default();
            let host = match mapping.host {
                HostPorts::Any => "any".to_owned(),
                HostPorts::Within(low, high) if low == high => low.to_string(),
                HostPorts::Within(low, high) => format!("{low}-{high}"),
            };
            format!("{address}{host} -> {}", mapping.container)
        };
        match port_mappings(text) {
            Ok(mappings) => assert_eq!(mappings.iter().map(shown).collect::<Vec<_>>(), expected),
            Err(error) => assert_eq!(vec![error.to_string().as_str()], expected),
        }
    }

    #[test]
    fn mappings_as_docker_writes_them() {
        check("80", &["any -> 80/tcp"]);
        check("8080:80", &["8080 -> 80/tcp"]);
        check("8080:80/udp", &["8080 -> 80/udp"]);
        check("8080:80/SCTP", &["8080 -> 80/sctp"]);
        check("127.0.0.1:8080:80", &["127.0.0.1 8080 -> 80/tcp"]);
        check("127.0.0.1::80", &["127.0.0.1 any -> 80/tcp"]);
        check("[::1]:8080:80", &["::1 8080 -> 80/tcp"]);
        check("[::]::80", &[":: any -> 80/tcp"]);
        check("::1:8080:80", &["::1 8080 -> 80/tcp"]);
        check(":80", &["any -> 80/tcp"]);
        check("8000-8001:80-81", &["8000 -> 80/tcp", "8001 -> 81/tcp"]);
        check("8000-8010:80", &["8000-8010 -> 80/tcp"]);
        check("80-82/udp", &["any -> 80/udp", "any -> 81/udp", "any -> 82/udp"]);
        check("0:80", &["any -> 80/tcp"]);
    }

    #[test]
    fn mistakes_in_dockers_words() {
        check("", &["no port specified: <empty>"]);
        check("8080:", &["no port specified: 8080:<empty>"]);
        check("x", &["invalid containerPort: x"]);
        check("80:x", &["invalid containerPort: x"]);
        check("x:80", &["invalid hostPort: x"]);
        check("70000:80", &["invalid hostPort: 70000"]);
        check("80/icmp", &["invalid proto: icmp"]);
        check("80/", &["invalid proto: "]);
        check("example.org:80:80", &["invalid IP address: example.org"]);
        check("[::1:80:80", &["invalid IP address: [::1"]);
        check("82-80", &["invalid containerPort: 82-80"]);
        check("0", &["invalid containerPort: 0"]);
        check(
            "8000-8003:80-81",
            &["invalid ranges specified for container and host Ports: 80-81 and 8000-8003"],
        );
    }

    #[test]
    fn exposed() {
        assert_eq!(exposed_ports("53/udp").unwrap()[0].to_string(), "53/udp");
        assert_eq!(exposed_ports("7000-7002").unwrap().len(), 3);
        for (text, why) in [
            ("a/tcp", r#"strconv.ParseUint: parsing "a": invalid syntax"#),
            ("80-x", r#"strconv.ParseUint: parsing "x": invalid syntax"#),
            ("99999", r#"strconv.ParseUint: parsing "99999": value out of range"#),
            ("81-80", "invalid range specified for port: 81-80"),
            ("", "empty string specified for ports"),
        ] {
            let words = format!("invalid range format for --expose: {text}, error: {why}");
            assert_eq!(exposed_ports(text).unwrap_err().to_string(), words);
        }
        let error = exposed_ports("1:80").unwrap_err().to_string();
        assert_eq!(error, "invalid port format for --expose: 1:80");
        assert_eq!("80/tcp".parse::<ContainerPort>().unwrap().number, 80);
        assert!("80-81".parse::<ContainerPort>().is_err());
    }
}
