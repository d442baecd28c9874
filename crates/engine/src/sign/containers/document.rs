//! What may stand in containers' `policy.json`. As for the tools that it was made for, whatever is
//! not known, or said twice, is an error of the whole file: it could have been meant to forbid.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use spec::Reference;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyDocument {
    pub(super) default: Requirements,
    #[serde(default)]
    pub(super) transports: Once<Once<Requirements>>,
}

/// What an image must be. All of a list must hold, and there is at least one.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Requirement>")]
pub(super) struct Requirements(Vec<Requirement>);

impl Deref for Requirements {
    type Target = [Requirement];

    fn deref(&self) -> &[Requirement] {
        &self.0
    }
}

impl TryFrom<Vec<Requirement>> for Requirements {
    type Error = String;

    fn try_from(list: Vec<Requirement>) -> Result<Requirements, String> {
        if list.is_empty() {
            return Err("a list of requirements is empty".to_owned());
        }
        list.iter().try_for_each(Requirement::check)?;
        Ok(Requirements(list))
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Requirement {
    #[serde(rename = "insecureAcceptAnything")]
    InsecureAcceptAnything {},
    #[serde(rename = "reject")]
    Reject {},
    #[serde(rename = "signedBy")]
    SignedBy(SignedBy),
    #[serde(rename = "signedBaseLayer", rename_all = "camelCase")]
    SignedBaseLayer { base_layer_identity: SignedIdentity },
    #[serde(rename = "sigstoreSigned")]
    SigstoreSigned(Box<SigstoreSigned>),
}

/// Signatures of GPG, which are read here and not checked anywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code)]
pub(super) struct SignedBy {
    key_type: KeyType,
    #[serde(deserialize_with = "said")]
    key_path: Option<PathBuf>,
    #[serde(deserialize_with = "said")]
    key_paths: Option<Vec<PathBuf>>,
    #[serde(deserialize_with = "said")]
    key_data: Option<Data>,
    #[serde(deserialize_with = "said")]
    signed_identity: Option<SignedIdentity>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
enum KeyType {
    /// Nothing was said.
    #[default]
    #[serde(skip)]
    Missing,
    #[serde(rename = "GPGKeys")]
    Keys,
    #[serde(rename = "signedByGPGKeys")]
    SignedByKeys,
    #[serde(rename = "X509Certificates")]
    Certificates,
    #[serde(rename = "signedByX509CAs")]
    SignedByAuthorities,
}

/// Signatures in the way of cosign.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SigstoreSigned {
    #[serde(deserialize_with = "said")]
    key_path: Option<PathBuf>,
    #[serde(deserialize_with = "said")]
    key_paths: Option<Vec<PathBuf>>,
    #[serde(deserialize_with = "said")]
    key_data: Option<Data>,
    #[serde(deserialize_with = "said")]
    key_datas: Option<Vec<Data>>,
    #[serde(deserialize_with = "said")]
    fulcio: Option<Fulcio>,
    #[serde(deserialize_with = "said")]
    pki: Option<Pki>,
    #[serde(deserialize_with = "said")]
    rekor_public_key_path: Option<PathBuf>,
    #[serde(deserialize_with = "said")]
    rekor_public_key_paths: Option<Vec<PathBuf>>,
    #[serde(deserialize_with = "said")]
    rekor_public_key_data: Option<Data>,
    #[serde(deserialize_with = "said")]
    rekor_public_key_datas: Option<Vec<Data>>,
    #[serde(deserialize_with = "said")]
    pub(super) signed_identity: Option<SignedIdentity>,
}

/// Certificates of a service, which are not checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code)]
struct Fulcio {
    ca_path: PathBuf,
    ca_data: Data,
    oidc_issuer: String,
    subject_email: String,
}

/// Certificates of one's own, which are not checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code)]
struct Pki {
    ca_roots_path: PathBuf,
    ca_roots_data: Data,
    ca_intermediates_path: PathBuf,
    ca_intermediates_data: Data,
    subject_email: String,
    subject_hostname: String,
}

/// What a signature must say of the name.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum SignedIdentity {
    MatchExact {},
    MatchRepoDigestOrExact {},
    MatchRepository {},
    #[serde(rename_all = "camelCase")]
    ExactReference {
        docker_reference: String,
    },
    #[serde(rename_all = "camelCase")]
    ExactRepository {
        docker_repository: String,
    },
    #[serde(rename_all = "camelCase")]
    RemapIdentity {
        prefix: String,
        signed_prefix: String,
    },
}

impl Requirement {
    fn identity(&self) -> Option<&SignedIdentity> {
        match self {
            Requirement::SignedBy(signed) => signed.signed_identity.as_ref(),
            Requirement::SignedBaseLayer { base_layer_identity } => Some(base_layer_identity),
            Requirement::SigstoreSigned(signed) => signed.signed_identity.as_ref(),
            Requirement::InsecureAcceptAnything {} | Requirement::Reject {} => None,
        }
    }

