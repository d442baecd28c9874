//! Private keys of ssh, read from their files, and what they sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};

use super::ssh_wire::{Fields, put, put_number};

/// A private key.
pub struct SshKey {
    /// The public part, as it is known by.
    pub(super) public: Vec<u8>,
    /// What its owner calls it.
    pub(super) comment: String,
    secret: Secret,
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair, &'static Curve),
    Rsa(Box<RsaKeyPair>),
}

/// A curve by its names.
struct Curve {
    kind: &'static str,
    name: &'static str,
    algorithm: &'static EcdsaSigningAlgorithm,
    number_bytes: usize,
}

static CURVES: [Curve; 2] = [
    Curve {
        kind: "ecdsa-sha2-nistp256",
        name: "nistp256",
        algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING,
        number_bytes: 32,
    },
    Curve {
        kind: "ecdsa-sha2-nistp384",
        name: "nistp384",
        algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING,
        number_bytes: 48,
    },
];

const ED25519: &str = "ssh-ed25519";
const RSA: &str = "ssh-rsa";
/// How OpenSSH's own files begin.
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// What whoever asks for a signature by RSA says of its hash.
const SHA256: u32 = 2;
const SHA512: u32 = 4;

const PROTECTED: &str = "it is protected by a passphrase";
const CUT: &str = "it is cut off";

impl SshKey {
    /// Reads a file: OpenSSH's own form, PKCS#8, or PKCS#1 of RSA.
    pub fn parse(text: &str) -> Result<SshKey, String> {
        let (label, bytes) = unarmoured(text)?;
        let refused = |error: ring::error::KeyRejected| error.to_string();
        match label {
            "OPENSSH PRIVATE KEY" => openssh(&bytes),
            "RSA PRIVATE KEY" => Ok(rsa(RsaKeyPair::from_der(&bytes).map_err(refused)?)),
            "PRIVATE KEY" => {
                pkcs8(&bytes).ok_or_else(|| "keys of its sort are not known".to_owned())
            }
            "ENCRYPTED PRIVATE KEY" => Err(PROTECTED.to_owned()),
            other => Err(format!("{other} is no sort of key that is known")),
        }
    }

    /// Signs; nothing if what is asked for cannot be done.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let (kind, bytes) = match &self.secret {
            Secret::Ed25519(key) => (ED25519, key.sign(data).as_ref().to_vec()),
            Secret::Ecdsa(key, curve) => {
                let both = key.sign(&random, data).ok()?;
                let (r, s) = both.as_ref().split_at(curve.number_bytes);
                let mut bytes = Vec::new();
                put_number(&mut bytes, r);
                put_number(&mut bytes, s);
                (curve.kind, bytes)
            }
            Secret::Rsa(key) => {
                let (kind, padding) = match flags {
                    flags if flags & SHA512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & SHA256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    // By SHA-1 nothing is signed any more.
                    _ => return None,
                };
                let mut bytes = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, data, &mut bytes).ok()?;
                (kind, bytes)
            }
        };
        let mut signature = Vec::new();
        put(&mut signature, kind.as_bytes());
        put(&mut signature, &bytes);
        Some(signature)
    }
}

/// What stands between the lines that begin and end a key, and what they call it.
fn unarmoured(text: &str) -> Result<(&str, Vec<u8>), String> {
    let none = || "it is no private key".to_owned();
    let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(none)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(none)?;
    let (body, _) = rest.split_once("-----END ").ok_or(CUT)?;
    if body.lines().any(|line| line.contains("ENCRYPTED")) {
        return Err(PROTECTED.to_owned());
    }
    let body: String = body.split_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(|error| format!("its base64: {error}"))?;
    Ok((label, bytes))
}

fn openssh(bytes: &[u8]) -> Result<SshKey, String> {
    let mut fields = Fields(bytes.strip_prefix(MAGIC).ok_or("it is no key of OpenSSH's")?);
    if fields.text()? != b"none" {
        return Err(PROTECTED.to_owned());
    }
    let (_, _, count) = (fields.text()?, fields.text()?, fields.number()?);
    let _public = fields.text()?;
    if count != 1 {
        return Err("there are several keys in it".to_owned());
    }
    let mut own = Fields(fields.text()?);
    let (_, _, kind) = (own.number()?, own.number()?, own.text()?);
    let mut key = match kind {
        kind if kind == ED25519.as_bytes() => {
            let (public, both) = (own.text()?, own.text()?);
            let seed = both.get(..32).ok_or(CUT)?;
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
            ed25519(pair.map_err(|error| error.to_string())?)
        }
        kind if kind == RSA.as_bytes() => {
            let [n, e, d, q_inverse, p, q] = [(); 6].map(|()| own.unsigned());
            rsa_of([n?, e?, d?, q_inverse?, p?, q?])?
        }
        kind => {
            let curve = CURVES.iter().find(|curve| kind == curve.kind.as_bytes());
            let unknown =
                || format!("keys of sort {} are not known", String::from_utf8_lossy(kind));
            let curve = curve.ok_or_else(unknown)?;
            let (_, point, number) = (own.text()?, own.text()?, own.unsigned()?);
            let zeros = curve.number_bytes.checked_sub(number.len()).ok_or(CUT)?;
            let number = [&vec![0; zeros], number].concat();
            let (algorithm, random) = (curve.algorithm, SystemRandom::new());
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &number, point, &random);
            ecdsa(pair.map_err(|error| error.to_string())?, curve)
        }
    };
    key.comment = String::from_utf8_lossy(own.text()?).into_owned();
    Ok(key)
}

