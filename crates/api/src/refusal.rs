//! Answers to requests that fail: docker's statuses, and a document with its words.

use std::error::Error;
use std::io;

use engine::{EngineError, Kind};
use runtime::failure::{Failure, FailureKind};

/// Why a request is not answered as it would like to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// The status of HTTP.
    pub(crate) status: u16,
    /// The words.
    pub(crate) message: String,
}

impl Refusal {
    /// The request is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Refusal {
        Refusal { status: 400, message: message.into() }
    }

    /// What was named is not there.
    pub(crate) fn missing(message: impl Into<String>) -> Refusal {
        Refusal { status: 404, message: message.into() }
    }

    /// It is used, or there already.
    pub(crate) fn conflict(message: impl Into<String>) -> Refusal {
        Refusal { status: 409, message: message.into() }
    }

    /// It went wrong on this side.
    pub(crate) fn failed(message: impl Into<String>) -> Refusal {
        Refusal { status: 500, message: message.into() }
    }

    /// It is not done here.
    pub(crate) fn unsupported(message: impl Into<String>) -> Refusal {
        Refusal { status: 501, message: message.into() }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Refusal {
        match &error {
            EngineError::Monitor { failure, .. } => return Refusal::from((**failure).clone()),
            EngineError::PullDenied { .. } => return Refusal::missing(error.to_string()),
            EngineError::Network(network)
                if network.kind() == engine::NetworkErrorKind::Forbidden =>
            {
                return Refusal { status: 403, message: error.to_string() };
            }
            _ => {}
        }
        let status = match error.kind() {
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::InvalidInput => 400,
            Kind::Unsupported => 501,
            Kind::Corrupt | Kind::Other => 500,
        };
        // Docker's words stand alone; with ours goes what brought it about.
        let message = match error.is_dockers() || error.is_clients() {
            true => error.to_string(),
            false => chain(&error),
        };
        Refusal { status, message }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::failed(chain(&error))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        let status = match failure.kind {
            FailureKind::CommandNotFound
            | FailureKind::CommandNotExecutable
            | FailureKind::InvalidInput => 400,
            FailureKind::NotFound => 404,
            FailureKind::Conflict => 409,
            FailureKind::Unsupported => 501,
            FailureKind::Other => 500,
        };
        let causes = failure.because.iter().map(|cause| format!(": {cause}"));
        let message = std::iter::once(failure.message.clone()).chain(causes).collect();
        Refusal { status, message }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // A transparent error repeats its cause's words.
        if !text.ends_with(&words) {
            text.push_str(&format!(": {words}"));
        }
        next = cause.source();
    }
    text
}
