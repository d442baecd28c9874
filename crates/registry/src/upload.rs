//! A blob on its way to a registry: whole where its digest is known, else as it is made; and from
//! where the registry has got to, if the connection was cut.

use std::io::{self, Read};

use spec::Digest;
use ureq::http::Method;
use ureq::http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};

use crate::address::resolve;
use crate::call::{Answer, Call, Payload};
use crate::client::Repository;
use crate::error::RegistryError;
use crate::form::encode;

const BYTES: &str = "application/octet-stream";

/// What became of the wish to upload.
pub enum Begun<'a> {
    /// The registry had the blob elsewhere, and now has it here.
    Mounted,
    /// It waits for the bytes.
    Waiting(Upload<'a>),
}

/// An upload that the registry knows of.
pub struct Upload<'a> {
    repository: &'a Repository<'a>,
    url: String,
    at: u64,
}

/// Opens what is to be sent, from a place on.
pub type OpenAt<'a> = dyn Fn(u64) -> io::Result<Box<dyn Read + 'a>> + 'a;

impl<'a> Repository<'a> {
    /// Begins an upload; or makes a blob of another repository appear in this one, if it may.
    pub fn begin_upload(
        &'a self,
        mount: Option<(&Digest, &str)>,
    ) -> Result<Begun<'a>, RegistryError> {
        let place = &self.places[0];
        let query = mount.map(|(digest, from)| {
            format!("?mount={}&from={}", encode(&digest.to_string()), encode(from))
        });
        let path = format!("blobs/uploads/{}", query.unwrap_or_default());
        let call = Call::new(Method::POST, self.url(place, &path)?).payload(Payload::Bytes(b""));
        let answer = self.checked(place, call)?;
        if answer.status() == 201 {
            return Ok(Begun::Mounted);
        }
        let mut upload = Upload { repository: self, url: answer.url.clone(), at: 0 };
        upload.learn(&answer)?;
        upload.at = 0;
        Ok(Begun::Waiting(upload))
    }

    /// Sends a blob whose digest and length are known.
    pub fn put_blob(
        &'a self,
        digest: &Digest,
        bytes: u64,
        mount: Option<&str>,
        open: &OpenAt<'_>,
    ) -> Result<Sent, RegistryError> {
        let mut upload = match self.begin_upload(mount.map(|from| (digest, from)))? {
            Begun::Mounted => return Ok(Sent::Mounted),
            Begun::Waiting(upload) => upload,
        };
        let limits = &self.client.http.limits;
        let mut is_new = false;
        for attempt in 1.. {
            let error = match upload.send_rest(digest, bytes, open) {
                Ok(()) => break,
                // A registry that has lost an upload is given another, once.
                Err(error) if error.is_missing() && !is_new => {
                    is_new = true;
                    error
                }
                Err(error) if attempt >= limits.attempts || !is_cut(&error) => return Err(error),
                Err(error) => error,
            };
            std::thread::sleep(limits.pause * 2u32.saturating_pow(attempt - 1));
            if upload.ask().is_err() {
                // The registry has forgotten it: from the start.
                match self.begin_upload(None) {
                    Ok(Begun::Waiting(next)) => upload = next,
                    _ => return Err(error),
                }
            }
        }
        Ok(Sent::Whole)
    }
}

/// How a blob got to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was there already, in another repository.
    Mounted,
    /// Its bytes were sent.
    Whole,
}

/// Whether the same may work when it is tried again from where it ended.
fn is_cut(error: &RegistryError) -> bool {
    match error {
        RegistryError::Transport { .. } => true,
        RegistryError::Refused { status, .. }
        | RegistryError::Status { status, .. }
        | RegistryError::Body { status, .. } => {
            matches!(status, 408 | 416 | 429 | 500 | 502 | 503 | 504)
        }
        _ => false,
    }
}

