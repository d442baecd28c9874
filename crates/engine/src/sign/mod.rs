//! Signatures of images: made with a key of the user's, kept beside the image in its registry in the
//! way of cosign, and asked for by a policy. No service of anybody's is needed.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use registry::{Access, Client, RemoteDocument, Repository, Target};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::{Descriptor, Digest, Document, Manifest, MediaType, Reference};

use crate::error::{EngineError, Result};

mod bundle;
mod containers;
mod key;
mod policy;
mod sealed;

pub use key::{SigningKey, VerifyingKey};
pub use policy::{Identity, Policy, Verdict};

/// What a signature's layer is.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of the layer with the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload says that it is.
const KIND: &str = "cosign container image signature";
/// No honest payload is longer.
const PAYLOAD_BYTES: u64 = 1 << 20;
/// Nobody signed it.
const NONE: &str = "it has no signature";
/// Somebody else did.
const OTHERS: &str = "none of its signatures is by a key that is asked for";
/// An image has at most so many signatures that are looked at.
const SIGNATURES: usize = 64;

/// What is signed: that a manifest goes by a name.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Critical {
    identity: SignedIdentity,
    image: SignedImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SignedIdentity {
    docker_reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SignedImage {
    docker_manifest_digest: Digest,
}

/// How a signature is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureForm {
    /// Under a tag made of the manifest's digest, as all versions of cosign read it.
    #[default]
    Tag,
    /// As a sigstore bundle that refers to the manifest.
    Bundle,
}

/// Signs what a name stands for in its registry; of an index also each image in it, because that is
/// what others pull.
pub fn sign_remote(
    client: &Client,
    name: &Reference,
    key: &SigningKey,
    form: SignatureForm,
) -> Result<Digest> {
    let repository = client.repository(name, Access::Push)?;
    let document = repository.document(&crate::pull::target(name));
    let document = document.map_err(|error| crate::remote::missing(name, error))?;
    if let Ok(Document::Index(index)) = Document::parse(&document.bytes) {
        let images = index.manifests.iter().filter(|entry| !entry.is_attestation());
        for entry in images.filter(|entry| entry.media_type.is_manifest()) {
            match form {
                SignatureForm::Tag => add(&repository, name, &entry.digest, key)?,
                SignatureForm::Bundle => bundle::add(&repository, name, entry, key)?,
            }
        }
    }
    let RemoteDocument { media_type, digest, bytes } = document;
    match form {
        SignatureForm::Tag => add(&repository, name, &digest, key)?,
        SignatureForm::Bundle => {
            let subject = Descriptor::new(media_type, digest, bytes.len() as u64);
            bundle::add(&repository, name, &subject, key)?;
        }
    }
    Ok(digest)
}

/// Whether a name in its registry stands for something that one of the keys signed.
pub fn verify_remote(client: &Client, name: &Reference, keys: &[VerifyingKey]) -> Result<Digest> {
    let repository = client.repository(name, Access::Pull)?;
    let document = repository.document(&crate::pull::target(name));
    let digest = document.map_err(|error| crate::remote::missing(name, error))?.digest;
    match refusal(&repository, name, &[digest], keys, Identity::Loose)? {
        None => Ok(digest),
        Some(why) => {
            Err(EngineError::Unsigned { name: name.familiar(), why, file: PathBuf::new() })
        }
    }
}

