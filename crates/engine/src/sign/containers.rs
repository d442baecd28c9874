//! Containers' `policy.json`: what may be pulled, as podman and skopeo read it.

use std::path::{Path, PathBuf};

use spec::Reference;

use super::key::VerifyingKey;
use super::policy::{Identity, Verdict};
use crate::error::{EngineError, Result};
use document::{PolicyDocument, Requirement, SignedIdentity, SigstoreSigned};

mod document;

/// What the file says.
#[derive(Debug)]
pub(super) struct Containers {
    file: PathBuf,
    document: PolicyDocument,
}

impl Containers {
    /// Reads the file. One that cannot be read lets nothing pass: it is an error.
    pub(super) fn open(file: &Path) -> Result<Containers> {
        let text = std::fs::read_to_string(file).map_err(EngineError::io("read", file))?;
        Containers::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Containers> {
        let bad = |why: String| EngineError::BadPolicy { path: file.to_owned(), why };
        let document = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        Ok(Containers { file: file.to_owned(), document })
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
        for one in wanted {
            match (one, &verdict) {
                (Requirement::InsecureAcceptAnything {}, _) => {}
                (Requirement::Reject {}, _) => return Ok(Verdict::Reject),
                (Requirement::SigstoreSigned(signed), Verdict::Accept) => {
                    verdict = self.signed(name, signed, &bad)?;
                }
                (Requirement::SigstoreSigned(_), _) => {
                    return Err(bad("several `sigstoreSigned` are not checked"));
                }
                (Requirement::SignedBy(_), _) => {
                    return Err(bad(
                        "`signedBy` asks for signatures of GPG, which are not checked",
                    ));
                }
                (Requirement::SignedBaseLayer { .. }, _) => {
                    return Err(bad("`signedBaseLayer` is not checked"));
                }
            }
        }
        Ok(verdict)
    }

    /// A signature by one of its keys.
    fn signed(
        &self,
        name: &Reference,
        wanted: &SigstoreSigned,
        bad: &dyn Fn(&str) -> EngineError,
    ) -> Result<Verdict> {
        if let Some(other) = wanted.unchecked() {
            return Err(bad(&format!("`{other}` of `sigstoreSigned` is not checked")));
        }
        let parsed = |text: &str| {
            Reference::parse(text).map(Some).map_err(|why| bad(&format!("{text:?}: {why}")))
        };
        let (identity, claimed) = match &wanted.signed_identity {
            Some(SignedIdentity::MatchRepository {}) => (Identity::Repository, None),
            Some(SignedIdentity::MatchExact {}) => (Identity::Whole, None),
            None | Some(SignedIdentity::MatchRepoDigestOrExact {}) => {
                (Identity::DigestOrWhole, None)
            }
            Some(SignedIdentity::ExactReference { docker_reference }) => {
                (Identity::Whole, parsed(docker_reference)?)
            }
            Some(SignedIdentity::ExactRepository { docker_repository }) => {
                (Identity::Repository, parsed(docker_repository)?)
            }
            Some(SignedIdentity::RemapIdentity { prefix, signed_prefix }) => {
                let other = remapped(name, prefix, signed_prefix);
                let other = other.map(|text| parsed(&text)).transpose()?.flatten();
                (Identity::DigestOrWhole, other)
            }
        };
        let mut keys = Vec::new();
        for path in wanted.paths() {
            keys.push(VerifyingKey::open(path)?);
        }
        for text in wanted.texts() {
            keys.push(VerifyingKey::parse(&self.file, text)?);
        }
        Ok(Verdict::Signed { keys, identity, claimed })
    }

    /// The most specific list for a name: its own, of a repository or folders above it, the host's,
    /// a domain's, all registries', or everything's.
    fn scope(&self, name: &Reference) -> (String, &[Requirement]) {
        let lists = self.document.transports.get("docker");
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
            None => ("default".to_owned(), &self.document.default),
        }
    }
}

