//! Requests and their answers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{ClientError, Result};

/// The newest version of the API that is spoken.
pub const NEWEST: u32 = 51;
/// The oldest.
const OLDEST: u32 = 24;
/// No head is longer.
const MAX_HEAD_BYTES: u64 = 256 << 10;
/// Nor has more fields.
const MAX_FIELDS: usize = 128;
/// An error's words are cut off here.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// Somebody who asks an engine.
pub struct Client {
    endpoint: Endpoint,
    agent: String,
    /// A connection whose last answer was read to its end.
    idle: Mutex<Option<File>>,
    /// What both speak, once that was asked.
    minor: OnceLock<u32>,
}

/// What is asked.
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The path, without its version.
    pub path: String,
    /// What follows the question mark.
    pub query: Vec<(&'static str, String)>,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// What a request carries.
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// A document.
    Json(Value),
    /// A stream of this kind, whose length is not known.
    Stream(&'static str, &'a mut dyn Read),
}

impl Request<'static> {
    /// Asks for something.
    pub fn get(path: impl Into<String>) -> Request<'static> {
        Request::new("GET", path)
    }

    /// Has something done.
    pub fn post(path: impl Into<String>) -> Request<'static> {
        Request::new("POST", path)
    }

    /// Has something removed.
    pub fn delete(path: impl Into<String>) -> Request<'static> {
        Request::new("DELETE", path)
    }

    /// Any.
    pub fn new(method: &'static str, path: impl Into<String>) -> Request<'static> {
        let (query, headers) = (Vec::new(), Vec::new());
        Request { method, path: path.into(), query, headers, payload: Payload::None }
    }

    /// The same with a document.
    pub fn json(mut self, document: Value) -> Request<'static> {
        self.payload = Payload::Json(document);
        self
    }

    /// The same with a stream.
    pub fn stream<'a>(self, kind: &'static str, reader: &'a mut dyn Read) -> Request<'a> {
        let Request { method, path, query, headers, .. } = self;
        Request { method, path, query, headers, payload: Payload::Stream(kind, reader) }
    }
}

