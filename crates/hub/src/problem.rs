//! What a client is told when it does not get what it asked for: the specification's codes.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::error::HubError;
use crate::http::Response;

/// The codes of the distribution specification, and docker's where that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    Unknown,
}

impl Code {
    /// Its name, the words for it, and the status that goes with it.
    fn row(self) -> (&'static str, &'static str, u16) {
        match self {
            Code::BlobUnknown => ("BLOB_UNKNOWN", "blob unknown to registry", 404),
            Code::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "blob upload invalid", 400),
            Code::BlobUploadUnknown => {
                ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404)
            }
            Code::DigestInvalid => {
                ("DIGEST_INVALID", "provided digest did not match uploaded content", 400)
            }
            Code::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", 404),
            Code::ManifestInvalid => ("MANIFEST_INVALID", "manifest invalid", 400),
            Code::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown", 404),
            Code::NameInvalid => ("NAME_INVALID", "invalid repository name", 400),
            Code::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry", 404),
            Code::PaginationNumberInvalid => {
                ("PAGINATION_NUMBER_INVALID", "invalid number of results requested", 400)
            }
            Code::SizeInvalid => {
                ("SIZE_INVALID", "provided length did not match content length", 400)
            }
            Code::TagInvalid => ("TAG_INVALID", "manifest tag did not match URI", 400),
            Code::Unauthorized => ("UNAUTHORIZED", "authentication required", 401),
            Code::Denied => ("DENIED", "requested access to the resource is denied", 403),
            Code::Unsupported => ("UNSUPPORTED", "The operation is unsupported.", 405),
            Code::Unknown => ("UNKNOWN", "unknown error", 500),
        }
    }

    /// With what it is about.
    pub(crate) fn with(self, detail: Value) -> Problem {
        Problem { detail, ..Problem::from(self) }
    }

    /// With a reason in words.
    pub(crate) fn because(self, why: impl ToString) -> Problem {
        self.with(Value::String(why.to_string()))
    }
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(crate) struct Problem {
    codes: Vec<(Code, Value)>,
    detail: Value,
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// What went wrong inside, for the log alone.
    pub(crate) inside: Option<Box<HubError>>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        let status = code.row().2;
        Problem {
            codes: vec![(code, Value::Null)],
            detail: Value::Null,
            status,
            headers: Vec::new(),
            inside: None,
        }
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Problem {
        if let HubError::Raced { .. } = &error {
            return Code::BlobUploadInvalid.because(&error).status(409);
        }
        let mut problem = Problem::from(Code::Unknown);
        if error.is_full() {
            problem.status = 507;
        }
        problem.inside = Some(Box::new(error));
        problem
    }
}

impl Problem {
    /// Several blobs that are missing.
    pub(crate) fn many(code: Code, details: Vec<Value>) -> Problem {
        let codes = details.into_iter().map(|detail| (code, detail)).collect();
        Problem { codes, ..Problem::from(code) }
    }

    /// With another status than the code's own.
    pub(crate) fn status(mut self, status: u16) -> Problem {
        self.status = status;
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Problem {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The answer that tells it.
    pub(crate) fn response(self) -> Response {
        let errors: Vec<Value> = self
            .codes
            .iter()
            .map(|(code, detail)| {
                let (name, message, _) = code.row();
                let detail = if detail.is_null() { &self.detail } else { detail };
                match detail.is_null() {
                    true => json!({ "code": name, "message": message }),
                    false => json!({ "code": name, "message": message, "detail": detail }),
                }
            })
            .collect();
        let body = json!({ "errors": errors }).to_string().into_bytes();
        let response = Response::json(self.status, body);
        self.headers
            .into_iter()
            .fold(response, |response, (name, value)| response.header(name, value))
    }
}

/// An error and its causes in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}
