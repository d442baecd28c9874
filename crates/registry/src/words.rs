//! Go's words for what the network did, where users and their scripts know them.

use std::io;

use rustls::CertificateError as C;
use rustls::pki_types::UnixTime;
use spec::Timestamp;

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
        ureq::Error::Io(error) => match (lookup(error), secured(error)) {
            (Some(why), _) => unknown(&why),
            (_, Some(why)) => of_tls(why, &host),
            (None, None) => format!("io: {error}"),
        },
        ureq::Error::Rustls(why) => of_tls(why, &host),
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

/// What TLS did not like, if that is what is wrong.
fn secured(error: &io::Error) -> Option<&rustls::Error> {
    let mut cause: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        match cause.downcast_ref::<rustls::Error>() {
            Some(why) => return Some(why),
            None => cause = cause.source()?,
        }
    }
}

/// What TLS did not like. Its library would show parts of itself.
fn of_tls(why: &rustls::Error, host: &str) -> String {
    use rustls::{Error as E, InvalidMessage as M};
    let what = match why {
        E::InvalidCertificate(why) => {
            return format!("tls: failed to verify certificate: x509: {}", verified(why, host));
        }
        E::AlertReceived(alert) => return format!("remote error: tls: {}", alerted(*alert)),
        E::InvalidMessage(M::InvalidContentType) => {
            "first record does not look like a TLS handshake"
        }
        E::InvalidMessage(_) | E::PeerMisbehaved(_) => "unexpected message",
        E::InappropriateMessage { .. } | E::InappropriateHandshakeMessage { .. } => {
            "unexpected message"
        }
        E::PeerIncompatible(_) => "no version and no cipher that both sides know",
        E::DecryptError => "bad record MAC",
        E::NoCertificatesPresented => "the server has no certificate",
        _ => "handshake failure",
    };
    format!("tls: {what}")
}

/// What the other side complained of.
fn alerted(alert: rustls::AlertDescription) -> &'static str {
    use rustls::AlertDescription as A;
    match alert {
        A::UnexpectedMessage => "unexpected message",
        A::BadRecordMac => "bad record MAC",
        A::BadCertificate => "bad certificate",
        A::UnsupportedCertificate => "unsupported certificate",
        A::CertificateRevoked => "revoked certificate",
        A::CertificateExpired => "expired certificate",
        A::CertificateUnknown => "unknown certificate",
        A::CertificateRequired => "certificate required",
        A::UnknownCA => "unknown certificate authority",
        A::AccessDenied => "access denied",
        A::DecryptError => "error decrypting message",
        A::ProtocolVersion => "protocol version not supported",
        A::InsufficientSecurity => "insufficient security level",
        A::InternalError => "internal error",
        A::UnrecognisedName => "unrecognized name",
        A::NoApplicationProtocol => "no application protocol",
        _ => "handshake failure",
    }
}

fn verified(why: &C, host: &str) -> String {
    let name = split_port(host).0;
    match why {
        C::ExpiredContext { time, not_after } => out_of_time(*time, "after", *not_after),
        C::NotValidYetContext { time, not_before } => out_of_time(*time, "before", *not_before),
        C::Expired | C::NotValidYet => "certificate has expired or is not yet valid".to_owned(),
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
        C::BadEncoding => "malformed certificate".to_owned(),
        C::Revoked => "certificate has been revoked".to_owned(),
        C::UnhandledCriticalExtension => "unhandled critical extension".to_owned(),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "cannot verify signature: algorithm unimplemented".to_owned()
        }
        C::Other(why) => unusable(&why.to_string()).to_owned(),
        // Whatever else it is, nobody who is believed vouches for it.
        _ => UNKNOWN.to_owned(),
    }
}

const UNKNOWN: &str = "certificate signed by unknown authority";

/// What the library that checks certificates says by a word of its own.
fn unusable(word: &str) -> &'static str {
    match word {
        "NameConstraintViolation" => {
            "a root or intermediate certificate is not authorized to sign for this name"
        }
        "PathLenConstraintViolated" | "MaximumPathDepthExceeded" => {
            "too many intermediates for path length constraint"
        }
        _ => UNKNOWN,
    }
}

/// A certificate that is not good now.
fn out_of_time(now: UnixTime, side: &str, end: UnixTime) -> String {
    let shown =
        |time: UnixTime| Timestamp::from_unix(i64::try_from(time.as_secs()).unwrap_or(i64::MAX), 0);
    let (now, end) = (shown(now), shown(end));
    format!("certificate has expired or is not yet valid: current time {now} is {side} {end}")
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
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let (time, not_after) = (at(1_700_000_000), at(1_600_000_000));
        let text = "tls: failed to verify certificate: x509: certificate has expired or is not yet \
            valid: current time 2023-11-14T22:13:20Z is after 2020-09-13T12:26:40Z";
        check(None, error(C::ExpiredContext { time, not_after }), text);
    }

    #[test]
    fn nothing_of_the_library_is_shown() {
        use rustls::{AlertDescription, InvalidMessage, OtherError, PeerIncompatible};
        #[derive(Debug)]
        struct Word(&'static str);
        impl std::fmt::Display for Word {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for Word {}
        let tls = |why: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, why);
        let certificate = |why: C, expected: &str| {
            let expected = format!("tls: failed to verify certificate: x509: {expected}");
            check(None, tls(why.into()), &expected);
        };
        let other = |word| C::Other(OtherError(std::sync::Arc::new(Word(word))));
        certificate(other("CaUsedAsEndEntity"), UNKNOWN);
        certificate(
            other("MaximumPathDepthExceeded"),
            "too many intermediates for path length constraint",
        );
        certificate(C::BadSignature, UNKNOWN);
        certificate(C::BadEncoding, "malformed certificate");
        certificate(C::InvalidPurpose, "certificate specifies an incompatible key usage");
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        check(None, tls(alert), "remote error: tls: unknown certificate authority");
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        check(None, tls(plain), "tls: first record does not look like a TLS handshake");
        let old = rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13);
        let text = "tls: no version and no cipher that both sides know";
        check(None, tls(old.clone()), text);
        check(None, ureq::Error::Rustls(old), text);
    }
}
