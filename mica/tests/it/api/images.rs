//! Images through the socket.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::json;
use testkit::free_port;

use super::support::Server;
use crate::containers::support::{eventually, kill};
use crate::need_programs;
use crate::support::{Mica, small};

#[test]
fn docker_imports_lists_names_and_removes() {
    need_programs!("docker");
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.file("small.tar", small().tar());
    let id = server.ok("import -m said -c 'LABEL a=b' small.tar tiny:1");
    assert!(id.starts_with("sha256:"), "{id}");
    // One store: what one door makes the other shows.
    assert_eq!(mica.ok("images -q --no-trunc"), id);
    server.ok("tag tiny:1 other/tiny:2");
    let format = "--format '{{.Repository}}:{{.Tag}}'";
    let listed = server.ok(&format!("images {format}"));
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["other/tiny:2", "tiny:1"]);
    assert_eq!(server.ok(&format!("images {format} --filter label=a=b tiny")), "tiny:1");
    assert_eq!(server.ok("images -q --filter label=nothing"), "");
    server.docker("images --filter nonsense=1").complains(1, "invalid filter 'nonsense'");
    assert_eq!(server.ok("history --format '{{.Comment}}' tiny:1"), "said");
    assert_eq!(
        server.ok("inspect tiny:1"),
        mica.ok("inspect tiny:1"),
        "both doors show one document"
    );
    server.docker("rmi nothing").complains(1, "No such image: nothing:latest");
    let said = server.docker(&format!("rmi {id}"));
    said.complains(1, "(must be forced) - image is referenced in multiple repositories");
    let removed = server.ok("rmi tiny:1 other/tiny:2");
    assert!(removed.starts_with("Untagged: tiny:1\nUntagged: other/tiny:2\nDeleted: sha256:"));
    mica.must_be_empty();
}

#[test]
fn an_archive_goes_out_and_comes_in() {
    need_programs!("docker");
    let mica = Mica::new();
    let server = Server::start(&mica);
    let id = mica.import("tiny:1");
    mica.ok("tag tiny:1 tiny:2");
    server.ok("save -o out.tar tiny:1 tiny:2");
    mica.ok("save -o own.tar tiny:1 tiny:2");
    assert!(fs::read(mica.path("out.tar")).unwrap() == fs::read(mica.path("own.tar")).unwrap());
    server.ok("rmi tiny:1 tiny:2");
    let said = server.ok("load -i out.tar");
    assert_eq!(said, "Loaded image: tiny:1\nLoaded image: tiny:2");
    assert_eq!(mica.ok("images -q --no-trunc tiny:1"), id);
    server.docker("save -o none.tar nothing").complains(1, "No such image: nothing");
    let broken = server.send_raw("POST", "/images/load", "Content-Length: 3\r\n", b"abc");
    assert!(broken.json()["errorDetail"]["message"].is_string(), "{broken:?}");
    assert_eq!(mica.ok("images -q --no-trunc tiny:2"), id, "what was here is as it was");
}

#[test]
fn older_clients_get_the_fields_that_they_know() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny:1");
    let list = |version: &str| server.get(&format!("/v{version}/images/json")).json()[0].clone();
    assert_eq!(list("1.43")["VirtualSize"], list("1.43")["Size"]);
    assert_eq!(list("1.44").get("VirtualSize"), None);
    mica.ok("rmi tiny:1");
    mica.import("x");
    mica.import("x:2");
    let name = |version: &str| list(version)["RepoTags"].clone();
    assert_eq!(name("1.51"), json!(["x:2", "x:latest"]));
    // Both forms of filters, and one that is none.
    for filters in
        ["%7B%22reference%22:%5B%22x:2%22%5D%7D", "%7B%22reference%22:%7B%22x:2%22:true%7D%7D"]
    {
        let found = server.get(&format!("/images/json?filters={filters}")).json();
        assert_eq!(found[0]["RepoTags"], json!(["x:2"]));
    }
    assert_eq!(server.get("/images/json?filters=x").status, 400);
}