    /// Whether what it asks for can be meant.
    fn check(&self) -> Result<(), String> {
        if let Some(identity) = self.identity() {
            identity.check()?;
        }
        match self {
            Requirement::SignedBy(signed) => {
                if signed.key_type == KeyType::Missing {
                    return Err("`signedBy` names no `keyType`".to_owned());
                }
                let given = [
                    signed.key_path.is_some(),
                    signed.key_paths.is_some(),
                    signed.key_data.is_some(),
                ];
                one_of(&given, "`signedBy`: one of `keyPath`, `keyPaths` and `keyData` is wanted")?;
                some_of(&signed.key_paths, "keyPaths")
            }
            Requirement::SigstoreSigned(signed) => {
                let given = [
                    signed.key_path.is_some(),
                    signed.key_paths.is_some(),
                    signed.key_data.is_some(),
                    signed.key_datas.is_some(),
                    signed.fulcio.is_some(),
                    signed.pki.is_some(),
                ];
                let wanted = "`sigstoreSigned`: one of `keyPath`, `keyPaths`, `keyData`, \
                    `keyDatas`, `fulcio` and `pki` is wanted";
                one_of(&given, wanted)?;
                some_of(&signed.key_paths, "keyPaths")?;
                some_of(&signed.key_datas, "keyDatas")
            }
            _ => Ok(()),
        }
    }
}

fn one_of(given: &[bool], wanted: &str) -> Result<(), String> {
    match given.iter().filter(|given| **given).count() {
        1 => Ok(()),
        _ => Err(wanted.to_owned()),
    }
}

fn some_of<T>(list: &Option<Vec<T>>, name: &str) -> Result<(), String> {
    match list {
        Some(list) if list.is_empty() => Err(format!("`{name}` is empty")),
        _ => Ok(()),
    }
}

impl SigstoreSigned {
    /// What is asked for that is not checked.
    pub(super) fn unchecked(&self) -> Option<&'static str> {
        let asked = [
            ("fulcio", self.fulcio.is_some()),
            ("pki", self.pki.is_some()),
            ("rekorPublicKeyPath", self.rekor_public_key_path.is_some()),
            ("rekorPublicKeyPaths", self.rekor_public_key_paths.is_some()),
            ("rekorPublicKeyData", self.rekor_public_key_data.is_some()),
            ("rekorPublicKeyDatas", self.rekor_public_key_datas.is_some()),
        ];
        asked.into_iter().find(|(_, is_asked)| *is_asked).map(|(name, _)| name)
    }

    /// The files with its keys.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.key_path.iter().chain(self.key_paths.iter().flatten())
    }

    /// The keys that stand in the policy itself.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.key_data.iter().chain(self.key_datas.iter().flatten()).map(|data| data.0.as_str())
    }
}

