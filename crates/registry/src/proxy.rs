//! Which proxy a request goes through, as Go decides it from the environment.

use std::collections::BTreeMap;
use std::net::IpAddr;

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
    pub(crate) fn of_host(&self, encrypted: bool, host: &str) -> Option<&str> {
        let proxy = if encrypted { &self.https } else { &self.http };
        let proxy = proxy.as_deref()?;
        (!self.is_direct(host)).then_some(proxy)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_as_go_does() {
        let pairs = [
            ("HTTPS_PROXY", "http://p:1"),
            ("http_proxy", "http://q:2"),
            ("NO_PROXY", "example.com, .inner.org,10.0.0.0/8,x.org:5000"),
        ];
        let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let proxies = Proxies::of(&environment.into());
        assert_eq!(proxies.of_host(true, "quay.io"), Some("http://p:1"));
        assert_eq!(proxies.of_host(false, "quay.io"), Some("http://q:2"));
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
            assert_eq!(proxies.of_host(true, host), None, "{host}");
        }
        for host in ["inner.org", "notexample.com", "11.0.0.1", "x.org:5001"] {
            assert!(proxies.of_host(true, host).is_some(), "{host}");
        }
        assert_eq!(Proxies::default().of_host(true, "quay.io"), None);
    }
}
