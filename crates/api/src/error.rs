//! Why the API cannot be served.

use std::io;
use std::path::PathBuf;

/// An error of serving.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ApiError {
    #[error("cannot listen on {place}")]
    Listen { place: String, source: io::Error },
    #[error("{0:?} is no place to listen: give unix://PATH, tcp://HOST:PORT or fd://")]
    Place(String),
    #[error("nothing listens on {0} already")]
    Inherited(String),
    #[error("somebody answers on {0} already")]
    Taken(String),
    #[error("{0} would let everybody who reaches it be root of this machine")]
    Open(String),
    #[error("cannot use the certificate or key in {}", path.display())]
    Certificate { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
        path.display()
    )]
    Running { path: PathBuf, pid: u32 },
    #[error("cannot write the process id to {}", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

impl ApiError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ApiError::Open(_) => Some(
                "ask for proof with --tlsverify, --tlscacert, --tlscert and --tlskey; `mica serve --allow-plain-tcp` and `mica dockerd --tls=false` do without"
                    .to_owned(),
            ),
            ApiError::Inherited(_) => {
                Some("fd:// is for sockets that systemd or the like has opened".to_owned())
            }
            _ => None,
        }
    }
}
