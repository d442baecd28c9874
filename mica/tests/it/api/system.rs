//! The server itself: versions, errors, limits, its socket, its end.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Server, answered, served_by_tls};
use crate::containers::support::{Root, kill};
use crate::need_programs;
use crate::support::{Mica, Run, words};

#[test]
fn docker_finds_an_engine() {
    need_programs!("docker");
    let mica = Mica::new();
    let server = Server::start(&mica);
    let version = server.ok("version --format '{{.Server.Version}} {{.Server.MinAPIVersion}}'");
    assert_eq!(version, format!("{} 1.24", engine_version(&mica)));
    assert_eq!(server.ok("info --format '{{.ID}} {{.OSType}} {{.Swarm.LocalNodeState}}'"), {
        let info = mica.json("info -f json");
        format!("{} linux inactive", info["ID"].as_str().unwrap())
    });
    // What people see is put together from many fields.
    assert!(server.ok("info").contains("\n Storage Driver: "));
}

fn engine_version(mica: &Mica) -> String {
    mica.ok("version -f '{{.Server.Version}}'")
}

#[test]
fn a_ping_tells_what_is_here() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    for path in ["/_ping", "/v1.24/_ping", "/v1.51/_ping"] {
        let ping = server.get(path);
        assert_eq!((ping.status, ping.body.as_slice()), (200, b"OK".as_slice()));
        for header in
            ["api-version: 1.51", "docker-experimental: false", "ostype: linux", "builder-version:"]
        {
            assert!(ping.head.contains(header), "{header}: {}", ping.head);
        }
        let head = server.send("HEAD", path, "");
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

#[test]
fn versions_and_pages_that_are_not_there_are_refused_as_docker_does_it() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let new = server.get("/v1.99/info");
    assert_eq!(new.status, 400);
    let words = "client version 1.99 is too new. Maximum supported API version is 1.51";
    assert_eq!(new.message(), words);
    let old = server.get("/v1.12/info");
    assert_eq!(old.status, 400);
    assert!(old.message().starts_with("client version 1.12 is too old. Minimum supported API"));
    for (method, path) in [("GET", "/nothing"), ("GET", "/v1.40/nothing"), ("PUT", "/info")] {
        let missing = server.send(method, path, "");
        assert_eq!((missing.status, missing.message().as_str()), (404, "page not found"));
    }
    assert_eq!(server.get("/v1.24/distribution/x/json").status, 404, "it came with 1.30");
}

#[test]
fn clients_see_the_fields_of_their_version() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let info = |version: &str| server.get(&format!("/v{version}/info")).json();
    assert!(info("1.51")["RuncCommit"].get("Expected").is_none());
    assert_eq!(info("1.48")["RuncCommit"]["Expected"], "");
    assert_eq!(info("1.48")["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"], json!([]));
    assert!(info("1.40").get("CgroupVersion").is_none());
    let usage = |version: &str| server.get(&format!("/v{version}/system/df?type=volume")).json();
    assert!(usage("1.42").get("Images").is_none());
    assert!(usage("1.41").get("Images").is_some() && usage("1.41").get("BuilderSize").is_some());
    // What is there by nature has been there since the store was made.
    for network in server.get("/networks").json().as_array().unwrap() {
        assert!(network["Created"].as_str() > Some("2020"), "{network}");
    }
}

#[test]
fn what_is_no_request_is_refused_and_others_are_still_answered() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let mut odd = server.connect();
    odd.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").unwrap();
    let mut said = Vec::new();
    odd.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"HTTP/1.1 400"));
    let mut long = server.connect();
    let _ = write!(long, "GET /_ping HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(2 << 20));
    said.clear();
    // It may close the connection before it has read all of it.
    let _ = long.read_to_end(&mut said);
    assert!(said.is_empty() || answered(&said).status == 431);
    // A client that stops in the middle of its words keeps nobody from being answered.
    let mut slow = server.connect();
    slow.write_all(b"GET /_ping HTT").unwrap();
    let large = format!("[{}]", " ".repeat(9 << 20));
    assert_eq!(server.send("POST", "/auth", &large).status, 413);
    assert_eq!(server.send("POST", "/auth", "{").status, 400);
    let plain = "Content-Type: text/plain\r\nContent-Length: 2\r\n";
    let refused = server.send_raw("POST", "/auth", plain, b"{}");
    assert_eq!(refused.status, 400);
    assert!(refused.message().starts_with("unsupported Content-Type header (text/plain)"));
    assert_eq!(server.get("/_ping").status, 200);
}

