//! The settings file: its keys, where it lies, and what is said about a key that is none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use registry::Rule;
use serde::Deserialize;

use super::cache::CacheTable;
use super::runtimes::RuntimeTable;
use super::{CgroupDriver, SettingsError, Standing, folder_of};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SettingsFile {
    pub(super) data_root: Option<PathBuf>,
    pub(super) run_root: Option<PathBuf>,
    pub(super) storage_driver: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) limits: LimitsTable,
    pub(super) registries: RegistriesTable,
    pub(super) default_runtime: Option<String>,
    pub(super) userns_remap: String,
    pub(super) cgroup_driver: CgroupDriver,
    pub(super) runtimes: BTreeMap<String, RuntimeTable>,
    pub(super) build_cache: CacheTable,
    pub(super) registry: RegistryTable,
}

/// What `mica registry` is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RegistryTable {
    pub(super) root: Option<String>,
    pub(super) storage: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RegistriesTable {
    pub(super) insecure: Vec<String>,
    pub(super) credentials: CredentialsKept,
    pub(super) registries_conf: Option<PathBuf>,
    pub(super) host_folders: Option<Vec<PathBuf>>,
    pub(super) policy: Option<PathBuf>,
    #[serde(skip)]
    pub(super) file: PathBuf,
    pub(super) rules: Vec<Rule>,
}

/// How a login is written down where no helper takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CredentialsKept {
    #[default]
    Encrypted,
    Plain,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LimitsTable {
    pub(super) layer_size: Option<String>,
    pub(super) layer_entries: Option<usize>,
    pub(super) layer_apparent_size: Option<String>,
    pub(super) path_depth: Option<usize>,
}

/// The file that `--config` names must be there; the default one may be.
pub(super) fn read_file(
    named: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<SettingsFile, SettingsError> {
    let path = match named {
        Some(path) if path.is_dir() => path.join("config.toml"),
        Some(path) => path.to_owned(),
        None if Standing::of(environment).is_of_user() => {
            folder_of(environment, "XDG_CONFIG_HOME", ".config").join("mica/config.toml")
        }
        None => PathBuf::from("/etc/mica/config.toml"),
    };
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let required = named.is_some_and(|named| !named.is_dir());
            return match required {
                true => Err(SettingsError::Read { path, source: error }),
                false => Ok(SettingsFile::default()),
            };
        }
        other => other.map_err(|source| SettingsError::Read { path: path.clone(), source })?,
    };
    let mut file: SettingsFile = toml::from_str(&text).map_err(|error| {
        SettingsError::Malformed { path: path.clone(), why: with_advice(error.message()) }
    })?;
    file.registries.file = path;
    Ok(file)
}

/// A parser's message, with the key that was probably meant where it names one that is none.
fn with_advice(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let nearest = match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(wrong)) => quoted
            .map(|known| (distance(wrong, known), known))
            .min()
            .filter(|(mistakes, _)| *mistakes <= wrong.len() / 3)
            .map(|(_, known)| known),
        _ => None,
    };
    match nearest {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// How many letters were left out, added or mistaken.
fn distance(typed: &str, meant: &str) -> usize {
    let mut last: Vec<usize> = (0..=meant.len()).collect();
    for (row, letter) in typed.bytes().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in meant.bytes().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            current.push(replaced.min(last[column + 1] + 1).min(current[column] + 1));
        }
        last = current;
    }
    last[meant.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that the parser knows, as it lists them itself.
    fn keys(text: &str) -> Vec<String> {
        let error = toml::from_str::<SettingsFile>(text).unwrap_err();
        let message = error.message().to_owned();
        message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_is_in_the_document() {
        let document = include_str!("../../../../docs/settings.md");
        let (top, limits) = (keys("nope = 1"), keys("[limits]\nnope = 1"));
        assert!(top.len() >= 5 && limits.len() >= 4, "{top:?} {limits:?}");
        let tables = ["limits", "registries", "runtimes", "build-cache", "registry"];
        for key in top.iter().filter(|key| !tables.contains(&key.as_str())) {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("`{key}`")), "{key} in the table");
        }
        for key in &limits {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("| `limits.{key}` |")), "{key} in the table");
        }
        for key in keys("[registries]\nnope = 1").iter().filter(|key| *key != "rules") {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("| `registries.{key}` |")), "{key} in the table");
        }
        for key in keys("[[registries.rules]]\nnope = 1") {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("| `{key}` |")), "{key} in the table");
        }
        for key in keys("[registry]\nnope = 1") {
            assert!(document.contains(&format!("| `registry.{key}` |")), "{key} in the table");
        }
        for key in keys("[build-cache]\nnope = 1").iter().filter(|key| *key != "rules") {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("| `build-cache.{key}` |")), "{key} in the table");
        }
        for key in keys("[[build-cache.rules]]\nnope = 1") {
            assert!(document.contains(&format!("\n{key} = ")), "{key} in the example");
            assert!(document.contains(&format!("| `{key}` |")), "{key} in the table");
        }
        assert!(document.contains("\n[limits]\n") && document.contains("\n[registries]\n"));
    }
}
