//! Request lines as people write them by hand. `curl -g …/containers/json?filters={"status":["running"]}`
//! sends quotes as they are, which no address may have and docker's engine takes all the same. Here
//! they become escapes before hyper reads them: in request lines and nowhere else.
//!
//! Nor does hyper take an address of more than 64 KiB, and builds have their arguments in the address:
//! what is too long of a query goes on in a header.

use std::io::{self, IoSlice};
use std::mem::take;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What hyper does not take in an address, or may not take one day.
const ESCAPED: &[u8] = b"\"<>\\^`{|}";
/// Of a line so much is looked at: names of headers and paths are shorter.
const LINE_BYTES: usize = 4096;
/// The header in which a long query goes on. No client knows what it is called this time, so that it
/// has no say in what stands there.
static REST_OF_QUERY: LazyLock<String> = LazyLock::new(|| {
    let id = sys::host::random_id().expect("a kernel that runs programs has random numbers");
    format!("mica-rest-of-query-{id}")
});
/// A query goes on there after so much of its line.
const LONG: usize = 32 << 10;
/// No query is longer: heads are not, either.
const LONGEST: usize = 2 << 20;

/// The name of the header in which a long query goes on.
pub(crate) fn rest_of_query() -> &'static str {
    &REST_OF_QUERY
}

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
        // To give nothing is to say that nothing will come: what is held back is not given yet.
        while own.waiting.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut own.stream).poll_read(context, buffer))?;
            let Some((at, instead)) = own.watcher.first(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            let rest = &buffer.filled()[before + at + 1..];
            own.waiting = own.watcher.rewritten(instead, rest);
            buffer.set_filled(before + at);
            if at > 0 {
                break;
            }
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
#[derive(PartialEq, Eq, Debug)]
enum Long {
    /// Not yet.
    No,
    /// In the query, of which this much goes on in a header.
    Query(Vec<u8>),
    /// In what follows it in its line, and is told before the header: the version.
    Version(Vec<u8>, Vec<u8>),
    /// Never: the address is over.
    Over,
}

impl Long {
    /// What stands for the end of the line: what was held back of it, and the header.
    fn ended(self) -> Option<Vec<u8>> {
        let (rest, version) = match self {
            Long::No | Long::Over => return None,
            // A line that says no version is none, and stays none.
            Long::Query(rest) => (rest, Vec::new()),
            Long::Version(rest, version) => (rest, version),
        };
        let version = version.strip_suffix(b"\r").unwrap_or(&version);
        let rest = rest.strip_suffix(b"\r").unwrap_or(&rest);
        let header = format!("\r\n{}: ", rest_of_query());
        Some([version, header.as_bytes(), rest, b"\r\n"].concat())
    }

    /// What was held back, as it came.
    fn given_up(self) -> Vec<u8> {
        match self {
            Long::No | Long::Over => Vec::new(),
            Long::Query(rest) => rest,
            Long::Version(rest, version) => [rest, version].concat(),
        }
    }
}

/// Follows a connection from line to line.
#[derive(Debug)]
struct Watcher {
    place: Place,
    /// The line so far, and how long it is as it is written.
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
            self.count = 0;
            self.place = self.next(line.strip_suffix(b"\r").unwrap_or(&line));
            return std::mem::replace(&mut self.long, Long::No).ended();
        }
        if self.line.len() < LINE_BYTES {
            self.line.push(byte);
        }
        if self.place != Place::Request {
            return None;
        }
        let must = ESCAPED.contains(&byte) && is_request(&self.line);
        let escaped = must.then(|| format!("%{byte:02X}").into_bytes());
        self.count += escaped.as_ref().map_or(1, Vec::len);
        let has_query = self.line.contains(&b'?');
        match &mut self.long {
            Long::Query(rest) if byte == b' ' => {
                self.long = Long::Version(take(rest), vec![byte]);
                return Some(Vec::new());
            }
            Long::Query(held) | Long::Version(_, held) => {
                held.extend(escaped.unwrap_or_else(|| vec![byte]));
                if self.count <= LONGEST {
                    return Some(Vec::new());
                }
                // Hyper says that it is too long.
                return Some(std::mem::replace(&mut self.long, Long::Over).given_up());
            }
            Long::No if byte == b' ' && has_query => self.long = Long::Over,
            Long::No if self.count > LONG && has_query && is_request(&self.line) => {
                self.long = Long::Query(escaped.unwrap_or_else(|| vec![byte]));
                return Some(Vec::new());
            }
            Long::No | Long::Over => {}
        }
        escaped
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
mod tests;
