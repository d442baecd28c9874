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
    let (mut dice, time) = dice_and_time();
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

/// Fields of what makes containers, networks, volumes and processes; some are of none.
const FIELDS: &[&str] = &[
    "Annotations",
    "ArgsEscaped",
    "AttachStdin",
    "AutoRemove",
    "Binds",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "CgroupParent",
    "CgroupnsMode",
    "Cmd",
    "ConsoleSize",
    "Container",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "DetachKeys",
    "DeviceRequests",
    "Devices",
    "Dns",
    "Driver",
    "DriverOpts",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "ExtraHosts",
    "GroupAdd",
    "Healthcheck",
    "Hostname",
    "IPAM",
    "IpcMode",
    "Isolation",
    "Labels",
    "Links",
    "LogConfig",
    "MacAddress",
    "MaskedPaths",
    "Memory",
    "MemorySwap",
    "Mounts",
    "Name",
    "NanoCpus",
    "NetworkMode",
    "OomScoreAdj",
    "Options",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "RestartPolicy",
    "Runtime",
    "Scope",
    "SecurityOpt",
    "ShmSize",
    "StopSignal",
    "StopTimeout",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "User",
    "UsernsMode",
    "Volumes",
    "VolumesFrom",
    "WorkingDir",
];
/// What may stand in a field, and seldom should.
const THINGS: &[&str] = &[
    "null",
    "0",
    "1",
    "-1",
    "-5",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1.5",
    "1e400",
    "\"\"",
    "\"x\"",
    "\"/\"",
    "\"..\"",
    "\"a:b\"",
    "\"none\"",
    "\"host\"",
    "\"container:x\"",
    "\"10.0.0.0/8\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "[null]",
    "[\"\"]",
    "[\"x\"]",
    "[\"/a:/b\"]",
    "[\"a=b\",\"=\"]",
    "[{}]",
    "[[]]",
    "{}",
    "{\"x\":null}",
    "{\"\":\"\"}",
    "{\"x\":\"y\"}",
    "{\"80/tcp\":[{}]}",
    "{\"80/tcp\":[{\"HostIp\":\"x\",\"HostPort\":\"y\"}]}",
    "{\"Name\":\"always\",\"MaximumRetryCount\":3}",
    "{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"x\"}}",
    "{\"Config\":[{\"Subnet\":\"x\",\"Gateway\":\"y\"}]}",
    "[{\"Type\":\"bind\",\"Source\":\"/tmp\",\"Target\":\"/x\"}]",
    "[{\"Type\":\"volume\",\"Target\":\"x\"}]",
    "[{\"Name\":\"nofile\",\"Soft\":2,\"Hard\":1}]",
    "true",
    "false",
];

/// Some fields with anything in them.
fn fields(dice: &mut Dice, most: usize) -> String {
    let some: Vec<String> = (0..dice.below(most))
        .map(|_| format!("\"{}\":{}", dice.one(FIELDS), dice.one(THINGS)))
        .collect();
    some.join(",")
}

/// A document as a client might write it, but for what stands in some of its fields.
fn document(dice: &mut Dice) -> (&'static str, String) {
    let own = fields(dice, 4);
    let path = dice.one(&[
        "/containers/create?name=made",
        "/containers/create?name=made",
        "/containers/create?name=made",
        "/networks/create",
        "/networks/none/connect",
        "/volumes/create",
        "/containers/rests/exec",
        "/containers/rests/update",
    ]);
    if !path.starts_with("/containers/create") {
        return (path, format!("{{{own}}}"));
    }
    let host = fields(dice, 4);
    let own = if own.is_empty() { own } else { format!(",{own}") };
    (path, format!("{{\"Image\":\"tiny\",\"Cmd\":[\"x\"]{own},\"HostConfig\":{{{host}}}}}"))
}

#[test]
fn any_document_is_answered_and_what_it_makes_can_be_looked_at() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    mica.ok("create --name rests --network none tiny x");
    let (mut dice, time) = dice_and_time();
    let (begin, mut made, mut asked) = (Instant::now(), 0, 0);
    while begin.elapsed() < time {
        let (path, document) = document(&mut dice);
        let answer = server.send("POST", path, &document);
        let is_fault = answer.status >= 500 && ![501, 503].contains(&answer.status);
        assert!(!is_fault, "{path} {document}: {answer:?}");
        asked += 1;
        if answer.status != 201 || !path.starts_with("/containers/create") {
            continue;
        }
        for path in ["/containers/made/json", "/containers/json?all=1"] {
            let shown = server.get(path);
            assert_eq!(shown.status, 200, "{path} {document}: {shown:?}");
        }
        let gone = server.send("DELETE", "/containers/made?force=1&v=1", "");
        assert_eq!(gone.status, 204, "{document}: {gone:?}");
        made += 1;
    }
    assert!(asked > 50 && made > 0, "{made} of {asked}");
}

/// The chance and the time that the environment gives, or those of every run.
fn dice_and_time() -> (Dice, Duration) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let dice = Dice(given("MICA_FUZZ_SEED").unwrap_or(SEED));
    (dice, Duration::from_secs(given("MICA_FUZZ_SECONDS").unwrap_or(SECONDS)))
}
