//! Rules: who may do what in which repositories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Action, Need};

/// Rules out of a file. What no rule allows is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Names, of which the last part may be `*`: all below; `*` alone is everything.
    repositories: Vec<String>,
    /// Names; `*` is everybody who said who they are, `anonymous` everybody.
    users: Vec<String>,
    allow: Allow,
}

/// What a rule allows; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Allow {
    Read,
    Write,
    Delete,
}

/// Why a file with rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no TOML, or says what is not known.
    #[error("{} has no rules that can be understood", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
}

impl Rules {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Rules, RulesError> {
        let text = fs::read_to_string(path)
            .map_err(|source| RulesError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| RulesError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Whether a user, or nobody in particular, gets what they need.
    pub(super) fn allow(&self, user: Option<&str>, need: &Need) -> bool {
        let needed = |action| match action {
            Action::Pull => Allow::Read,
            Action::Push => Allow::Write,
            Action::Delete => Allow::Delete,
        };
        let mut theirs = self.rule.iter().filter(|rule| rule.concerns(user));
        match need {
            // There is something for them here.
            Need::Entry => theirs.next().is_some(),
            // These tell of all repositories.
            Need::Catalog | Need::Metrics => {
                theirs.any(|rule| rule.repositories.iter().any(|known| known == "*"))
            }
            Need::Repository(name, action) => theirs.any(|rule| {
                rule.allow >= needed(*action)
                    && rule.repositories.iter().any(|known| covers(known, name.as_str()))
            }),
        }
    }
}

impl Rule {
    fn concerns(&self, user: Option<&str>) -> bool {
        self.users.iter().any(|known| match (known.as_str(), user) {
            ("anonymous", _) | ("*", Some(_)) => true,
            (known, user) => user == Some(known),
        })
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(front) => front.ends_with('/') && name.starts_with(front) && name.len() > front.len(),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RepositoryName;

    #[test]
    fn allow_what_they_say_and_nothing_else() {
        let rules: Rules = toml::from_str(
            r#"
            [[rule]]
            repositories = ["public/*", "app"]
            users = ["anonymous"]
            allow = "read"
            [[rule]]
            repositories = ["*"]
            users = ["ann"]
            allow = "delete"
            [[rule]]
            repositories = ["public/*"]
            users = ["*"]
            allow = "write"
            "#,
        )
        .unwrap();
        let may = |user: &str, name: &str, action| {
            let name = RepositoryName::parse(name).unwrap();
            rules.allow(Some(user).filter(|user| !user.is_empty()), &Need::Repository(name, action))
        };
        assert!(may("", "public/a/b", Action::Pull) && may("", "app", Action::Pull));
        assert!(!may("", "public", Action::Pull) && !may("", "apple", Action::Pull));
        assert!(!may("", "public/a", Action::Push) && may("bob", "public/a", Action::Push));
        assert!(!may("bob", "app", Action::Push) && !may("bob", "public/a", Action::Delete));
        assert!(may("ann", "any/thing", Action::Delete));
        assert!(
            rules.allow(Some("ann"), &Need::Catalog) && !rules.allow(Some("bob"), &Need::Catalog)
        );
        assert!(toml::from_str::<Rules>("[[rule]]\nusers = []\n").is_err());
    }
}
