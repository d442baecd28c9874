//! A request as those who answer it see it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Engine;
use hyper::HeaderMap;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use spec::ContainerId;
use spec::go_json::{self, Behind};
use tokio::sync::mpsc::Receiver;

use crate::app::App;
use crate::gates;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::version::Version;

/// No document that is sent is longer.
const MAX_JSON_BYTES: u64 = 8 << 20;

/// A request that somebody is to answer.
pub(crate) struct Call {
    /// What all calls share.
    pub(crate) app: Arc<App>,
    /// The version that the client speaks.
    pub(crate) version: Version,
    /// What follows the question mark.
    pub(crate) query: Query,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// What stood in the path where the route has names.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// What it carries.
    pub(crate) body: BodyReader,
}

impl Call {
    /// What stood in the path where the route has this name.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The engine, opened for this call.
    pub(crate) fn engine(&self) -> Result<Engine, Refusal> {
        self.app.engine()
    }

    /// The engine, and the container that the path names.
    pub(crate) fn container(&self) -> Result<(Engine, ContainerId), Refusal> {
        let engine = self.engine()?;
        let id = engine.containers().find(self.parameter("id"))?;
        Ok((engine, id))
    }

    /// Whether the client speaks `1.MINOR` or newer.
    pub(crate) fn since(&self, minor: u32) -> bool {
        self.version >= Version::minor(minor)
    }

    /// What a client says, as far as its version has it.
    pub(crate) fn heard(&self, mut document: Value, fields: &[gates::Field]) -> Value {
        gates::hear(&mut document, fields, self.version.to_minor());
        document
    }

    /// A document as the client's version knows it.
    pub(crate) fn fitted(&self, mut document: Value, fields: &[gates::Field]) -> Value {
        gates::fit(&mut document, fields, self.version.to_minor());
        document
    }

    /// A header's text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the connection is to become another one.
    pub(crate) fn upgrades(&self) -> bool {
        self.headers.contains_key("upgrade")
    }

    /// The document that it carries; none if it carries nothing.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Refusal> {
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| Refusal::bad(format!("cannot read the request: {error}")))?;
        if bytes.len() as u64 > MAX_JSON_BYTES {
            return Err(Refusal {
                status: 413,
                message: "http: request body too large".to_owned(),
            });
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        check_kind(self.header("content-type"))?;
        // Go's reader takes `null` for a document in which nothing is said.
        go_json::from_slice(&bytes, Behind::Refused)
            .map_err(|error| Refusal::bad(format!("invalid JSON: {error}")))
    }

    /// The document that it must carry.
    pub(crate) fn must_json<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let missing = || Refusal::bad("invalid JSON: got EOF while reading request body");
        self.json()?.ok_or_else(missing)
    }
}

/// Whether what is sent is said to be JSON.
fn check_kind(kind: &str) -> Result<(), Refusal> {
    let (bare, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    if !bare.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::bad(format!(
            "unsupported Content-Type header ({kind}): must be 'application/json'"
        )));
    }
    let parameters = parameters.trim();
    // One may stand behind the last, and none alone.
    let last = parameters.strip_suffix(';').filter(|before| !before.is_empty());
    let parameters = last.unwrap_or(parameters);
    let is_pair = |text: &str| {
        text.trim()
            .split_once('=')
            .is_some_and(|(name, value)| !name.is_empty() && !value.is_empty())
    };
    match parameters.is_empty() || parameters.split(';').all(is_pair) {
        true => Ok(()),
        false => Err(Refusal::bad(format!(
            "malformed Content-Type header ({kind}): mime: invalid media parameter"
        ))),
    }
}

/// No form that is sent is longer.
const MAX_FORM_BYTES: u64 = 10 << 20;

/// What a request carries, as it arrives. Whoever sends it waits while nobody reads.
pub(crate) struct BodyReader {
    parts: Option<Receiver<io::Result<Bytes>>>,
    part: Bytes,
    broken: Arc<AtomicBool>,
}

impl BodyReader {
    /// Parts that will come; none for a request that carries nothing.
    pub(crate) fn new(parts: Option<Receiver<io::Result<Bytes>>>) -> BodyReader {
        BodyReader { parts, part: Bytes::new(), broken: Arc::default() }
    }

    /// Whether it broke off, or was none: what fails then is the client's fault. Known to whoever
    /// has this, whoever reads.
    pub(crate) fn broken(&self) -> Arc<AtomicBool> {
        self.broken.clone()
    }

    /// The parameters that it carries, if it is a form. Whoever reads it afterwards finds it whole.
    pub(crate) fn form(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let read = self.by_ref().take(MAX_FORM_BYTES + 1).read_to_end(&mut bytes);
        let whole = [bytes.as_slice(), &self.part].concat();
        self.part = Bytes::from(whole);
        read?;
        let is_form =
            bytes.len() as u64 <= MAX_FORM_BYTES && bytes.iter().all(u8::is_ascii_graphic);
        Ok(String::from_utf8(bytes).ok().filter(|_| is_form))
    }

    /// The whole of it, for somebody else to read.
    pub(crate) fn take_all(&mut self) -> BodyReader {
        std::mem::replace(self, BodyReader::new(None))
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            let Some(parts) = &mut self.parts else { return Ok(0) };
            match parts.blocking_recv() {
                Some(Ok(part)) => self.part = part,
                Some(Err(error)) => {
                    self.broken.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                None => self.parts = None,
            }
        }
        let count = self.part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.part.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_called_so() {
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;",
            "application/json ; a=b; c=d;",
        ] {
            assert_eq!(check_kind(kind), Ok(()), "{kind}");
        }
        let words = |kind| check_kind(kind).unwrap_err().message;
        assert!(words("text/plain").starts_with("unsupported Content-Type header (text/plain)"));
        assert!(words("").starts_with("unsupported Content-Type header ()"));
        for kind in ["application/json;;", "application/json; x", "application/json; =x"] {
            assert!(words(kind).starts_with("malformed Content-Type"), "{kind}");
        }
    }

    #[test]
    fn a_form_is_read_and_is_still_there() {
        let carried = |text: &'static [u8]| {
            let (sender, parts) = tokio::sync::mpsc::channel(2);
            sender.try_send(Ok(Bytes::from_static(text))).unwrap();
            drop(sender);
            let mut body = BodyReader::new(Some(parts));
            let form = body.form().unwrap();
            let mut left = Vec::new();
            body.read_to_end(&mut left).unwrap();
            assert_eq!(left, text);
            form
        };
        assert_eq!(carried(b"signal=USR1").as_deref(), Some("signal=USR1"));
        assert_eq!(carried(b"a\0b"), None, "an archive is no form");
    }
}