impl SignedIdentity {
    /// Whether the names in it are names, and say as much as they must.
    fn check(&self) -> Result<(), String> {
        let parsed = |text: &str| Reference::parse(text).map_err(|why| format!("{text:?}: {why}"));
        match self {
            SignedIdentity::ExactReference { docker_reference: text } => {
                let name = parsed(text)?;
                match name.tag().is_none() && name.digest().is_none() {
                    true => Err(format!("{text:?} has neither a tag nor a digest")),
                    false => Ok(()),
                }
            }
            SignedIdentity::ExactRepository { docker_repository } => {
                parsed(docker_repository).map(|_| ())
            }
            SignedIdentity::RemapIdentity { prefix, signed_prefix } => {
                [prefix, signed_prefix].into_iter().try_for_each(|text| is_prefix(text))
            }
            SignedIdentity::MatchExact {}
            | SignedIdentity::MatchRepoDigestOrExact {}
            | SignedIdentity::MatchRepository {} => Ok(()),
        }
    }
}

/// Whether full names may begin so: with a host, perhaps with parts of a path behind it.
fn is_prefix(text: &str) -> Result<(), String> {
    let below = format!("{text}/a/b");
    match Reference::parse(&below) {
        Ok(name) if name.name() == below => Ok(()),
        _ => Err(format!("{text:?} does not begin full names")),
    }
}

/// PEM that stands in the file, in base64.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Data(String);

impl TryFrom<String> for Data {
    type Error = String;

    fn try_from(text: String) -> Result<Data, String> {
        let bytes =
            BASE64_STANDARD.decode(text).map_err(|_| "a key is not in base64".to_owned())?;
        String::from_utf8(bytes).map(Data).map_err(|_| "a key is no text".to_owned())
    }
}

/// What is there must be of its type: `null` is not.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A map in which nothing is said twice.
#[derive(Debug)]
pub(super) struct Once<T>(BTreeMap<String, T>);

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once(BTreeMap::new())
    }
}

impl<T> Deref for Once<T> {
    type Target = BTreeMap<String, T>;

