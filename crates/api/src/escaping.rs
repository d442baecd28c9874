//! Request lines as people write them by hand. `curl -g …/containers/json?filters={"status":["running"]}`
//! sends quotes as they are, which no address may have and docker's engine takes all the same. Here
//! they become escapes before hyper reads them: in request lines and nowhere else.
//!
//! Nor does hyper take an address of more than 64 KiB, and builds have their arguments in the address:
//! what is too long of a query goes on in a header.

use std::io::{self, IoSlice};
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What hyper does not take in an address, or may not take one day.
const ESCAPED: &[u8] = b"\"<>\\^`{|}";
/// Of a line so much is looked at: names of headers and paths are shorter.
const LINE_BYTES: usize = 4096;
/// The header in which a long query goes on.
pub(crate) const REST_OF_QUERY: &str = "mica-rest-of-query";
/// A query goes on there after so much of its line.
const LONG: usize = 32 << 10;

/// Where a connection may go on as something else than HTTP. What a client would like elsewhere, as
/// those that offer HTTP/2 with each first request, comes to nothing.
fn is_taken_over(path: &str) -> bool {
    let ends = |end: &str| path.ends_with(end);
    ["/attach", "/attach/ws", "/session", "/grpc"].into_iter().any(ends)
        || (ends("/start") && path.contains("/exec/"))
}

/// A connection whose request lines hyper can read.
pub(crate) struct Escaping<S> {
    stream: S,
    watcher: Watcher,
    /// What has come and was too long, with its escapes, to be handed over at once.
    waiting: Vec<u8>,
}

impl<S> Escaping<S> {
    pub(crate) fn new(stream: S) -> Escaping<S> {
        Escaping { stream, watcher: Watcher::default(), waiting: Vec::new() }
    }

    /// The connection, and what has come on it that nobody has read.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.waiting)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Escaping<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if own.waiting.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut own.stream).poll_read(context, buffer))?;
            let Some((at, instead)) = own.watcher.first(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            let rest = &buffer.filled()[before + at + 1..];
            own.waiting = own.watcher.rewritten(instead, rest);
            buffer.set_filled(before + at);
        }
        let count = own.waiting.len().min(buffer.remaining());
        buffer.put_slice(&own.waiting[..count]);
        own.waiting.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Escaping<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Where a connection's next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    /// In a request line.
    #[default]
    Request,
    /// In a line of a head.
    Header,
    /// In the line before a part of a body, or after its last.
    Size,
    Trailer,
    /// In a body, so many bytes before its end.
    Body(u64),
    /// In one of a body's parts.
    Part(u64),
    /// In what is no concern of ours: it is not HTTP any more, or never was.
    Elsewhere,
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Bytes(u64),
    Parts,
}

/// Where a long request line is cut in two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Long {
    /// Not yet.
    No,
    /// In the query, which goes on in a header.
    Query,
    /// In the version behind it, which was told before.
    Version,
    /// Never: the address is over.
    Over,
}

/// Follows a connection from line to line.
#[derive(Debug)]
struct Watcher {
    place: Place,
    /// The line so far, and how long it is.
    line: Vec<u8>,
    count: usize,
    /// How far the request line is, if it is a long one.
    long: Long,
    length: Length,
    /// Whether somebody may take the connection over when the request has ended.
    is_last: bool,
}

impl Default for Watcher {
    fn default() -> Watcher {
        Watcher {
            place: Place::Request,
            line: Vec::new(),
            count: 0,
            long: Long::No,
            length: Length::Bytes(0),
            is_last: false,
        }
    }
}

