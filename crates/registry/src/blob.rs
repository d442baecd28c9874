//! A blob as it arrives. A connection that is cut is made anew, and reading goes on from there.

use std::io::{self, Read};
use std::time::Instant;

use spec::Digest;
use ureq::BodyReader;
use ureq::http::Method;
use ureq::http::header::RANGE;

use crate::address::shown;
use crate::call::Call;
use crate::client::{Limits, Repository, Target};
use crate::error::RegistryError;
use crate::rules::Place;

/// A connection may be lost so often without a byte in between.
const LOSSES: u32 = 5;

/// A blob that is being read. Whoever reads it hashes it too: only its length is checked here.
pub struct BlobReader<'a> {
    repository: &'a Repository<'a>,
    digest: Digest,
    bytes: u64,
    at: u64,
    /// Whether what is to be read ends before the blob does.
    is_part: bool,
    body: Option<BodyReader<'static>>,
    /// Losses since something worth the name came, and where the last one was.
    losses: u32,
    lost_at: u64,
    pace: Pace,
}

/// A drop now and then keeps a connection alive, but nobody waits for ever.
pub(crate) struct Pace {
    /// When the slowness of a stream was last looked at, and where it was then.
    seen: (Instant, u64),
}

impl Pace {
    /// Of a stream that is at this place now.
    pub(crate) fn at(at: u64) -> Pace {
        Pace { seen: (Instant::now(), at) }
    }

    /// An error where too little came since the last look.
    pub(crate) fn check(&mut self, limits: &Limits, at: u64) -> io::Result<()> {
        let (when, before) = self.seen;
        if when.elapsed() < limits.idle {
            return Ok(());
        }
        *self = Pace::at(at);
        match at - before < limits.drip_bytes {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }
}

impl<'a> Repository<'a> {
    /// A blob of so many bytes.
    pub fn blob(&'a self, digest: Digest, bytes: u64) -> Result<BlobReader<'a>, RegistryError> {
        self.blob_from(digest, bytes, 0)
    }

    /// The same from a place on: what comes before it is not asked for.
    pub fn blob_from(
        &'a self,
        digest: Digest,
        bytes: u64,
        at: u64,
    ) -> Result<BlobReader<'a>, RegistryError> {
        self.reader(digest, at, bytes, false)
    }

    /// A part of a blob, up to a place before its end. A registry that gives no parts is an error:
    /// who wants little of a blob does not want all of it.
    pub fn blob_part(
        &'a self,
        digest: Digest,
        at: u64,
        end: u64,
    ) -> Result<BlobReader<'a>, RegistryError> {
        self.reader(digest, at, end, true)
    }

    fn reader(
        &'a self,
        digest: Digest,
        at: u64,
        bytes: u64,
        is_part: bool,
    ) -> Result<BlobReader<'a>, RegistryError> {
        let (at, pace) = (at.min(bytes), Pace::at(at));
        let (body, losses, lost_at) = (None, 0, at);
        let mut reader = BlobReader {
            repository: self,
            digest,
            bytes,
            at,
            is_part,
            body,
            losses,
            lost_at,
            pace,
        };
        if at < bytes {
            reader.body = Some(reader.open()?);
        }
        Ok(reader)
    }

    /// A small blob, whole and checked.
    pub fn small_blob(
        &self,
        digest: Digest,
        bytes: u64,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let url = || format!("{digest}");
        if bytes > limit {
            return Err(RegistryError::TooLarge { url: url(), what: "a configuration", limit });
        }
        let mut all = Vec::new();
        let mut reader = self.blob(digest, bytes)?;
        reader.read_to_end(&mut all).map_err(|error| unwrapped(error, url()))?;
        let mut hasher = spec::Hasher::new(digest.algorithm());
        hasher.update(&all);
        match hasher.finish() {
            got if got == digest => Ok(all),
            got => Err(RegistryError::WrongDigest { url: url(), wanted: digest, got }),
        }
    }
}

