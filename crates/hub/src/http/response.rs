//! An answer: a status, headers, and a body that may be a part of a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::stream::Wire;

/// Bodies up to here go out with the head in one piece.
const TOGETHER_BYTES: u64 = 32 << 10;

/// So much of a stream is held at once.
const STREAM_BYTES: usize = 256 << 10;

/// The body of an answer.
pub(crate) enum Payload {
    /// Bytes made for this answer; none where there is nothing to say.
    Bytes(Vec<u8>),
    /// Bytes that others use too.
    Shared(Arc<[u8]>),
    /// A part of a file.
    File { file: File, at: u64, bytes: u64 },
    /// Bytes that come from somewhere else while they are sent.
    Stream { from: Box<dyn Read + Send>, bytes: u64 },
    /// Only said to be so long: the answer to HEAD.
    Absent(u64),
}

impl Payload {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Shared(bytes) => bytes.len() as u64,
            Payload::File { bytes, .. }
            | Payload::Stream { bytes, .. }
            | Payload::Absent(bytes) => *bytes,
        }
    }
}

/// An answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    /// Who asked, for the log.
    pub(crate) user: Option<String>,
}

impl Response {
    /// An answer without a body.
    pub(crate) fn new(status: u16) -> Response {
        let payload = Payload::Bytes(Vec::new());
        Response { status, headers: Vec::new(), payload, user: None }
    }

    /// A document.
    pub(crate) fn json(status: u16, bytes: Vec<u8>) -> Response {
        let response = Response::new(status).payload(Payload::Bytes(bytes));
        response.header("Content-Type", "application/json; charset=utf-8")
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Response {
        self.headers.push((name, value.to_string()));
        self
    }

    /// With a body.
    pub(crate) fn payload(mut self, payload: Payload) -> Response {
        self.payload = payload;
        self
    }

    fn head(&self, date: &str, closes: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(512);
        let (status, reason) = (self.status, reason(self.status));
        put(&mut head, &["HTTP/1.1 ", &status.to_string(), " ", reason, "\r\nDate: ", date]);
        for (name, value) in &self.headers {
            // A value that would end the line could forge what follows.
            let forged = value.contains(['\r', '\n', '\0']);
            put(&mut head, &["\r\n", name, ": ", if forged { "" } else { value }]);
        }
        if self.status != 204 && self.status != 304 {
            put(&mut head, &["\r\nContent-Length: ", &self.payload.bytes().to_string()]);
        }
        put(&mut head, &[if closes { "\r\nConnection: close\r\n\r\n" } else { "\r\n\r\n" }]);
        head
    }

    /// Sends it and says how many bytes of the body went out, also where not all did.
    pub(super) fn send(
        &mut self,
        wire: &mut Wire,
        date: &str,
        closes: bool,
    ) -> (u64, io::Result<()>) {
        let mut head = self.head(date, closes);
        let mut sent = 0;
        let result = match &mut self.payload {
            Payload::Absent(_) => wire.stream.write_all(&head),
            Payload::Bytes(bytes) => send_bytes(wire, head, bytes, &mut sent),
            Payload::Shared(bytes) => send_bytes(wire, head, bytes, &mut sent),
            Payload::File { file, at, bytes } if *bytes <= TOGETHER_BYTES => {
                append_part(&mut head, file, *at, *bytes).and_then(|()| {
                    wire.stream.write_all(&head)?;
                    sent = *bytes;
                    Ok(())
                })
            }
            Payload::File { file, at, bytes } => {
                send_file(wire, &head, (file, *at, *bytes), &mut sent)
            }
            Payload::Stream { from, bytes } => send_stream(wire, &head, from, *bytes, &mut sent),
        };
        (sent, result.and_then(|()| wire.stream.flush()))
    }
}

fn put(head: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| head.extend_from_slice(text.as_bytes()));
}

fn send_bytes(wire: &mut Wire, mut head: Vec<u8>, bytes: &[u8], sent: &mut u64) -> io::Result<()> {
    if bytes.len() as u64 <= TOGETHER_BYTES {
        head.extend_from_slice(bytes);
        wire.stream.write_all(&head)?;
    } else {
        wire.stream.write_all(&head)?;
        wire.stream.write_all(bytes)?;
    }
    *sent = bytes.len() as u64;
    Ok(())
}

/// Puts a part of a file behind a head.
fn append_part(head: &mut Vec<u8>, file: &File, at: u64, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let held = head.len();
    head.resize(held + usize::try_from(bytes).map_err(io::Error::other)?, 0);
    file.read_exact_at(&mut head[held..], at)
}

fn send_file(
    wire: &mut Wire,
    head: &[u8],
    (file, at, bytes): (&File, u64, u64),
    sent: &mut u64,
) -> io::Result<()> {
    wire.stream.write_all(head)?;
    while *sent < bytes {
        // In steps, so that the count is right when the client goes away.
        let step = (bytes - *sent).min(8 << 20);
        match wire.send_file(file, at + *sent, step)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => *sent += count,
        }
    }
    Ok(())
}

fn send_stream(
    wire: &mut Wire,
    head: &[u8],
    from: &mut dyn Read,
    bytes: u64,
    sent: &mut u64,
) -> io::Result<()> {
    wire.stream.write_all(head)?;
    wire.stream.flush()?;
    let mut piece = vec![0; STREAM_BYTES];
    while *sent < bytes {
        let wanted = usize::try_from(bytes - *sent).map_or(STREAM_BYTES, |n| n.min(STREAM_BYTES));
        match from.read(&mut piece[..wanted])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                wire.stream.write_all(&piece[..count])?;
                *sent += count as u64;
            }
        }
    }
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_forges_another() {
        let response = Response::new(200).header("Location", "/a\r\nSet-Cookie: x");
        let head = String::from_utf8(response.head("now", true)).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nDate: now\r\nLocation: \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
}
