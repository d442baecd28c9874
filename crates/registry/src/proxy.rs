//! Which proxy a request goes through, as Go decides it from the environment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ureq::ProxyProtocol;

use crate::error::RegistryError;
use crate::rules::{is_within, split_port};

/// The proxies that the environment names. An address may hold a password, so they are not shown.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    none: Vec<Unproxied>,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxies")
    }
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in capitals or not.
    pub fn of(environment: &BTreeMap<String, String>) -> Proxies {
        let get = |name: &str| {
            let said = |name: &str| environment.get(name).filter(|value| !value.is_empty());
            said(name).or_else(|| said(&name.to_ascii_lowercase())).cloned()
        };
        let none = get("NO_PROXY").unwrap_or_default();
        Proxies {
            http: get("HTTP_PROXY"),
            https: get("HTTPS_PROXY"),
            none: none.split(',').filter_map(Unproxied::parse).collect(),
        }
    }

    /// The proxy for a host, if it is not reached directly. This machine always is.
    pub(crate) fn of_host(
        &self,
        encrypted: bool,
        host: &str,
    ) -> Result<Option<Proxy>, RegistryError> {
        let proxy = if encrypted { &self.https } else { &self.http };
        match proxy {
            Some(address) if !self.is_direct(encrypted, host) => Proxy::parse(address).map(Some),
            _ => Ok(None),
        }
    }

    fn is_direct(&self, encrypted: bool, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (bare, port) = split_port(&host);
        let port = port.unwrap_or(if encrypted { 443 } else { 80 });
        let address = address(bare.trim_matches(['[', ']']));
        if bare == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.none.iter().any(|entry| entry.covers(bare, address, port))
    }
}

/// An entry of `NO_PROXY`: what is reached directly.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unproxied {
    /// All there is.
    Everything,
    /// All addresses of a network, given as in `10.0.0.0/8`.
    Network(String, String),
    /// One address, at one port or all.
    Address(IpAddr, Option<u16>),
    /// What ends in `below`, which begins with a dot, and perhaps the domain itself.
    Domain { below: String, itself: bool, port: Option<u16> },
}

impl Unproxied {
    /// Reads an entry as Go does; one that says nothing that could be meant is none.
    fn parse(entry: &str) -> Option<Unproxied> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Unproxied::Everything);
        }
        if let Some((network, bits)) = entry.split_once('/')
            && let (Some(first), Ok(count)) = (address(network), bits.parse::<u8>())
            && count <= if first.is_ipv4() { 32 } else { 128 }
        {
            return Some(Unproxied::Network(network.to_owned(), bits.to_owned()));
        }
        let (name, port) = match entry.rsplit_once(':') {
            // More colons are those of an address without a port.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
                (
                    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name),
                    port,
                )
            }
            _ => (entry.as_str(), None),
        };
        if let Some(address) = address(name) {
            return Some(Unproxied::Address(address, port));
        }
        let name = if name.starts_with("*.") { &name[1..] } else { name };
        match name.strip_prefix('.') {
            _ if name.is_empty() => None,
            Some(_) => Some(Unproxied::Domain { below: name.to_owned(), itself: false, port }),
            None => Some(Unproxied::Domain { below: format!(".{name}"), itself: true, port }),
        }
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, at: u16) -> bool {
        match (self, address) {
            (Unproxied::Everything, _) => true,
            (Unproxied::Network(network, bits), Some(address)) => is_within(network, bits, address),
            (Unproxied::Address(one, port), Some(address)) => {
                *one == address && port.is_none_or(|port| port == at)
            }
            // Go looks at the ends of addresses too.
            (Unproxied::Domain { below, itself, port }, _) => {
                (host.ends_with(below) || *itself && host == &below[1..])
                    && port.is_none_or(|port| port == at)
            }
            _ => false,
        }
    }
}

/// An address, which is one of IPv4 also where it is written as one of IPv6.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A proxy. Its address may hold a password, so no more than its host is shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proxy {
    address: String,
}

impl Proxy {
    /// Reads an address, which is one of HTTP if it does not say so.
    pub(crate) fn parse(address: &str) -> Result<Proxy, RegistryError> {
        use ProxyProtocol::{Http, Https, Socks5h};
        // As in Go, a name is the proxy's to look up, whatever the address says.
        let address = match address.strip_prefix("socks5://") {
            Some(rest) => format!("socks5h://{rest}"),
            None => address.to_owned(),
        };
        match ureq::Proxy::new(&address) {
            Ok(proxy) if matches!(proxy.protocol(), Http | Https | Socks5h) => {
                Ok(Proxy { address })
            }
            _ => Err(RegistryError::Proxy(without_password(&address))),
        }
    }

    /// What asks it for a connection to a host.
    pub(crate) fn tunnel(&self) -> ureq::Proxy {
        ureq::Proxy::new(&self.address).expect("its address was read before")
    }

