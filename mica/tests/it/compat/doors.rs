//! mica at mica's own registry, where one must say who one is: by a password, by a token, through
//! TLS with an authority of one's own. skopeo and podman see the same.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::hub::Hub;
use super::peers::{Peer, digest_in, must_have, rich};
use super::registry::{HTPASSWD, certificate};
use crate::support::{Mica, Run};
use crate::{need_peers, need_programs};

const RULES: &str = r#"
[[rule]]
repositories = ["*"]
users = ["me"]
allow = "delete"
[[rule]]
repositories = ["public/*"]
users = ["anonymous"]
allow = "read"
"#;

#[test]
fn whoever_has_a_password_gets_in_through_tls() {
    need_peers!("openssl", "skopeo", "podman");
    let mica = Mica::on_disk();
    certificate(&mica, "one");
    certificate(&mica, "other");
    let path = |name: &str| mica.path(name).display().to_string();
    mica.file("htpasswd", HTPASSWD);
    mica.file("rules", RULES);
    let flags = [
        "--tls-cert",
        "one.crt",
        "--tls-key",
        "one.key",
        "--htpasswd",
        "htpasswd",
        "--rules",
        "rules",
    ];
    let hub = Hub::start(&mica, &flags);
    let folder = mica.path("certs.d").join(&hub.host);
    fs::create_dir_all(&folder).unwrap();
    let config =
        mica.file("tls.toml", format!("[registries]\nhost-folders = [\"{}\"]\n", path("certs.d")));
    let mica_at = |line: &str| format!("--config {} {line}", config.display());
    let (name, public) = (hub.name("app:1"), hub.name("public/app:1"));
    let image = rich(&[&name, &public]);
    mica.load(&image);
    fs::copy(mica.path("other-ca.crt"), folder.join("ca.crt")).unwrap();
    mica.run(&mica_at(&format!("push {name}"))).complains(1, "certificate");
    fs::copy(mica.path("one-ca.crt"), folder.join("ca.crt")).unwrap();
    mica.run(&mica_at(&format!("push {name}"))).complains(1, "no basic auth credentials\n");
    let login = mica_at(&format!("login -u me --password-stdin {}", hub.host));
    mica.run_with(&login, b"nonsense").complains(1, "401 Unauthorized");
    mica.run_with(&login, b"swordfish").prints("Login Succeeded\n");
    let digest = digest_in(mica.ok(&mica_at(&format!("push {name}"))).lines().last().unwrap());
    mica.ok(&mica_at(&format!("push {public}")));
    let found = mica.ok(&mica_at(&format!("search {}/app", hub.host)));
    assert!(found.contains("\napp ") && found.contains("\npublic/app"), "{found}");
    // The others, with the same password and the same authority.
    let skopeo = Peer::new(&mica, "skopeo");
    let about = format!("--cert-dir {} --creds me:swordfish", folder.display());
    let shown = skopeo.json(&format!("inspect {about} docker://{name}"));
    assert_eq!(shown["Digest"], json!(digest));
    let podman = Peer::new(&mica, "podman");
    podman.ok(&format!("pull -q {about} --signature-policy policy.json {name}"));
    let in_podman = &podman.json(&format!("image inspect {name}"))[0];
    assert_eq!(in_podman["Digest"], json!(digest));
    let theirs = hub.name("podman:1");
    podman.ok(&format!("push -q {about} --signature-policy policy.json {name} {theirs}"));
    mica.ok(&format!("rmi -f {}", image.id()));
    mica.ok(&mica_at(&format!("pull {theirs}")));
    must_have(&mica, &theirs, &image, "from podman");
    mica.ok(&format!("rmi -f {}", image.id()));
    mica.ok(&mica_at(&format!("pull {name}")));
    must_have(&mica, &name, &image, "pulled");
    let back = mica.ok(&mica_at(&format!("push {name}")));
    assert_eq!(digest_in(back.lines().last().unwrap()), digest);
    mica.ok(&format!("logout {}", hub.host));
    mica.run(&mica_at(&format!("pull {name}"))).complains(1, "no basic auth credentials\n");
    mica.ok(&mica_at(&format!("remote cp -q {public} oci:public")));
}