    fn deref(&self) -> &BTreeMap<String, T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Once<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once<T>, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Once<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Once<T>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry::<String, T>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format!("duplicate key `{key}`")));
                    }
                    map.insert(key, value);
                }
                Ok(Once(map))
            }
        }
        from.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let told =
            serde_json::from_str::<PolicyDocument>(text).err().map(|error| error.to_string());
        match (told, expected) {
            (None, None) => {}
            (Some(told), Some(part)) if told.contains(part) => {}
            (told, _) => panic!("{text}: {told:?}, wanted {expected:?}"),
        }
    }

    #[test]
    fn what_is_unknown_or_said_twice_is_an_error_of_the_whole_file() {
        let of = |requirement: &str| format!(r#"{{"default": [{requirement}]}}"#);
        let reject = r#"{"type": "reject"}"#;
        check(&of(reject), None);
        check(&of(r#"{"type": "maybe"}"#), Some("maybe"));
        check(&of("{}"), Some("type"));
        check(&of(r#"{"type": "reject", "type": "insecureAcceptAnything"}"#), Some("duplicate"));
        check(&of(r#"{"type": "insecureAcceptAnything", "keyPath": "/k"}"#), Some("keyPath"));
        check(&of(r#"{"type": "reject", "x": 1}"#), Some("`x`"));
        check(r#"{"default": [{"type": "reject"}], "defaults": []}"#, Some("defaults"));
        let again = format!(r#"{{"default": [{reject}], "default": [{reject}]}}"#);
        check(&again, Some("duplicate"));
        let list = |scopes: &str| {
            format!(r#"{{"default": [{reject}], "transports": {{"docker": {{{scopes}}}}}}}"#)
        };
        check(&list(&format!(r#""a": [{reject}], "": [{reject}]"#)), None);
        check(&list(&format!(r#""a": [{reject}], "a": [{reject}]"#)), Some("duplicate key `a`"));
        check(&list(r#""a": []"#), Some("is empty"));
        check(&list(r#""a": null"#), Some("null"));
        let twice =
            format!(r#"{{"default": [{reject}], "transports": {{"dir": {{}}, "dir": {{}}}}}}"#);
        check(&twice, Some("duplicate key `dir`"));
    }

    #[test]
    fn requirements_are_those_of_their_type() {
        let signed = |fields: &str| {
            let text = format!(r#"{{"default": [{{"type": "sigstoreSigned"{fields}}}]}}"#);
            text.replace('\'', "\"")
        };
        check(&signed(", 'keyPath': '/k'"), None);
        check(&signed(", 'keyPaths': ['/k', '/l']"), None);
        check(&signed(", 'keyData': 'aGk='"), None);
        check(&signed(", 'fulcio': {'caPath': '/c', 'oidcIssuer': 'i'}"), None);
        check(&signed(""), Some("one of"));
        check(&signed(", 'keyPath': '/k', 'keyData': 'aGk='"), Some("one of"));
        check(&signed(", 'keyPath': null"), Some("null"));
        check(&signed(", 'keyPath': ['/k']"), Some("string"));
        check(&signed(", 'keyPath': '/k', 'keyPath': '/l'"), Some("duplicate"));
        check(&signed(", 'keyPaths': []"), Some("is empty"));
        check(&signed(", 'keyData': '?'"), Some("base64"));
        check(&signed(", 'keyPath': '/k', 'keypath': '/l'"), Some("keypath"));
        check(&signed(", 'fulcio': {'ca': '/c'}"), Some("`ca`"));
        check(&signed(", 'fulcio': {'caPath': '/c', 'caPath': '/d'}"), Some("duplicate"));
        let identity = |text: &str| signed(&format!(", 'keyPath': '/k', 'signedIdentity': {text}"));
        check(&identity("{'type': 'matchExact'}"), None);
        check(&identity("{'type': 'exactReference', 'dockerReference': 'a:1'}"), None);
        check(&identity("{'type': 'matchExact', 'prefix': 'a'}"), Some("prefix"));
        check(&identity("{'type': 'matchAll'}"), Some("matchAll"));
        check(&identity("{'type': 'remapIdentity', 'prefix': 'a'}"), Some("signedPrefix"));
        check(
            &identity("{'type': 'exactReference', 'dockerReference': 'a'}"),
            Some("neither a tag"),
        );
        check(&identity("{'type': 'exactReference', 'dockerReference': 'A:1'}"), Some("\"A:1\""));
        check(&identity("{'type': 'exactRepository', 'dockerRepository': 'a'}"), None);
        check(&identity("{'type': 'exactRepository', 'dockerRepository': ''}"), Some("\"\""));
        let remap = |prefix: &str| {
            let text = "{'type': 'remapIdentity', 'prefix': 'PREFIX', 'signedPrefix': 'a.org'}";
            identity(&text.replace("PREFIX", prefix))
        };
        for prefix in ["m.org", "m.org:5000", "m.org/a/b", "docker.io/library", "localhost"] {
            check(&remap(prefix), None);
        }
        for prefix in ["", "busybox", "m.org/", "m.org/a:1", "http://m.org"] {
            check(&remap(prefix), Some("does not begin full names"));
        }
        let by = |fields: &str| {
            let text = format!(r#"{{"default": [{{"type": "signedBy"{fields}}}]}}"#);
            text.replace('\'', "\"")
        };
        check(&by(", 'keyType': 'GPGKeys', 'keyPath': '/k'"), None);
        check(&by(", 'keyPath': '/k'"), Some("keyType"));
        check(&by(", 'keyType': 'x', 'keyPath': '/k'"), Some("`x`"));
        check(&by(", 'keyType': 'GPGKeys'"), Some("one of"));
        check(&by(", 'keyType': 'GPGKeys', 'keyDatas': ['aGk=']"), Some("keyDatas"));
    }
}