    /// Its name and port, for messages.
    pub(crate) fn host(&self) -> String {
        let proxy = self.tunnel();
        format!("{}:{}", proxy.host(), proxy.port())
    }

    /// Whether it is asked over TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tunnel().protocol() == ProxyProtocol::Https
    }

    /// Whether it carries connections, whatever they are for.
    pub(crate) fn is_socks(&self) -> bool {
        self.tunnel().protocol() == ProxyProtocol::Socks5h
    }
}

/// An address that could not be read, up to whatever may be a password in it.
fn without_password(address: &str) -> String {
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (scheme, rest) = match address.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_go() {
        let check = |address: &str, host: &str, is_socks: bool| {
            let proxy = Proxy::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!((proxy.host().as_str(), proxy.is_socks()), (host, is_socks), "{address}");
        };
        check("proxy.org:3128", "proxy.org:3128", false);
        check("http://me:secret@proxy.org", "proxy.org:80", false);
        check("https://proxy.org", "proxy.org:443", false);
        check("socks5://[::1]", "[::1]:1080", true);
        check("socks5h://me:secret@proxy.org:1", "proxy.org:1", true);
        assert!(!Proxy::parse("socks5://proxy.org").unwrap().tunnel().resolve_target());
        for address in ["socks4://proxy.org", "ftp://proxy.org", "http://", "http://a b"] {
            assert!(Proxy::parse(address).is_err(), "{address}");
        }
        let error = Proxy::parse("socks4://me:secret@proxy.org").err().unwrap().to_string();
        assert!(error.contains("socks4://***@proxy.org") && !error.contains("secret"), "{error}");
        for wrong in ["me:p^ss@proxy:3128", "me:p/?#^ss@x@proxy:3128", "a://me:p/^ss@proxy:3128"] {
            let error = Proxy::parse(wrong).err().unwrap().to_string();
            assert!(error.contains("***@proxy:3128") && !error.contains("^ss"), "{error}");
        }
        assert_eq!(without_password("me:a://b@proxy"), "***@proxy");
    }

    #[test]
    fn what_needs_no_proxy_is_told_as_in_go() {
        let check = |entries: &str, direct: &[&str], others: &[&str]| {
            let pairs = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", ""), ("no_proxy", entries)];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let proxies = Proxies::of(&pairs.into());
            let is_direct = |host: &&&str| proxies.of_host(true, host).unwrap().is_none();
            let found: Vec<_> = direct.iter().chain(others).filter(is_direct).collect();
            assert_eq!(found, direct.iter().collect::<Vec<_>>(), "{entries}");
        };
        check("x.org:443", &["x.org", "a.x.org", "x.org:443"], &["x.org:5000"]);
        check(".corp:5000", &["a.corp:5000"], &["corp:5000", "a.corp", "acorp:5000"]);
        check("*.corp", &["a.corp", "b.a.corp:5"], &["corp"]);
        check("fd00::1", &["[fd00::1]", "[fd00:0::1]:5000"], &["[fd00::2]"]);
        check("[fd00::1]:5000", &["[fd00::1]:5000"], &["[fd00::1]"]);
        check("10.0.0.1:443", &["10.0.0.1"], &["10.0.0.1:444"]);
        check("::ffff:10.0.0.1", &["10.0.0.1"], &["10.0.0.2"]);
        check("fd00::/8, 10.0.0.0/8", &["[fd01::1]:1", "10.1.1.1"], &["[fe80::1]", "11.0.0.1"]);
        check("10.0.0.0/40,:5000,,x:y", &[], &["10.0.0.1", "a.org:5000", "x"]);
        check("0.0.1", &["a.0.0.1.org.0.0.1", "10.0.0.1"], &["10.0.0.2"]);
        check("*", &["a.org", "10.0.0.1"], &[]);
    }

    #[test]
    fn decides_as_go_does() {
        let pairs = [
            ("HTTPS_PROXY", "http://p:1"),
            ("http_proxy", "http://q:2"),
            ("NO_PROXY", "example.com, .inner.org,10.0.0.0/8,x.org:5000"),
        ];
        let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let proxies = Proxies::of(&environment.into());
        let proxy =
            |encrypted, host: &str| proxies.of_host(encrypted, host).unwrap().map(|p| p.host());
        assert_eq!(proxy(true, "quay.io").as_deref(), Some("p:1"));
        assert_eq!(proxy(false, "quay.io").as_deref(), Some("q:2"));
        let direct = [
            "localhost:5000",
            "127.0.0.1",
            "[::1]:5",
            "example.com",
            "a.example.com:443",
            "b.inner.org",
            "10.2.3.4",
            "x.org:5000",
        ];
        for host in direct {
            assert_eq!(proxy(true, host), None, "{host}");
        }
        for host in ["inner.org", "notexample.com", "11.0.0.1", "x.org:5001"] {
            assert!(proxy(true, host).is_some(), "{host}");
        }
        assert!(Proxies::default().of_host(true, "quay.io").unwrap().is_none());
    }
}
