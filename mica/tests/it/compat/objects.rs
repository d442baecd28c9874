//! Several `mica registry serve` over one object store: moto's server, which answers S3's requests on
//! this machine and is fetched from the package registry when a test first needs it, and stores of
//! our own that ask for what Microsoft's and Google's do.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use spec::Digest;
use testkit::Layer;

use super::clouds::{self, Cloud, Maker};
use super::hub::{Hub, command, settled_log};
use super::peers::{Server, digest_in, must_have, rich};
use crate::support::{Mica, Run, has};

/// Its requests to write come one after the other: it looks and then writes, which S3 does at once.
const SCRIPT: &str = r#"
import threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
answer = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()
def in_turn(environ, start):
    if environ["REQUEST_METHOD"] in ("PUT", "DELETE"):
        with turn:
            return answer(environ, start)
    return answer(environ, start)
server = make_server("127.0.0.1", 0, in_turn, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"#;

/// What moto's server must be to know writing under a condition.
const MOTO: &str = "moto[server]>=5.1";

/// Moto's programs, installed once for all tests; nothing where they cannot be had.
fn installed() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    fs::create_dir_all(&folder).ok()?;
    let lock = File::create(folder.join("lock")).ok()?;
    lock.lock().ok()?;
    let python = folder.join("venv/bin/python3");
    let works = |python: &Path| {
        let mut command = Command::new(python);
        let command = command.args(["-c", "import moto.server, werkzeug"]);
        command.output().is_ok_and(|output| output.status.success())
    };
    if works(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")).output();
    made.ok().filter(|output| output.status.success())?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO];
    let fetched = Command::new(&python).args(pip).output();
    fetched.ok().filter(|output| output.status.success())?;
    works(&python).then_some(python)
}

/// A store with a bucket.
struct Store {
    _server: Option<Server>,
    cloud: Option<Arc<Cloud>>,
    flags: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// What nobody may see.
    secret: String,
}

/// Whose protocol a store speaks.
#[derive(Clone, Copy)]
enum Protocol {
    Amazon,
    Microsoft,
    Google,
}

impl Store {
    /// One of these, or a test that is counted as skipped.
    fn start(mica: &Mica, protocol: Protocol) -> Option<Store> {
        match protocol {
            Protocol::Amazon => {
                if !has("python3") {
                    testkit::skip("needs python3");
                    return None;
                }
                let python = installed();
                if python.is_none() {
                    testkit::skip("moto's server cannot be fetched from the package registry");
                }
                Some(Store::amazon(&python?))
            }
            Protocol::Microsoft => Some(Store::microsoft()),
            Protocol::Google if !has("openssl") => {
                testkit::skip("needs openssl");
                None
            }
            Protocol::Google => Some(Store::google(mica)),
        }
    }

    fn amazon(python: &Path) -> Store {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).stdout(Stdio::piped()).stderr(Stdio::null());
        // What an engine has for credentials here is of no use.
        let mut child = command.env("AWS_ACCESS_KEY_ID", "test").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (port, server): (u16, _) = (line.trim().parse().unwrap(), Server(child));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = format!(
            "PUT /images HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
        let secret = "not-to-be-seen".to_owned();
        let endpoint = format!("endpoint=http://127.0.0.1:{port}");
        Store {
            _server: Some(server),
            cloud: None,
            flags: flags("s3", &[&endpoint, "region=us-east-1"]),
            variables: vec![
                ("AWS_ACCESS_KEY_ID", "test".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", secret.clone()),
            ],
            secret,
        }
    }

    fn microsoft() -> Store {
        let key = b"a key that is not to be seen".to_vec();
        let secret = STANDARD.encode(&key);
        let (cloud, port) = Cloud::serve(Maker::Microsoft { key });
        let endpoint = format!("endpoint=http://127.0.0.1:{port}");
        Store {
            _server: None,
            cloud: Some(cloud),
            flags: flags("az", &[&endpoint, &format!("account_name={}", clouds::ACCOUNT)]),
            variables: vec![("AZURE_STORAGE_ACCOUNT_KEY", secret.clone())],
            secret,
        }
    }

    fn google(mica: &Mica) -> Store {
        for line in [
            "genrsa -traditional -out google.pem 2048",
            "rsa -in google.pem -pubout -out google.pub",
        ] {
            let run = mica.program("openssl").args(line.split(' ')).output().unwrap();
            assert!(run.status.success(), "{run:?}");
        }
        let (cloud, port) = Cloud::serve(Maker::Google { public: mica.path("google.pub") });
        let private = fs::read_to_string(mica.path("google.pem")).unwrap();
        let account = json!({
            "type": "service_account", "private_key": private, "private_key_id": clouds::KEY_ID,
            "client_email": clouds::EMAIL, "gcs_base_url": format!("http://127.0.0.1:{port}"),
        });
        let file = mica.file("account.json", account.to_string());
        Store {
            _server: None,
            cloud: Some(cloud),
            flags: flags("gs", &[]),
            variables: vec![("GOOGLE_SERVICE_ACCOUNT", file.display().to_string())],
            secret: private.lines().nth(1).unwrap().to_owned(),
        }
    }

    fn hub(&self, mica: &Mica) -> Hub {
        self.hub_with(mica, &[])
    }

    fn hub_with(&self, mica: &Mica, more: &[&str]) -> Hub {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).chain(more.to_vec()).collect();
        let mut command = command(mica, "127.0.0.1:0", &flags);
        command.envs(self.variables.clone());
        Hub::spawn(mica, command)
    }

