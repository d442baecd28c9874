//! Which runtimes there are besides our own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use runtime::external::Program;
use serde::Deserialize;
use serde_json::{Value, json};

use super::SettingsError;

/// The name of our own, which is no program but a part of this one.
pub const OWN_RUNTIME: &str = "mica";

/// Runtimes that need not be named in the settings where they are installed.
const KNOWN: [&str; 2] = ["crun", "runc"];

/// A row of `[runtimes]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RuntimeTable {
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
}

/// Which runtimes there are, and which one is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// The one that is taken where none is asked for.
    pub default: String,
    /// Programs that the settings name.
    table: BTreeMap<String, Program>,
    /// Where others are looked for, when somebody asks for them.
    search: String,
}

impl RuntimeSettings {
    pub(super) fn gather(
        default: Option<String>,
        table: BTreeMap<String, RuntimeTable>,
        environment: &BTreeMap<String, String>,
    ) -> Result<RuntimeSettings, SettingsError> {
        let search = environment.get("PATH").cloned().unwrap_or_default();
        let mut programs = BTreeMap::new();
        for (name, RuntimeTable { path, args }) in table {
            if name == OWN_RUNTIME || path.as_os_str().is_empty() {
                let what = if name == OWN_RUNTIME { "is our own" } else { "has no path" };
                return Err(SettingsError::Value(format!("runtimes.{name} {what}")));
            }
            let found = match path.components().count() {
                1 => find(&path.display().to_string(), &search).unwrap_or(path),
                _ => path,
            };
            programs.insert(name, Program { path: found, args });
        }
        let default = default.unwrap_or_else(|| OWN_RUNTIME.to_owned());
        Ok(RuntimeSettings { default, table: programs, search })
    }

    /// Adds a program under a name.
    pub fn add(&mut self, name: String, path: PathBuf, args: Vec<String>) {
        let path = match path.components().count() {
            1 => find(&path.display().to_string(), &self.search).unwrap_or(path),
            _ => path,
        };
        self.table.insert(name, Program { path, args });
    }

    /// The program that a name means, or a path; nothing for our own. `None` for one that is not
    /// known.
    pub fn find(&self, name: &str) -> Option<Option<Program>> {
        if name == OWN_RUNTIME {
            return Some(None);
        }
        let named = self.table.get(name).cloned();
        let installed = || self.installed(name).map(program);
        let by_path = || Some(PathBuf::from(name)).filter(|path| is_program(path)).map(program);
        named.or_else(installed).or_else(by_path).map(Some)
    }

    /// All programs by their names; our own is not among them.
    pub fn programs(&self) -> BTreeMap<String, Program> {
        let installed = |name: &&str| Some(((*name).to_owned(), program(self.installed(name)?)));
        let mut programs: BTreeMap<_, _> = KNOWN.iter().filter_map(installed).collect();
        programs.extend(self.table.clone());
        programs
    }

    /// The names of all, our own among them.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.programs().into_keys().collect();
        names.push(OWN_RUNTIME.to_owned());
        names.sort_unstable();
        names
    }

    /// All of them as docker's document has them; our own is no program of its own.
    pub(crate) fn document(&self) -> Value {
        let program = |program: Program| match program.args.is_empty() {
            true => json!({ "path": program.path }),
            false => json!({ "path": program.path, "runtimeArgs": program.args }),
        };
        let named = self.programs().into_iter().map(|(name, found)| (name, program(found)));
        named.chain([(OWN_RUNTIME.to_owned(), json!({ "path": OWN_RUNTIME }))]).collect()
    }

    fn installed(&self, name: &str) -> Option<PathBuf> {
        find(KNOWN.into_iter().find(|known| *known == name)?, &self.search)
    }
}

impl Default for RuntimeSettings {
    fn default() -> RuntimeSettings {
        let (table, search) = Default::default();
        RuntimeSettings { default: OWN_RUNTIME.to_owned(), table, search }
    }
}

fn program(path: PathBuf) -> Program {
    Program { path, args: Vec::new() }
}

fn find(name: &str, search: &str) -> Option<PathBuf> {
    let mut folders = search.split(':').filter(|folder| folder.starts_with('/'));
    folders.find_map(|folder| Some(Path::new(folder).join(name)).filter(|path| is_program(path)))
}

fn is_program(path: &Path) -> bool {
    let meta = path.metadata();
    path.is_absolute()
        && meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_our_own_are_found() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["crun", "mine"] {
            std::fs::write(path(name), "").unwrap();
            std::fs::set_permissions(path(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let environment = BTreeMap::from([("PATH".into(), place.path().display().to_string())]);
        let row = RuntimeTable { path: "mine".into(), args: vec!["-x".into()] };
        let table = BTreeMap::from([("quick".to_owned(), row)]);
        let settings = RuntimeSettings::gather(None, table, &environment).unwrap();
        assert_eq!(settings.default, "mica");
        assert_eq!(settings.find("mica"), Some(None));
        assert_eq!(settings.find("crun").unwrap().unwrap().path, path("crun"));
        let quick = Program { path: path("mine"), args: vec!["-x".into()] };
        assert_eq!(settings.find("quick"), Some(Some(quick)));
        let given = path("mine").display().to_string();
        assert!(settings.find(&given).is_some_and(|found| found.is_some()));
        for unknown in ["runc", "mine", "moon", "/nothing", "/"] {
            assert_eq!(settings.find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn rows_that_mean_nothing_are_refused() {
        let refused = |name: &str| {
            let table = BTreeMap::from([(name.to_owned(), RuntimeTable::default())]);
            RuntimeSettings::gather(None, table, &BTreeMap::new()).unwrap_err().to_string()
        };
        assert_eq!(refused("mica"), "runtimes.mica is our own");
        assert_eq!(refused("x"), "runtimes.x has no path");
    }
}
