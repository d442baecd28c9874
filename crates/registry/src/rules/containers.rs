//! Containers' `registries.conf`, version 2, and the folder of pieces beside it.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Mirror, Rule, Serves};
use crate::error::RegistryError;

/// What of the file concerns us; the rest belongs to others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Conf {
    registry: Vec<ConfRegistry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ConfRegistry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<ConfMirror>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ConfMirror {
    location: String,
    insecure: bool,
    pull_from_mirror: String,
}

/// Reads the file and the pieces in the folders, which go before it. What is missing has no rules.
pub fn read_registries_conf(file: &Path, folders: &[PathBuf]) -> Result<Vec<Rule>, RegistryError> {
    let mut files = vec![file.to_owned()];
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut pieces: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        pieces.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        pieces.sort();
        files.extend(pieces);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for file in files {
        for rule in read(&file)? {
            rules.retain(|other| other.prefix != rule.prefix);
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn read(file: &Path) -> Result<Vec<Rule>, RegistryError> {
    let malformed = |why: String| RegistryError::Malformed { url: file.display().to_string(), why };
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| malformed(error.to_string()))?,
    };
    let conf: Conf =
        toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
    Ok(conf.registry.into_iter().map(|registry| registry.rule(file)).collect())
}

impl ConfRegistry {
    fn rule(self, file: &Path) -> Rule {
        let by_digest = self.mirror_by_digest_only;
        let mirrors = self.mirror.into_iter().map(|mirror| Mirror {
            location: mirror.location,
            insecure: mirror.insecure,
            serves: match mirror.pull_from_mirror.as_str() {
                _ if by_digest => Serves::Digests,
                "digest-only" => Serves::Digests,
                "tag-only" => Serves::Tags,
                _ => Serves::All,
            },
        });
        let prefix = if self.prefix.is_empty() { self.location.clone() } else { self.prefix };
        Rule {
            prefix,
            location: Some(self.location).filter(|location| !location.is_empty()),
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors: mirrors.collect(),
            fallback: None,
            file: file.display().to_string(),
        }
    }
}
