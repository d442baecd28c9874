//! What can go wrong with a registry, in docker's words where its users match them.

use serde::Deserialize;
use spec::Digest;

use crate::words;

/// An error of the distribution protocol.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RegistryError {
    /// The registry said what is wrong.
    #[error("{}", said(errors))]
    Refused { status: u16, errors: Vec<ApiError> },
    /// It said nothing but a status.
    #[error("received unexpected HTTP status: {status} {}", reason(*status))]
    Status { method: &'static str, url: String, status: u16 },
    /// It said something that no registry says.
    #[error("error parsing HTTP {status} response body: {}: {body:?}", unparsed(body))]
    Body { status: u16, body: String },
    /// It was asked as nobody, because whoever knows who we are did not say it.
    #[error("{source}: {why}")]
    Unnamed { why: String, source: Box<RegistryError> },
    #[error("{method} {url:?}: no basic auth credentials")]
    NoCredentials { method: &'static str, url: String },
    #[error("login attempt to {url} failed with status: {status} {}", reason(*status))]
    LoginFailed { url: String, status: u16 },
    /// Whoever gives tokens for a registry said why there is none.
    #[error("Get {url:?}: {source}")]
    LoginRefused { url: String, source: Box<RegistryError> },
    /// The network failed, or the proxy that stands for it.
    #[error("{method} {url:?}: {}", words::of_network(url, proxy.as_deref(), source))]
    Transport { method: &'static str, url: String, proxy: Option<String>, source: ureq::Error },
    #[error("{method} {url:?}: http: server gave HTTP response to HTTPS client")]
    PlainServer { method: &'static str, url: String },
    #[error("{method} {url:?}: stopped after 10 redirects")]
    Redirects { method: &'static str, url: String },
    #[error("{url}: {what} is larger than {limit} bytes")]
    TooLarge { url: String, what: &'static str, limit: u64 },
    #[error("{url}: {why}")]
    Malformed { url: String, why: String },
    #[error("{url}: {wanted} arrived as {got}")]
    WrongDigest { url: String, wanted: Digest, got: Digest },
    #[error("{url} has {got} bytes instead of {wanted}")]
    WrongLength { url: String, wanted: u64, got: u64 },
    #[error("{url}: the connection ended {times} times without progress")]
    Stalled { url: String, times: u32, source: std::io::Error },
    #[error("registry {prefix} is blocked by {file}")]
    Blocked { prefix: String, file: String },
    #[error("{host} asks for credentials at {realm}, which is not encrypted")]
    PlainRealm { host: String, realm: String },
    #[error("cannot use {path} for TLS: {why}")]
    Certificates { path: String, why: String },
    #[error("{0} is no address of a registry")]
    Address(String),
    /// A file takes the capability from all hosts of a name.
    #[error("no host that has {0} may be pushed to")]
    NoPush(String),
    #[error("{0} is no address of a proxy: http, https, socks5 and socks5h are known")]
    Proxy(String),
    #[error("cannot read what is to be sent")]
    Source(#[source] std::io::Error),
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// Why credentials cannot be found or kept.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CredentialError {
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: String, source: std::io::Error },
    #[error("{path} is malformed: {why}")]
    Malformed { path: String, why: String },
    /// A program that keeps credentials is not there, or failed.
    #[error("error {doing} credentials - err: {why}, out: `{out}`")]
    Helper { doing: &'static str, why: String, out: String },
    /// Somebody elsewhere who was asked for them failed.
    #[error("error getting credentials - err: {why}")]
    Elsewhere { why: String },
    #[error("{path} cannot be opened with the key in {key}")]
    WrongKey { path: String, key: String },
    #[error("{path} can be read by others")]
    OpenKey { path: String },
}

/// Why an object store does not do what it should.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BucketError {
    #[error("bucket {name}: {why}")]
    Options { name: String, why: String },
    /// A thread that an object store needs cannot be started.
    #[error("cannot start a thread for the object store")]
    Threads { source: std::io::Error },
    #[error("cannot {what} {key} in the object store")]
    Objects { what: &'static str, key: String, source: Box<object_store::Error> },
    #[error("{key} in the object store is larger than {limit} bytes")]
    TooLarge { key: String, limit: u64 },
    #[error("cannot read what is to be {key} in the object store")]
    Source { key: String, source: std::io::Error },
}

impl BucketError {
    /// What kind it is.
    pub fn kind(&self) -> RegistryErrorKind {
        use object_store::Error as E;
        match self {
            BucketError::Options { .. } | BucketError::TooLarge { .. } => {
                RegistryErrorKind::Invalid
            }
            BucketError::Threads { .. } | BucketError::Source { .. } => {
                RegistryErrorKind::Unavailable
            }
            BucketError::Objects { source, .. } => match **source {
                E::NotFound { .. } => RegistryErrorKind::NotFound,
                E::InvalidPath { .. } => RegistryErrorKind::Invalid,
                E::PermissionDenied { .. } | E::Unauthenticated { .. } => RegistryErrorKind::Denied,
                _ => RegistryErrorKind::Unavailable,
            },
        }
    }
}

/// One error as registries word it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ApiError {
    /// The code, in capitals.
    #[serde(default)]
    pub code: String,
    /// What it is about.
    #[serde(default)]
    pub message: String,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryErrorKind {
    /// What was asked for is not there.
    NotFound,
    /// One must log in, or log in as somebody else.
    Denied,
    /// What came is not what it must be.
    Corrupt,
    /// The network or the registry does not work.
    Unavailable,
    /// What was asked is refused for what it is.
    Invalid,
}

impl RegistryError {
    /// What kind it is.
    pub fn kind(&self) -> RegistryErrorKind {
        use RegistryError as E;
        use RegistryErrorKind as K;
        match self {
            E::Refused { .. } if self.is_missing() => K::NotFound,
            E::Refused { status: 401 | 403, .. } | E::NoCredentials { .. } => K::Denied,
            E::Refused { status: 429 | 500.., .. } => K::Unavailable,
            E::Refused { .. } => K::Invalid,
            E::Status { status: 404, .. } | E::Body { status: 404, .. } => K::NotFound,
            E::Status { status: 401 | 403, .. } | E::LoginFailed { .. } => K::Denied,
            E::Body { status: 403, .. } => K::Denied,
            E::WrongDigest { .. } | E::WrongLength { .. } | E::Malformed { .. } => K::Corrupt,
            E::LoginRefused { source, .. } | E::Unnamed { source, .. } => source.kind(),
            E::Blocked { .. } | E::Address(_) | E::NoPush(_) | E::Proxy(_) => K::Invalid,
            E::TooLarge { .. } => K::Invalid,
            E::PlainRealm { .. } | E::Credential(_) => K::Denied,
            _ => K::Unavailable,
        }
    }

    /// Whether the registry wants a name and a password, and there are none to give.
    pub fn is_nameless(&self) -> bool {
        match self {
            RegistryError::NoCredentials { .. } => true,
            RegistryError::Unnamed { source, .. } => source.is_nameless(),
            _ => false,
        }
    }

    /// Why nobody was named, if somebody may be known.
    pub fn why_nameless(&self) -> Option<&str> {
        match self {
            RegistryError::Unnamed { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether what is wrong may be the bytes that were sent.
    pub fn is_about_bytes(&self) -> bool {
        use RegistryError as E;
        matches!(
            self,
            E::Refused { status: 400 | 422, .. }
                | E::Status { status: 400 | 422, .. }
                | E::Body { status: 400 | 422, .. }
        )
    }

    /// Whether the registry gave this code.
    pub fn has_code(&self, code: &str) -> bool {
        match self {
            RegistryError::Refused { errors, .. } => errors.iter().any(|error| error.code == code),
            RegistryError::Unnamed { source, .. } => source.has_code(code),
            _ => false,
        }
    }

    /// The same, with the reason why nobody was named to who refuses.
    pub(crate) fn unnamed(self, why: String) -> RegistryError {
        RegistryError::Unnamed { why, source: Box::new(self) }
    }

    /// Whether the thing is not there, in whatever words.
    pub fn is_missing(&self) -> bool {
        use RegistryError as E;
        match self {
            E::Refused { status, .. } | E::Status { status, .. } | E::Body { status, .. } => {
                *status == 404
            }
            _ => false,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        use RegistryError as E;
        match self {
            E::PlainServer { .. } => Some(
                "name the host in `insecure` of the settings' `[registries]` to allow plain HTTP"
                    .to_owned(),
            ),
            // Who is logged in is not helped by another login.
            E::Unnamed { .. } => None,
            E::NoCredentials { .. } => Some("`mica login` first".to_owned()),
            E::Refused { status: 401, .. } => Some("`mica login` first".to_owned()),
            E::Refused { status: 429, .. } | E::Status { status: 429, .. } => {
                Some("the registry wants fewer requests: log in, or try later".to_owned())
            }
            E::Credential(CredentialError::WrongKey { .. }) => {
                Some("`mica logout` forgets what is in it; then log in again".to_owned())
            }
            E::Credential(CredentialError::OpenKey { path }) => Some(format!("chmod 600 {path}")),
            _ => None,
        }
    }
}

/// All errors in one line, as Go's client writes them.
fn said(errors: &[ApiError]) -> String {
    match errors {
        [one] => one.to_string(),
        many => {
            let lines: Vec<String> = many.iter().map(ToString::to_string).collect();
            format!("errors:\n{}\n", lines.join("\n"))
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.to_ascii_lowercase().replace('_', " ");
        write!(f, "{code}: {}", self.message)
    }
}

/// Go's words for what is no JSON with errors in it.
fn unparsed(body: &str) -> String {
    match body.trim_start().chars().next() {
        None => "unexpected end of JSON input".to_owned(),
        Some('{' | '[') => "no error details found in HTTP response body".to_owned(),
        Some(letter) => {
            format!("invalid character '{letter}' looking for beginning of value")
        }
    }
}

/// Go's words for a status.
fn reason(status: u16) -> &'static str {
    ureq::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_as_go_does() {
        let one = ApiError { code: "MANIFEST_UNKNOWN".into(), message: "manifest unknown".into() };
        let error = RegistryError::Refused { status: 404, errors: vec![one] };
        assert_eq!(error.to_string(), "manifest unknown: manifest unknown");
        assert!(error.is_missing() && error.has_code("MANIFEST_UNKNOWN"));
        let error = RegistryError::Status { method: "Get", url: String::new(), status: 503 };
        assert_eq!(error.to_string(), "received unexpected HTTP status: 503 Service Unavailable");
        let error = RegistryError::Body { status: 404, body: "<p>no".to_owned() };
        let expected = "error parsing HTTP 404 response body: \
            invalid character '<' looking for beginning of value: \"<p>no\"";
        assert_eq!(error.to_string(), expected);
        assert!(error.is_missing() && error.kind() == RegistryErrorKind::NotFound);
    }
}