/// Puts a signature beside those that a manifest has.
fn add(
    repository: &Repository<'_>,
    name: &Reference,
    digest: &Digest,
    key: &SigningKey,
) -> Result<()> {
    let payload = Payload {
        critical: Critical {
            identity: SignedIdentity { docker_reference: name.without_digest().to_string() },
            image: SignedImage { docker_manifest_digest: *digest },
            kind: KIND.to_owned(),
        },
        optional: None,
    };
    let bytes = serde_json::to_vec(&payload).expect("a payload is made of strings");
    let mut layers = signatures(repository, digest)?;
    // The same payload signed by the same key says nothing new.
    layers.retain(|known| {
        known.digest != Digest::of(&bytes)
            || !signature(known).is_some_and(|old| key.verifying().verifies(&bytes, &old))
    });
    let mut layer = Descriptor::of(MediaType::from(PAYLOAD), &bytes);
    let signed = BASE64_STANDARD.encode(key.sign(&bytes)?);
    layer.annotations.insert(SIGNATURE.to_owned(), signed);
    put_blob(repository, &layer, &bytes)?;
    layers.push(layer);
    let diffs: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({
        "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let config_bytes = config.to_string().into_bytes();
    let config = Descriptor::of(MediaType::OciConfig, &config_bytes);
    put_blob(repository, &config, &config_bytes)?;
    let manifest = Manifest::new(config, layers).to_bytes();
    repository.put_document(&place(digest), &MediaType::OciManifest, &manifest)?;
    Ok(())
}

fn put_blob(repository: &Repository<'_>, blob: &Descriptor, bytes: &[u8]) -> Result<()> {
    if repository.blob_bytes(&blob.digest)?.is_none() {
        let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn std::io::Read>);
        repository.put_blob(&blob.digest, blob.size, None, &open)?;
    }
    Ok(())
}

/// The tag under which the signatures of a manifest are.
fn place(digest: &Digest) -> Target {
    Target::Tag(format!("{}-{}.sig", digest.algorithm().as_str(), digest.hex()))
}

/// The signatures of a manifest, each beside what it signs.
fn signatures(repository: &Repository<'_>, digest: &Digest) -> Result<Vec<Descriptor>> {
    let document = match repository.document(&place(digest)) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let Ok(Document::Manifest(manifest)) = Document::parse(&document.bytes) else {
        return Ok(Vec::new());
    };
    let is_payload = |layer: &Descriptor| layer.media_type.as_str() == PAYLOAD;
    Ok(manifest.layers.into_iter().filter(is_payload).take(SIGNATURES).collect())
}

fn signature(layer: &Descriptor) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(layer.annotations.get(SIGNATURE)?).ok()
}

/// Who is asked for, and what they must have said.
#[derive(Clone, Copy)]
struct Asked<'a> {
    name: &'a Reference,
    keys: &'a [VerifyingKey],
    identity: Identity,
}

/// Why none of these manifests counts as signed by one of the keys; nothing if one does. A signature
/// that is no good says nothing of the others.
pub(crate) fn refusal(
    repository: &Repository<'_>,
    name: &Reference,
    digests: &[Digest],
    keys: &[VerifyingKey],
    identity: Identity,
) -> Result<Option<String>> {
    let asked = Asked { name, keys, identity };
    let mut why = NONE.to_owned();
    for digest in digests {
        for layer in signatures(repository, digest)? {
            match tagged(repository, &layer, digest, asked) {
                Ok(()) => return Ok(None),
                Err(other) => why = other,
            }
        }
    }
    for digest in digests {
        match bundle::refusal(repository, digest, asked)? {
            None => return Ok(None),
            Some(other) if other != NONE => why = other,
            Some(_) => {}
        }
    }
    Ok(Some(why))
}

/// Whether a signature under cosign's tag is good.
fn tagged(
    repository: &Repository<'_>,
    layer: &Descriptor,
    digest: &Digest,
    asked: Asked<'_>,
) -> Result<(), String> {
    let signed = signature(layer).ok_or("its signature is damaged")?;
    let bytes = repository.small_blob(layer.digest, layer.size, PAYLOAD_BYTES);
    let bytes = bytes.map_err(|error| format!("its signature cannot be read: {error}"))?;
    if !asked.keys.iter().any(|key| key.verifies(&bytes, &signed)) {
        return Err(OTHERS.to_owned());
    }
    judged(&bytes, asked.name, digest, asked.identity)
}

/// Whether a payload, which is as it was signed, is about this manifest under this name.
fn judged(
    bytes: &[u8],
    name: &Reference,
    digest: &Digest,
    identity: Identity,
) -> Result<(), String> {
    let payload: Payload = serde_json::from_slice(bytes)
        .map_err(|error| format!("its signature is damaged: {error}"))?;
    let Critical { identity: signed, image, kind } = payload.critical;
    if kind != KIND || image.docker_manifest_digest != *digest {
        return Err("its signature is of something else".to_owned());
    }
    let said = signed.docker_reference;
    let parsed = Reference::parse(&said).map_err(|_| format!("it is signed as {said:?}"))?;
    match parsed.name() == name.name() && fits(&parsed, name, identity) {
        true => Ok(()),
        false => Err(format!("it is signed as {said}")),
    }
}

