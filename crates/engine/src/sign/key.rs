//! Keys in files, as openssl and cosign write them: ECDSA over P-256, which cosign uses, and Ed25519;
//! for looking at signatures also RSA.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use registry::Secret;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use super::sealed;
use crate::error::{EngineError, Result};

/// What stands before the point of a P-256 key in a `SubjectPublicKeyInfo`.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before an Ed25519 key.
const EDWARDS: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What an RSA key is called in a `SubjectPublicKeyInfo`, with the nothing that follows.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// What cosign calls a key behind a password, today and in older versions.
const SEALED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

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
    Rsa,
}

impl SigningKey {
    /// Reads a key: PKCS #8 in PEM, or cosign's form of it. Who knows the password of one that has
    /// one is asked only then.
    pub fn open(path: &Path, password: &dyn Fn() -> Option<Secret>) -> Result<SigningKey> {
        let (label, bytes) = read(path)?;
        match label.as_str() {
            "PRIVATE KEY" => SigningKey::of_pkcs8(path, &bytes),
            label if SEALED.contains(&label) => {
                let why = "it is encrypted, and nobody gave its password";
                let password = password().ok_or_else(|| refused(path, why))?;
                let opened = sealed::open(&bytes, password.expose());
                SigningKey::of_pkcs8(path, &opened.map_err(|why| refused(path, why))?)
            }
            "EC PRIVATE KEY" => {
                Err(refused(path, "it is not PKCS #8: `openssl pkcs8 -topk8 -nocrypt`"))
            }
            label if label.contains("ENCRYPTED") => {
                Err(refused(path, "it is encrypted, but not as cosign does it"))
            }
            label => Err(refused(path, &format!("it holds a {label}"))),
        }
    }

    pub(super) fn of_pkcs8(path: &Path, bytes: &[u8]) -> Result<SigningKey> {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes, &random);
        let pair = p256
            .map(Pair::P256)
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(Pair::Edwards));
        pair.map(SigningKey).map_err(|_| refused(path, "it is neither P-256 nor Ed25519"))
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
        VerifyingKey::of(path, read(path)?)
    }

    /// The same from a text that stands in a file.
    pub(super) fn parse(path: &Path, text: &str) -> Result<VerifyingKey> {
        VerifyingKey::of(path, first(path, text)?)
    }

    fn of(path: &Path, (label, bytes): (String, Vec<u8>)) -> Result<VerifyingKey> {
        if label == "RSA PUBLIC KEY" {
            return Ok(VerifyingKey { kind: Kind::Rsa, bytes });
        }
        if label != "PUBLIC KEY" {
            return Err(refused(path, &format!("it holds a {label}")));
        }
        for (prefix, kind, length) in [(P256, Kind::P256, 65), (EDWARDS, Kind::Edwards, 32)] {
            if let Some(rest) = bytes.strip_prefix(prefix).filter(|rest| rest.len() == length) {
                return Ok(VerifyingKey { kind, bytes: rest.to_vec() });
            }
        }
        match of_rsa(&bytes) {
            Some(bytes) => Ok(VerifyingKey { kind: Kind::Rsa, bytes }),
            None => Err(refused(path, "it is neither P-256 nor Ed25519 nor RSA")),
        }
    }

    /// The key as a `SubjectPublicKeyInfo`, if its kind is one that signs here.
    pub(super) fn info(&self) -> Option<Vec<u8>> {
        match self.kind {
            Kind::P256 => Some([P256, &self.bytes].concat()),
            Kind::Edwards => Some([EDWARDS, &self.bytes].concat()),
            Kind::Rsa => None,
        }
    }

    /// Whether the other half of this key signed these bytes.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::P256 => &ECDSA_P256_SHA256_ASN1,
            Kind::Edwards => &ED25519,
            Kind::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(bytes, signature).is_ok()
    }
}

/// The key in a `SubjectPublicKeyInfo` of RSA: what it is called, and a string of bits that is the
/// key.
fn of_rsa(bytes: &[u8]) -> Option<Vec<u8>> {
    let (inside, _) = part(0x30, bytes)?;
    let (name, rest) = part(0x30, inside)?;
    let (bits, _) = part(0x03, rest)?;
    // The first byte says how many bits of the last do not count.
    bits.strip_prefix(&[0]).filter(|_| name == RSA).map(<[u8]>::to_vec)
}

