//! Proxies: what they are asked, and what is said of those that do not work.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use registry::{Access, Client, ClientSettings, Proxies, RegistryError, Rules, Target};
use spec::{MediaType, Reference};

use crate::server::{Server, answer, settings};

const MANIFEST: &str = "{\"schemaVersion\":2}";

/// A client that may ask `reg.test` without TLS, and reaches it as the environment says.
fn client(variable: &str, proxy: &str) -> Client {
    let environment = BTreeMap::from([(variable.to_owned(), proxy.to_owned())]);
    let insecure = vec!["reg.test".to_owned()];
    Client::new(ClientSettings {
        proxies: Proxies::of(&environment),
        rules: Rules { insecure, ..Rules::default() },
        ..settings()
    })
}

fn fetch(client: &Client, name: &str) -> Result<Vec<u8>, RegistryError> {
    let repository = client.repository(&Reference::parse(name).unwrap(), Access::Pull)?;
    Ok(repository.document(&Target::Tag("latest".to_owned()))?.bytes)
}

#[test]
fn a_proxy_is_asked_for_what_is_not_encrypted() {
    let proxy = Server::new(|asked, _| match asked.method.as_str() {
        "PUT" => answer(201, ""),
        _ => answer(200, MANIFEST),
    });
    let client = client("HTTP_PROXY", &format!("http://me:pa%3Ass@{}", proxy.host));
    for _ in 0..2 {
        assert_eq!(fetch(&client, "reg.test:80/a").unwrap(), MANIFEST.as_bytes());
    }
    let name = Reference::parse("reg.test:80/a").unwrap();
    let repository = client.repository(&name, Access::Push).unwrap();
    // No document with a subject: then nothing else is asked.
    let (target, kind) = (Target::Tag("x".to_owned()), MediaType::OciManifest);
    repository.put_document(&target, &kind, MANIFEST.as_bytes()).unwrap();
    let asked = proxy.asked();
    let paths: Vec<_> = asked.iter().map(|asked| (&*asked.method, &*asked.path)).collect();
    let latest = ("GET", "http://reg.test:80/v2/a/manifests/latest");
    assert_eq!(paths, [latest, latest, ("PUT", "http://reg.test:80/v2/a/manifests/x")]);
    assert_eq!(asked[2].body, MANIFEST.as_bytes());
    for one in &asked {
        assert_eq!(one.header("host"), Some("reg.test"));
        // `me:pa:ss`
        assert_eq!(one.header("proxy-authorization"), Some("Basic bWU6cGE6c3M="));
    }
}

#[test]
fn a_socks_proxy_looks_names_up() {
    let server = Server::new(|_, _| answer(200, MANIFEST));
    let (listener, to) = (TcpListener::bind("127.0.0.1:0").unwrap(), server.host.clone());
    let proxy = format!("socks5://{}", listener.local_addr().unwrap());
    let socks = thread::spawn(move || socks(listener.accept().unwrap().0, &to));
    let client = client("HTTP_PROXY", &proxy);
    assert_eq!(fetch(&client, "reg.test:80/a").unwrap(), MANIFEST.as_bytes());
    assert_eq!(socks.join().unwrap(), "reg.test:80");
    assert_eq!(server.asked()[0].path, "/v2/a/manifests/latest");
}

