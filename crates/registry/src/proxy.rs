//! Which proxy a request goes through, as Go decides it from the environment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ureq::ProxyProtocol;

use crate::address::without_user;
use crate::error::RegistryError;
use crate::rules::{is_within, split_port};

/// The proxies that the environment names. An address may hold a password, so they are not shown.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    none: Vec<String>,
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
            let lower = name.to_ascii_lowercase();
            let value = environment.get(name).or_else(|| environment.get(&lower));
            value.filter(|value| !value.is_empty()).cloned()
        };
        let none = get("NO_PROXY").unwrap_or_default();
        let none = none.split(',').map(|entry| entry.trim().to_ascii_lowercase());
        Proxies {
            http: get("HTTP_PROXY"),
            https: get("HTTPS_PROXY"),
            none: none.filter(|entry| !entry.is_empty()).collect(),
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
            Some(address) if !self.is_direct(host) => Proxy::parse(address).map(Some),
            _ => Ok(None),
        }
    }

    fn is_direct(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (bare, _) = split_port(&host);
        let address: Option<IpAddr> = bare.trim_matches(['[', ']']).parse().ok();
        if bare == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.none.iter().any(|entry| {
            if let (Some((network, bits)), Some(address)) = (entry.split_once('/'), address) {
                return is_within(network, bits, address);
            }
            let domain = entry.strip_prefix('*').unwrap_or(entry);
            let domain = domain.strip_prefix('.').unwrap_or(domain);
            entry == "*"
                || *entry == host
                || *entry == bare
                || bare == domain && !entry.starts_with('.')
                || bare.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        })
    }
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
            _ => Err(RegistryError::Proxy(without_user(&address))),
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