/// The error of a registry that became one of input and output on its way.
pub(crate) fn unwrapped(error: io::Error, url: String) -> RegistryError {
    match error.downcast::<RegistryError>() {
        Ok(error) => error,
        Err(source) => {
            RegistryError::Transport { method: "Get", url, proxy: None, source: source.into() }
        }
    }
}

impl BlobReader<'_> {
    fn open(&self) -> Result<BodyReader<'static>, RegistryError> {
        self.repository.somewhere(&Target::Digest(self.digest), |place| self.open_at(place))
    }

    /// Asks a place for what is still missing.
    fn open_at(&self, place: &Place) -> Result<BodyReader<'static>, RegistryError> {
        let url = self.repository.url(place, &format!("blobs/{}", self.digest))?;
        let mut call = Call::new(Method::GET, url);
        if self.at > 0 || self.is_part {
            call = call.header(RANGE, format!("bytes={}-{}", self.at, self.bytes - 1));
        }
        let answer = self.repository.checked(place, call)?;
        let url = shown(&answer.url);
        let is_part = answer.status() == 206;
        if self.is_part && !is_part {
            let why = "the registry gives no parts of blobs".to_owned();
            return Err(RegistryError::Malformed { url, why });
        }
        if is_part {
            let range = answer.header("content-range").unwrap_or_default().to_owned();
            let (part, total) = range
                .strip_prefix("bytes ")
                .and_then(|rest| rest.split_once('/'))
                .unwrap_or_default();
            let (start, end) = part.split_once('-').unwrap_or_default();
            if start.parse() != Ok(self.at) || end.parse() != Ok(self.bytes - 1) {
                let (at, last) = (self.at, self.bytes - 1);
                let why = format!("asked for bytes {at}-{last}, the answer is {range:?}");
                return Err(RegistryError::Malformed { url, why });
            }
            // What has another length by now is another thing.
            if let Some(got) = total.parse().ok().filter(|got| *got != self.bytes && !self.is_part)
            {
                return Err(RegistryError::WrongLength { url, wanted: self.bytes, got });
            }
        }
        let expected = if is_part { self.bytes - self.at } else { self.bytes };
        let length = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
        if let Some(got) = length.filter(|length| *length != expected) {
            return Err(RegistryError::WrongLength { url, wanted: expected, got });
        }
        let mut body = answer.response.into_body().into_reader();
        if !is_part && self.at > 0 {
            // It cannot give parts: what is here already comes again and is passed over.
            let skipped = io::copy(&mut (&mut body).take(self.at), &mut io::sink());
            skipped.map_err(|error| unwrapped(error, url))?;
        }
        Ok(body)
    }

    /// Takes what the connection has now.
    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => self.open().map_err(io::Error::other)?,
        };
        let left = usize::try_from(self.bytes - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = body.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.check_end(&mut body)?;
        if self.at < self.bytes {
            self.pace.check(&self.repository.client.http.limits, self.at)?;
        }
        self.body = Some(body);
        Ok(count)
    }

    /// A blob that goes on after its end is not the one that was meant.
    fn check_end(&self, body: &mut BodyReader<'static>) -> io::Result<()> {
        if self.at < self.bytes || body.read(&mut [0])? == 0 {
            return Ok(());
        }
        let (url, wanted) = (self.digest.to_string(), self.bytes);
        Err(io::Error::other(RegistryError::WrongLength { url, wanted, got: wanted + 1 }))
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let before = self.at;
            let error = match self.pull(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if error.get_ref().is_some_and(|inner| inner.is::<RegistryError>()) {
                return Err(error);
            }
            let limits = &self.repository.client.http.limits;
            let came = self.at - before;
            if self.at - self.lost_at >= limits.drip_bytes {
                self.losses = 0;
            }
            (self.losses, self.lost_at) = (self.losses + 1, self.at);
            if self.losses >= LOSSES {
                let (url, times) = (self.digest.to_string(), self.losses);
                let stalled = RegistryError::Stalled { url, times, source: error };
                return Err(io::Error::other(stalled));
            }
            std::thread::sleep(limits.pause * 2u32.pow(self.losses - 1));
            self.pace = Pace::at(self.at);
            if came > 0 {
                return Ok(came as usize);
            }
        }
    }
}
