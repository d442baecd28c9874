//! Passwords, tokens, rules and TLS.

use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hub::{Access, Certificate, Entry, Passwords, Rules, TokenKeys, Tokens};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use spec::Timestamp;
use tempfile::TempDir;

use crate::client::Answer;
use crate::server::{CONFIG, Registry};

const RULES: &str = r#"
[[rule]]
repositories = ["public/*"]
users = ["anonymous"]
allow = "read"
[[rule]]
repositories = ["*"]
users = ["ann"]
allow = "delete"
[[rule]]
repositories = ["public/*"]
users = ["*"]
allow = "write"
"#;

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[test]
fn passwords_and_rules_say_who_may_do_what() {
    let folder = TempDir::new().unwrap();
    let (people, rules) = (folder.path().join("people"), folder.path().join("rules"));
    let line = |name: &str| format!("{name}:{}\n", bcrypt::hash(format!("{name}!"), 4).unwrap());
    fs::write(&people, line("ann") + &line("bob")).unwrap();
    fs::write(&rules, RULES).unwrap();
    let registry = Registry::ours_with(|settings| {
        let entry = Some(Entry::Passwords(Passwords::open(&people).unwrap()));
        settings.access = Access { entry, rules: Some(Rules::open(&rules).unwrap()) };
    });
    let ask = |method, path: &str, who: &str| -> Answer {
        let ask = registry.ask(method, path);
        match who {
            "" => ask.send(),
            who => ask.header("Authorization", basic(&format!("{who}:{who}!"))).send(),
        }
    };
    let upload =
        |name: &str, who: &str| ask("POST", &format!("/v2/{name}/blobs/uploads/"), who).status;
    assert_eq!(upload("public/app", "bob"), 202);
    assert_eq!((upload("app", "ann"), upload("app", "bob")), (202, 403));
    let refused = ask("POST", "/v2/public/app/blobs/uploads/", "").is(401).says("UNAUTHORIZED");
    assert_eq!(refused.must("www-authenticate"), "Basic realm=\"mica registry\"");
    ask("GET", "/v2/public/app/tags/list", "").is(404).says("NAME_UNKNOWN");
    ask("GET", "/v2/app/tags/list", "").is(401);
    ask("GET", "/v2/app/tags/list", "bob").is(403).says("DENIED");
    ask("DELETE", "/v2/public/app/manifests/1", "bob").is(403).says("DENIED");
    ask("DELETE", "/v2/public/app/manifests/1", "ann").is(404);
    ask("GET", "/v2/_catalog", "bob").is(403);
    ask("GET", "/metrics", "").is(401);
    assert!(
        String::from_utf8_lossy(&ask("GET", "/metrics", "ann").is(200).body)
            .contains("requests_total")
    );
    ask("GET", "/v2/", "eve").is(401);
    ask("GET", "/v2/", "").is(401);
    let wrong = registry.ask("GET", "/v2/").header("Authorization", basic("ann:wrong")).send();
    wrong.is(401).says("UNAUTHORIZED");
    // What may not be read is not mounted either.
    let put = registry
        .ask("POST", format!("/v2/secret/blobs/uploads/?digest={}", spec::Digest::of(CONFIG)));
    put.header("Authorization", basic("ann:ann!")).body(CONFIG).send().is(201);
    let mount =
        format!("/v2/public/app/blobs/uploads/?mount={}&from=secret", spec::Digest::of(CONFIG));
    ask("POST", &mount, "bob").is(202);
    ask("POST", &mount.replace("&from=secret", ""), "bob").is(202);
    ask("POST", &mount, "ann").is(201);
}

