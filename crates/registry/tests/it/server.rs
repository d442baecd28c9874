//! A registry that answers as a test tells it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{Client, ClientSettings, Limits};
use spec::{Digest, Reference};

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the server does with a request.
pub(crate) enum Deed {
    /// Answers in full.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Writes these bytes, one piece after the other with a pause between, and hangs up.
    Raw(Vec<Vec<u8>>, Duration),
    /// Writes a head and then the same piece for as long as somebody listens.
    Endless(Vec<u8>, Vec<u8>),
}

pub(crate) fn answer(status: u16, body: impl AsRef<[u8]>) -> Deed {
    Deed::Answer(status, Vec::new(), body.as_ref().to_vec())
}

type Script = dyn Fn(&Asked, usize) -> Deed + Send + Sync;

pub(crate) struct Server {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request as the script says, which also hears how many came before.
    pub(crate) fn new(script: impl Fn(&Asked, usize) -> Deed + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let script: Arc<Script> = Arc::new(script);
        let (log, ended) = (Arc::clone(&asked), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &log));
            }
        });
        Server { host, asked, stop }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The name of a repository here.
    pub(crate) fn name(&self, name: &str) -> Reference {
        Reference::parse(&format!("{}/{name}", self.host)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Asked>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    // Whoever comes with TLS finds a server that does not know it.
    while let Some(asked) = read(&mut reader) {
        let before = {
            let mut log = log.lock().unwrap();
            log.push(asked.clone());
            log.len() - 1
        };
        match script(&asked, before) {
            Deed::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                let body = if asked.method == "HEAD" { Vec::new() } else { body };
                if writer.write_all(&[head.into_bytes(), body].concat()).is_err() {
                    return;
                }
            }
            Deed::Raw(pieces, pause) => {
                for piece in pieces {
                    if writer.write_all(&piece).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return;
            }
            Deed::Endless(head, piece) => {
                if writer.write_all(&head).is_err() {
                    return;
                }
                while writer.write_all(&piece).is_ok() {}
                return;
            }
        }
    }
    let _ = writer.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body })
}

/// A client that does not pause for long.
pub(crate) fn client() -> Client {
    Client::new(settings())
}

/// A client that is quick to lose its patience.
pub(crate) fn quick_client() -> Client {
    let short = Duration::from_millis(500);
    let limits = Limits { idle: short, document: short, ..settings().limits };
    Client::new(ClientSettings { limits, ..ClientSettings::default() })
}

pub(crate) fn settings() -> ClientSettings {
    let limits = Limits {
        idle: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        document: Duration::from_secs(5),
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(1500),
        ..Limits::default()
    };
    ClientSettings { limits, ..ClientSettings::default() }
}

/// A blob of so many bytes that are not all the same.
pub(crate) fn blob(bytes: usize) -> (Vec<u8>, Digest) {
    let blob: Vec<u8> = (0..bytes).map(|at| (at * at / 7) as u8).collect();
    let digest = Digest::of(&blob);
    (blob, digest)
}
