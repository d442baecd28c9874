//! How a call ends: a code and words, in the trailers of its stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use engine::{EngineError, Kind};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use prost::Message;

use crate::refusal::{Refusal, chain};

/// The codes of gRPC that are used here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

const CODES: [Code; 12] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
];

/// The trailer with a whole status.
const DETAILS: &str = "grpc-status-details-bin";

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// What else is told of it, for clients that know what it is.
    pub(crate) details: Vec<Detail>,
}

/// Something that is told of a failure.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Detail {
    /// What kind of thing it is.
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// A status as it is told whole.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Whole {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Detail>,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), details: Vec::new() }
    }

    /// The request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Status {
        Status::new(Code::InvalidArgument, message)
    }

    /// What was named is not there.
    pub(crate) fn missing(message: impl Into<String>) -> Status {
        Status::new(Code::NotFound, message)
    }

    /// It is not done here.
    pub(crate) fn unsupported(message: impl Into<String>) -> Status {
        Status::new(Code::Unimplemented, message)
    }

    /// It went wrong on this side.
    pub(crate) fn internal(message: impl Into<String>) -> Status {
        Status::new(Code::Internal, message)
    }

    /// The other side has gone, or wants no answer any more.
    pub(crate) fn gone() -> Status {
        Status::new(Code::Cancelled, "context canceled")
    }

    /// As trailers.
    pub(super) fn trailers(outcome: &Result<(), Status>) -> HeaderMap {
        let (code, message) = match outcome {
            Ok(()) => (Code::Ok, ""),
            Err(status) => (status.code, status.message.as_str()),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(code as u16));
        let message = escape(message);
        if let Some(message) = HeaderValue::try_from(message).ok().filter(|text| !text.is_empty()) {
            trailers.insert("grpc-message", message);
        }
        if let Err(Status { code, message, details }) = outcome
            && !details.is_empty()
        {
            let (code, message, details) = (*code as i32, message.clone(), details.clone());
            let bytes = Whole { code, message, details }.encode_to_vec();
            if let Ok(value) = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)) {
                trailers.insert(DETAILS, value);
            }
        }
        trailers
    }

    /// What trailers say; nothing if they say nothing.
    pub(super) fn read(trailers: &HeaderMap) -> Option<Result<(), Status>> {
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
        let number: u16 = text("grpc-status")?.parse().ok()?;
        let code = CODES.into_iter().find(|code| *code as u16 == number).unwrap_or(Code::Unknown);
        let message = unescape(text("grpc-message").unwrap_or_default());
        let bytes =
            text(DETAILS).and_then(|text| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok());
        let whole = bytes.and_then(|bytes| Whole::decode(bytes.as_slice()).ok());
        let details = whole.map(|whole| whole.details).unwrap_or_default();
        Some(if code == Code::Ok { Ok(()) } else { Err(Status { code, message, details }) })
    }
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Status {
        let code = match error.kind() {
            Kind::NotFound => Code::NotFound,
            Kind::Conflict => Code::AlreadyExists,
            Kind::InvalidInput => Code::InvalidArgument,
            Kind::Unsupported => Code::Unimplemented,
            Kind::Corrupt | Kind::Other => Code::Unknown,
        };
        Status::new(code, chain(&error))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let code = match refusal.status {
            400 => Code::InvalidArgument,
            404 => Code::NotFound,
            403 => Code::PermissionDenied,
            409 => Code::AlreadyExists,
            501 => Code::Unimplemented,
            _ => Code::Unknown,
        };
        Status::new(code, refusal.message)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        match status.code {
            Code::InvalidArgument => Refusal::bad(status.message),
            Code::NotFound => Refusal::missing(status.message),
            Code::Unimplemented => Refusal::unsupported(status.message),
            _ => Refusal::failed(status.message),
        }
    }
}

impl From<std::io::Error> for Status {
    fn from(error: std::io::Error) -> Status {
        Status::internal(chain(&error))
    }
}

impl From<prost::DecodeError> for Status {
    fn from(error: prost::DecodeError) -> Status {
        Status::invalid(error.to_string())
    }
}

/// Bytes that a header cannot carry, and the sign itself, as `%XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    crate::query::decode(text, false).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_survive_their_trailers() {
        for outcome in [
            Ok(()),
            Err(Status::missing("no such job: \"a%b\"\nline two é")),
            Err(Status::unsupported("")),
            Err(Status {
                details: vec![Detail { kind: "k".to_owned(), value: vec![0, 255] }],
                ..Status::invalid("told")
            }),
        ] {
            assert_eq!(Status::read(&Status::trailers(&outcome)), Some(outcome));
        }
        assert_eq!(Status::read(&HeaderMap::new()), None);
    }
}
