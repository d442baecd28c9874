//! Keys in files, as openssl writes them: ECDSA over P-256, which cosign uses, and Ed25519.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::error::{EngineError, Result};

/// What stands before the point of a P-256 key in a `SubjectPublicKeyInfo`.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before an Ed25519 key.
const EDWARDS: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signs.
pub struct SigningKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

/// A key that tells whether another one signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    Edwards,
}

impl SigningKey {
    /// Reads a key: PKCS #8 in PEM, not encrypted.
    pub fn open(path: &Path) -> Result<SigningKey> {
        let (label, bytes) = read(path)?;
        let random = SystemRandom::new();
        match label.as_str() {
            "PRIVATE KEY" => {
                let p256 =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &bytes, &random);
                let pair = p256.map(Pair::P256).or_else(|_| {
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).map(Pair::Edwards)
                });
                pair.map(SigningKey).map_err(|_| refused(path, "it is neither P-256 nor Ed25519"))
            }
            "EC PRIVATE KEY" => {
                Err(refused(path, "it is not PKCS #8: `openssl pkcs8 -topk8 -nodes`"))
            }
            label if label.contains("ENCRYPTED") => {
                Err(refused(path, "it is encrypted, and mica asks nobody for its password"))
            }
            label => Err(refused(path, &format!("it holds a {label}"))),
        }
    }

    /// Signs bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        match &self.0 {
            Pair::Edwards(pair) => Ok(pair.sign(bytes).as_ref().to_vec()),
            Pair::P256(pair) => match pair.sign(&SystemRandom::new(), bytes) {
                Ok(signature) => Ok(signature.as_ref().to_vec()),
                Err(_) => Err(EngineError::Input("the system has no random numbers".to_owned())),
            },
        }
    }

    /// The key that tells whether this one signed something.
    pub fn verifying(&self) -> VerifyingKey {
        let (kind, bytes) = match &self.0 {
            Pair::P256(pair) => (Kind::P256, pair.public_key().as_ref()),
            Pair::Edwards(pair) => (Kind::Edwards, pair.public_key().as_ref()),
        };
        VerifyingKey { kind, bytes: bytes.to_vec() }
    }
}

impl VerifyingKey {
    /// Reads a public key in PEM.
    pub fn open(path: &Path) -> Result<VerifyingKey> {
        let (label, bytes) = read(path)?;
        if label != "PUBLIC KEY" {
            return Err(refused(path, &format!("it holds a {label}")));
        }
        for (prefix, kind, length) in [(P256, Kind::P256, 65), (EDWARDS, Kind::Edwards, 32)] {
            if let Some(rest) = bytes.strip_prefix(prefix).filter(|rest| rest.len() == length) {
                return Ok(VerifyingKey { kind, bytes: rest.to_vec() });
            }
        }
        Err(refused(path, "it is neither P-256 nor Ed25519"))
    }

    /// Whether the other half of this key signed these bytes.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::P256 => &ECDSA_P256_SHA256_ASN1,
            Kind::Edwards => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(bytes, signature).is_ok()
    }
}

/// The first thing in a PEM file: what it is, and its bytes.
fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path).map_err(EngineError::io("read", path))?;
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or_else(|| refused(path, "it is not PEM"))?;
    let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    match (label.contains("ENCRYPTED"), BASE64_STANDARD.decode(body)) {
        (true, _) => Ok((label.to_owned(), Vec::new())),
        (false, Ok(bytes)) => Ok((label.to_owned(), bytes)),
        (false, Err(_)) => Err(refused(path, "it is not PEM")),
    }
}

fn refused(path: &Path, why: &str) -> EngineError {
    EngineError::BadKey { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sign_and_verify() {
        let folder = tempfile::tempdir().unwrap();
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let mut keys = Vec::new();
        for (pkcs8, prefix) in [(p256.as_ref(), P256), (edwards.as_ref(), EDWARDS)] {
            let path = folder.path().join("key");
            let pem = |label: &str, bytes: &[u8]| {
                let body = BASE64_STANDARD.encode(bytes);
                format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
            };
            std::fs::write(&path, pem("PRIVATE KEY", pkcs8)).unwrap();
            let key = SigningKey::open(&path).unwrap();
            let public = [prefix, &key.verifying().bytes].concat();
            std::fs::write(&path, pem("PUBLIC KEY", &public)).unwrap();
            assert_eq!(VerifyingKey::open(&path).unwrap(), key.verifying());
            assert!(SigningKey::open(&path).is_err());
            let signature = key.sign(b"text").unwrap();
            assert!(key.verifying().verifies(b"text", &signature));
            assert!(!key.verifying().verifies(b"other", &signature));
            keys.push((key, signature));
        }
        assert!(!keys[0].0.verifying().verifies(b"text", &keys[1].1));
        let path = folder.path().join("sealed");
        std::fs::write(&path, "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nx\n").unwrap();
        let error = SigningKey::open(&path).err().unwrap().to_string();
        assert!(error.contains("encrypted"), "{error}");
    }
}