/// A name with another beginning, if it begins with the prefix: what it was signed as where it came
/// from.
fn remapped(name: &Reference, prefix: &str, signed_prefix: &str) -> Option<String> {
    let (bare, full) = (name.name(), name.to_string());
    let rest = bare.strip_prefix(prefix)?;
    let begins_so = rest.is_empty() || rest.starts_with('/');
    begins_so.then(|| format!("{signed_prefix}{}", &full[prefix.len()..]))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

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
        for text in ["", "[]", "{}", r#"{"default": {}}"#, r#"{"default": []}"#] {
            assert!(Containers::parse(Path::new("p"), text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_whole_name_counts_where_the_file_says_so() {
        let text = r#"{"default": [{"type": "sigstoreSigned", "keyData": "DATA"IDENTITY}]}"#;
        let pem = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let text = text.replace("DATA", &BASE64_STANDARD.encode(pem));
        let check = |said: &str, expected: Identity| {
            let text = text.replace("IDENTITY", said);
            let policy = Containers::parse(Path::new("p"), &text).unwrap();
            let verdict = policy.verdict(&Reference::parse("a").unwrap()).unwrap();
            let Verdict::Signed { keys, identity, claimed } = verdict else {
                panic!("{verdict:?}")
            };
            assert_eq!((keys.len(), identity, claimed), (1, expected, None), "{text}");
        };
        check("", Identity::DigestOrWhole);
        let said = |kind: &str| format!(r#", "signedIdentity": {{"type": "{kind}"}}"#);
        check(&said("matchRepoDigestOrExact"), Identity::DigestOrWhole);
        check(&said("matchExact"), Identity::Whole);
        check(&said("matchRepository"), Identity::Repository);
    }

    #[test]
    fn a_mirror_may_have_what_was_signed_elsewhere() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let digest = spec::Digest::of(b"");
        let check = |said: &str, name: &str, expected: (Identity, Option<&str>)| {
            let text = format!(
                r#"{{"default": [{{"type": "sigstoreSigned", "keyData": "{}",
                    "signedIdentity": {said}}}]}}"#,
                BASE64_STANDARD.encode(pem)
            );
            let policy = Containers::parse(Path::new("p"), &text).unwrap();
            let name = Reference::parse(&name.replace("DIGEST", &digest.to_string())).unwrap();
            let verdict = policy.verdict(&name).unwrap();
            let Verdict::Signed { identity, claimed, .. } = verdict else { panic!("{verdict:?}") };
            let claimed =
                claimed.map(|name| name.to_string().replace(&digest.to_string(), "DIGEST"));
            assert_eq!((identity, claimed.as_deref()), expected, "{said}");
        };
        let exact = r#"{"type": "exactReference", "dockerReference": "busybox:1"}"#;
        check(exact, "m.org/x:2", (Identity::Whole, Some("docker.io/library/busybox:1")));
        let repository = r#"{"type": "exactRepository", "dockerRepository": "busybox"}"#;
        check(repository, "m.org/x:2", (Identity::Repository, Some("docker.io/library/busybox")));
        let remap = |prefix: &str, signed: &str| {
            format!(
                r#"{{"type": "remapIdentity", "prefix": "{prefix}", "signedPrefix": "{signed}"}}"#
            )
        };
        let hub = remap("m.org:5000/hub", "docker.io/library");
        let expected = Identity::DigestOrWhole;
        check(&hub, "m.org:5000/hub/a:1", (expected, Some("docker.io/library/a:1")));
        check(&hub, "m.org:5000/hub/a@DIGEST", (expected, Some("docker.io/library/a@DIGEST")));
        check(&hub, "m.org:5000/hubs/a:1", (expected, None));
        check(&remap("m.org", "a.org"), "m.org/a/b:1", (expected, Some("a.org/a/b:1")));
        check(&remap("m.org", "a.org"), "m.org:5000/a/b:1", (expected, None));
        check(&remap("m.org/a", "a.org/b"), "m.org/a:1", (expected, Some("a.org/b:1")));
    }
}
