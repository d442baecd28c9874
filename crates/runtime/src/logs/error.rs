//! What can be wrong with a log.

use std::io;
use std::path::PathBuf;

use crate::failure::FailureKind;

/// An error of a log. Words are docker's where docker has the error.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LogError {
    #[error("logger: no log driver named '{0}' is registered")]
    NoDriver(String),
    #[error("log driver '{0}' is not built into mica")]
    NotBuiltIn(String),
    #[error("unknown log opt '{option}' for {}", described(driver))]
    UnknownOption { option: String, driver: &'static str },
    #[error("invalid log opt {option}={value}: {why}")]
    BadOption { option: &'static str, value: String, why: String },
    #[error("{0}")]
    Together(&'static str),
    #[error("failed to initialize logging driver: cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("failed to initialize logging driver: cannot reach {what}")]
    Reach { what: String, source: io::Error },
    #[error("configured logging driver does not support reading")]
    NotReadable,
    #[error("cannot {doing} the log {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl LogError {
    /// What kind of error it is.
    pub fn kind(&self) -> FailureKind {
        use LogError as E;
        match self {
            E::NoDriver(_) | E::UnknownOption { .. } | E::BadOption { .. } | E::Together(_) => {
                FailureKind::InvalidInput
            }
            E::NotBuiltIn(_) | E::NotReadable => FailureKind::Unsupported,
            E::Open { .. } | E::Reach { .. } | E::Io { .. } => FailureKind::Other,
        }
    }

    /// What the user can do, where we know it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            LogError::NoDriver(_) => "drivers: json-file, local, journald, syslog, none",
            LogError::NotBuiltIn(_) => {
                "log with json-file, local, journald or syslog, and let a collector read that"
            }
            LogError::NotReadable => "start the container with another --log-driver",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A driver as docker's error calls it: two ways.
fn described(driver: &str) -> String {
    match driver {
        "local" => "log driver local".to_owned(),
        other => format!("{other} log driver"),
    }
}