impl<'a> Request<'a> {
    /// The same with one more parameter.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Request<'a> {
        self.query.push((name, value.into()));
        self
    }

    /// The same with one more parameter, if it has a value.
    pub fn given(self, name: &'static str, value: Option<&str>) -> Request<'a> {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The same with a switch, if it is on.
    pub fn flag(self, name: &'static str, on: bool) -> Request<'a> {
        self.given(name, on.then_some("1"))
    }

    /// The same with one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request<'a> {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a request was answered with.
pub struct Response {
    /// Its status.
    pub status: u16,
    /// What it carries.
    pub body: Body,
    headers: Vec<(String, String)>,
}

impl Response {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut all = self.headers.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// A connection that is no longer one of HTTP.
pub struct TakenOver {
    /// The connection. What is written to it is heard by the other side at once.
    pub socket: File,
    /// What came before it was taken over.
    pub early: Vec<u8>,
    /// Whether both streams come in pieces that say whose they are; `None` if the engine is too old
    /// to say.
    pub multiplexed: Option<bool>,
}

impl Client {
    /// Somebody who asks there, and says to be this program.
    pub fn new(endpoint: Endpoint, agent: impl Into<String>) -> Client {
        let (idle, minor) = (Mutex::default(), OnceLock::new());
        Client { endpoint, agent: agent.into(), idle, minor }
    }

    /// Where is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The minor version of the API that both speak; asked once.
    pub fn version(&self) -> Result<u32> {
        if let Some(minor) = self.minor.get() {
            return Ok(*minor);
        }
        let mut response = self.answer(&mut Request::get("/_ping"), "")?;
        let theirs = response.header("Api-Version").to_owned();
        let minor = theirs.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
        // One that does not say is older than the saying of it.
        let minor = minor.unwrap_or(OLDEST).min(NEWEST);
        if minor < OLDEST {
            return Err(ClientError::Old { place: self.endpoint.to_string(), theirs });
        }
        io::copy(&mut response.body, &mut io::sink()).map_err(self.broken())?;
        self.put_back(response);
        Ok(*self.minor.get_or_init(|| minor))
    }

    /// Asks, and gives an answer that is no refusal. Its body is read by whoever wants it.
    pub fn send(&self, mut request: Request<'_>) -> Result<Response> {
        let prefix = format!("/v1.{}", self.version()?);
        self.answer(&mut request, &prefix)
    }

    /// The same, for an answer that is a document.
    pub fn call<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T> {
        let mut response = self.send(request)?;
        let mut bytes = Vec::new();
        response.body.read_to_end(&mut bytes).map_err(self.broken())?;
        self.put_back(response);
        serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Document { place: self.endpoint.to_string(), source })
    }

    /// The same, for an answer that says nothing.
    pub fn tell(&self, request: Request<'_>) -> Result<()> {
        let mut response = self.send(request)?;
        io::copy(&mut response.body, &mut io::sink()).map_err(self.broken())?;
        self.put_back(response);
        Ok(())
    }

    /// Asks for the connection itself.
    pub fn take_over(&self, request: Request<'_>) -> Result<TakenOver> {
        let request = request.header("Connection", "Upgrade").header("Upgrade", "tcp");
        let response = self.send(request)?;
        let multiplexed = match response.header("Content-Type") {
            "application/vnd.docker.multiplexed-stream" => Some(true),
            "application/vnd.docker.raw-stream" if self.version()? >= 42 => Some(false),
            _ => None,
        };
        let (socket, early) = response.body.into_parts();
        Ok(TakenOver { socket, early, multiplexed })
    }

    /// A connection of its own, for whoever speaks HTTP on it.
    pub fn dial(&self) -> Result<File> {
        self.endpoint.connect()
    }

    fn put_back(&self, response: Response) {
        let closes = response.header("Connection").eq_ignore_ascii_case("close");
        let connection = response.body.into_connection().filter(|_| !closes);
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    fn broken(&self) -> impl Fn(io::Error) -> ClientError {
        let place = self.endpoint.to_string();
        move |source| ClientError::Broken { place: place.clone(), source }
    }

    fn answer(&self, request: &mut Request<'_>, prefix: &str) -> Result<Response> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_kept = kept.is_some();
        let connection = kept.map_or_else(|| self.endpoint.connect(), Ok)?;
        match self.ask(connection, request, prefix) {
            // The engine may have closed what it was kept for; a stream cannot be sent twice.
            Err(ClientError::Broken { .. })
                if is_kept && !matches!(request.payload, Payload::Stream(..)) =>
            {
                self.ask(self.endpoint.connect()?, request, prefix)
            }
            answered => answered,
        }
    }

    fn ask(&self, connection: File, request: &mut Request<'_>, prefix: &str) -> Result<Response> {
        let sent = self.write(&connection, request, prefix);
        if let Err(Sending::Payload(error)) = sent {
            return Err(ClientError::Payload(error));
        }
        // An engine that did not want to hear all of it has said why.
        let response = self.read(connection, request.method == "HEAD");
        match (sent, response) {
            (Err(Sending::Connection(error)), Err(_)) => Err(self.broken()(error)),
            (_, Err(error)) => Err(error),
            (_, Ok(response)) if response.status >= 400 => Err(refusal(response)),
            (_, Ok(response)) => Ok(response),
        }
    }

    fn write(
        &self,
        mut to: &File,
        request: &mut Request<'_>,
        prefix: &str,
    ) -> std::result::Result<(), Sending> {
        let Request { method, path, query, headers, payload } = request;
        let mut head = format!("{method} {prefix}{}", escaped(path, b"/:@+"));
        for (place, (name, value)) in query.iter().enumerate() {
            head.push(if place == 0 { '?' } else { '&' });
            head.push_str(&format!("{name}={}", escaped(value, b"")));
        }
        head.push_str(&format!(" HTTP/1.1\r\nHost: docker\r\nUser-Agent: {}\r\n", self.agent));
        for (name, value) in headers.iter() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match payload {
            Payload::None if *method == "POST" => head.push_str("Content-Length: 0\r\n"),
            Payload::None => {}
            Payload::Json(document) => {
                let text = document.to_string();
                head.push_str("Content-Type: application/json\r\n");
                head.push_str(&format!("Content-Length: {}\r\n\r\n{text}", text.len()));
                return Ok(to.write_all(head.as_bytes())?);
            }
            Payload::Stream(kind, reader) => {
                head.push_str(&format!(
                    "Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                ));
                to.write_all(head.as_bytes())?;
                return send_pieces(*reader, to);
            }
        }
        head.push_str("\r\n");
        Ok(to.write_all(head.as_bytes())?)
    }

    fn read(&self, connection: File, bare: bool) -> Result<Response> {
        let mut from = BufReader::with_capacity(32 << 10, connection);
        let no_http = || ClientError::NoHttp { place: self.endpoint.to_string() };
        loop {
            let head = read_head(&mut from).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => no_http(),
                _ => self.broken()(error),
            })?;
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut parsed = httparse::Response::new(&mut fields);
            let status = match parsed.parse(&head) {
                Ok(httparse::Status::Complete(_)) => parsed.code.unwrap_or_default(),
                _ => return Err(no_http()),
            };
            // `100 Continue` says nothing yet.
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let field = |field: &httparse::Header<'_>| {
                let value = String::from_utf8_lossy(field.value).trim().to_owned();
                (field.name.to_owned(), value)
            };
            let headers: Vec<_> = parsed.headers.iter().map(field).collect();
            let find = |name: &str| {
                headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, it)| it)
            };
            let pieces =
                find("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked"));
            let length = match status {
                204 | 304 => Some(0),
                _ if bare => Some(0),
                _ => find("content-length").and_then(|text| text.parse().ok()),
            };
            return Ok(Response {
                status,
                body: Body::new(from, length, pieces && !bare),
                headers,
            });
        }
    }
}

