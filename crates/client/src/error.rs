//! Why another engine could not be asked, or what it did not like.

use std::io;
use std::path::PathBuf;

/// What this crate's functions give back.
pub type Result<T> = std::result::Result<T, ClientError>;

/// An error of asking another engine.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ClientError {
    #[error("unable to parse docker host `{0}`")]
    Endpoint(String),
    #[error("Cannot connect to the Docker daemon at {place}. Is the docker daemon running?")]
    Connect { place: String, source: io::Error },
    #[error("cannot use the certificate or key in {}", path.display())]
    Certificate { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot speak TLS with {place}")]
    Tls { place: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the engine at {place} broke off")]
    Broken { place: String, source: io::Error },
    #[error("what answers at {place} does not speak HTTP")]
    NoHttp { place: String },
    #[error("Error response from daemon: {message}")]
    Refused { status: u16, message: String },
    #[error("cannot understand what the engine at {place} says")]
    Document { place: String, source: serde_json::Error },
    #[error("cannot read what is to be sent")]
    Payload(#[source] io::Error),
    #[error("the engine at {place} speaks version {theirs} of docker's API, which is too old")]
    Old { place: String, theirs: String },
}

impl ClientError {
    /// The status that the engine answered with, if it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the engine says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClientError::Endpoint(_) => Some(
                "write unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]".to_owned(),
            ),
            ClientError::Connect { .. } => Some(
                "mica needs no daemon: unset DOCKER_HOST and use the context `default` to work on this machine's own store"
                    .to_owned(),
            ),
            ClientError::NoHttp { .. } => Some(
                "an engine behind TLS is asked with --tlsverify, or --tls".to_owned(),
            ),
            _ => None,
        }
    }
}