fn pem(prefix: &str, key: &[u8]) -> String {
    let digits: Vec<u8> = prefix.bytes().collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let text = STANDARD.encode([bytes, key.to_vec()].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let now = Timestamp::now().unix_seconds();
    let mut claims = json!({
        "iss": "issuer", "sub": "ann", "aud": "registry", "exp": now + 300, "nbf": now,
        "access": [{ "type": "repository", "name": "app", "actions": ["pull", "push"] }],
    });
    change(&mut claims);
    claims
}

fn token(algorithm: &str, claims: &Value, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": algorithm, "typ": "JWT" })), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

#[test]
fn tokens_say_who_may_do_what() {
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let edwards = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let curve = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys.pem");
    let text = pem("302a300506032b6570032100", edwards.public_key().as_ref())
        + &pem("3059301306072a8648ce3d020106082a8648ce3d030107034200", curve.public_key().as_ref());
    fs::write(&keys, text).unwrap();
    let registry = Registry::ours_with(|settings| {
        let keys = TokenKeys::open(&keys).unwrap();
        let [realm, service, issuer] =
            ["http://auth/token", "registry", "issuer"].map(str::to_owned);
        let entry = Some(Entry::Tokens(Tokens { realm, service, issuer, keys }));
        settings.access = Access { entry, rules: None };
    });
    let status = |path: &str, header: &str| {
        registry.ask("GET", path).header("Authorization", header).send().status
    };
    let refused = registry.get("/v2/app/tags/list").is(401).says("UNAUTHORIZED");
    assert_eq!(
        refused.must("www-authenticate"),
        "Bearer realm=\"http://auth/token\",service=\"registry\",scope=\"repository:app:pull\""
    );
    let by_edwards = |bytes: &[u8]| edwards.sign(bytes).as_ref().to_vec();
    let by_curve = |bytes: &[u8]| curve.sign(&random, bytes).unwrap().as_ref().to_vec();
    let good = token("EdDSA", &claims(|_| {}), &by_edwards);
    for right in [
        &good,
        &token("ES256", &claims(|claims| claims["aud"] = json!(["x", "registry"])), &by_curve),
    ] {
        assert_eq!(status("/v2/", right), 200);
        assert_eq!(status("/v2/app/tags/list", right), 404);
        assert_eq!(status("/v2/other/tags/list", right), 401);
        assert_eq!(status("/v2/_catalog", right), 401);
    }
    // Go's token servers write `null` for what there is none of: it allows nothing more.
    for claim in ["access", "sub"] {
        let none = token("EdDSA", &claims(|claims| claims[claim] = Value::Null), &by_edwards);
        assert_eq!(status("/v2/", &none), 200, "{claim}");
        let app = if claim == "access" { 401 } else { 404 };
        assert_eq!(status("/v2/app/tags/list", &none), app, "{claim}");
    }
    let idle = claims(|claims| claims["access"][0]["actions"] = Value::Null);
    let idle = token("EdDSA", &idle, &by_edwards);
    assert_eq!((status("/v2/", &idle), status("/v2/app/tags/list", &idle)), (200, 401));
    let delete =
        registry.ask("DELETE", "/v2/app/manifests/1").header("Authorization", &good).send();
    assert!(
        delete
            .is(401)
            .must("www-authenticate")
            .ends_with("scope=\"repository:app:pull,delete\",error=\"insufficient_scope\"")
    );
    // Who is to take a blob over must be allowed to read it where it is.
    let digest = spec::Digest::of(CONFIG);
    let mount = format!("/v2/app/blobs/uploads/?mount={digest}&from=c/d");
    let refused = registry.ask("POST", mount).send().is(401);
    let scopes = ",scope=\"repository:app:pull,push repository:c/d:pull\"";
    assert!(refused.must("www-authenticate").ends_with(scopes), "{refused:?}");
    let refused = registry.ask("POST", "/v2/app/blobs/uploads/?from=c/d").send().is(401);
    assert!(refused.must("www-authenticate").ends_with(",scope=\"repository:app:pull,push\""));
    let now = Timestamp::now().unix_seconds();
    let wrong = [
        token("EdDSA", &claims(|claims| claims["aud"] = json!("other")), &by_edwards),
        token("EdDSA", &claims(|claims| claims["iss"] = json!("other")), &by_edwards),
        token("EdDSA", &claims(|claims| claims["exp"] = json!(now - 120)), &by_edwards),
        token("EdDSA", &claims(|claims| claims["nbf"] = json!(now + 120)), &by_edwards),
        token("ES256", &claims(|_| {}), &by_edwards),
        token("none", &claims(|_| {}), &|_| Vec::new()),
        format!("{good}x"),
        good.replace("Bearer", "Basic"),
    ];
    for wrong in wrong {
        assert_eq!(status("/v2/app/tags/list", &wrong), 401, "{wrong}");
    }
}

/// Runs a program of the system; `None` where there is none.
fn run(folder: &TempDir, line: &str) -> Option<Vec<u8>> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output =
        command.args(words).current_dir(folder.path()).stdin(Stdio::null()).output().ok()?;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

const CERTIFY: &str = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2";

#[test]
fn everything_goes_through_tls() {
    let folder = TempDir::new().unwrap();
    if run(&folder, &format!("openssl {CERTIFY}")).is_none()
        || run(&folder, "curl --version").is_none()
    {
        return testkit::skip("needs openssl and curl");
    }
    let path = |name: &str| folder.path().join(name);
    let registry = Registry::ours_with(|settings| {
        let certificate = Certificate::open(&path("cert.pem"), &path("key.pem"));
        settings.certificate = Some(certificate.unwrap());
    });
    // A certificate has the key that tokens may be signed with, too.
    assert!(TokenKeys::open(&path("cert.pem")).is_ok());
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number >> 3) as u8).collect();
    fs::write(path("large"), &large).unwrap();
    let host = format!("https://{}", registry.host);
    let curl = "curl -sS --fail --cacert cert.pem";
    let digest = spec::Digest::of(&large);
    let post = format!("{host}/v2/app/blobs/uploads/?digest={digest}");
    run(&folder, &format!("{curl} -X POST --data-binary @large {post}"));
    let got = run(&folder, &format!("{curl} {host}/v2/app/blobs/{digest}")).unwrap();
    assert!(got == large);
    let part = run(&folder, &format!("{curl} -r 1000000-1000999 {host}/v2/app/blobs/{digest}"));
    assert!(part.unwrap() == large[1_000_000..1_001_000]);
    assert!(Certificate::open(&path("large"), &path("key.pem")).is_err());
    assert!(Certificate::open(&path("cert.pem"), &path("none")).is_err());
}