/// One connection of version 5, carried to somebody. Gives whom it was meant for.
fn socks(mut client: TcpStream, to: &str) -> String {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(take(3), [5, 1, 0]);
    (&client).write_all(&[5, 0]).unwrap();
    let mut client = client;
    let mut head = [0; 5];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name");
    let mut rest = vec![0; usize::from(head[4]) + 2];
    client.read_exact(&mut rest).unwrap();
    let (name, port) = rest.split_at(rest.len() - 2);
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let server = TcpStream::connect(to).unwrap();
    let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut back.0, &mut back.1));
    thread::spawn(move || io::copy(&mut { client }, &mut { server }));
    format!("{}:{}", String::from_utf8_lossy(name), u16::from_be_bytes([port[0], port[1]]))
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let refused = "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused";
    let manifest = "reg.org/v2/a/manifests/latest";
    let check = |variable: &str, proxy: &str, name: &str, expected: &str| {
        let error = fetch(&client(variable, proxy), name).unwrap_err().to_string();
        assert_eq!(error, expected, "{proxy}");
    };
    let whole = format!("Get \"https://{manifest}\": {refused}");
    check("HTTPS_PROXY", "http://127.0.0.1:1", "reg.org/a", &whole);
    check("HTTPS_PROXY", "socks5h://127.0.0.1:1", "reg.org/a", &whole);
    let plain = format!("Get \"http://reg.test:80/v2/a/manifests/latest\": {refused}");
    check("HTTP_PROXY", "http://127.0.0.1:1", "reg.test:80/a", &plain);
    let wrong = "socks4://127.0.0.1:1 is no address of a proxy: \
        http, https, socks5 and socks5h are known";
    check("HTTPS_PROXY", "socks4://127.0.0.1:1", "reg.org/a", wrong);
}

#[test]
fn a_proxy_that_refuses_is_heard() {
    let proxy = Server::new(|_, _| answer(403, ""));
    let error = fetch(&client("HTTPS_PROXY", &format!("http://{}", proxy.host)), "reg.org/a");
    let expected = "Get \"https://reg.org/v2/a/manifests/latest\": proxyconnect tcp: Forbidden";
    assert_eq!(error.unwrap_err().to_string(), expected);
    assert_eq!((&*proxy.asked()[0].method, &*proxy.asked()[0].path), ("CONNECT", "reg.org:443"));
}

/// Somebody behind TLS who is no proxy: what it is sent, it prints.
struct Listener {
    child: std::process::Child,
    address: String,
}

impl Listener {
    fn start(folder: &std::path::Path) -> Option<Listener> {
        let make = "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -keyout ca.key -out ca.crt
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout one.key -out one.csr
            printf 'subjectAltName=DNS:localhost' > names
            openssl x509 -req -in one.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out one.crt";
        let quiet = || std::process::Stdio::null();
        let mut sh = std::process::Command::new("sh");
        let made = sh.args(["-c", make]).current_dir(folder).stdout(quiet()).stderr(quiet());
        if !made.status().ok()?.success() {
            return None;
        }
        let port = testkit::free_port();
        let child = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &port.to_string()])
            .args(["-cert", "one.crt", "-key", "one.key"])
            .current_dir(folder)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(quiet())
            .spawn()
            .ok()?;
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(25));
        }
        Some(Listener { child, address: format!("https://localhost:{port}") })
    }

    /// What it was sent, after it has ended.
    fn heard(mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        text
    }
}

#[test]
fn what_is_said_of_a_registry_is_not_said_of_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |authorities: Option<std::path::PathBuf>| {
        let listener = Listener::start(folder.path())?;
        // The registry need not prove who it is.
        let rule = registry::Rule {
            prefix: "reg.test".to_owned(),
            insecure: true,
            ..registry::Rule::default()
        };
        let variable = ("HTTPS_PROXY".to_owned(), listener.address.clone());
        let client = Client::new(ClientSettings {
            proxies: Proxies::of(&BTreeMap::from([variable])),
            rules: Rules { own: vec![rule], ..Rules::default() },
            authorities,
            ..settings()
        });
        let told = fetch(&client, "reg.test/a").unwrap_err().to_string();
        Some((told, listener.heard()))
    };
    let Some((told, heard)) = ask(None) else { return testkit::skip("needs openssl") };
    assert!(!heard.contains("CONNECT"), "{told}: {heard}");
    let (told, heard) = ask(Some(folder.path().join("ca.crt"))).unwrap();
    assert!(heard.contains("CONNECT reg.test:443"), "{told}: {heard}");
}
