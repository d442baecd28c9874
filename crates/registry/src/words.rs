//! Go's words for what the network did, where users and their scripts know them.

use std::io;

use rustls::CertificateError as C;

use crate::address::origin;
use crate::rules::split_port;

/// What came of a request to a URL, which a proxy was to make if there is one.
pub(crate) fn of_network(url: &str, proxy: Option<&str>, error: &ureq::Error) -> String {
    let host = origin(url).map(|(_, host)| host).unwrap_or_default();
    let (asked, who) = match proxy {
        Some(proxy) => (proxy, "proxyconnect tcp: dial tcp"),
        None => (host.as_str(), "dial tcp"),
    };
    let unknown = |why: &str| format!("{who}: lookup {}: {why}", split_port(asked).0);
    match error {
        ureq::Error::HostNotFound => unknown("no such host"),
        // A proxy answered, and what it said of itself is all there is to say.
        ureq::Error::ConnectProxyFailed(why) => refused_by_proxy(why),
        ureq::Error::Timeout(ureq::Timeout::Connect) => format!("{who} {asked}: i/o timeout"),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("{who} {asked}: connect: connection refused")
        }
        ureq::Error::Io(error) => match (lookup(error), certificate(error)) {
            (Some(why), _) => unknown(&why),
            (_, Some(why)) => {
                format!("tls: failed to verify certificate: x509: {}", verified(why, &host))
            }
            (None, None) => format!("io: {error}"),
        },
        other => other.to_string(),
    }
}

/// Why the system did not find a name. Its library says so in words alone.
fn lookup(error: &io::Error) -> Option<String> {
    let text = error.to_string();
    let why = text.strip_prefix("failed to lookup address information: ")?;
    Some(match why {
        "Name or service not known"
        | "Name does not resolve"
        | "Name has no usable address"
        | "No address associated with hostname" => "no such host".to_owned(),
        "Try again" => "Temporary failure in name resolution".to_owned(),
        why => why.to_owned(),
    })
}

/// The status that a proxy gave: `proxy server responded 403/403`.
fn refused_by_proxy(why: &str) -> String {
    let status =
        why.strip_prefix("proxy server responded ").and_then(|rest| rest.split('/').next());
    let status = status.and_then(|text| ureq::http::StatusCode::from_bytes(text.as_bytes()).ok());
    match status.and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("proxyconnect tcp: {reason}"),
        None => format!("proxyconnect tcp: {why}"),
    }
}

/// What is wrong with a certificate, if that is what is wrong.
fn certificate(error: &io::Error) -> Option<&C> {
    let mut cause: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(why)) => return Some(why),
            Some(_) => return None,
            None => cause = cause.source()?,
        }
    }
}

fn verified(why: &C, host: &str) -> String {
    let name = split_port(host).0;
    match why {
        C::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
            format!("certificate has expired or is not yet valid: {why}")
        }
        C::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            // `DnsName("a.org")`, `IpAddress(127.0.0.1)`.
            let bare = |text: &String| {
                let inner = text.split_once('(').map_or(text.as_str(), |(_, inner)| inner);
                inner.trim_end_matches(')').trim_matches('"').to_owned()
            };
            let names: Vec<String> = presented.iter().map(bare).collect();
            format!("certificate is valid for {}, not {name}", names.join(", "))
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            format!("certificate is not valid for any names, but wanted to match {name}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(proxy: Option<&str>, error: impl Into<ureq::Error>, expected: &str) {
        assert_eq!(of_network("https://r.org:5000/v2/", proxy, &error.into()), expected);
    }

    #[test]
    fn what_the_network_did_is_told_as_go_tells_it() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        check(None, refused(), "dial tcp r.org:5000: connect: connection refused");
        let by_proxy = "proxyconnect tcp: dial tcp p:1: connect: connection refused";
        check(Some("p:1"), refused(), by_proxy);
        let unknown = "failed to lookup address information: Name or service not known";
        check(None, io::Error::other(unknown), "dial tcp: lookup r.org: no such host");
        check(
            Some("p:1"),
            ureq::Error::HostNotFound,
            "proxyconnect tcp: dial tcp: lookup p: no such host",
        );
        let text = "proxy server responded 403/403".to_owned();
        check(Some("p:1"), ureq::Error::ConnectProxyFailed(text), "proxyconnect tcp: Forbidden");
        check(None, io::Error::other("cut"), "io: cut");
    }

    #[test]
    fn certificates_are_told_as_go_tells_it() {
        let error = |why: C| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(why));
        let unknown =
            "tls: failed to verify certificate: x509: certificate signed by unknown authority";
        check(None, error(C::UnknownIssuer), unknown);
        let presented = vec!["DnsName(\"a.org\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        let expected = rustls::pki_types::ServerName::try_from("r.org").unwrap();
        let other = C::NotValidForNameContext { expected, presented };
        let text = "tls: failed to verify certificate: x509: \
            certificate is valid for a.org, 127.0.0.1, not r.org";
        check(None, error(other), text);
    }
}
