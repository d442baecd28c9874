//! Which images may be pulled: all, none, or those that somebody signed, by prefixes of names. Mica's
//! own file goes first; where it says nothing, containers' does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use registry::Repository;
use serde::Deserialize;
use spec::{Digest, Reference};

use super::containers::Containers;
use super::key::VerifyingKey;
use crate::error::{EngineError, Result};

/// What may be pulled.
#[derive(Debug, Default)]
pub struct Policy {
    file: PathBuf,
    table: Table,
    containers: Option<Containers>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    default: Option<Plain>,
    rule: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plain {
    Accept,
    Reject,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    prefix: String,
    policy: Option<Plain>,
    #[serde(default)]
    signed_by: Vec<PathBuf>,
    #[serde(default)]
    identity: Identity,
}

/// What a signature must say of the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// The same repository, under whatever tag.
    #[default]
    Repository,
    /// The same repository, and the tag that is pulled if it is pulled by one.
    Exact,
    /// The same name as is pulled, with its tag or its digest. Containers' files alone say so.
    #[serde(skip)]
    Whole,
    /// The same, but that a digest may have been signed under whatever tag.
    #[serde(skip)]
    DigestOrWhole,
    /// The same repository, where a signature names one at all. No policy says so, but who looks
    /// without one.
    #[serde(skip)]
    Loose,
}

/// What holds for a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be pulled.
    Accept,
    /// It may not be pulled.
    Reject,
    /// It may be pulled if one of the keys signed it.
    Signed {
        /// The keys.
        keys: Vec<VerifyingKey>,
        /// What the signature must say of the name.
        identity: Identity,
        /// The name that it must say that of, where it is another than the one that is pulled.
        claimed: Option<Reference>,
    },
}

impl Policy {
    /// Reads mica's own policy and containers', as far as there are any. One that cannot be read lets
    /// nothing pass: it is an error.
    pub fn open(own: Option<&Path>, containers: Option<&Path>) -> Result<Option<Policy>> {
        let read = |file: &Path| {
            let text = std::fs::read_to_string(file).map_err(EngineError::io("read", file))?;
            Policy::parse(file, &text)
        };
        let own = own.map(read).transpose()?;
        let containers = containers.map(Containers::open).transpose()?;
        if own.is_none() && containers.is_none() {
            return Ok(None);
        }
        Ok(Some(Policy { containers, ..own.unwrap_or_default() }))
    }

    fn parse(file: &Path, text: &str) -> Result<Policy> {
        let bad = |why: String| EngineError::BadPolicy { path: file.to_owned(), why };
        let table: Table = toml::from_str(text).map_err(|error| bad(error.message().to_owned()))?;
        for rule in &table.rule {
            if rule.policy.is_some() != rule.signed_by.is_empty() {
                let prefix = &rule.prefix;
                return Err(bad(format!("{prefix}: one of `policy` and `signed-by` is wanted")));
            }
        }
        Ok(Policy { file: file.to_owned(), table, containers: None })
    }

    /// What holds for a name, and the file that says so.
    pub fn verdict(&self, name: &Reference) -> Result<(Verdict, &Path)> {
        if let Some(verdict) = self.own(name)? {
            return Ok((verdict, &self.file));
        }
        match &self.containers {
            Some(containers) => Ok((containers.verdict(name)?, containers.file())),
            None => Ok((Verdict::Accept, &self.file)),
        }
    }