impl Watcher {
    /// The first of these bytes that cannot stay as it is, and what stands there instead; what follows
    /// it has not been looked at.
    fn first(&mut self, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.place {
                Place::Elsewhere => return None,
                Place::Body(left) | Place::Part(left) => {
                    let count = left.min((bytes.len() - at) as u64);
                    self.pass(count);
                    at += count as usize;
                }
                _ => match self.take(*byte) {
                    None => at += 1,
                    Some(instead) => return Some((at, instead)),
                },
            }
        }
        None
    }

    /// What stands for a byte, and then the bytes behind it as hyper reads them.
    fn rewritten(&mut self, instead: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        let mut written = instead;
        let mut rest = bytes;
        while let Some((plain, instead)) = self.first(rest) {
            written.extend_from_slice(&rest[..plain]);
            written.extend(instead);
            rest = &rest[plain + 1..];
        }
        written.extend_from_slice(rest);
        written
    }

    /// Takes in so many bytes of a body; never more than are left of it.
    fn pass(&mut self, count: u64) {
        self.place = match self.place {
            Place::Body(left) if left > count => Place::Body(left - count),
            Place::Part(left) if left > count => Place::Part(left - count),
            Place::Part(_) => Place::Size,
            _ => self.after(),
        };
    }

    /// Takes in a byte of a line; says what stands instead if it may not stay as it is.
    fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte == b'\n' {
            let line = take(&mut self.line);
            (self.count, self.long) = (0, Long::No);
            self.place = self.next(line.strip_suffix(b"\r").unwrap_or(&line));
            return None;
        }
        self.count += 1;
        if self.line.len() < LINE_BYTES {
            self.line.push(byte);
        }
        if self.place != Place::Request {
            return None;
        }
        match self.long {
            Long::Version => return (byte != b'\r').then(Vec::new),
            Long::No if byte == b' ' && self.line.contains(&b'?') => self.long = Long::Over,
            Long::Query if byte == b' ' => {
                self.long = Long::Version;
                return Some(Vec::new());
            }
            _ => {}
        }
        let must = ESCAPED.contains(&byte) && is_request(&self.line);
        let escaped = must.then(|| format!("%{byte:02X}").into_bytes());
        let begins = self.long == Long::No && self.count > LONG;
        match begins && self.line.contains(&b'?') && is_request(&self.line) {
            true => {
                self.long = Long::Query;
                let begin = format!(" HTTP/1.1\r\n{REST_OF_QUERY}: ").into_bytes();
                Some([begin, escaped.unwrap_or_else(|| vec![byte])].concat())
            }
            false => escaped,
        }
    }

    /// Where the line after this one stands.
    fn next(&mut self, line: &[u8]) -> Place {
        let text = String::from_utf8_lossy(line);
        match self.place {
            // Empty lines may stand between requests.
            Place::Request if line.is_empty() => Place::Request,
            Place::Request => {
                let path = text.split(['?', ' ']).nth(1).unwrap_or_default();
                self.length = Length::Bytes(0);
                self.is_last = is_taken_over(path);
                Place::Header
            }
            Place::Header if line.is_empty() => match self.length {
                Length::Bytes(0) => self.after(),
                Length::Bytes(count) => Place::Body(count),
                Length::Parts => Place::Size,
            },
            Place::Header => self.header(&text),
            Place::Size => {
                match u64::from_str_radix(text.split(';').next().unwrap_or("").trim(), 16) {
                    Ok(0) => Place::Trailer,
                    // The end of its last line is the part's too.
                    Ok(count) => Place::Part(count.saturating_add(2)),
                    Err(_) => Place::Elsewhere,
                }
            }
            Place::Trailer if !line.is_empty() => Place::Trailer,
            _ => self.after(),
        }
    }

    fn header(&mut self, line: &str) -> Place {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => self.length = Length::Parts,
            "content-length" if self.length != Length::Parts => match value.parse() {
                Ok(count) => self.length = Length::Bytes(count),
                // Hyper will have none of it.
                Err(_) => return Place::Elsewhere,
            },
            _ => {}
        }
        Place::Header
    }

    fn after(&self) -> Place {
        if self.is_last { Place::Elsewhere } else { Place::Request }
    }
}

/// Whether a line begins as a request does: `GET /`.
fn is_request(line: &[u8]) -> bool {
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    method > 0 && line[method..].starts_with(b" /")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of bytes that come so many at a time.
    fn read(bytes: &[u8], step: usize) -> String {
        let mut watcher = Watcher::default();
        let mut out = Vec::new();
        for part in bytes.chunks(step) {
            match watcher.first(part) {
                None => out.extend_from_slice(part),
                Some((at, instead)) => {
                    out.extend_from_slice(&part[..at]);
                    out.extend(watcher.rewritten(instead, &part[at + 1..]));
                }
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        for step in [1, 2, 7, text.len()] {
            assert_eq!(read(text.as_bytes(), step), expected, "{step} at a time");
        }
    }

    #[test]
    fn request_lines_alone_get_escapes() {
        let raw = "GET /c?f={\"a\":[\"b|c\"]} HTTP/1.1\r\nX: {\"}\r\n\r\n";
        let clean = "GET /c?f=%7B%22a%22:[%22b%7Cc%22]%7D HTTP/1.1\r\nX: {\"}\r\n\r\n";
        becomes(raw, clean);
        // Another follows, after bodies of both kinds.
        let known = "POST /a HTTP/1.1\r\ncontent-length: 16\r\n\r\nGET /{ HTTP/1.1\n";
        becomes(&format!("{known}{raw}"), &format!("{known}{clean}"));
        let parts = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n1\r\n{\r\n0\r\nT: {\r\n\r\n";
        becomes(&format!("{parts}{raw}"), &format!("{parts}{clean}"));
        // Nor is a connection taken over because a client would like it, or by a container's start.
        let wish = "POST /containers/x/start HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
        becomes(&format!("{wish}{raw}"), &format!("{wish}{clean}"));
    }

    #[test]
    fn a_long_query_goes_on_in_a_header() {
        let begin = "POST /build?a=";
        let short = "x".repeat(LONG - begin.len());
        let head = format!("{begin}{short} HTTP/1.1\r\nHost: x\r\n\r\n");
        becomes(&head, &head);
        let long = format!("{begin}{short}&b={{y}} HTTP/1.1\r\nHost: x\r\n\r\n");
        let cut = "HTTP/1.1\r\nmica-rest-of-query: &b=%7By%7D\r\nHost: x\r\n\r\n";
        let both = format!("{long}{head}");
        becomes(&both, &format!("{begin}{short} {cut}{head}"));
        // One that does not say the version is none, and stays none.
        let odd = format!("{begin}{short}yz\nA: b\n\n");
        becomes(&odd, &format!("{begin}{short} HTTP/1.1\r\nmica-rest-of-query: yz\nA: b\n\n"));
    }

    #[test]
    fn what_is_no_request_stays_as_it_is() {
        becomes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"");
        becomes("{\"a\":1}\nx{", "{\"a\":1}\nx{");
        // Whoever has taken a connection over may say anything, even this.
        for head in [
            "POST /v1.41/containers/x/attach?stdin=1 HTTP/1.1\r\n\r\n",
            "POST /exec/x/start HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
            "GET /containers/x/attach/ws?a=/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        ] {
            let text = format!("{head}GET /\"{{ HTTP/1.1\r\n\r\n");
            becomes(&text, &text);
        }
        let path = format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(LONG));
        becomes(&path, &path);
        let wrong = "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET /{";
        becomes(wrong, wrong);
    }
}
