use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use serde_json::Value;

use super::*;

const MANIFEST: &[u8] = b"a manifest";

fn key() -> SigningKey {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    SigningKey::of_pkcs8(Path::new("key"), pair.as_ref()).unwrap()
}

fn other_key() -> SigningKey {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    SigningKey::of_pkcs8(Path::new("other"), pair.as_ref()).unwrap()
}

/// What is thought of a bundle, asked for by a name.
fn judged(bundle: &Value, key: &SigningKey, name: &str, identity: Identity) -> String {
    let name = name.replace("DIGEST", &Digest::of(MANIFEST).to_string());
    let name = Reference::parse(&name).unwrap();
    let keys = [other_key().verifying(), key.verifying()];
    let asked = Asked { name: &name, keys: &keys, identity };
    let bytes = bundle.to_string().into_bytes();
    let manifest = || Ok(MANIFEST.to_vec());
    match judge_bundle(&bytes, &Digest::of(MANIFEST), asked, &manifest) {
        Ok(true) => "good".to_owned(),
        Ok(false) => "something else".to_owned(),
        Err(why) => why,
    }
}

#[track_caller]
fn check(bundle: &Value, key: &SigningKey, expected: &str) {
    let told = judged(bundle, key, "h.org/a@DIGEST", Identity::Repository);
    assert!(told.contains(expected), "{bundle}: {told}");
}

/// An envelope around a statement, signed.
fn enveloped(key: &SigningKey, kind: &str, statement: &Value) -> Value {
    let payload = statement.to_string().into_bytes();
    let signature = key.sign(&encoding(kind, &payload)).unwrap();
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "aGludA==" }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(payload),
            "payloadType": kind,
            "signatures": [{ "sig": BASE64_STANDARD.encode(signature), "keyid": "" }],
        },
    })
}

fn statement(subject: &Digest) -> Value {
    json!({
        "_type": STATEMENTS[0],
        "subject": [{ "digest": { "sha256": subject.hex() }, "annotations": {} }],
        "predicateType": SIGNED,
        "predicate": {},
    })
}

fn with(mut value: Value, place: &str, part: Value) -> Value {
    *value.pointer_mut(place).unwrap() = part;
    value
}