/// Somebody who gives tokens to whoever knows the password, signed with RS256.
struct Issuer {
    realm: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    fn start(key: PathBuf) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let expected = format!("Basic {}", STANDARD.encode("me:swordfish"));
                let is_me = head.iter().any(|line| {
                    line.split_once(": ").is_some_and(|(name, value)| {
                        name.eq_ignore_ascii_case("authorization") && value == expected
                    })
                });
                log.lock().unwrap().push(path.clone());
                let body = json!({ "token": token(&key, &path, is_me) }).to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Issuer { realm, asked }
    }
}

/// A token for what is asked for in a path's query; who is nobody may only read.
fn token(key: &PathBuf, path: &str, is_me: bool) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let decoded = path.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let query = decoded.split_once('?').map_or("", |(_, query)| query);
    let scopes = query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
    let access: Vec<Value> = scopes
        .flat_map(|scopes| scopes.split(['+', ' ']))
        .map(|scope| {
            let parts: Vec<&str> = scope.split(':').collect();
            let actions = parts[2].split(',').filter(|action| is_me || *action == "pull");
            let actions: Vec<&str> = actions.collect();
            json!({ "type": parts[0], "name": parts[1], "actions": actions })
        })
        .collect();
    let claims = json!({
        "iss": "issuer", "aud": "hub", "sub": if is_me { "me" } else { "" },
        "exp": now + 300, "nbf": now - 5, "iat": now, "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
    let mut signer = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    signer.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    let signature = signer.wait_with_output().unwrap().stdout;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn whoever_has_a_token_gets_in() {
    need_programs!("openssl", "skopeo");
    let mica = Mica::new();
    let run = |line: &str| {
        let run = Run::of(line, mica.program("openssl").args(line.split(' ')).output().unwrap());
        assert!(run.code == 0, "{run}");
    };
    run("genrsa -out key.pem 2048");
    run("rsa -in key.pem -pubout -out public.pem");
    let issuer = Issuer::start(mica.path("key.pem"));
    let flags = [
        "--token-realm",
        &issuer.realm,
        "--token-service",
        "hub",
        "--token-issuer",
        "issuer",
        "--token-keys",
        "public.pem",
    ];
    let hub = Hub::start(&mica, &flags);
    let name = hub.name("me/app:1");
    let id = mica.import(&name);
    // Nobody may read, and no more.
    mica.run(&format!("push {name}")).complains(1, "unauthorized");
    let login = format!("login -u me --password-stdin {}", hub.host);
    mica.run_with(&login, b"swordfish").prints("Login Succeeded\n");
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    let asked = issuer.asked.lock().unwrap().join("\n");
    assert!(asked.contains("service=hub") && asked.contains("me%2Fapp"), "{asked}");
    mica.ok(&format!("rmi -f {id}"));
    mica.ok(&format!("logout {}", hub.host));
    assert!(mica.ok(&format!("pull {name}")).contains(&digest));
    let skopeo = Peer::new(&mica, "skopeo");
    let about = "--tls-verify=false --creds me:swordfish";
    let shown = skopeo.json(&format!("inspect {about} docker://{name}"));
    assert_eq!(shown["Digest"], json!(digest));
    let copy = hub.name("me/copy:1");
    skopeo.ok(&format!(
        "--policy policy.json copy --quiet --src-tls-verify=false --dest-tls-verify=false --src-creds me:swordfish --dest-creds me:swordfish docker://{name} docker://{copy}"
    ));
    assert_eq!(mica.ok(&format!("remote digest {copy}")), digest);
    mica.run(&format!("remote rm {copy}")).complains(1, "unauthorized");
    // Somebody else's signature is none.
    run("genrsa -out other.pem 2048");
    let other = Issuer::start(mica.path("other.pem"));
    drop(hub);
    let mut flags = flags;
    flags[1] = &other.realm;
    let hub = Hub::start(&mica, &flags);
    mica.run(&format!("remote digest {}", hub.name("me/app:1"))).complains(1, "unauthorized");
}

/// Makes a key pair, and gives the paths of its halves.
fn key_pair(mica: &Mica, name: &str, kind: &str) -> (String, String) {
    let (key, public) = (format!("{name}.pem"), format!("{name}.pub"));
    for line in
        [format!("genpkey {kind} -out {key}"), format!("pkey -in {key} -pubout -out {public}")]
    {
        let run = Run::of(&line, mica.program("openssl").args(line.split(' ')).output().unwrap());
        assert!(run.code == 0, "{run}");
    }
    (key, public)
}

#[test]
fn a_policy_lets_in_what_is_signed() {
    need_programs!("openssl");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (key, public) = key_pair(&mica, "me", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let (other, _) = key_pair(&mica, "other", "-algorithm ed25519");
    let name = hub.name("me/app:1");
    let id = mica.import(&name);
    mica.ok(&format!("push -q {name}"));
    let path = |name: &str| mica.path(name).display().to_string();
    let rule = format!("[[rule]]\nprefix = \"{}/me\"\nsigned-by = [\"{public}\"]\n", hub.host);
    let rest = format!("[[rule]]\nprefix = \"{}/bad\"\npolicy = \"reject\"\n", hub.host);
    mica.file("policy.toml", format!("{rule}identity = \"exact\"\n{rest}"));
    let config =
        mica.file("mica.toml", format!("[registries]\npolicy = \"{}\"\n", path("policy.toml")));
    let pull = |name: &str| mica.run(&format!("--config {} pull -q {name}", config.display()));
    mica.ok(&format!("rmi -f {id}"));
    pull(&name).complains(1, &format!("{name} may not be pulled: it has no signature\n"));
    let verify = |name: &str| mica.run(&format!("remote verify --key {public} {name}"));
    verify(&name).complains(1, "it has no signature");
    // By a key that nobody asked for, and then by the right one beside it.
    mica.ok(&format!("remote sign --key {other} {name}"));
    pull(&name).complains(1, "none of its signatures is by a key that is asked for");
    mica.ok(&format!("remote sign --key {key} {name}"));
    let digest = mica.ok(&format!("remote digest {name}"));
    assert_eq!(verify(&name).out.trim(), digest);
    assert_eq!(pull(&name).code, 0);
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let signatures = |at: &str| {
        let listed =
            mica.json(&format!("remote inspect --raw {}", hub.name(&format!("{at}:{tag}"))));
        listed["layers"].as_array().unwrap().len()
    };
    assert_eq!(signatures("me/app"), 2);
    mica.ok(&format!("remote sign --key {key} {name}"));
    assert_eq!(signatures("me/app"), 2, "once is enough");
    // openssl has the same opinion of it.
    mica.ok(&format!("remote cp -q {} oci:signed:it", hub.name(&format!("me/app:{tag}"))));
    let listed = mica.json(&format!("remote inspect --raw {}", hub.name(&format!("me/app:{tag}"))));
    let layer = &listed["layers"][1];
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    mica.file("signature", STANDARD.decode(signature).unwrap());
    let payload = format!("signed/blobs/sha256/{}", &layer["digest"].as_str().unwrap()[7..]);
    let line = format!("dgst -sha256 -verify {public} -signature signature {payload}");
    let run = Run::of(&line, mica.program("openssl").args(line.split(' ')).output().unwrap());
    assert_eq!(run.out, "Verified OK\n", "{run}");
    let said: Value = serde_json::from_slice(&fs::read(mica.path(payload)).unwrap()).unwrap();
    assert_eq!(said["critical"]["image"]["docker-manifest-digest"], json!(digest));
    assert_eq!(said["critical"]["identity"]["docker-reference"], json!(name));
    // Another tag of the same thing was not signed as that; signatures come along with a copy.
    let retagged = hub.name("me/app:2");
    mica.ok(&format!("remote cp -q --referrers {name} {retagged}"));
    pull(&retagged).complains(1, &format!("it is signed as {name}"));
    assert_eq!(verify(&retagged).code, 0);
    mica.ok(&format!("remote cp -q --referrers {name} {}", hub.name("else/where:1")));
    assert_eq!(signatures("else/where"), 2);
    // With the push at once; and what is rejected is rejected.
    mica.import(&hub.name("me/new:1"));
    let pushed = mica.ok(&format!("push --sign-key {key} {}", hub.name("me/new:1")));
    assert!(pushed.contains("\n1: signed sha256:"), "{pushed}");
    assert_eq!(pull(&hub.name("me/new:1")).code, 0);
    mica.ok(&format!("remote cp -q {name} {}", hub.name("bad/app:1")));
    pull(&hub.name("bad/app:1")).complains(1, "the policy rejects it");
    assert_eq!(pull(&hub.name("else/where:1")).code, 0, "nothing is said of others");
    mica.file("policy.toml", "nonsense = 1");
    pull(&name).complains(1, "is no policy: unknown field `nonsense`");
    mica.run(&format!("remote sign --key {public} {name}"))
        .complains(1, "is no key that can be used");
}

#[test]
fn containers_policy_counts_where_ours_says_nothing() {
    need_programs!("openssl");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (key, public) = key_pair(&mica, "me", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let name = hub.name("me/app:1");
    mica.import(&name);
    mica.ok(&format!("push -q {name}"));
    let folder = mica.work().parent().unwrap().join("home/.config/containers");
    fs::create_dir_all(&folder).unwrap();
    let says = |requirement: Value| {
        let scopes = json!({ format!("{}/me", hub.host): [requirement] });
        let policy = json!({
            "default": [{ "type": "reject" }],
            "transports": { "docker": scopes },
        });
        fs::write(folder.join("policy.json"), policy.to_string()).unwrap();
    };
    let pull = |name: &str| mica.run(&format!("pull -q {name}"));
    let key_path = mica.path(&public).display().to_string();
    let identity = json!({ "type": "matchRepository" });
    let signed =
        json!({ "type": "sigstoreSigned", "keyPath": key_path, "signedIdentity": identity });
    says(signed);
    pull(&name).complains(1, "it has no signature\n");
    mica.ok(&format!("remote sign --key {key} {name}"));
    assert_eq!(pull(&name).code, 0);
    mica.ok(&format!("remote cp -q {name} {}", hub.name("you/app:1")));
    pull(&hub.name("you/app:1")).complains(1, "the policy rejects it");
    says(json!({ "type": "reject" }));
    pull(&name).complains(1, &format!("{name} may not be pulled: the policy rejects it\n"));
    says(json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key" }));
    pull(&name).complains(1, "`signedBy` asks for signatures of GPG, which are not checked");
    // Ours goes before it.
    mica.file("policy.toml", format!("[[rule]]\nprefix = \"{}\"\npolicy = \"accept\"\n", hub.host));
    let policy = mica.path("policy.toml").display().to_string();
    let config = mica.file("mica.toml", format!("[registries]\npolicy = \"{policy}\"\n"));
    assert_eq!(mica.run(&format!("--config {} pull -q {name}", config.display())).code, 0);
}

/// Puts a document into a registry that says of another that somebody signed it.
fn refer(mica: &Mica, place: &str, subject: &Value, layer: (&str, &[u8])) {
    let folder = mica.path("referrer");
    let _ = fs::remove_dir_all(&folder);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, bytes: &[u8]| {
        let digest = spec::Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": layer.0, "subject": subject,
        "config": put("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [put(layer.0, layer.1)],
    });
    let manifest = manifest.to_string();
    let mut entry = put("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "it" });
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    mica.ok(&format!("remote cp -q oci:referrer:it {place}"));
}

#[test]
fn a_bundle_that_refers_to_an_image_signs_it() {
    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
    need_programs!("openssl");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (key, public) = key_pair(&mica, "me", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let (other, _) = key_pair(&mica, "other", "-algorithm ed25519");
    let name = hub.name("me/app:1");
    mica.import(&name);
    mica.ok(&format!("push -q {name}"));
    let digest = mica.ok(&format!("remote digest {name}"));
    let raw = mica.run(&format!("remote inspect --raw {name}")).out;
    let kind = mica.json(&format!("remote inspect --raw {name}"))["mediaType"].clone();
    let subject = json!({ "mediaType": kind, "digest": digest, "size": raw.len() });
    let verify = |name: &str| mica.run(&format!("remote verify --key {public} {name}"));
    verify(&name).complains(1, "it has no signature");
    // What is no signature, or none that is asked for, hides none that is.
    let refer = |tag: &str, layer: (&str, &[u8])| {
        refer(&mica, &hub.name(&format!("me/app:{tag}")), &subject, layer);
    };
    refer("giant", (BUNDLE, &vec![b' '; 2 << 20]));
    refer("sbom", ("text/plain", b"a list"));
    verify(&name).complains(1, "its signature cannot be read: ");
    refer("junk", (BUNDLE, b"{}"));
    verify(&name).complains(1, "its signature ");
    mica.ok(&format!("remote sign --new-bundle-format --key {other} {name}"));
    assert_eq!(verify(&name).code, 1);
    mica.ok(&format!("remote sign --new-bundle-format --key {key} {name}"));
    assert_eq!(verify(&name).out.trim(), digest);
    let tags = || mica.ok(&format!("remote ls {}", hub.name("me/app"))).lines().count();
    let before = tags();
    mica.ok(&format!("remote sign --new-bundle-format --key {key} {name}"));
    assert_eq!(tags(), before, "there is no tag for it");
    // A signature goes along with a copy, and says where it comes from.
    mica.ok(&format!("remote cp -q --referrers {name} {}", hub.name("you/app:1")));
    let from = format!("it is signed as {}", hub.name("me/app"));
    verify(&hub.name("you/app:1")).complains(1, &from);
    mica.file("more.tar", testkit::Layer::new().file("more", "x").tar());
    let second = hub.name("me/app:2");
    mica.ok(&format!("import more.tar {second}"));
    mica.ok(&format!("push -q {second}"));
    verify(&second).complains(1, "it has no signature");
    // With the push at once, and for the policy.
    mica.ok(&format!("push -q --sign-key {key} --new-bundle-format {second}"));
    assert_eq!(verify(&second).code, 0);
    let rule = format!("[[rule]]\nprefix = \"{}/me\"\nsigned-by = [\"{public}\"]\n", hub.host);
    let policy = mica.file("policy.toml", &rule);
    let config =
        mica.file("mica.toml", format!("[registries]\npolicy = \"{}\"\n", policy.display()));
    let pull = |name: &str| mica.run(&format!("--config {} pull -q {name}", config.display()));
    assert_eq!(pull(&second).code, 0);
    mica.file("policy.toml", format!("{rule}identity = \"exact\"\n"));
    pull(&second).complains(1, &from);
    assert_eq!(pull(&hub.name(&format!("me/app@{digest}"))).code, 0);
}

#[test]
fn copies_ask_the_policy_of_where_they_come_from() {
    need_programs!("openssl");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (key, public) = key_pair(&mica, "me", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let [name, bad] = ["me/app:1", "bad/app:1"].map(|name| hub.name(name));
    for name in [&name, &bad] {
        mica.import(name);
        mica.ok(&format!("push -q {name}"));
    }
    let signed = format!("[[rule]]\nprefix = \"{}/me\"\nsigned-by = [\"{public}\"]\n", hub.host);
    let rest = format!("[[rule]]\nprefix = \"{}/bad\"\npolicy = \"reject\"\n", hub.host);
    let policy = mica.file("policy.toml", signed + &rest);
    let config =
        mica.file("mica.toml", format!("[registries]\npolicy = \"{}\"\n", policy.display()));
    let at = |line: &str| mica.run(&format!("--config {} {line}", config.display()));
    let copied = hub.name("copied/app:1");
    let rejected = format!("{bad} may not be pulled: the policy rejects it");
    let unsigned = format!("{name} may not be pulled: it has no signature");
    at(&format!("remote cp -q {bad} {copied}")).complains(1, &rejected);
    at(&format!("remote cp -q {bad} oci:folder:it")).complains(1, &rejected);
    at(&format!("remote cp -q {name} {copied}")).complains(1, &unsigned);
    at(&format!("image sync -q {bad} {}/copied", hub.host)).complains(1, &rejected);
    at(&format!("image sync -q -k {bad} {name} {}/copied", hub.host)).complains(1, &unsigned);
    at(&format!("buildx imagetools create -t {copied} {bad}")).complains(1, &rejected);
    mica.run(&format!("remote digest {copied}")).complains(1, "no such manifest");
    at(&format!("remote cp -q --insecure-policy {bad} {copied}")).works();
    at(&format!("image sync -q --insecure-policy {bad} {}/synced", hub.host)).works();
    // What comes from elsewhere may be put where nothing may be taken from.
    at(&format!("remote cp -q {copied} {bad}")).works();
    mica.ok(&format!("remote sign --key {key} {name}"));
    at(&format!("remote cp -q {name} {}", hub.name("copied/app:2"))).works();
    at(&format!("image sync -q {name} {}/synced", hub.host)).works();
    at(&format!("buildx imagetools create -t {} {name}", hub.name("copied/app:3"))).works();
}