#[test]
fn the_socket_is_its_owners_and_a_groups_and_goes_with_the_server() {
    let mica = Mica::new();
    let mut server = Server::start(&mica);
    let socket = server.socket().to_owned();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let again = mica.run(&format!("serve -H unix://{}", socket.display()));
    again.complains(1, "somebody answers on unix://");
    let begin = Instant::now();
    kill(server.id(), "TERM");
    let status = server.wait();
    assert!(status.success() && status.signal().is_none(), "{status}");
    assert!(begin.elapsed() < Duration::from_secs(5) && !socket.exists());
    // What a killed server left is nobody's.
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(Server::start(&mica).get("/_ping").status, 200);
}

#[test]
fn tcp_is_not_served_to_everybody_unless_somebody_says_so() {
    let mica = Mica::new();
    let refused = mica.run("serve -H tcp://127.0.0.1:0");
    refused.complains(1, "error: tcp://127.0.0.1:0 would let everybody who reaches it be root");
    refused.complains(1, "--allow-plain-tcp");
    mica.run("serve -H nonsense").complains(1, "is no place to listen");
    mica.run("serve -H fd://").complains(1, "nothing listens on fd:// already");
    let mut command = mica.command("serve -H tcp://127.0.0.1:0 --allow-plain-tcp");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 64];
    let count = child.stderr.take().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    let address = said.trim().strip_prefix("API listen on tcp://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(answered(&bytes).body, b"OK");
    kill(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn by_tls_only_those_are_served_who_prove_who_they_are() {
    need_programs!("docker", "openssl");
    let Some(root) = Root::new() else { return };
    let (mut child, address) = served_by_tls(&root);
    let odd =
        "req -x509 -newkey rsa:2048 -nodes -keyout odd.key -out odd.crt -subj /CN=odd -days 2";
    assert!(root.program("openssl").args(words(odd)).output().unwrap().status.success());
    let docker = |flags: &str, line: &str| {
        let mut command = root.program("docker");
        command.args(["-H", &address]).args(words(flags)).args(words(line));
        Run::of(line, command.output().unwrap())
    };
    let proven = "--tlsverify --tlscacert ca.pem --tlscert key.crt --tlskey key.key";
    docker(proven, "run --rm --network none bb echo hello").prints("hello\n");
    let odd = "--tls --tlscacert ca.pem --tlscert odd.crt --tlskey odd.key";
    assert_ne!(docker(odd, "ps").code, 0);
    assert_ne!(docker("--tls", "ps").code, 0);
    assert_ne!(docker("", "ps").code, 0);
    kill(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    root.run("serve -H tcp://127.0.0.1:0 --tlsverify").complains(1, "need each other");
}

#[test]
fn a_socket_that_somebody_has_opened_is_taken() {
    let mica = Mica::new();
    let path = std::env::temp_dir().join(format!("mica-fd-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let program = mica.command("").get_program().to_owned();
    let mut command = mica.program("sh");
    // As systemd hands it over: from the third number on, to a process of this number.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve";
    command.args(["-c", script]).arg(program).stdin(OwnedFd::from(listener)).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(answered(&bytes).body, b"OK");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    kill(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    assert!(path.exists(), "it is whoever has opened it that removes it");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn many_clients_are_answered_at_once() {
    let mica = Mica::new();
    mica.import("tiny:1");
    let server = Server::start(&mica);
    let create = r#"{"Name":"shared"}"#;
    std::thread::scope(|scope| {
        for number in 0..200 {
            let server = &server;
            scope.spawn(move || {
                assert_eq!(server.get("/_ping").body, b"OK");
                let listed = server.get("/images/json").json();
                assert_eq!(listed[0]["RepoTags"][0], "tiny:1");
                // All of them make the same, and some their own.
                assert_eq!(server.send("POST", "/volumes/create", create).status, 201);
                let own = format!(r#"{{"Name":"own-{number}"}}"#);
                assert_eq!(server.send("POST", "/volumes/create", &own).status, 201);
            });
        }
    });
    let volumes = server.get("/volumes").json();
    assert_eq!(volumes["Volumes"].as_array().unwrap().len(), 201);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 200 << 10, "{peak} KiB");
}

#[test]
fn addresses_are_read_as_people_write_them() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny:1");
    // As curl sends it with `-g`, twice on one connection.
    let path = r#"/v1.41/images/json?filters={"reference":["tiny"]}"#;
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n");
    let mut stream = server.connect();
    write!(stream, "{head}\r\n{head}Connection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("tiny:1").count(), 2, "{text}");
}