#[test]
fn what_is_signed_begins_with_types_and_lengths() {
    // The example of the description of such envelopes.
    let signed = encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn a_statement_that_is_signed_is_a_signature() {
    let (key, digest) = (key(), Digest::of(MANIFEST));
    let name = Reference::parse("h.org/a:1").unwrap();
    let own = bundle(&name, &digest, &key).unwrap();
    let own: Value = serde_json::from_slice(&own).unwrap();
    check(&own, &key, "good");
    // What is made here names its repository.
    let told = |name: &str| judged(&own, &key, name, Identity::Repository);
    assert_eq!(told("h.org/a:2"), "good");
    assert_eq!(told("h.org/b:1"), "it is signed as h.org/a");
    let good = enveloped(&key, STATEMENT, &statement(&digest));
    check(&good, &key, "good");
    check(
        &with(good.clone(), "/mediaType", json!(format!("{BUNDLES}+json;version=0.2"))),
        &key,
        "good",
    );
    check(&good, &other_key(), OTHERS);
    let two = json!([{ "sig": "AAAA" }, good["dsseEnvelope"]["signatures"][0]]);
    check(&with(good.clone(), "/dsseEnvelope/signatures", two), &key, "good");
    let older = with(statement(&digest), "/_type", json!(STATEMENTS[1]));
    check(&enveloped(&key, STATEMENT, &older), &key, "good");
}

#[test]
fn what_is_not_quite_a_signature_is_none() {
    let (key, digest) = (key(), Digest::of(MANIFEST));
    let good = enveloped(&key, STATEMENT, &statement(&digest));
    let check = |bundle: &Value, expected: &str| check(bundle, &key, expected);
    check(&enveloped(&key, STATEMENT, &statement(&Digest::of(b"x"))), "of something else");
    let none = with(statement(&digest), "/subject", json!([]));
    check(&enveloped(&key, STATEMENT, &none), "of something else");
    let under = json!([{ "digest": { "sha512": digest.hex() } }]);
    let under = with(statement(&digest), "/subject", under);
    check(&enveloped(&key, STATEMENT, &under), "of something else");
    // Signed, but as something that is no statement; or called one only afterwards.
    check(&enveloped(&key, "text/plain", &statement(&digest)), "the unknown type \"text/plain\"");
    let renamed = enveloped(&key, "text/plain", &statement(&digest));
    check(&with(renamed, "/dsseEnvelope/payloadType", json!(STATEMENT)), OTHERS);
    let provenance =
        with(statement(&digest), "/predicateType", json!("https://slsa.dev/provenance/v1"));
    check(&enveloped(&key, STATEMENT, &provenance), "something else");
    let kind = with(statement(&digest), "/_type", json!("https://in-toto.io/Statement/v9"));
    check(&enveloped(&key, STATEMENT, &kind), "is damaged");
    let signature = good["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
    let short = BASE64_STANDARD.encode(&BASE64_STANDARD.decode(signature).unwrap()[..40]);
    let at = "/dsseEnvelope/signatures/0/sig";
    check(&with(good.clone(), at, json!(short)), OTHERS);
    check(&with(good.clone(), at, json!("?")), OTHERS);
    check(&with(good.clone(), at, json!("")), OTHERS);
    check(&with(good.clone(), "/dsseEnvelope/signatures", json!([])), OTHERS);
    let other = BASE64_STANDARD.encode(statement(&Digest::of(b"x")).to_string());
    check(&with(good.clone(), "/dsseEnvelope/payload", json!(other)), OTHERS);
    check(&with(good.clone(), "/dsseEnvelope/payload", json!("?")), "is damaged");
    check(&with(good.clone(), "/mediaType", json!("text/plain")), "unknown type");
    check(&with(good.clone(), "/dsseEnvelope", Value::Null), "not one content");
    let mut both = good.clone();
    both["messageSignature"] = json!({ "signature": "AAAA" });
    check(&both, "not one content");
    check(&json!({}), "is damaged");
    check(&json!([]), "is damaged");
}

#[test]
fn the_manifest_itself_may_be_signed() {
    let (key, digest) = (key(), Digest::of(MANIFEST));
    let hash = |bytes: &[u8]| {
        let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
        json!({ "algorithm": "SHA2_256", "digest": BASE64_STANDARD.encode(hash) })
    };
    let signed = |bytes: &[u8]| {
        let signature = BASE64_STANDARD.encode(key.sign(bytes).unwrap());
        let message = json!({ "messageDigest": hash(bytes), "signature": signature });
        json!({ "mediaType": BUNDLE, "messageSignature": message })
    };
    let good = signed(MANIFEST);
    check(&good, &key, "good");
    check(&signed(b"x"), &key, "of something else");
    let digest_of = "/messageSignature/messageDigest";
    check(&with(signed(b"x"), digest_of, hash(MANIFEST)), &key, OTHERS);
    let other = with(good.clone(), "/messageSignature/messageDigest/algorithm", json!("SHA2_512"));
    check(&other, &key, "of something else");
    check(&with(good, "/messageSignature/signature", json!("AAAA")), &key, OTHERS);
    // An envelope's signature is none of the manifest.
    let envelope = enveloped(&key, STATEMENT, &statement(&digest));
    let taken = &envelope["dsseEnvelope"]["signatures"][0]["sig"];
    let taken = json!({ "mediaType": BUNDLE, "messageSignature": { "signature": taken } });
    check(&taken, &key, OTHERS);
}

#[test]
fn where_the_name_counts_a_bundle_without_one_is_not_enough() {
    let key = key();
    let bundle = enveloped(&key, STATEMENT, &statement(&Digest::of(MANIFEST)));
    let check = |name: &str, identity: Identity, is_good: bool| {
        let told = judged(&bundle, &key, name, identity);
        assert_eq!(told == "good", is_good, "{name} {identity:?}: {told}");
    };
    for (name, good) in [
        ("h.org/a:1", [false, false, false, false]),
        ("h.org/a@DIGEST", [true, true, true, false]),
        ("h.org/a:1@DIGEST", [true, false, true, false]),
    ] {
        check(name, Identity::Repository, good[0]);
        check(name, Identity::Exact, good[1]);
        check(name, Identity::DigestOrWhole, good[2]);
        check(name, Identity::Whole, good[3]);
        check(name, Identity::Loose, true);
    }
    // What does name something is held to it.
    let named = |name: &str| {
        let mut one = statement(&Digest::of(MANIFEST));
        one["subject"][0]["name"] = json!(name);
        judged(&enveloped(&key, STATEMENT, &one), &key, "h.org/a:1", Identity::Exact)
    };
    assert_eq!(named("h.org/a:1"), "good");
    assert_eq!(named("h.org/b:1"), "it is signed as h.org/b:1");
    assert_eq!(named("h.org/a:2"), "it is signed as h.org/a:2");
}
