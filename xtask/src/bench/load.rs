//! Many requests for one thing, over a few connections that stay open: what a registry's server bears.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::Result;

/// What registries are asked to give manifests as.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.manifest.v1+json";

/// Asks a registry: HOST, NAME, TAG, what of the image (`manifest`, `config` or `layer`), over how
/// many connections, and how often on each.
pub(crate) fn ask_often(arguments: &[String]) -> Result {
    let [host, name, tag, what, connections, requests] = arguments else {
        return Err("it takes a host, a name, a tag, what to ask for, and two numbers".into());
    };
    let (connections, requests): (usize, usize) = (connections.parse()?, requests.parse()?);
    let manifest = format!("/v2/{name}/manifests/{tag}");
    let path = match what.as_str() {
        "manifest" => manifest,
        _ => format!("/v2/{name}/blobs/{}", blob(host, &manifest, what)?),
    };
    let many = || -> std::result::Result<u64, String> {
        let mut connection = Connection::open(host).map_err(|error| error.to_string())?;
        let mut bytes = 0;
        for _ in 0..requests {
            let answer = connection.get(&path, &mut std::io::sink());
            bytes += answer.map_err(|error| error.to_string())?;
        }
        Ok(bytes)
    };
    let sums: std::result::Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(many)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a connection's thread panicked".to_string()))
        };
        threads.into_iter().map(join).collect()
    });
    let bytes: u64 = sums?.iter().sum();
    println!("{} requests, {bytes} bytes", connections * requests);
    Ok(())
}

/// The digest of a blob that a manifest names: the first is its configuration's, the last a layer's.
fn blob(host: &str, manifest: &str, what: &str) -> Result<String> {
    let mut bytes = Vec::new();
    Connection::open(host)?.get(manifest, &mut bytes)?;
    let text = String::from_utf8(bytes)?;
    let mut digests = text.match_indices("sha256:").filter_map(|(at, _)| text.get(at..at + 71));
    let found = if what == "config" { digests.next() } else { digests.last() };
    Ok(found.ok_or("the manifest names nothing")?.to_string())
}

/// A connection that stays open.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(host: &str) -> Result<Connection> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(256 << 10, stream);
        Ok(Connection { stream, host: host.to_string() })
    }

    /// Asks once, and says how many bytes came.
    fn get(&mut self, path: &str, into: &mut dyn Write) -> Result<u64> {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {ACCEPT}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(head.as_bytes())?;
        let (mut line, mut bytes) = (String::new(), None);
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(format!("{path}: {}", line.trim_end()).into());
        }
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line)?;
            let length = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(LENGTH));
            if let Some((_, length)) = length {
                bytes = Some(length.trim().parse::<u64>()?);
            }
        }
        let bytes = bytes.ok_or("an answer does not say how long it is")?;
        match std::io::copy(&mut (&mut self.stream).take(bytes), into)? {
            came if came == bytes => Ok(bytes),
            _ => Err("an answer breaks off".into()),
        }
    }
}

const LENGTH: &str = "content-length";