/// Which side of a request failed.
enum Sending {
    Payload(io::Error),
    Connection(io::Error),
}

impl From<io::Error> for Sending {
    fn from(error: io::Error) -> Sending {
        Sending::Connection(error)
    }
}

fn send_pieces(reader: &mut dyn Read, mut to: &File) -> std::result::Result<(), Sending> {
    let mut part = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut part).map_err(Sending::Payload)?;
        to.write_all(format!("{count:x}\r\n").as_bytes())?;
        to.write_all(&part[..count])?;
        to.write_all(b"\r\n")?;
        if count == 0 {
            return Ok(());
        }
    }
}

/// All up to the empty line, that included.
fn read_head(from: &mut BufReader<File>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut from = from.take(MAX_HEAD_BYTES);
    loop {
        let before = head.len();
        from.read_until(b'\n', &mut head)?;
        match &head[before..] {
            b"\r\n" | b"\n" => return Ok(head),
            line if line.ends_with(b"\n") => {}
            _ if head.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if before == 0 && !head.starts_with(b"HTTP/") {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn refusal(mut response: Response) -> ClientError {
    let mut bytes = Vec::new();
    // What can be read of it is what there is to tell.
    let _ = (&mut response.body).take(MAX_MESSAGE_BYTES).read_to_end(&mut bytes);
    let document: Option<Value> = serde_json::from_slice(&bytes).ok();
    let message = document.as_ref().and_then(|it| it.get("message")?.as_str()).map(str::to_owned);
    let message = message.unwrap_or_else(|| match bytes.is_empty() {
        true => format!("status {} without a word", response.status),
        false => String::from_utf8_lossy(&bytes).trim().to_owned(),
    });
    ClientError::Refused { status: response.status, message }
}

/// A text as it stands in a path or after a question mark, where these mean nothing of their own.
fn escaped(text: &str, plain: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            byte if plain.contains(&byte) => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// An engine that gives these answers, one to each connection, and tells what it was asked.
    fn engine(
        answers: &'static [&'static str],
    ) -> (tempfile::TempDir, Endpoint, std::thread::JoinHandle<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let served = std::thread::spawn(move || {
            let serve = |answer: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = vec![0; 4096];
                let count = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked[..count]).into_owned()
            };
            answers.iter().map(serve).collect()
        });
        (folder, Endpoint::Unix(path), served)
    }

    const PING: &str =
        "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK";

    #[test]
    fn both_speak_what_both_know() {
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[7]";
        let (_folder, endpoint, served) = engine(Box::leak(Box::new([PING, answer])));
        let client = Client::new(endpoint, "x");
        let request = Request::get("/things/json").with("filters", "{\"a b\"}");
        assert_eq!(client.call::<Vec<u8>>(request).unwrap(), [7]);
        let asked = served.join().unwrap();
        assert!(
            asked[1].starts_with("GET /v1.44/things/json?filters=%7B%22a%20b%22%7D HTTP/1.1\r\n")
        );
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let refused =
            "HTTP/1.1 409 Conflict\r\nContent-Length: 21\r\n\r\n{\"message\":\"not now\"}";
        let (_folder, endpoint, served) =
            engine(Box::leak(Box::new([PING, refused, "SSH-2.0\r\n", ""])));
        let client = Client::new(endpoint, "x");
        let words = || client.tell(Request::post("/x")).unwrap_err().to_string();
        assert_eq!(words(), "Error response from daemon: not now");
        assert!(words().contains("does not speak HTTP"));
        assert!(words().contains("broke off"));
        served.join().unwrap();
        let gone = Client::new(Endpoint::Unix("/nothing".into()), "x");
        let error = gone.version().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("Cannot connect to the Docker daemon at unix:///nothing.")
        );
    }
}