/// What is in a part of DER, and what follows it.
fn part(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The first thing in a PEM file: what it is, and its bytes.
fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path).map_err(EngineError::io("read", path))?;
    first(path, &text)
}

/// The first thing in a text that is PEM.
fn first(path: &Path, text: &str) -> Result<(String, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or_else(|| refused(path, "it is not PEM"))?;
    let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    match BASE64_STANDARD.decode(body) {
        Ok(bytes) => Ok((label.to_owned(), bytes)),
        // Older forms of encryption have lines before the bytes, and are refused by their label.
        Err(_) if label.contains("ENCRYPTED") => Ok((label.to_owned(), Vec::new())),
        Err(_) => Err(refused(path, "it is not PEM")),
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
            let key = SigningKey::open(&path, &|| None).unwrap();
            let public = [prefix, &key.verifying().bytes].concat();
            std::fs::write(&path, pem("PUBLIC KEY", &public)).unwrap();
            assert_eq!(VerifyingKey::open(&path).unwrap(), key.verifying());
            assert!(SigningKey::open(&path, &|| None).is_err());
            let signature = key.sign(b"text").unwrap();
            assert!(key.verifying().verifies(b"text", &signature));
            assert!(!key.verifying().verifies(b"other", &signature));
            keys.push((key, signature));
        }
        assert!(!keys[0].0.verifying().verifies(b"text", &keys[1].1));
    }

    /// Made with other programs: P-256 by openssl, the box by NaCl's description, N 1024.
    const SEALED_KEY: &str = "eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjoxMDI0LCJyIjo4LCJwIjoxfSwi\
         c2FsdCI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYR0JrYUd4d2RIaDg9In0sImNp\
         cGhlciI6eyJuYW1lIjoibmFjbC9zZWNyZXRib3giLCJub25jZSI6IlpHVm1aMmhwYW10c2JXNXZj\
         SEZ5YzNSMWRuZDRlWHA3In0sImNpcGhlcnRleHQiOiJWZTlWc0lOenhuZnpBUEY0bDdXN05teW9Z\
         UDd1TFd1VG9lbngrTFZNN2dRU0dsY25JT1dkNXU5STJQd3JTS2RQYlNVUTZ2WWI4TSt0c29XZDJW\
         MWY4d0RTL0dVbjdGY0dTUXNaOXRYTEw2alMrb0pUb2ZqRDl3OXdmT0xHN2xZL2dyV1BWUGpVSnRa\
         OWh2K25SeUtPdTBndW5TSTRoN1FWVWlpdllqdWxML1pQaWg1eGVWVXBXY3Z0aTlDVUxEZEdzWW5n\
         cG90ZTlNVTh6dz09In0=";
    const ITS_PUBLIC_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEotdgjvXg9oXcTzIB6WYnGPYjO4/pKuyK/DkXQKpc\
         r8B8YSWPcrIcTe8RfJ6AbsqkKNy+8iStJ1TEI5/oHijsNg==";
    const RSA_KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApNsQ3Dwe6OXorDuvj8MXYvdLZNehUUJR\
         d2GwI3Z1aHbyhxx6snVOexQRwoB78h2RP/R9CrJr8NSaJMs3jrMmtye6TEbetteO+9lJVDZwkND8\
         8F/K8aj+1ElaAA36paOC80IIk+fcVKbd9AqJ0X3Ls4Vb2RjxEfUowqR/JLvxaMj0g6ljEhEgr12f\
         Fn2GFCUOP2D1P9wnb3ePWdT81DOxuplYT6QI1DZrT816mCO5/M51hn6B3b57ktkKiuriK7cIdZfa\
         ZZkEoi8isG8+BP7qtCv39TsuSbcgLgsTEezN083bYPTQb8yZJ0/G3XCDQHw89bhbVBcEWq3xP6Nj\
         Rh9wSwIDAQAB";
    const OLDER_RSA_KEY: &str = "MIIBCgKCAQEApNsQ3Dwe6OXorDuvj8MXYvdLZNehUUJRd2GwI3Z1aHbyhxx6snVOexQRwoB78h2R\
         P/R9CrJr8NSaJMs3jrMmtye6TEbetteO+9lJVDZwkND88F/K8aj+1ElaAA36paOC80IIk+fcVKbd\
         9AqJ0X3Ls4Vb2RjxEfUowqR/JLvxaMj0g6ljEhEgr12fFn2GFCUOP2D1P9wnb3ePWdT81DOxuplY\
         T6QI1DZrT816mCO5/M51hn6B3b57ktkKiuriK7cIdZfaZZkEoi8isG8+BP7qtCv39TsuSbcgLgsT\
         EezN083bYPTQb8yZJ0/G3XCDQHw89bhbVBcEWq3xP6NjRh9wSwIDAQAB";
    const RSA_SIGNATURE: &str = "kOncTBFaCbSMrfBOnMWzjmW4LMFetbVRyZoNFN021tG7DBi3MaXeVUGWWV5o2PttM2JC7p/0cZAX\
         SKohata6EpqtCHRgpZz5I/SsQ0fdzCiTdfT8CBO5XolzHk1Iqdl0unLYZ0hOdkjsw2ASfNO0cD5Y\
         DMv6gmovgaqVok2AKqFvXeLqfTBvRlBt93OjAvIil+KOTG19fg0wTP1ADIHFSDkp6XG7f/v0+h/T\
         MRHftCiUJ8HIt7pm7Tvjr/uGC7OC1lwIm6A0Waj0c3CsxIn7ErdxKyd6TE3E5GrEkcTc7GrR+TjO\
         0MpRvfd62hORhLqgn+7/78c1W5TUIt4V0Cvdzg==";

    fn file(folder: &tempfile::TempDir, label: &str, body: &str) -> std::path::PathBuf {
        let path = folder.path().join("key.pem");
        std::fs::write(&path, format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"))
            .unwrap();
        path
    }

    #[test]
    fn a_key_behind_a_password_is_opened_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let public = VerifyingKey::open(&file(&folder, "PUBLIC KEY", ITS_PUBLIC_KEY)).unwrap();
        for label in SEALED {
            let path = file(&folder, label, SEALED_KEY);
            let open = |word: Option<&str>| SigningKey::open(&path, &|| word.map(Secret::new));
            assert_eq!(open(Some("pass word")).unwrap().verifying(), public);
            for (word, wanted) in [(Some("password"), "not the right one"), (None, "nobody gave")] {
                let told = open(word).err().unwrap().to_string();
                assert!(told.contains(wanted) && !told.contains("password\""), "{told}");
            }
        }
        // What would take all memory is not tried.
        let json = BASE64_STANDARD.decode(SEALED_KEY).unwrap();
        let json = String::from_utf8(json).unwrap().replace("\"N\":1024", "\"N\":1073741824");
        let path = file(&folder, SEALED[0], &BASE64_STANDARD.encode(json));
        let told = SigningKey::open(&path, &|| Some(Secret::new("x"))).err().unwrap().to_string();
        assert!(told.contains("takes too much"), "{told}");
        let path = file(&folder, "ENCRYPTED PRIVATE KEY", "Proc-Type: 4");
        let told = SigningKey::open(&path, &|| None).err().unwrap().to_string();
        assert!(told.contains("not as cosign"), "{told}");
    }

    #[test]
    fn rsa_keys_verify() {
        let folder = tempfile::tempdir().unwrap();
        let signature = BASE64_STANDARD.decode(RSA_SIGNATURE).unwrap();
        for (label, body) in [("PUBLIC KEY", RSA_KEY), ("RSA PUBLIC KEY", OLDER_RSA_KEY)] {
            let key = VerifyingKey::open(&file(&folder, label, body)).unwrap();
            assert!(key.verifies(b"text", &signature) && !key.verifies(b"other", &signature));
        }
        let short = file(&folder, "PUBLIC KEY", &RSA_KEY[..40]);
        assert!(VerifyingKey::open(&short).is_err());
    }
}
