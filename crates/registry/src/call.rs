//! A request to be made, and what came back.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::{HeaderName, Method, Response, StatusCode};

use crate::address::shown;
use crate::error::{ApiError, RegistryError};

/// What a registry says of an error is at most this long.
const ERROR_BYTES: u64 = 256 << 10;

/// What is sent along.
pub(crate) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// A stream, of so many bytes if that is known. It can be sent once.
    Stream(&'a mut (dyn Read + 'a), Option<u64>),
}

/// A request to be made.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) payload: Payload<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, url: impl Into<String>) -> Call<'a> {
        Call { method, url: url.into(), headers: Vec::new(), payload: Payload::Nothing }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Call<'a> {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn payload(mut self, payload: Payload<'a>) -> Call<'a> {
        self.payload = payload;
        self
    }

    /// The same once more, if that can be.
    pub(crate) fn again(&self) -> Option<Call<'a>> {
        let payload = match &self.payload {
            Payload::Nothing => Payload::Nothing,
            Payload::Bytes(bytes) => Payload::Bytes(bytes),
            Payload::Stream(..) => return None,
        };
        let (method, url, headers) = (self.method.clone(), self.url.clone(), self.headers.clone());
        Some(Call { method, url, headers, payload })
    }
}

/// What came back, and from where.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    /// The address that answered.
    pub(crate) url: String,
    /// Whether that is another host than the one that was asked.
    pub(crate) elsewhere: bool,
    /// Why it was asked as nobody, if somebody should have been named.
    pub(crate) unnamed: Option<String>,
    /// How long a document may take to arrive.
    pub(crate) patience: Duration,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The whole body, which may be so long and no longer.
    pub(crate) fn bytes(self, what: &'static str, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let (url, until) = (shown(&self.url), Instant::now() + self.patience);
        let failed = |url, error: io::Error| RegistryError::Transport {
            method: "Get",
            url,
            proxy: None,
            source: error.into(),
        };
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        let mut reader = self.response.into_body().into_reader();
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(count) => count,
                Err(error) => return Err(failed(url, error)),
            };
            bytes.extend_from_slice(&piece[..count]);
            if bytes.len() as u64 > limit {
                return Err(RegistryError::TooLarge { url, what, limit });
            }
            if Instant::now() > until {
                // A drop now and then keeps a connection alive, but nobody waits for ever.
                return Err(failed(url, io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// The error that an answer without success is.
    pub(crate) fn into_error(mut self, method: &Method) -> RegistryError {
        let unnamed = self.unnamed.take().filter(|_| matches!(self.status().as_u16(), 401 | 403));
        let error = self.said(method);
        match unnamed {
            Some(why) => error.unnamed(why),
            None => error,
        }
    }

    /// What its status and its body say.
    fn said(self, method: &Method) -> RegistryError {
        let is_head = *method == Method::HEAD;
        let (status, url, method) = (self.status().as_u16(), shown(&self.url), title(method));
        let bytes = self.bytes("an error", ERROR_BYTES).unwrap_or_default();
        let errors = api_errors(&bytes);
        // Answers to HEAD have no words of their own.
        let unspoken = |code: &str, message: &str| {
            let errors = vec![ApiError { code: code.to_owned(), message: message.to_owned() }];
            RegistryError::Refused { status, errors }
        };
        match (errors.is_empty(), status) {
            (false, _) => RegistryError::Refused { status, errors },
            (true, 401) => unspoken("UNAUTHORIZED", "authentication required"),
            (true, 403) if is_head => {
                unspoken("DENIED", "requested access to the resource is denied")
            }
            (true, 400..=499) if !is_head && !bytes.is_empty() && !matches!(status, 408 | 429) => {
                let body = printable(&String::from_utf8_lossy(&bytes), 1024);
                RegistryError::Body { status, body }
            }
            (true, _) => RegistryError::Status { method, url, status },
        }
    }
}

/// The errors in a body: registries write a list, token servers sometimes one `details`.
fn api_errors(bytes: &[u8]) -> Vec<ApiError> {
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<ApiError>,
        #[serde(default)]
        details: Option<String>,
    }
    let Ok(found) = serde_json::from_slice::<Errors>(bytes) else { return Vec::new() };
    let details = found.details.map(|message| {
        let code = "UNAUTHORIZED".to_owned();
        ApiError { code, message }
    });
    let mut errors: Vec<ApiError> = found.errors.into_iter().chain(details).take(16).collect();
    for error in &mut errors {
        // What comes from strangers goes to a terminal: one line, and no control characters.
        error.message = printable(&error.message, 1024);
        error.code = printable(&error.code, 64);
    }
    errors
}

/// A stranger's text, fit for a terminal.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(limit).collect()
}

/// A method as Go's errors write it.
pub(crate) fn title(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "Get",
        "HEAD" => "Head",
        "POST" => "Post",
        "PUT" => "Put",
        "PATCH" => "Patch",
        "DELETE" => "Delete",
        _ => "Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_whoever_writes_them() {
        let one = api_errors(br#"{"errors":[{"code":"DENIED","message":"no\u001b[2J"}]}"#);
        assert_eq!(one[0].to_string(), "denied: no[2J");
        let details = api_errors(br#"{"details":"incorrect username or password"}"#);
        assert_eq!(details[0].to_string(), "unauthorized: incorrect username or password");
        assert!(api_errors(b"<html>").is_empty() && api_errors(b"[]").is_empty());
    }
}