    fn collect(&self, mica: &Mica, more: &str) -> Run {
        let line = format!("registry gc {} {more}", self.flags.join(" "));
        let mut command = mica.command(&line);
        command.envs(self.variables.clone());
        Run::of(&line, command.output().unwrap())
    }

    /// Fails if the store had to refuse somebody, or a log says what it must not.
    fn must_be_content(&self, mica: &Mica) {
        if let Some(cloud) = &self.cloud {
            assert_eq!(*cloud.refused.lock().unwrap(), Vec::<String>::new());
        }
        let log = fs::read_to_string(mica.path("hub.log")).unwrap();
        assert!(!log.contains(&self.secret) && !log.contains("\"error\""), "{log}");
    }
}

/// The flags that lead to a store.
fn flags(scheme: &str, options: &[&str]) -> Vec<String> {
    let root = ["--root".to_owned(), format!("{scheme}://images/some/registry")];
    let options = options.iter().flat_map(|option| ["--storage-option", option]);
    root.into_iter().chain(options.map(str::to_owned)).collect()
}

/// Makes of each function a test of each protocol.
macro_rules! in_all_stores {
    ($($name:ident),* $(,)?) => {
        mod amazon {
            $(#[test] fn $name() { super::$name(super::Protocol::Amazon); })*
        }
        mod microsoft {
            $(#[test] fn $name() { super::$name(super::Protocol::Microsoft); })*
        }
        mod google {
            $(#[test] fn $name() { super::$name(super::Protocol::Google); })*
        }
    };
}

in_all_stores!(
    two_servers_serve_one_store,
    an_upload_outlives_its_server,
    garbage_is_collected_beside_servers,
    a_cache_of_another_registry_is_shared,
);

fn two_servers_serve_one_store(protocol: Protocol) {
    testkit::need_root!();
    let (mica, other) = (Mica::on_disk(), Mica::on_disk());
    let Some(store) = Store::start(&mica, protocol) else { return };
    let hubs = [store.hub(&mica), store.hub(&mica)];
    let image = rich(&["rich:1.0"]);
    mica.load(&image);
    other.load(&image);
    // The same image by two clients to two servers, under one name, at once.
    let digests = std::thread::scope(|scope| {
        let threads = [(&mica, &hubs[0]), (&other, &hubs[1])].map(|(mica, hub)| {
            scope.spawn(move || {
                let name = hub.name("me/rich:1.0");
                mica.ok(&format!("tag rich:1.0 {name}"));
                digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap())
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(digests[0], digests[1]);
    mica.ok(&format!("rmi -f {}", image.id()));
    // A server that was killed has what it acknowledged, and so have those that come later.
    let [first, second] = hubs;
    first.kill();
    let third = store.hub(&mica);
    for hub in [&second, &third] {
        let name = hub.name("me/rich:1.0");
        assert!(mica.ok(&format!("pull {name}")).contains(&digests[0]));
        must_have(&mica, &name, &image, "pulled");
        mica.ok(&format!("rmi -f {}", image.id()));
    }
    assert_eq!(mica.ok(&format!("remote ls {}", third.name("me/rich"))), "1.0");
    store.must_be_content(&mica);
}

/// Sends a request and reads the head of the answer.
fn ask(host: &str, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).unwrap()
}

fn an_upload_outlives_its_server(protocol: Protocol) {
    let mica = Mica::new();
    let Some(store) = Store::start(&mica, protocol) else { return };
    let (first, second) = (store.hub(&mica), store.hub(&mica));
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|number| (number >> 4) as u8).collect();
    let begun = ask(&first.host, "POST /v2/app/blobs/uploads/", b"");
    let location = header(&begun, "location").to_owned();
    let grown = ask(&first.host, &format!("PATCH {location}"), &bytes[..9_000_000]);
    assert_eq!(header(&grown, "range"), "0-8999999");
    // Killed while it takes the next chunk: what it acknowledged is there, and not more.
    let mut stream = TcpStream::connect(&first.host).unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &bytes[9_000_000..10_000_000]].concat()).unwrap();
    first.kill();
    let status = ask(&second.host, &format!("GET {location}"), b"");
    assert_eq!(header(&status, "range"), "0-8999999");
    let rest = ask(&second.host, &format!("PATCH {location}"), &bytes[9_000_000..]);
    assert_eq!(header(&rest, "range"), "0-11999999");
    let digest = Digest::of(&bytes);
    let put = ask(&second.host, &format!("PUT {location}?digest={digest}"), b"");
    assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    let mut stream = TcpStream::connect(&second.host).unwrap();
    let range = "Range: bytes=8388600-9000010";
    let head = format!(
        "GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n{range}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 206 ") && answer.ends_with(&bytes[8_388_600..=9_000_010])
    );
}

fn garbage_is_collected_beside_servers(protocol: Protocol) {
    let mica = Mica::new();
    let Some(store) = Store::start(&mica, protocol) else { return };
    let hubs = [store.hub(&mica), store.hub(&mica)];
    for (hub, text) in hubs.iter().zip(["one", "two"]) {
        mica.file("fs.tar", Layer::new().file("text", text.repeat(1000)).tar());
        let name = hub.name("app:1");
        mica.ok(&format!("import fs.tar {name}"));
        mica.ok(&format!("push -q {name}"));
    }
    let nothing = "Deleted 0 manifests, 0 blobs (0B), 0 abandoned uploads\n";
    store.collect(&mica, "").prints(nothing);
    // What the store tells of times is as coarse as seconds.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let taken = store.collect(&mica, "--grace 0 --untagged");
    assert!(taken.out.starts_with("Deleted 1 manifests, 3 blobs ("), "{taken:?}");
    store.collect(&mica, "--grace 0 --untagged").prints(nothing);
    for hub in &hubs {
        let name = hub.name("app:1");
        mica.run(&format!("rmi -f {name}"));
        mica.ok(&format!("pull -q {name}"));
    }
}

/// What is not there is fetched from another registry, and kept where all servers find it.
fn a_cache_of_another_registry_is_shared(protocol: Protocol) {
    let mica = Mica::new();
    let Some(store) = Store::start(&mica, protocol) else { return };
    let far = Mica::new();
    let origin = Hub::start(&far, &[]);
    let name = origin.name("me/app:1");
    // More than one piece of a blob, and not a whole number of them.
    let content: Vec<u8> = (0..9_000_000_u32).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
    far.file("fs.tar", Layer::new().file("file", content).tar());
    far.ok(&format!("import fs.tar {name}"));
    let pushed = far.ok(&format!("push --compression-format uncompressed {name}"));
    let digest = digest_in(pushed.lines().last().unwrap());
    let caches = [0, 1].map(|_| store.hub_with(&mica, &["--cache-of", &origin.host]));
    // Several at once, at one server: while it arrives.
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (mica, there) = (&mica, caches[0].name("me/app:1"));
            scope.spawn(move || mica.ok(&format!("remote cp -q {there} oci:copy{number}")));
        }
    });
    let manifest = mica.json(&format!("remote inspect --raw {}", caches[0].name("me/app:1")));
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let fetched = || {
        let log = settled_log(&far);
        let wanted = format!("/v2/me/app/blobs/{layer}");
        log.lines().filter(|line| line.contains(&wanted) && line.contains("\"GET\"")).count()
    };
    assert_eq!(fetched(), 1);
    // The other server has it without the other registry.
    drop(origin);
    let there = caches[1].name("me/app:1");
    assert!(mica.ok(&format!("pull {there}")).contains(&digest));
    mica.must_be_whole();
    assert_eq!(fetched(), 1);
    let new = caches[1].name("me/new:1");
    mica.import(&new);
    mica.run(&format!("push {new}")).complains(1, "unsupported");
    store.must_be_content(&mica);
}
