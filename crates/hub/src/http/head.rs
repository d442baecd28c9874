//! The head of a request: method, path, query and headers, and how long the body is.

use std::fmt;

/// More headers than any honest client sends.
const MAX_HEADERS: usize = 96;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    /// Any other, which no route knows.
    Other,
}

impl Method {
    fn parse(text: &str) -> Method {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        }
    }

    /// Its name, for logs and counters.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Other => "OTHER",
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes; 0 where there is no body.
    Known(u64),
    /// Pieces, each with its length.
    Chunked,
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// The path, with its percent signs decoded.
    pub(crate) path: String,
    /// Keys and values after the question mark, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) length: Length,
    /// Whether the connection stays open for another request.
    pub(super) keeps_open: bool,
    /// Whether the client waits for our leave before it sends the body.
    pub(super) waits: bool,
}

/// Why a request cannot be understood; the status says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) u16);

impl Head {
    /// Reads a head from the front of `bytes`; gives it and its length, or `None` where more bytes
    /// are needed.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Bad> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let used = match request.parse(bytes) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Bad(431)),
            Err(httparse::Error::Version) => return Err(Bad(505)),
            Err(_) => return Err(Bad(400)),
        };
        let (path, query) = split_target(request.path.unwrap_or_default()).ok_or(Bad(400))?;
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value).trim().to_owned();
                (header.name.to_ascii_lowercase(), value)
            })
            .collect();
        let mut head = Head {
            method: Method::parse(request.method.unwrap_or_default()),
            path,
            query,
            headers,
            length: Length::Known(0),
            keeps_open: true,
            waits: false,
        };
        head.length = head.body_length()?;
        let newer = request.version == Some(1);
        head.keeps_open = newer && !head.says("connection", "close");
        head.waits = newer && head.says("expect", "100-continue");
        Ok(Some((head, used)))
    }

    /// The length of the body. A head that could be read in two ways is refused: whoever stands
    /// between the client and us may have read it in the other.
    fn body_length(&self) -> Result<Length, Bad> {
        let coded = self.all("transfer-encoding").count() > 0;
        let mut lengths = self.all("content-length");
        match (coded, lengths.next()) {
            (false, None) => Ok(Length::Known(0)),
            (true, None) if self.all("transfer-encoding").eq(["chunked"]) => Ok(Length::Chunked),
            (true, None) => Err(Bad(501)),
            (false, Some(text)) if lengths.all(|other| other == text) => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let length = text.parse().ok().filter(|_| digits);
                length.map(Length::Known).ok_or(Bad(400))
            }
            _ => Err(Bad(400)),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn says(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(','));
        words.any(|said| said.trim().eq_ignore_ascii_case(word))
    }

    /// A header's first value. The name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first value of a key in the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a key in the query.
    pub(crate) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.query.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How long the body is, where that is said before it comes.
    pub(crate) fn body_bytes(&self) -> Option<u64> {
        match self.length {
            Length::Known(bytes) => Some(bytes),
            Length::Chunked => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Target = (String, Vec<(String, String)>);

/// Path and query of a request's target, which may be a whole URL.
fn split_target(target: &str) -> Option<Target> {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => &rest[rest.find('/')?..],
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(key, true)?, decode(value, true)?))
    });
    let path = decode(path, false).filter(|path| path.starts_with('/'))?;
    Some((path, pairs.collect::<Option<_>>()?))
}

/// Undoes percent encoding; in queries a plus is a space.
fn decode(text: &str, query: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[track_caller]
    fn refused(headers: &str, status: u16) {
        let text = format!("PUT / HTTP/1.1\r\n{headers}\r\n\r\n");
        assert_eq!(Head::parse(text.as_bytes()).unwrap_err(), Bad(status), "{headers}");
    }

    #[test]
    fn takes_a_head_apart() {
        let head = head(
            "PATCH http://host:1/v2/a%2Fb?digest=sha256%3Aab&x=1+2&x=3 HTTP/1.1\r\nContent-Length: 7\r\nEXPECT: 100-continue\r\n\r\nrest",
        );
        assert_eq!((head.method, head.path.as_str()), (Method::Patch, "/v2/a/b"));
        assert_eq!(head.parameter("digest"), Some("sha256:ab"));
        assert_eq!(head.parameters("x").collect::<Vec<_>>(), ["1 2", "3"]);
        assert_eq!((head.length, head.waits, head.keeps_open), (Length::Known(7), true, true));
        assert_eq!(head.header("content-length"), Some("7"));
    }

    #[test]
    fn old_clients_and_those_that_leave_are_not_waited_for() {
        assert!(!head("GET / HTTP/1.0\r\n\r\n").keeps_open);
        assert!(!head("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n").keeps_open);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        refused("Content-Length: 1\r\nTransfer-Encoding: chunked", 400);
        refused("Content-Length: 1\r\nContent-Length: 2", 400);
        refused("Content-Length: +1", 400);
        refused("Content-Length: -1", 400);
        refused("Transfer-Encoding: gzip, chunked", 501);
        refused("Content-Length : 1", 400);
        assert_eq!(Head::parse(b"GET %zz HTTP/1.1\r\n\r\n").unwrap_err(), Bad(400));
        assert!(Head::parse(b"GET / HT").unwrap().is_none());
    }
}
