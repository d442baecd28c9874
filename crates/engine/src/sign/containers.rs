//! Containers' `policy.json`: what may be pulled, as podman and skopeo read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use spec::Reference;

use super::key::VerifyingKey;
use super::policy::{Identity, Verdict};
use crate::error::{EngineError, Result};

/// What the file says.
#[derive(Debug, Deserialize)]
pub(super) struct Containers {
    #[serde(skip)]
    file: PathBuf,
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// What an image must be. All of a list must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Requirement {
    #[serde(rename = "type")]
    kind: String,
    key_path: Option<PathBuf>,
    key_paths: Vec<PathBuf>,
    signed_identity: Option<SignedIdentity>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct SignedIdentity {
    #[serde(rename = "type")]
    kind: String,
}

impl Containers {
    /// Reads the file. One that cannot be read lets nothing pass: it is an error.
    pub(super) fn open(file: &Path) -> Result<Containers> {
        let text = std::fs::read_to_string(file).map_err(EngineError::io("read", file))?;
        Containers::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Containers> {
        let bad = |why: String| EngineError::BadPolicy { path: file.to_owned(), why };
        let read: Containers =
            serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        Ok(Containers { file: file.to_owned(), ..read })
    }

    /// Where it stands.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What holds for a name in a registry.
    pub(super) fn verdict(&self, name: &Reference) -> Result<Verdict> {
        let (scope, wanted) = self.scope(name);
        let bad = |why: &str| EngineError::BadPolicy {
            path: self.file.clone(),
            why: format!("{scope}: {why}; a rule of mica's own policy goes before it"),
        };
        let mut verdict = Verdict::Accept;
        if wanted.is_empty() {
            return Err(bad("a list of requirements is empty"));
        }
        for one in wanted {
            match (one.kind.as_str(), &verdict) {
                ("insecureAcceptAnything", _) => {}
                ("reject", _) => return Ok(Verdict::Reject),
                ("sigstoreSigned", Verdict::Accept) => verdict = one.signed(name, &bad)?,
                ("sigstoreSigned", _) => {
                    return Err(bad("several `sigstoreSigned` are not checked"));
                }
                ("signedBy", _) => {
                    return Err(bad(
                        "`signedBy` asks for signatures of GPG, which are not checked",
                    ));
                }
                (kind, _) => return Err(bad(&format!("the requirement {kind:?} is not known"))),
            }
        }
        Ok(verdict)
    }

    /// The most specific list for a name: its own, of a repository or folders above it, the host's,
    /// a domain's, all registries', or everything's.
    fn scope(&self, name: &Reference) -> (String, &[Requirement]) {
        let lists = self.transports.get("docker");
        let find = |scope: &str| lists.and_then(|lists| lists.get(scope));
        let whole = match (name.digest(), name.tag()) {
            (Some(digest), _) => format!("{}@{digest}", name.name()),
            (None, tag) => format!("{}:{}", name.name(), tag.unwrap_or("latest")),
        };
        let mut scopes = vec![whole];
        let (mut path, mut host) = (name.name(), name.domain());
        scopes.push(path.clone());
        while let Some(slash) = path.rfind('/') {
            path.truncate(slash);
            scopes.push(path.clone());
        }
        host = host.split(':').next().unwrap_or(host);
        while let Some((_, rest)) = host.split_once('.') {
            scopes.push(format!("*.{rest}"));
            host = rest;
        }
        scopes.push(String::new());
        let found = scopes.into_iter().find_map(|scope| find(&scope).map(|list| (scope, list)));
        match found {
            Some((scope, list)) => (format!("docker {scope:?}"), list),
            None => ("default".to_owned(), &self.default),
        }
    }
}

impl Requirement {
    /// A signature by one of its keys.
    fn signed(&self, name: &Reference, bad: &dyn Fn(&str) -> EngineError) -> Result<Verdict> {
        if let Some(other) = self.other.keys().next() {
            return Err(bad(&format!("`{other}` of `sigstoreSigned` is not checked")));
        }
        let identity = match self.signed_identity.as_ref().map(|identity| identity.kind.as_str()) {
            Some("matchRepository") => Identity::Repository,
            Some("matchExact") => Identity::Exact,
            // What is named by its digest is what was signed, whatever its tag was then.
            None | Some("matchRepoDigestOrExact") => match name.digest() {
                Some(_) => Identity::Repository,
                None => Identity::Exact,
            },
            Some(kind) => return Err(bad(&format!("the identity {kind:?} is not checked"))),
        };
        let paths: Vec<&PathBuf> = self.key_path.iter().chain(&self.key_paths).collect();
        if paths.is_empty() {
            return Err(bad("`sigstoreSigned` names no `keyPath`"));
        }
        let keys = paths.into_iter().map(|path| VerifyingKey::open(path)).collect::<Result<_>>()?;
        Ok(Verdict::Signed { keys, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                "": [{"type": "insecureAcceptAnything"}],
                "h.org": [{"type": "reject"}],
                "h.org/open": [{"type": "insecureAcceptAnything"}],
                "h.org/open/app:2": [{"type": "reject"}],
                "*.lab.org": [{"type": "reject"}],
                "gpg.org": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k.gpg"}],
                "signed.org": [{"type": "sigstoreSigned", "keyPath": "/none.pub"}],
                "fulcio.org": [{"type": "sigstoreSigned", "fulcio": {}}]
            },
            "docker-daemon": {"": [{"type": "reject"}]}
        }
    }"#;

    #[test]
    fn the_most_specific_list_counts() {
        let policy = Containers::parse(Path::new("/p/policy.json"), POLICY).unwrap();
        let check = |name: &str, expected: Verdict| {
            let verdict = policy.verdict(&Reference::parse(name).unwrap()).unwrap();
            assert_eq!(verdict, expected, "{name}");
        };
        check("alpine", Verdict::Accept);
        check("h.org/app", Verdict::Reject);
        check("h.org/open/app", Verdict::Accept);
        check("h.org/open/app:2", Verdict::Reject);
        check("h.org/opener", Verdict::Reject);
        check("a.lab.org:5000/app", Verdict::Reject);
        check("lab.org/app", Verdict::Accept);
        let only =
            Containers::parse(Path::new("p"), r#"{"default": [{"type": "reject"}]}"#).unwrap();
        let verdict = only.verdict(&Reference::parse("alpine").unwrap()).unwrap();
        assert_eq!(verdict, Verdict::Reject);
    }

    #[test]
    fn what_is_not_checked_lets_nothing_pass() {
        let policy = Containers::parse(Path::new("/p/policy.json"), POLICY).unwrap();
        let check = |name: &str, part: &str| {
            let error = policy.verdict(&Reference::parse(name).unwrap()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("gpg.org/a", "/p/policy.json is no policy: docker \"gpg.org\": `signedBy` asks for");
        check("signed.org/a", "/none.pub");
        check("fulcio.org/a", "`fulcio` of `sigstoreSigned` is not checked");
        for text in ["", "[]", "{}", r#"{"default": {}}"#] {
            assert!(Containers::parse(Path::new("p"), text).is_err(), "{text:?}");
        }
        let none = Containers::parse(Path::new("p"), r#"{"default": []}"#).unwrap();
        assert!(none.verdict(&Reference::parse("a").unwrap()).is_err());
    }
}