#[test]
fn images_are_pushed_and_pulled_with_a_login() {
    need_programs!("docker", "htpasswd");
    let mica = Mica::new();
    let server = Server::start(&mica);
    let entry = std::process::Command::new("htpasswd").args(["-Bbn", "me", "secret"]).output();
    mica.file("users", entry.unwrap().stdout);
    let address = format!("127.0.0.1:{}", free_port());
    let line = format!("registry serve --listen {address} --root hub --htpasswd users --log none");
    let mut hub = mica.command(&line).stderr(Stdio::null()).spawn().unwrap();
    eventually("the registry answers", || std::net::TcpStream::connect(&address).is_ok());
    let id = mica.import(&format!("{address}/me/tiny:1"));
    let name = format!("{address}/me/tiny:1");
    server.docker(&format!("push {name}")).complains(1, "");
    server.docker(&format!("login -u me -p wrong {address}")).complains(1, "Error response");
    let mut login = server.command(&format!("login -u me --password-stdin {address}"));
    let login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut login = login.spawn().unwrap();
    login.stdin.take().unwrap().write_all(b"secret").unwrap();
    let login = login.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&login.stdout).contains("Login Succeeded"), "{login:?}");
    let pushed = server.ok(&format!("push {name}"));
    assert!(pushed.starts_with(&format!("The push refers to repository [{address}/me/tiny]\n")));
    assert!(pushed.contains("\n1: digest: sha256:"), "{pushed}");
    server.ok(&format!("rmi {name}"));
    let pulled = server.ok(&format!("pull {name}"));
    assert!(pulled.starts_with("1: Pulling from me/tiny\n"), "{pulled}");
    assert!(pulled.contains(": Pull complete\nDigest: sha256:"), "{pulled}");
    assert!(pulled.contains(&format!("Status: Downloaded newer image for {name}")), "{pulled}");
    assert_eq!(mica.ok("images -q --no-trunc"), id);
    let manifest = server.ok(&format!("manifest inspect --insecure {name}"));
    assert!(manifest.contains("\"schemaVersion\": 2"), "{manifest}");
    server.docker(&format!("pull {address}/me/none")).complains(1, "not found");
    kill(hub.id(), "TERM");
    hub.wait().unwrap();
}

/// A registry with one image, whose layer comes as slowly as it can, and what became of whoever
/// fetched it.
fn slow_registry() -> (String, std::thread::JoinHandle<bool>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let digest = |bytes: &[u8]| spec::Digest::of(bytes).to_string();
    let layer_bytes = 64 << 20;
    let layer = digest(b"nobody gets so far");
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_bytes}}}]}}"#,
        digest(config.as_bytes()),
        config.len()
    );
    let served = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 8192];
            let count = stream.read(&mut asked).unwrap();
            let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
            let head = |kind: &str, length: usize| {
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                )
            };
            if asked.contains("/manifests/") {
                let body = if asked.starts_with("HEAD") { "" } else { manifest.as_str() };
                write!(stream, "{}{body}", head(kind, manifest.len())).unwrap();
            } else if asked.contains(&layer) {
                stream.write_all(head("application/octet-stream", layer_bytes).as_bytes()).unwrap();
                let begin = std::time::Instant::now();
                while begin.elapsed() < std::time::Duration::from_secs(20) {
                    if stream.write_all(&[0; 16 << 10]).is_err() {
                        return true;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                return false;
            } else if asked.contains("/blobs/") {
                write!(stream, "{}{config}", head("application/octet-stream", config.len()))
                    .unwrap();
            } else {
                write!(stream, "{}{{}}", head("application/json", 2)).unwrap();
            }
        }
    });
    (address, served)
}

#[test]
fn a_pull_ends_with_the_client_that_asked_for_it() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let (address, served) = slow_registry();
    let mut stream = server.connect();
    let path = format!("/images/create?fromImage={address}/x&tag=1");
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    let (mut said, mut part) = (String::new(), [0; 4096]);
    while !said.contains("Downloading") {
        let count = stream.read(&mut part).unwrap();
        said.push_str(&String::from_utf8_lossy(&part[..count]));
        assert!(count > 0, "{said}");
    }
    drop(stream);
    assert!(served.join().unwrap(), "the layer is still fetched");
    assert_eq!(server.get("/images/json").json(), serde_json::json!([]));
}

#[test]
fn older_clients_see_the_fields_of_their_version() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny:1");
    let seen = |version: u32| server.get(&format!("/v1.{version}/images/tiny:1/json")).json();
    let (now, older, oldest) = (seen(50), seen(49), seen(44));
    assert_eq!(now["Config"].get("Hostname"), None);
    assert_eq!(now["Config"]["WorkingDir"], json!(""));
    assert_eq!(
        (&older["Config"]["Hostname"], &older["Config"]["Tty"]),
        (&json!(""), &json!(false))
    );
    assert_eq!(older.get("ContainerConfig"), None);
    assert_eq!((&oldest["Container"], &oldest["ContainerConfig"]), (&json!(""), &oldest["Config"]));
    assert_eq!(seen(43)["VirtualSize"], now["Size"]);
    let listed = |query: &str| server.get(query).json()[0].clone();
    assert_eq!(listed("/v1.50/images/json")["Containers"], json!(-1));
    assert_eq!(listed("/v1.51/images/json")["Containers"], json!(0));
    assert_eq!(listed("/images/json")["SharedSize"], json!(-1));
    assert_eq!(listed("/images/json?shared-size=1")["SharedSize"], json!(0));
}
