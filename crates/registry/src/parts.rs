//! Several parts of a blob by one request. A registry that gives them so answers with
//! `multipart/byteranges`; from any other, and when such an answer breaks off, they come one by one.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use spec::Digest;
use ureq::BodyReader;
use ureq::http::Method;
use ureq::http::header::{CONTENT_TYPE, RANGE};

use crate::blob::{BlobReader, Pace};
use crate::call::Call;
use crate::client::{Repository, Target};
use crate::error::RegistryError;

/// So many parts are asked for at once at most: some registries read no longer lines.
const AT_ONCE: usize = 128;
/// The lines before a part are not longer together.
const HEAD_BYTES: u64 = 8 << 10;

/// Parts of a blob, one behind the other. Whoever reads them checks them.
pub struct PartsReader<'a> {
    repository: &'a Repository<'a>,
    digest: Digest,
    /// What is still to come; the first may be half read.
    left: VecDeque<Range<u64>>,
    /// How many bytes were read.
    at: u64,
    source: Source<'a>,
}

enum Source<'a> {
    /// Nobody was asked yet.
    Unknown,
    Together(Together),
    Single(Option<BlobReader<'a>>),
}

/// An answer with several parts.
struct Together {
    body: BufReader<BodyReader<'static>>,
    boundary: String,
    /// How many parts of it were not begun yet.
    parts: usize,
    /// How much of the part that is being read is still to come.
    bytes: u64,
    pace: Pace,
}

impl<'a> Repository<'a> {
    /// Parts of a blob, each of some bytes, in the order of their places. A registry that gives no
    /// parts at all is an error of the first read.
    pub fn blob_parts(&'a self, digest: Digest, parts: &[Range<u64>]) -> PartsReader<'a> {
        let left = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
        PartsReader { repository: self, digest, left, at: 0, source: Source::Unknown }
    }
}

impl<'a> PartsReader<'a> {
    /// Asks for all that is left, or for as much of it as one request may ask for.
    fn ask(&self) -> Result<Source<'a>, RegistryError> {
        let count = self.left.len().min(AT_ONCE);
        if count < 2 {
            return Ok(Source::Single(None));
        }
        let ranges = self.left.iter().take(count);
        let ranges: Vec<String> =
            ranges.map(|part| format!("{}-{}", part.start, part.end - 1)).collect();
        let ranges = format!("bytes={}", ranges.join(","));
        let target = Target::Digest(self.digest);
        self.repository.somewhere(&target, |place| {
            let url = self.repository.url(place, &format!("blobs/{}", self.digest))?;
            let call = Call::new(Method::GET, url).header(RANGE, &ranges);
            let answer = self.repository.checked(place, call)?;
            let boundary = answer.header(CONTENT_TYPE.as_str()).and_then(boundary);
            let Some(boundary) = boundary.filter(|_| answer.status() == 206) else {
                return Ok(Source::Single(None));
            };
            let body = BufReader::new(answer.response.into_body().into_reader());
            let pace = Pace::at(self.at);
            Ok(Source::Together(Together { body, boundary, parts: count, bytes: 0, pace }))
        })
    }

    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.source, Source::Unknown) {
            self.source = self.ask().map_err(io::Error::other)?;
        }
        let Some(part) = self.left.front().cloned() else { return Ok(0) };
        let limits = &self.repository.client.http.limits;
        match &mut self.source {
            Source::Unknown => Ok(0),
            Source::Together(together) => {
                let read = together.read(&part, buffer);
                let paced = read.and_then(|count| {
                    together.pace.check(limits, self.at + count as u64).map(|()| count)
                });
                match paced {
                    Ok(count) => Ok(count),
                    // What is left comes in other ways.
                    Err(_) => {
                        self.source = Source::Single(None);
                        self.pull(buffer)
                    }
                }
            }
            Source::Single(open) => {
                let reader = match open {
                    Some(reader) => reader,
                    None => {
                        let part = self.repository.blob_part(self.digest, part.start, part.end);
                        open.insert(part.map_err(io::Error::other)?)
                    }
                };
                reader.read(buffer)
            }
        }
    }

    /// What was read is not to come any more.
    fn advance(&mut self, count: usize) {
        self.at += count as u64;
        let Some(part) = self.left.front_mut() else { return };
        part.start += count as u64;
        if !part.is_empty() {
            return;
        }
        self.left.pop_front();
        match &mut self.source {
            Source::Single(open) => *open = None,
            Source::Together(together) if together.parts == 0 => self.source = Source::Unknown,
            _ => {}
        }
    }
}

impl Read for PartsReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() || buffer.is_empty() {
            return Ok(0);
        }
        let count = self.pull(buffer)?;
        match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.advance(count);
                Ok(count)
            }
        }
    }
}

impl Together {
    /// Reads on in a part, or begins the next, which must be the one that is wanted.
    fn read(&mut self, wanted: &Range<u64>, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes == 0 {
            if self.parts == 0 || self.begin()? != *wanted {
                return Err(io::ErrorKind::InvalidData.into());
            }
            (self.parts, self.bytes) = (self.parts - 1, wanted.end - wanted.start);
        }
        let most = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.body.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes -= count as u64;
        Ok(count)
    }

    /// Reads the lines before a part: which one it is.
    fn begin(&mut self) -> io::Result<Range<u64>> {
        let (mut range, mut is_inside) = (None, false);
        let mut lines = (&mut self.body).take(HEAD_BYTES);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            match line.strip_prefix("--") {
                Some(rest) if rest == self.boundary => is_inside = true,
                _ if !is_inside => {}
                _ if line.is_empty() => break,
                _ => range = range.or(content_range(line)),
            }
        }
        range.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// What separates the parts of an answer, if it has several.
fn boundary(kind: &str) -> Option<String> {
    let (kind, rest) = kind.split_once(';')?;
    let mut parameters = rest.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let is_wanted = kind.trim().eq_ignore_ascii_case("multipart/byteranges");
    let (_, boundary) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let boundary = boundary.trim_matches('"');
    (is_wanted && (1..=70).contains(&boundary.len())).then(|| boundary.to_owned())
}

/// The range that a line of a part's head tells, if it tells one.
fn content_range(line: &str) -> Option<Range<u64>> {
    let (name, value) = line.split_once(':')?;
    if !name.eq_ignore_ascii_case("content-range") {
        return None;
    }
    let (range, _) = value.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whoever_writes_them() {
        let check = |kind: &str, wanted: Option<&str>| {
            assert_eq!(boundary(kind).as_deref(), wanted, "{kind}");
        };
        check("multipart/byteranges; boundary=abc", Some("abc"));
        check("Multipart/ByteRanges;x=y; Boundary=\"a b\"", Some("a b"));
        check("multipart/byteranges; boundary=", None);
        check("multipart/byteranges", None);
        check("application/octet-stream; boundary=abc", None);
        assert_eq!(content_range("Content-Range: bytes 5-9/200"), Some(5..10));
        assert_eq!(content_range("content-range:bytes 0-0/*"), Some(0..1));
        for wrong in ["Content-Range: bytes */200", "Content-Type: bytes 5-9/1", "Content-Range"] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
