//! A client that sends exactly what a test says, and believes nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use spec::Digest;

/// A request that is put together.
#[derive(Clone)]
pub(crate) struct Ask {
    host: String,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(host: &str, method: &'static str, path: impl Into<String>) -> Ask {
        let (host, path) = (host.to_owned(), path.into());
        Ask { host, method, path, headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Ask {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Ask {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.host);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        [text.into_bytes(), self.body.clone().unwrap_or_default()].concat()
    }

    /// Sends it on a connection of its own.
    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        let mut stream = connect(&self.host);
        stream.write_all(&self.bytes()).unwrap();
        Answer::read(&mut BufReader::new(stream), self.method == "HEAD").unwrap()
    }
}

pub(crate) fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

impl Answer {
    /// Reads an answer; `None` where the connection ends before one.
    pub(crate) fn read(stream: &mut impl BufRead, is_head: bool) -> Option<Answer> {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if is_head || status == 204 || status == 304 || status < 200 {
            return Some(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut answer.body).ok()?;
            return Some(answer);
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
            let mut piece = vec![0; length + 2];
            stream.read_exact(&mut piece).ok()?;
            answer.body.extend_from_slice(&piece[..length]);
            if length == 0 {
                return Some(answer);
            }
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header that must be there.
    #[track_caller]
    pub(crate) fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}: {}", String::from_utf8_lossy(&self.body));
        self
    }

    /// One of several statuses, where the specification allows several.
    #[track_caller]
    pub(crate) fn either(self, statuses: &[u16]) -> Answer {
        let text = String::from_utf8_lossy(&self.body);
        assert!(statuses.contains(&self.status), "{self:?}: {text}");
        self
    }

    /// An error of the specification's form.
    #[track_caller]
    pub(crate) fn says(self, code: &str) -> Answer {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {json}"));
        assert!(!errors.is_empty(), "{json}");
        for error in errors {
            assert_eq!(error["code"], code, "{json}");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The path that a `Location` leads to, and what is to be asked there.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        let location = self.must("location");
        match location.split_once("://") {
            Some((_, rest)) => rest[rest.find('/').unwrap()..].to_owned(),
            None => location.to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn digest(&self) -> Digest {
        self.must("docker-content-digest").parse().unwrap()
    }
}

/// A location with a query behind it.
pub(crate) fn with_query(location: &str, query: &str) -> String {
    let mark = if location.contains('?') { '&' } else { '?' };
    format!("{location}{mark}{query}")
}
