//! What can go wrong with a registry that is no client's fault.

use std::io;
use std::path::PathBuf;

/// An error of the server itself. Clients see it as status 500 without details; the log has them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Waiting for connections failed.
    #[error("cannot accept connections")]
    Accept {
        /// Why.
        source: io::Error,
    },
    /// There is no registry where one should be.
    #[error("there is no registry in {path}")]
    Nothing {
        /// Where.
        path: PathBuf,
    },
    /// Something in the folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document of the registry's own is damaged.
    #[error("{path} is damaged")]
    Damaged {
        /// Which.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The registry behind this one does not do what it should.
    #[error("the registry behind this one failed")]
    Upstream {
        /// Why.
        source: Box<registry::RegistryError>,
    },
    /// Whoever keeps the images that are shown cannot give one.
    #[error("an image cannot be shown")]
    Shelf {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object store does not do what it should.
    #[error(transparent)]
    Bucket(#[from] registry::BucketError),
    /// The address or the options of an object store are wrong. Options may be secret: their values
    /// are not told.
    #[error("{address} cannot be used: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// Another server was there first.
    #[error("another server changed {what} meanwhile")]
    Raced {
        /// What.
        what: String,
    },
    /// Another server collects garbage in the same store.
    #[error("another server is collecting garbage in this store")]
    Collecting,
    /// The folder was written by a newer mica.
    #[error("{path} is of version {found}, and this mica reads up to {known}")]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
}

/// What sort of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubErrorKind {
    /// What was asked for cannot be.
    InvalidInput,
    /// What is kept is damaged.
    Corrupt,
    /// The machine or its network.
    Other,
}

impl HubError {
    /// What sort of error it is.
    pub fn kind(&self) -> HubErrorKind {
        match self {
            HubError::Damaged { .. } => HubErrorKind::Corrupt,
            HubError::Newer { .. } | HubError::Address { .. } | HubError::Nothing { .. } => {
                HubErrorKind::InvalidInput
            }
            _ => HubErrorKind::Other,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            HubError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another program listens there; `--listen` takes another address".to_owned())
            }
            HubError::Address { .. } => Some(
                "docs/registry.md says which options and variables of the environment there are"
                    .to_owned(),
            ),
            HubError::Collecting => {
                Some("if it was killed, its turn ends within ten minutes".to_owned())
            }
            HubError::Nothing { .. } => {
                Some("`--root` names the folder that `mica registry serve` was given".to_owned())
            }
            HubError::Newer { .. } => Some("serve this folder with the newer mica".to_owned()),
            _ => None,
        }
    }

    /// Whether the disk is full, which a client may be told.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, HubError::Write { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// What the hub gives back.
pub type Result<T, E = HubError> = std::result::Result<T, E>;