/// Whether what was signed is what was asked for, where both are of one repository.
fn fits(signed: &Reference, asked: &Reference, identity: Identity) -> bool {
    // What has neither is the latest.
    let tag = match asked.digest() {
        None => Some(asked.tag().unwrap_or("latest")),
        Some(_) => asked.tag(),
    };
    match (identity, asked.digest()) {
        (Identity::Repository | Identity::Loose, _) | (Identity::DigestOrWhole, Some(_)) => true,
        (Identity::Exact, _) => tag.is_none() || signed.tag() == tag,
        (Identity::Whole, Some(digest)) => {
            signed.digest() == Some(digest) && (signed.tag().is_none() || signed.tag() == tag)
        }
        (Identity::Whole | Identity::DigestOrWhole, None) => {
            signed.digest().is_none() && signed.tag() == tag
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_as_the_policy_says() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let check = |asked: &str, identity: Identity, fitting: &[&str], others: &[&str]| {
            let name = |text: &str| {
                Reference::parse(
                    &text.replace("ONE", &one.to_string()).replace("OTHER", &other.to_string()),
                )
                .unwrap()
            };
            let asked = name(asked);
            let fits = |said: &&&str| fits(&name(said), &asked, identity);
            let found: Vec<_> = fitting.iter().chain(others).filter(fits).collect();
            assert_eq!(found, fitting.iter().collect::<Vec<_>>(), "{asked} {identity:?}");
        };
        let all = ["h/a", "h/a:1", "h/a:2", "h/a@ONE", "h/a@OTHER"];
        check("h/a@ONE", Identity::Repository, &all, &[]);
        check("h/a@ONE", Identity::Exact, &all, &[]);
        check("h/a@ONE", Identity::DigestOrWhole, &all, &[]);
        check("h/a@ONE", Identity::Whole, &["h/a@ONE"], &["h/a", "h/a:1", "h/a:2", "h/a@OTHER"]);
        check("h/a:1@ONE", Identity::Whole, &["h/a@ONE", "h/a:1@ONE"], &["h/a:1", "h/a:2@ONE"]);
        check("h/a:1@ONE", Identity::Exact, &["h/a:1", "h/a:1@OTHER"], &["h/a", "h/a:2"]);
        for identity in [Identity::Whole, Identity::DigestOrWhole] {
            check("h/a:1", identity, &["h/a:1"], &["h/a", "h/a:2", "h/a@ONE", "h/a:1@ONE"]);
            check("h/a", identity, &["h/a:latest"], &["h/a", "h/a:1", "h/a@ONE"]);
        }
        check("h/a", Identity::Exact, &["h/a:latest"], &["h/a", "h/a:1"]);
    }

    #[test]
    fn a_signature_is_of_one_manifest_under_one_name() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let payload = |name: &str| {
            json!({ "critical": {
                "identity": { "docker-reference": name },
                "image": { "docker-manifest-digest": one }, "type": KIND,
            }, "optional": null })
            .to_string()
        };
        let name = Reference::parse("h.org/app:1").unwrap();
        let fits = |said: &str, digest: &Digest, identity| {
            judged(payload(said).as_bytes(), &name, digest, identity).is_ok()
        };
        assert!(fits("h.org/app:1", &one, Identity::Exact));
        assert!(!fits("h.org/app:1", &other, Identity::Exact));
        assert!(fits("h.org/app", &one, Identity::Repository));
        assert!(!fits("h.org/app", &one, Identity::Exact));
        assert!(!fits("h.org/app:2", &one, Identity::Exact));
        assert!(!fits("h.org/other:1", &one, Identity::Repository));
        assert!(!fits("h.org/app:1", &other, Identity::Whole));
        assert!(judged(b"{}", &name, &one, Identity::Repository).is_err());
        let other_kind = payload("h.org/app").replace(KIND, "atomic container signature");
        assert!(judged(other_kind.as_bytes(), &name, &one, Identity::Repository).is_err());
    }
}
