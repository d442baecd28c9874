//! Which images may be pulled: all, none, or those that somebody signed, by prefixes of names.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use spec::Reference;

use super::key::VerifyingKey;
use crate::error::{EngineError, Result};

/// What may be pulled.
#[derive(Debug, Default)]
pub struct Policy {
    file: PathBuf,
    table: Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    default: Plain,
    rule: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plain {
    #[default]
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
    /// The same repository and tag.
    Exact,
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
    },
}

impl Policy {
    /// Reads a policy. One that cannot be read lets nothing pass: it is an error.
    pub fn open(file: &Path) -> Result<Policy> {
        let text = std::fs::read_to_string(file).map_err(EngineError::io("read", file))?;
        Policy::parse(file, &text)
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
        Ok(Policy { file: file.to_owned(), table })
    }

    /// Where it stands.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What holds for a name: what the rule with the longest prefix says.
    pub fn verdict(&self, name: &Reference) -> Result<Verdict> {
        let full = name.name();
        let fits = |rule: &&Rule| is_prefix(&rule.prefix, &full);
        let rule = self.table.rule.iter().filter(fits).max_by_key(|rule| rule.prefix.len());
        let Some(rule) = rule else { return Ok(plain(self.table.default)) };
        if let Some(policy) = rule.policy {
            return Ok(plain(policy));
        }
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let open = |path: &PathBuf| VerifyingKey::open(&folder.join(path));
        let keys = rule.signed_by.iter().map(open).collect::<Result<_>>()?;
        Ok(Verdict::Signed { keys, identity: rule.identity })
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
        let of = |name: &str| policy.verdict(&Reference::parse(name).unwrap());
        assert_eq!(of("h.org/app").unwrap(), Verdict::Accept);
        assert_eq!(of("h.org/secret/app:1").unwrap(), Verdict::Reject);
        assert_eq!(of("h.org/secretly").unwrap(), Verdict::Accept);
        assert_eq!(of("alpine").unwrap(), Verdict::Reject);
        assert!(of("h.org/signed").unwrap_err().to_string().contains("/p/missing.pub"));
        let bad = |text: &str| Policy::parse(Path::new("p"), text).is_err();
        assert!(bad("[[rule]]\nprefix = 'a'\n") && bad("default = 'maybe'") && bad("rules = []"));
        assert!(bad("[[rule]]\nprefix='a'\npolicy='accept'\nsigned-by=['x']\n"));
    }
}
