//! Containers' `registries.conf`, of either version, and the folder of pieces beside it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Mirror, Rule, Serves};
use crate::error::RegistryError;

/// What of the file concerns us; the rest belongs to others.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Conf {
    registry: Vec<ConfRegistry>,
    /// What else only the second version has. It tells the versions apart.
    unqualified_search_registries: Vec<String>,
    credential_helpers: Vec<String>,
    short_name_mode: String,
    aliases: toml::Table,
    /// The first version.
    registries: First,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ConfRegistry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    pull_from_mirror: String,
    mirror: Vec<ConfMirror>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ConfMirror {
    location: String,
    insecure: bool,
    pull_from_mirror: String,
}

/// The first version of the file: a list of places for each thing that may be true of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct First {
    search: Listed,
    insecure: Listed,
    block: Listed,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed {
    registries: Vec<String>,
}

/// Reads the file and the pieces in the folders, which go before it. What is missing has no rules.
pub fn read_registries_conf(file: &Path, folders: &[PathBuf]) -> Result<Vec<Rule>, RegistryError> {
    let mut rules = read(file, true)?;
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut pieces: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        pieces.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        pieces.sort();
        for piece in pieces {
            add(&mut rules, read(&piece, false)?);
        }
    }
    Ok(rules)
}

/// Adds rules. What came last about a prefix counts.
fn add(rules: &mut Vec<Rule>, more: Vec<Rule>) {
    for rule in more {
        rules.retain(|other| other.prefix != rule.prefix);
        rules.push(rule);
    }
}

/// The rules of a file. Only the main one may be of the first version.
fn read(file: &Path, is_main: bool) -> Result<Vec<Rule>, RegistryError> {
    let malformed = |why: String| RegistryError::Malformed { url: file.display().to_string(), why };
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| malformed(error.to_string()))?,
    };
    let conf: Conf =
        toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
    let found = conf.rules(file, is_main).map_err(malformed)?;
    let mut rules = Vec::new();
    add(&mut rules, found);
    Ok(rules)
}

impl Conf {
    fn rules(self, file: &Path, is_main: bool) -> Result<Vec<Rule>, String> {
        let is_second = !self.registry.is_empty()
            || !self.unqualified_search_registries.is_empty()
            || !self.credential_helpers.is_empty()
            || !self.short_name_mode.is_empty()
            || !self.aliases.is_empty();
        let registries = match (self.registries.is_empty(), is_second) {
            (true, _) => self.registry,
            (false, true) => return Err("mixing sysregistry v1/v2 is not supported".to_owned()),
            (false, false) if !is_main => {
                return Err("registry must be in v2 format but is in v1".to_owned());
            }
            (false, false) => self.registries.second()?,
        };
        let rules = registries.into_iter().map(|registry| registry.rule(file));
        let rules = rules.collect::<Result<Vec<Rule>, String>>()?;
        agree(&rules)?;
        Ok(rules)
    }
}

impl First {
    fn is_empty(&self) -> bool {
        [&self.search, &self.insecure, &self.block].iter().all(|list| list.registries.is_empty())
    }

    /// The same in the second version. Which registries short names are looked for in concerns
    /// nobody here.
    fn second(self) -> Result<Vec<ConfRegistry>, String> {
        let mut all: BTreeMap<String, ConfRegistry> = BTreeMap::new();
        self.search.registries.iter().try_for_each(|text| place(text).map(|_| ()))?;
        for text in &self.insecure.registries {
            all.entry(place(text)?).or_default().insecure = true;
        }
        for text in &self.block.registries {
            all.entry(place(text)?).or_default().blocked = true;
        }
        let with = |(location, registry)| ConfRegistry { location, ..registry };
        Ok(all.into_iter().map(with).collect())
    }
}

impl ConfRegistry {
    fn rule(self, file: &Path) -> Result<Rule, String> {
        let (prefix, location) = (place(&self.prefix)?, place(&self.location)?);
        let prefix = match (prefix.is_empty(), location.is_empty()) {
            (true, true) => {
                return Err("invalid condition: both location and prefix are unset".to_owned());
            }
            (true, false) => location.clone(),
            (false, true) if !prefix.starts_with("*.") => {
                return Err(
                    "invalid condition: location is unset and prefix is not in the format: \
                     *.example.com"
                        .to_owned(),
                );
            }
            (false, _) => prefix,
        };
        if prefix.starts_with("*.") && prefix.contains(['/', '@', ':']) {
            return Err(format!(
                "Wildcarded prefix should be in the format: *.example.com. Current prefix \
                 {prefix:?} is incorrectly formatted"
            ));
        }
        if !self.pull_from_mirror.is_empty() {
            return Err(format!(
                "pull-from-mirror must not be set for a non-mirror registry {prefix:?}"
            ));
        }
        let by_digest = self.mirror_by_digest_only;
        let mirrors = self.mirror.into_iter().map(|mirror| mirror.checked(&prefix, by_digest));
        Ok(Rule {
            mirrors: mirrors.collect::<Result<_, String>>()?,
            prefix,
            location: Some(location).filter(|location| !location.is_empty()),
            insecure: self.insecure,
            blocked: self.blocked,
            fallback: None,
            file: file.display().to_string(),
        })
    }
}

impl ConfMirror {
    /// The mirror of a registry, whose mirrors are perhaps asked for digests alone.
    fn checked(self, registry: &str, by_digest: bool) -> Result<Mirror, String> {
        let location = place(&self.location)?;
        if location.is_empty() {
            return Err("invalid condition: mirror location is unset".to_owned());
        }
        let serves = match (self.pull_from_mirror.as_str(), by_digest) {
            ("", true) => Serves::Digests,
            (_, true) => {
                return Err(format!(
                    "cannot set mirror usage mirror-by-digest-only for the registry ({registry:?}) \
                     and pull-from-mirror for per-mirror ({location:?}) at the same time"
                ));
            }
            ("" | "all", false) => Serves::All,
            ("digest-only", false) => Serves::Digests,
            ("tag-only", false) => Serves::Tags,
            (other, false) => {
                return Err(format!(
                    "unsupported pull-from-mirror value {other:?} for mirror {location:?}"
                ));
            }
        };
        Ok(Mirror { location, insecure: self.insecure, serves })
    }
}

/// A prefix or a location, less what slashes it ends in.
fn place(text: &str) -> Result<String, String> {
    let place = text.trim_end_matches('/');
    match place.starts_with("http://") || place.starts_with("https://") {
        true => Err(format!("invalid location '{place}': URI schemes are not supported")),
        false => Ok(place.to_owned()),
    }
}

/// A place may stand in several tables, as long as they say the same of it.
fn agree(rules: &[Rule]) -> Result<(), String> {
    let location = |rule: &Rule| rule.location.clone().unwrap_or_else(|| rule.prefix.clone());
    let mut known: BTreeMap<String, &Rule> = BTreeMap::new();
    for rule in rules {
        let place = location(rule);
        let first = *known.entry(place.clone()).or_insert(rule);
        let said = match (first.insecure == rule.insecure, first.blocked == rule.blocked) {
            (true, true) => continue,
            (false, _) => "insecure",
            (true, false) => "blocked",
        };
        return Err(format!(
            "registry '{place}' is defined multiple times with conflicting '{said}' setting"
        ));
    }
    Ok(())
}