    /// Refuses what it does not let in: a name that stands for one of these manifests.
    pub(crate) fn judge(
        &self,
        repository: &Repository<'_>,
        name: &Reference,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<()> {
        let (verdict, file) = self.verdict(name)?;
        let why = match verdict {
            Verdict::Accept => return Ok(()),
            Verdict::Reject => Some("the policy rejects it".to_owned()),
            Verdict::Signed { keys, identity, claimed } => {
                let name = claimed.as_ref().unwrap_or(name);
                let digests: Vec<Digest> = BTreeSet::from_iter(digests).into_iter().collect();
                super::refusal(repository, name, &digests, &keys, identity)?
            }
        };
        let file = file.to_owned();
        why.map_or(Ok(()), |why| Err(EngineError::Unsigned { name: name.familiar(), why, file }))
    }

    /// What mica's own file says: the rule with the longest prefix, or what holds without one.
    fn own(&self, name: &Reference) -> Result<Option<Verdict>> {
        let full = name.name();
        let fits = |rule: &&Rule| is_prefix(&rule.prefix, &full);
        let rule = self.table.rule.iter().filter(fits).max_by_key(|rule| rule.prefix.len());
        let Some(rule) = rule else { return Ok(self.table.default.map(plain)) };
        if let Some(policy) = rule.policy {
            return Ok(Some(plain(policy)));
        }
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let open = |path: &PathBuf| VerifyingKey::open(&folder.join(path));
        let keys = rule.signed_by.iter().map(open).collect::<Result<_>>()?;
        Ok(Some(Verdict::Signed { keys, identity: rule.identity, claimed: None }))
    }
}

fn plain(policy: Plain) -> Verdict {
    match policy {
        Plain::Accept => Verdict::Accept,
        Plain::Reject => Verdict::Reject,
    }
}

/// Whether a name begins so, with whole parts of its path.
fn is_prefix(prefix: &str, name: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = name.strip_prefix(prefix);
    prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        let text = "default = 'reject'\n[[rule]]\nprefix = 'h.org'\npolicy = 'accept'\n\
                    [[rule]]\nprefix = 'h.org/secret'\npolicy = 'reject'\n\
                    [[rule]]\nprefix = 'h.org/signed'\nsigned-by = ['missing.pub']\n";
        let policy = Policy::parse(Path::new("/p/policy.toml"), text).unwrap();
        let of = |name: &str| {
            policy.verdict(&Reference::parse(name).unwrap()).map(|(verdict, _)| verdict)
        };
        assert_eq!(of("h.org/app").unwrap(), Verdict::Accept);
        assert_eq!(of("h.org/secret/app:1").unwrap(), Verdict::Reject);
        assert_eq!(of("h.org/secretly").unwrap(), Verdict::Accept);
        assert_eq!(of("alpine").unwrap(), Verdict::Reject);
        assert!(of("h.org/signed").unwrap_err().to_string().contains("/p/missing.pub"));
        let bad = |text: &str| Policy::parse(Path::new("p"), text).is_err();
        assert!(bad("[[rule]]\nprefix = 'a'\n") && bad("default = 'maybe'") && bad("rules = []"));
        assert!(bad("[[rule]]\nprefix='a'\npolicy='accept'\nsigned-by=['x']\n"));
    }

    #[test]
    fn containers_policy_fills_what_ours_leaves_open() {
        let folder = tempfile::tempdir().unwrap();
        let [own, others] = ["policy.toml", "policy.json"].map(|name| folder.path().join(name));
        std::fs::write(&others, "{\"default\": [{\"type\": \"reject\"}]}").unwrap();
        let check = |text: &str, name: &str, expected: Verdict, by: &Path| {
            std::fs::write(&own, text).unwrap();
            let policy = Policy::open(Some(&own), Some(&others)).unwrap().unwrap();
            let verdict = policy.verdict(&Reference::parse(name).unwrap()).unwrap();
            assert_eq!(verdict, (expected, by), "{text} {name}");
        };
        let rule = "[[rule]]\nprefix = 'h.org'\npolicy = 'accept'\n";
        check(rule, "h.org/a", Verdict::Accept, &own);
        check(rule, "a", Verdict::Reject, &others);
        check("default = 'accept'", "a", Verdict::Accept, &own);
        check("default = 'reject'", "a", Verdict::Reject, &own);
        let alone = Policy::open(None, Some(&others)).unwrap().unwrap();
        let name = Reference::parse("a").unwrap();
        assert_eq!(alone.verdict(&name).unwrap(), (Verdict::Reject, others.as_path()));
        assert!(Policy::open(None, None).unwrap().is_none());
    }
}
