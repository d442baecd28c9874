//! Bearer tokens: somebody else says who may do what, and signs it.
//!
//! A token is a JWT of docker's form: an issuer, an audience, times, and `access` to repositories.
//! Only signatures by public keys are read; which algorithm a key is for is the key's own property,
//! never what the token claims.

use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde::Deserialize;
use spec::Timestamp;

use super::{Action, Need};
use crate::names::RepositoryName;

/// Clocks of different machines differ by a little.
const LEEWAY_SECONDS: i64 = 60;

/// Who signs tokens, and where clients get them.
pub struct Tokens {
    /// Where clients ask for a token.
    pub realm: String,
    /// What this registry is called there: tokens must be for it.
    pub service: String,
    /// Who must have issued them.
    pub issuer: String,
    /// Whose signatures count.
    pub keys: TokenKeys,
}

/// Public keys that tokens may be signed with.
pub struct TokenKeys(Vec<Key>);

struct Key {
    /// The name of its algorithm in tokens.
    name: &'static str,
    key: UnparsedPublicKey<Vec<u8>>,
}

/// Why a file with keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no key in it that can be used.
    #[error("{} has no public key or certificate of RSA, P-256 or Ed25519", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    aud: Audience,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    /// Go's servers write `null` where there is none.
    #[serde(default)]
    access: Option<Vec<Grant>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Grant {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    actions: Option<Vec<String>>,
}

/// What a token that counts says.
pub(crate) struct Bearer {
    user: Option<String>,
    access: Vec<Grant>,
}

impl Tokens {
    /// What the token in an `Authorization` header says, if it counts.
    pub(crate) fn read(&self, header: &str) -> Option<Bearer> {
        let (scheme, token) = header.split_once(' ')?;
        let token = Some(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        let claims = self.keys.verified(token)?;
        let now = Timestamp::now().unix_seconds();
        let is_ours = match &claims.aud {
            Audience::One(name) => *name == self.service,
            Audience::Many(names) => names.contains(&self.service),
        };
        let is_time = claims.exp.saturating_add(LEEWAY_SECONDS) > now
            && claims.nbf.is_none_or(|from| from.saturating_sub(LEEWAY_SECONDS) <= now);
        let counts = is_ours && is_time && claims.iss == self.issuer;
        counts.then(|| Bearer { user: claims.sub, access: claims.access.unwrap_or_default() })
    }

    /// The header that sends a client to get a token, also for the repository that a blob is to be
    /// taken over from.
    pub(crate) fn challenge(
        &self,
        need: &Need,
        from: Option<&RepositoryName>,
        error: Option<&str>,
    ) -> String {
        let Tokens { realm, service, .. } = self;
        let mut text = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
        if let Some(mut scope) = scope(need) {
            if let Some(from) = from {
                scope.push_str(&format!(" repository:{from}:pull"));
            }
            text.push_str(&format!(",scope=\"{scope}\""));
        }
        if let Some(error) = error {
            text.push_str(&format!(",error=\"{error}\""));
        }
        text
    }
}

/// What a client asks a token for.
fn scope(need: &Need) -> Option<String> {
    match need {
        Need::Entry | Need::Metrics => None,
        Need::Catalog => Some("registry:catalog:*".to_owned()),
        Need::Repository(name, action) => {
            let actions = match action {
                Action::Pull => "pull",
                Action::Push => "pull,push",
                Action::Delete => "pull,delete",
            };
            Some(format!("repository:{name}:{actions}"))
        }
    }
}

impl Bearer {
    /// Who it is for, where it says.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }

    /// Whether it allows what is needed.
    pub(crate) fn allows(&self, need: &Need) -> bool {
        let granted = |kind: &str, name: &str, action: &str| {
            self.access.iter().any(|grant| {
                let has = |known: &String| known == action || known == "*";
                let mut actions = grant.actions.iter().flatten();
                grant.kind == kind && grant.name == name && actions.any(has)
            })
        };
        match need {
            Need::Entry => true,
            Need::Metrics | Need::Catalog => granted("registry", "catalog", "*"),
            Need::Repository(name, action) => granted(
                "repository",
                name.as_str(),
                match action {
                    Action::Pull => "pull",
                    Action::Push => "push",
                    Action::Delete => "delete",
                },
            ),
        }
    }
}

impl TokenKeys {
    /// Reads a file of public keys or certificates in PEM.
    pub fn open(path: &Path) -> Result<TokenKeys, TokenKeysError> {
        let text = fs::read_to_string(path)
            .map_err(|source| TokenKeysError::Read { path: path.to_owned(), source })?;
        let blocks = text.split("-----BEGIN ").skip(1);
        let keys: Vec<Key> = blocks.filter_map(key).collect();
        match keys.is_empty() {
            true => Err(TokenKeysError::NoKey { path: path.to_owned() }),
            false => Ok(TokenKeys(keys)),
        }
    }

    /// The claims of a token that one of the keys signed.
    fn verified(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_signed = |key: &Key| {
            key.name == header.alg && key.key.verify(signed.as_bytes(), &signature).is_ok()
        };
        self.0.iter().any(is_signed).then_some(())?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// A key out of what follows `-----BEGIN `.
fn key(block: &str) -> Option<Key> {
    let (label, rest) = block.split_once("-----")?;
    let (text, _) = rest.split_once("-----END ")?;
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).ok()?;
    let info = match label {
        "PUBLIC KEY" => Der(&bytes).value(0x30)?,
        "CERTIFICATE" => of_certificate(&bytes)?,
        _ => return None,
    };
    let mut info = Der(info);
    let (mut algorithm, bits) = (Der(info.next(0x30)?), info.next(0x03)?);
    // The first byte says how many bits of the last are not meant: always none.
    let bits = bits.strip_prefix(&[0])?.to_vec();
    let identifier = algorithm.next(0x06)?;
    let (name, kind): (_, &'static dyn VerificationAlgorithm) = match identifier {
        RSA => ("RS256", &RSA_PKCS1_2048_8192_SHA256),
        ELLIPTIC if algorithm.next(0x06)? == P256 => ("ES256", &ECDSA_P256_SHA256_FIXED),
        ED => ("EdDSA", &ED25519),
        _ => return None,
    };
    Some(Key { name, key: UnparsedPublicKey::new(kind, bits) })
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED: &[u8] = &[0x2b, 0x65, 0x70];

/// The public key in a certificate, behind version, number, algorithm, issuer, times and subject.
fn of_certificate(bytes: &[u8]) -> Option<&[u8]> {
    let mut fields = Der(Der(Der(bytes).value(0x30)?).value(0x30)?);
    if fields.0.first() == Some(&0xa0) {
        fields.next(0xa0)?;
    }
    for kind in [0x02, 0x30, 0x30, 0x30, 0x30] {
        fields.next(kind)?;
    }
    fields.next(0x30)
}

/// Values in DER, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The first value, if it is of this kind.
    fn value(mut self, kind: u8) -> Option<&'a [u8]> {
        self.next(kind)
    }

    /// The next value, if it is of this kind.
    fn next(&mut self, kind: u8) -> Option<&'a [u8]> {
        let [found, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            length @ 0..=0x7f => (usize::from(length), rest),
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length).filter(|_| *found == kind)?;
        self.0 = rest;
        Some(value)
    }
}