impl Upload<'_> {
    /// Sends all that the registry does not have yet, and closes.
    fn send_rest(
        &mut self,
        digest: &Digest,
        bytes: u64,
        open: &OpenAt<'_>,
    ) -> Result<(), RegistryError> {
        if self.at == 0 {
            let mut source = Source::new(open(0).map_err(RegistryError::Source)?);
            let payload = Payload::Stream(&mut source, Some(bytes));
            let sent = self.close(digest, payload);
            return source.failed().and(sent);
        }
        if self.at < bytes {
            let mut source = Source::new(open(self.at).map_err(RegistryError::Source)?);
            let range = format!("{}-{}", self.at, bytes - 1);
            let call = Call::new(Method::PATCH, self.url.clone())
                .header(CONTENT_RANGE, range)
                .header(CONTENT_TYPE, BYTES)
                .payload(Payload::Stream(&mut source, Some(bytes - self.at)));
            let sent = self.repository.checked(&self.repository.places[0], call);
            source.failed()?;
            self.learn(&sent?)?;
        }
        self.close(digest, Payload::Bytes(b""))
    }

    /// Sends a stream of which nobody knows how long it will be. It can be sent once.
    pub fn stream(&mut self, source: &mut dyn Read) -> Result<(), RegistryError> {
        let mut source = Source::new(Box::new(source));
        let call = Call::new(Method::PATCH, self.url.clone())
            .header(CONTENT_TYPE, BYTES)
            .payload(Payload::Stream(&mut source, None));
        let sent = self.repository.checked(&self.repository.places[0], call);
        source.failed()?;
        self.learn(&sent?)
    }

    /// Sends a piece that is at hand, after those that were sent before.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let range = format!("{}-{}", self.at, self.at + bytes.len() as u64 - 1);
        let call = Call::new(Method::PATCH, self.url.clone())
            .header(CONTENT_RANGE, range)
            .header(CONTENT_TYPE, BYTES)
            .payload(Payload::Bytes(bytes));
        let answer = self.repository.checked(&self.repository.places[0], call)?;
        self.learn(&answer)
    }

    /// Says that this was all, and what it must be.
    pub fn finish(self, digest: &Digest) -> Result<(), RegistryError> {
        self.close(digest, Payload::Bytes(b""))
    }

    /// Tells the registry to forget it.
    pub fn cancel(self) -> Result<(), RegistryError> {
        let call = Call::new(Method::DELETE, self.url.clone());
        match self.repository.checked(&self.repository.places[0], call) {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks how far the registry has got.
    pub fn ask(&mut self) -> Result<u64, RegistryError> {
        let call = Call::new(Method::GET, self.url.clone());
        let answer = self.repository.checked(&self.repository.places[0], call)?;
        self.learn(&answer)?;
        Ok(self.at)
    }

    fn close(&self, digest: &Digest, payload: Payload<'_>) -> Result<(), RegistryError> {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{joint}digest={}", self.url, encode(&digest.to_string()));
        let call = Call::new(Method::PUT, url).header(CONTENT_TYPE, BYTES).payload(payload);
        match self.repository.checked(&self.repository.places[0], call) {
            // Who asks again after an answer was lost may find that all is done.
            Err(error) if error.is_missing() => match self.repository.blob_bytes(digest) {
                Ok(Some(_)) => Ok(()),
                _ => Err(error),
            },
            closed => closed.map(|_| ()),
        }
    }

    /// Where the upload goes on, and from which byte: `Range: 0-N` names the last one.
    fn learn(&mut self, answer: &Answer) -> Result<(), RegistryError> {
        if let Some(location) = answer.header("location") {
            self.url = resolve(&answer.url, location)?;
        }
        if let Some(range) = answer.header(RANGE.as_str()) {
            let end = range.trim_start_matches("bytes=").split_once('-').map(|(_, end)| end);
            let end: Option<u64> = end.and_then(|end| end.parse().ok());
            // An empty upload has the range 0-0 too; a single byte is sent twice rather than never.
            self.at = end.map_or(0, |end| if end == 0 { 0 } else { end + 1 });
        }
        Ok(())
    }
}

/// A source that remembers how it failed; the network would only say that it ended.
struct Source<'a> {
    inner: Box<dyn Read + 'a>,
    error: Option<io::Error>,
}

impl<'a> Source<'a> {
    fn new(inner: Box<dyn Read + 'a>) -> Source<'a> {
        Source { inner, error: None }
    }

    fn failed(&mut self) -> Result<(), RegistryError> {
        self.error.take().map_or(Ok(()), |error| Err(RegistryError::Source(error)))
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            self.error = Some(error);
            shown
        })
    }
}
