//! Requests of every shape, made from a seed: the server answers or closes, says nothing of a fault of
//! its own, waits for nobody, and goes on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::census::operations;
use super::support::{Server, answered};
use crate::support::Mica;

/// The same requests each time; `MICA_FUZZ_SEED` makes others.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// So many seconds at most, unless `MICA_FUZZ_SECONDS` has another number.
const SECONDS: u64 = 4;
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn often(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Words that mean something somewhere, or nothing anywhere.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "true",
    "x",
    "..",
    "/",
    "%00",
    "%FF%FE",
    "%2e%2e%2f",
    "9999999999999999999999",
    "1e9",
    "{}",
    "[]",
    "null",
    "%7B%22label%22%3A%5B%22a%22%5D%7D",
    "%7B%22dangling%22%3A%7B%22x%22%3Atrue%7D%7D",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "a:b@c",
    "\u{e9}",
];
const NAMES: &[&str] = &[
    "all",
    "limit",
    "size",
    "filters",
    "t",
    "signal",
    "h",
    "w",
    "path",
    "stdout",
    "stream",
    "tail",
    "since",
    "name",
    "repo",
    "tag",
    "force",
    "v",
    "names",
    "q",
    "dockerfile",
    "buildargs",
    "condition",
    "ps_args",
    "platform",
    "changes",
    "fromImage",
    "container",
    "detachKeys",
    "type",
    "until",
    "no-such",
];
const VERSIONS: &[&str] =
    &["", "/v1.24", "/v1.30", "/v1.41", "/v1.51", "/v1.99", "/v0.1", "/v1.", "/v", "/vx"];
const DOCUMENTS: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "7",
    "\"x\"",
    "{",
    "{\"Image\":\"x\",\"HostConfig\":{\"Binds\":[\"a\",\":\",\"/:/x:zz\"]}}",
    "{\"Image\":7}",
    "{\"HostConfig\":{\"Memory\":-5,\"PortBindings\":{\"x\":[{}]}}}",
    "{\"Name\":\"\\u0000\"}",
    "{\"Cmd\":{\"a\":1}}",
    "{\"Container\":\"x\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv4Address\":\"x\"}}}",
    "{\"IPAM\":{\"Config\":[{\"Subnet\":\"300.0.0.0/99\"}]},\"Name\":\"n\"}",
    "\u{feff}{}",
];
const HEADERS: &[&str] = &[
    "Content-Type: application/json",
    "Content-Type: text/plain",
    "Content-Type: application/tar",
    "X-Registry-Auth: !!!",
    "X-Registry-Auth: e30=",
    "X-Registry-Config: bm8=",
    "Upgrade: tcp",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: x",
    "Expect: 100-continue",
    "Accept: application/json-seq",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Content-Length: 5",
    "Content-Length: -1",
    "X: \u{1}",
];

/// A request that nobody would write.
fn request(dice: &mut Dice, all: &[(&str, &str)]) -> Vec<u8> {
    let (method, path) = dice.one(all);
    let method = if dice.often(10) {
        dice.one(&["PATCH", "OPTIONS", "TRACE", "GET ", "P\u{0}ST"])
    } else {
        method
    };
    let mut path = path.split('?').next().unwrap_or_default().to_owned();
    if dice.often(40) {
        path = path.replace("/x", &format!("/{}", dice.one(VALUES)));
    }
    let mut target = format!("{}{path}", dice.one(VERSIONS));
    for place in 0..dice.below(5) {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(&format!("{}={}", dice.one(NAMES), dice.one(VALUES)));
    }
    let document = dice.one(DOCUMENTS);
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for _ in 0..dice.below(4) {
        head.push_str(dice.one(HEADERS));
        head.push_str("\r\n");
    }
    if !head.contains("Content-Length") && !head.contains("Transfer-Encoding") && dice.often(90) {
        head.push_str(&format!("Content-Length: {}\r\n", document.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(document.as_bytes());
    for _ in 0..dice.below(3) {
        if dice.often(15) {
            let place = dice.below(bytes.len());
            bytes[place] = dice.next() as u8;
        }
    }
    if dice.often(5) {
        bytes.truncate(dice.below(bytes.len()));
    }
    bytes
}

/// What waits for news by its nature, or asks the Hub, which not every machine reaches.
fn is_endless(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["/events", "/images/search", "/images/create", "/distribution/", "/auth", "fromImage"]
        .iter()
        .any(|word| text.contains(word))
}

#[test]
fn any_request_is_answered_or_closed() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let all: Vec<_> = operations().collect();
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut dice = Dice(given("MICA_FUZZ_SEED").unwrap_or(SEED));
    let time = Duration::from_secs(given("MICA_FUZZ_SECONDS").unwrap_or(SECONDS));
    let (begin, mut answers, mut number) = (Instant::now(), 0, 0);
    while begin.elapsed() < time {
        number += 1;
        let bytes = request(&mut dice, &all);
        if is_endless(&bytes) {
            continue;
        }
        let shown = || format!("{number}: {:?}", String::from_utf8_lossy(&bytes));
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // One that is refused early may have closed its end.
        let _ = stream.write_all(&bytes);
        stream.shutdown(std::net::Shutdown::Write).unwrap_or_default();
        let mut said = Vec::new();
        if let Err(error) = stream.read_to_end(&mut said) {
            let reset = error.kind() == std::io::ErrorKind::ConnectionReset;
            assert!(reset, "no answer in time: {error}: {}", shown());
        }
        if said.windows(4).any(|four| four == b"\r\n\r\n") {
            let answer = answered(&said);
            let is_fault = answer.status >= 500 && ![501, 503].contains(&answer.status);
            assert!(!is_fault, "{}: {answer:?}", shown());
            answers += 1;
        }
    }
    assert!(answers > 100, "{answers}");
    assert_eq!(server.get("/_ping").body, b"OK");
}
