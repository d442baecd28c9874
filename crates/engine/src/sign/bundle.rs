//! Signatures as sigstore bundles: a document of its own that refers to a manifest, as cosign writes it
//! since its third version. Only what a key signed is looked at: certificates, time stamps and entries
//! of transparency logs in a bundle say nothing here.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use registry::{Repository, Target};
use serde::Deserialize;
use serde_json::json;
use spec::{Descriptor, Digest, Document, Manifest, MediaType, Reference};

use super::{Asked, Identity, NONE, OTHERS, SIGNATURES, SigningKey, VerifyingKey, fits, put_blob};
use crate::error::Result;

/// What a bundle is, in the version that is written.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What begins the names of all versions.
const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// The configuration of what has none, and its bytes.
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// What is in an envelope.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// The versions of statements that are understood; the first is written.
const STATEMENTS: [&str; 2] =
    ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// What a statement says that is a signature, and no attestation.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// What a bundle's manifest says of the statement in it.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// What a bundle's manifest says of the form of what is in it.
const CONTENT: &str = "dev.sigstore.bundle.content";
/// No honest bundle that is a signature is longer.
const BUNDLE_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    #[serde(default)]
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    #[serde(default)]
    digest: std::collections::BTreeMap<String, String>,
}

/// How it is said that a signature is of another name.
const OTHER_NAME: &str = "it is signed as ";

/// Why no bundle that refers to a manifest is a signature that is asked for; nothing if one is.
pub(super) fn refusal(
    repository: &Repository<'_>,
    digest: &Digest,
    asked: Asked<'_>,
) -> Result<Option<String>> {
    let mut why = NONE.to_owned();
    let listed = repository.referrers(digest, None)?;
    for entry in listed.iter().filter(|entry| may_be(entry)).take(SIGNATURES) {
        match judge(repository, entry, digest, asked) {
            Ok(true) => return Ok(None),
            Ok(false) => {}
            // That it is signed under another name says more than that another one cannot be read.
            Err(other) if !why.starts_with(OTHER_NAME) => why = other,
            Err(_) => {}
        }
    }
    Ok(Some(why))
}

/// Whether an entry of a list may be a signature. What the list says is a hint and no more; some
/// registries give an artifact the type of its empty configuration.
fn may_be(entry: &Descriptor) -> bool {
    let kind = entry.artifact_type.as_deref().unwrap_or_default();
    let is_bundle = kind.is_empty() || kind == EMPTY.0 || kind.starts_with(BUNDLES);
    is_bundle && entry.annotations.get(PREDICATE).is_none_or(|said| said == SIGNED)
}

/// Whether what refers to a manifest is a good signature; not if it is something else altogether.
fn judge(
    repository: &Repository<'_>,
    entry: &Descriptor,
    digest: &Digest,
    asked: Asked<'_>,
) -> Result<bool, String> {
    let unread = |error: registry::RegistryError| format!("its signature cannot be read: {error}");
    let document = repository.document(&Target::Digest(entry.digest)).map_err(unread)?;
    let Ok(Document::Manifest(manifest)) = Document::parse(&document.bytes) else {
        return Ok(false);
    };
    let Some(layer) = manifest.layers.first() else { return Ok(false) };
    if !layer.media_type.as_str().starts_with(BUNDLES) {
        return Ok(false);
    }
    let bytes = repository.small_blob(layer.digest, layer.size, BUNDLE_BYTES).map_err(unread)?;
    let open = || Ok(repository.document(&Target::Digest(*digest)).map_err(unread)?.bytes);
    judge_bundle(&bytes, digest, asked, &open)
}

/// Whether a bundle is a good signature of a manifest, which is fetched if its bytes are needed.
fn judge_bundle(
    bytes: &[u8],
    digest: &Digest,
    asked: Asked<'_>,
    manifest: &dyn Fn() -> Result<Vec<u8>, String>,
) -> Result<bool, String> {
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(damaged)?;
    if !bundle.media_type.starts_with(BUNDLES) {
        return Err(format!("its signature is of the unknown type {:?}", bundle.media_type));
    }
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => judge_envelope(&envelope, digest, asked),
        (None, Some(message)) => {
            judge_message(&message, asked.keys, manifest)?;
            names_nothing(asked).map(|()| true)
        }
        _ => Err(damaged("it has not one content")),
    }
}