fn pkcs8(bytes: &[u8]) -> Option<SshKey> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
        return Some(ed25519(pair));
    }
    let random = SystemRandom::new();
    for curve in &CURVES {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve.algorithm, bytes, &random) {
            return Some(ecdsa(pair, curve));
        }
    }
    RsaKeyPair::from_pkcs8(bytes).ok().map(rsa)
}

fn ed25519(pair: Ed25519KeyPair) -> SshKey {
    let mut public = Vec::new();
    put(&mut public, ED25519.as_bytes());
    put(&mut public, pair.public_key().as_ref());
    SshKey { public, comment: String::new(), secret: Secret::Ed25519(pair) }
}

fn ecdsa(pair: EcdsaKeyPair, curve: &'static Curve) -> SshKey {
    let mut public = Vec::new();
    for part in [curve.kind.as_bytes(), curve.name.as_bytes(), pair.public_key().as_ref()] {
        put(&mut public, part);
    }
    SshKey { public, comment: String::new(), secret: Secret::Ecdsa(pair, curve) }
}

fn rsa(pair: RsaKeyPair) -> SshKey {
    let known = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    let mut public = Vec::new();
    put(&mut public, RSA.as_bytes());
    put_number(&mut public, &known.e);
    put_number(&mut public, &known.n);
    SshKey { public, comment: String::new(), secret: Secret::Rsa(Box::new(pair)) }
}

/// A key of which two numbers are not written down: they follow from the others.
fn rsa_of([n, e, d, q_inverse, p, q]: [&[u8]; 6]) -> Result<SshKey, String> {
    let less_one = |prime: &[u8]| {
        let mut number = prime.to_vec();
        // Primes of such keys are odd.
        if let Some(last) = number.last_mut() {
            *last &= !1;
        }
        number
    };
    let (d_p, d_q) = (remainder(d, &less_one(p)), remainder(d, &less_one(q)));
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: &d_p[..],
        dQ: &d_q[..],
        qInv: q_inverse,
    };
    Ok(rsa(RsaKeyPair::from_components(&components).map_err(|error| error.to_string())?))
}

/// What is left of a number when another is taken from it as often as can be. Both begin with their
/// highest byte; what comes out has no zeros before that.
fn remainder(number: &[u8], by: &[u8]) -> Vec<u8> {
    let by = [&[0][..], by].concat();
    let mut left = vec![0_u8; by.len()];
    for bit in (0..number.len() * 8).map(|at| number[at / 8] >> (7 - at % 8) & 1) {
        let mut carried = bit;
        for byte in left.iter_mut().rev() {
            (*byte, carried) = (*byte << 1 | carried, *byte >> 7);
        }
        if left >= by {
            let mut borrowed = false;
            for (byte, less) in left.iter_mut().zip(&by).rev() {
                let (once, first) = byte.overflowing_sub(*less);
                let (twice, second) = once.overflowing_sub(u8::from(borrowed));
                (*byte, borrowed) = (twice, first || second);
            }
        }
    }
    let zeros = left.iter().take_while(|byte| **byte == 0).count();
    left.split_off(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders() {
        let check = |number: u64, by: u64| {
            let bytes = |number: u64| {
                let bytes = number.to_be_bytes();
                bytes[number.leading_zeros() as usize / 8..].to_vec()
            };
            assert_eq!(remainder(&bytes(number), &bytes(by)), bytes(number % by), "{number} {by}");
        };
        check(1_000_003, 17);
        check(0xffff_ffff_ffff_fff0, 0x1_0000_0001);
        check(5, 0xff00);
        check(0x1234_5678_9abc, 0xff);
    }

    #[test]
    fn what_is_no_key_is_told() {
        let why = |text: &str| SshKey::parse(text).err().unwrap();
        assert_eq!(why("ssh-ed25519 AAAA me"), "it is no private key");
        let armoured = |label: &str, body: &str| {
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        assert_eq!(why(&armoured("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA")), PROTECTED);
        assert_eq!(why(&armoured("ENCRYPTED PRIVATE KEY", "AAAA")), PROTECTED);
        assert!(why(&armoured("DSA PRIVATE KEY", "AAAA")).contains("no sort of key"));
        assert_eq!(why("-----BEGIN PRIVATE KEY-----\nAAAA"), CUT);
        assert_eq!(why(&armoured("OPENSSH PRIVATE KEY", "AAAA")), "it is no key of OpenSSH's");
    }
}