/// A statement in an envelope, which is signed together with its type.
fn judge_envelope(envelope: &Envelope, digest: &Digest, asked: Asked<'_>) -> Result<bool, String> {
    if envelope.payload_type != STATEMENT {
        return Err(format!("its signature is of the unknown type {:?}", envelope.payload_type));
    }
    let payload = decode(&envelope.payload)?;
    let signed = encoding(&envelope.payload_type, &payload);
    let signatures = envelope.signatures.iter().take(SIGNATURES);
    let signatures = signatures.filter_map(|one| decode(&one.sig).ok());
    if !signatures.into_iter().any(|one| asked.keys.iter().any(|key| key.verifies(&signed, &one))) {
        return Err(OTHERS.to_owned());
    }
    let statement: Statement = serde_json::from_slice(&payload).map_err(damaged)?;
    if !STATEMENTS.contains(&statement.kind.as_str()) {
        return Err(damaged(format!("it is a {:?}", statement.kind)));
    }
    if statement.predicate_type != SIGNED {
        // Who attests something of an image does not say by it that it may be used.
        return Ok(false);
    }
    let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
    let is_it = |subject: &&Subject| subject.digest.get(algorithm) == Some(&hex);
    match statement.subject.iter().find(is_it) {
        None => Err("its signature is of something else".to_owned()),
        Some(subject) if subject.name.is_empty() => names_nothing(asked).map(|()| true),
        Some(subject) => {
            let said = &subject.name;
            let parsed = Reference::parse(said).map_err(|_| format!("it is signed as {said:?}"))?;
            match parsed.name() == asked.name.name() && fits(&parsed, asked.name, asked.identity) {
                true => Ok(true),
                false => Err(format!("it is signed as {said}")),
            }
        }
    }
}

/// A signature of the manifest itself.
fn judge_message(
    message: &Message,
    keys: &[VerifyingKey],
    manifest: &dyn Fn() -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    let bytes = manifest()?;
    if let Some(said) = &message.message_digest {
        let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let is_it = said.algorithm == "SHA2_256"
            && decode(&said.digest).is_ok_and(|said| said == hash.as_ref());
        if !is_it {
            return Err("its signature is of something else".to_owned());
        }
    }
    let signature = decode(&message.signature)?;
    match keys.iter().any(|key| key.verifies(&bytes, &signature)) {
        true => Ok(()),
        false => Err(OTHERS.to_owned()),
    }
}

/// A bundle may say which manifest is signed and not under which name. Then it may have been carried
/// here from elsewhere: it is enough only for who names the manifest themselves.
fn names_nothing(asked: Asked<'_>) -> Result<(), String> {
    let by_digest = asked.name.digest().is_some();
    match asked.identity {
        Identity::Loose => Ok(()),
        Identity::Repository | Identity::DigestOrWhole if by_digest => Ok(()),
        Identity::Exact if by_digest && asked.name.tag().is_none() => Ok(()),
        Identity::Repository => {
            Err("its signature names no repository, and the policy asks for one".to_owned())
        }
        _ => Err("its signature names no tag, and the policy asks for one".to_owned()),
    }
}

/// What is signed of an envelope: its type and its payload, each after its length.
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Bytes in base64, of either alphabet.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).map_err(damaged)
}

fn damaged(why: impl std::fmt::Display) -> String {
    format!("its signature is damaged: {why}")
}

/// Puts a signature of a manifest beside it, unless the key's is there.
pub(super) fn add(
    repository: &Repository<'_>,
    name: &Reference,
    subject: &Descriptor,
    key: &SigningKey,
) -> Result<()> {
    // One that names nothing is not enough, so the name is asked for without a digest.
    let name = name.without_digest().without_tag();
    let keys = [key.verifying()];
    let asked = Asked { name: &name, keys: &keys, identity: Identity::Repository };
    if refusal(repository, &subject.digest, asked)?.is_none() {
        return Ok(());
    }
    let bytes = bundle(&name, &subject.digest, key)?;
    let layer = Descriptor::of(MediaType::from(BUNDLE), &bytes);
    put_blob(repository, &layer, &bytes)?;
    let config = Descriptor::of(MediaType::from(EMPTY.0), EMPTY.1);
    put_blob(repository, &config, EMPTY.1)?;
    let mut manifest = Manifest::new(config, vec![layer]);
    manifest.artifact_type = Some(BUNDLE.to_owned());
    let Descriptor { media_type, digest, size, .. } = subject.clone();
    manifest.subject = Some(Descriptor::new(media_type, digest, size));
    let notes = [(CONTENT, "dsse-envelope"), (PREDICATE, SIGNED)];
    manifest.annotations = notes.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
    let bytes = manifest.to_bytes();
    let target = Target::Digest(Digest::of(&bytes));
    repository.put_document(&target, &MediaType::OciManifest, &bytes)?;
    Ok(())
}

/// A signature of a manifest in a repository.
fn bundle(name: &Reference, digest: &Digest, key: &SigningKey) -> Result<Vec<u8>> {
    let statement = json!({
        "_type": STATEMENTS[0],
        "subject": [{
            "name": name.name(),
            "digest": { digest.algorithm().as_str(): digest.hex() },
        }],
        "predicateType": SIGNED,
        "predicate": {},
    });
    let payload = statement.to_string().into_bytes();
    let signature = key.sign(&encoding(STATEMENT, &payload))?;
    let info = key.verifying().info().unwrap_or_default();
    let hint = ring::digest::digest(&ring::digest::SHA256, &info);
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": BASE64_STANDARD.encode(hint) } },
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(payload),
            "payloadType": STATEMENT,
            "signatures": [{ "sig": BASE64_STANDARD.encode(signature) }],
        },
    });
    Ok(bundle.to_string().into_bytes())
}

#[cfg(test)]
mod tests;
