//! One place for settings: flags before environment before file before default.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use image::layer::LayerLimits;
use serde::Deserialize;
use store::DriverKind;

mod buildkit;
mod cache;
mod daemon;
mod file;
mod registry;
mod runtimes;
mod standing;
mod users;

pub use buildkit::BuildKitFile;
pub use cache::{CacheRule, CacheSettings, Space};
pub use daemon::{ContainerDefaults, DefaultBridge, NetworkDefaults};
pub use registry::{Lender, RegistrySettings};
pub use runtimes::{OWN_RUNTIME, RuntimeSettings};
pub use standing::{NAMESPACE_VARIABLE, Standing};
pub use users::UserRemap;

use file::{LimitsTable, read_file};

/// What the engine needs to know before it opens a store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept: `--data-root`, `MICA_ROOT`, `data-root`.
    pub data_root: PathBuf,
    /// What does not outlive a boot: `--run-root`, `MICA_RUN_ROOT`, `run-root`.
    pub run_root: PathBuf,
    /// `--storage-driver`, `MICA_STORAGE_DRIVER`, `storage-driver`.
    pub storage_driver: Option<DriverKind>,
    /// `--log-level` or `--debug`, `MICA_LOG_LEVEL`, `log-level`.
    pub log_level: LogLevel,
    /// What a layer may be: `[limits]`.
    pub limits: LayerLimits,
    /// Which registries are asked how, and who asks.
    pub registry: RegistrySettings,
    /// What runs containers: `default-runtime`, `[runtimes]`.
    pub runtimes: RuntimeSettings,
    /// Who makes containers' control groups: `cgroup-driver`.
    pub cgroup_driver: CgroupDriver,
    /// What containers get that say nothing themselves. A server's alone.
    pub containers: ContainerDefaults,
    /// What networks get that say nothing themselves. A server's alone.
    pub networks: NetworkDefaults,
    /// What a server says of its machine. A server's alone.
    pub labels: Vec<String>,
    /// Who the engine is on this machine.
    pub standing: Standing,
    /// Whose users containers have, if not the host's: `userns-remap`.
    pub users: Option<UserRemap>,
    /// What is let go of what builds remember: `[build-cache]`.
    pub build_cache: CacheSettings,
    /// Where the registry that others ask keeps everything: `[registry]`.
    pub hub: HubSettings,
}

/// Where the registry that others ask keeps everything.
#[derive(Clone, Debug, Default)]
pub struct HubSettings {
    /// A folder, or the address of an object store.
    pub root: Option<String>,
    /// The object store's options by their names.
    pub storage: BTreeMap<String, String>,
}

/// Who makes containers' control groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// We, in the file system of groups.
    #[default]
    Cgroupfs,
    /// Systemd, a scope for each.
    Systemd,
}

/// How much is told about what is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What is worth knowing.
    #[default]
    Info,
    /// What may be wrong.
    Warn,
    /// What is.
    Error,
    /// What ends everything.
    Fatal,
}

/// What the flags say; what they leave open, the environment, the file and the defaults say.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags {
    /// `--data-root`.
    pub data_root: Option<PathBuf>,
    /// `--run-root`.
    pub run_root: Option<PathBuf>,
    /// `--storage-driver`.
    pub storage_driver: Option<String>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--log-level`, or `debug` for `--debug`.
    pub log_level: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SettingsError {
    #[error("cannot read the settings in {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a settings file: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("{0}")]
    Value(String),
}

impl Settings {
    /// Puts flags, environment, file and defaults together.
    pub fn gather(
        flags: &SettingFlags,
        environment: &BTreeMap<String, String>,
    ) -> Result<Settings, SettingsError> {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let file = read_file(flags.config.as_deref(), environment)?;
        let standing = Standing::of(environment);
        let data_root = flags
            .data_root
            .clone()
            .or_else(|| variable("MICA_ROOT").map(PathBuf::from))
            .or(file.data_root)
            .unwrap_or_else(|| default_data_root(standing, environment));
        let run_root = flags
            .run_root
            .clone()
            .or_else(|| variable("MICA_RUN_ROOT").map(PathBuf::from))
            .or(file.run_root)
            .unwrap_or_else(|| default_run_root(standing, environment));
        let driver = flags
            .storage_driver
            .clone()
            .or_else(|| variable("MICA_STORAGE_DRIVER").cloned())
            .or(file.storage_driver);
        let storage_driver =
            driver.map(|name| name.parse()).transpose().map_err(SettingsError::Value)?;
        let level = flags
            .log_level
            .clone()
            .or_else(|| variable("MICA_LOG_LEVEL").cloned())
            .or(file.log_level);
        let log_level = level.map(|text| text.parse()).transpose()?.unwrap_or_default();
        let data_root = absolute(&data_root)?;
        let run_root = absolute(&run_root)?;
        let limits = limits(&file.limits)?;
        let registry = RegistrySettings::gather(file.registries, environment);
        let runtimes = RuntimeSettings::gather(file.default_runtime, file.runtimes, environment)?;
        let build_cache = CacheSettings::gather(file.build_cache)?;
        let users = UserRemap::read(&file.userns_remap, standing)?;
        Ok(Settings {
            data_root,
            run_root,
            storage_driver,
            log_level,
            limits,
            registry,
            runtimes,
            cgroup_driver: file.cgroup_driver,
            containers: ContainerDefaults::default(),
            networks: NetworkDefaults::default(),
            labels: Vec::new(),
            standing,
            users,
            build_cache,
            hub: HubSettings { root: file.registry.root, storage: file.registry.storage },
        })
    }

    /// Whether this is the store that everybody on the host uses.
    pub(crate) fn is_default_root(&self) -> bool {
        self.data_root == Path::new(SYSTEM_DATA_ROOT)
    }

    /// Makes the run root, and refuses one where others could put something in its place.
    pub fn check_run_root(&self) -> crate::Result<()> {
        Ok(store::check_run_root(&self.run_root)?)
    }

    pub(crate) fn store(&self) -> store::Settings {
        store::Settings {
            root: self.data_root.clone(),
            run: self.run_root.clone(),
            driver: self.storage_driver,
            owners: self.standing.owners(),
            limits: self.limits,
        }
    }
}

/// The data root of the system's own store.
const SYSTEM_DATA_ROOT: &str = "/var/lib/mica";

fn default_data_root(standing: Standing, environment: &BTreeMap<String, String>) -> PathBuf {
    if !standing.is_of_user() {
        return PathBuf::from(SYSTEM_DATA_ROOT);
    }
    folder_of(environment, "XDG_DATA_HOME", ".local/share").join("mica")
}

fn default_run_root(standing: Standing, environment: &BTreeMap<String, String>) -> PathBuf {
    let root = !standing.is_of_user();
    match environment.get("XDG_RUNTIME_DIR") {
        Some(folder) if !root && !folder.is_empty() => Path::new(folder).join("mica"),
        _ if root => PathBuf::from("/run/mica"),
        _ => {
            let folder = environment.get("TMPDIR").filter(|folder| folder.starts_with('/'));
            let folder = Path::new(folder.map_or("/tmp", String::as_str));
            folder.join(format!("mica-{}", standing.user()))
        }
    }
}

fn folder_of(environment: &BTreeMap<String, String>, variable: &str, fallback: &str) -> PathBuf {
    match environment.get(variable).filter(|value| value.starts_with('/')) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(environment.get("HOME").map_or("/", String::as_str)).join(fallback),
    }
}

impl std::str::FromStr for LogLevel {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<LogLevel, SettingsError> {
        Ok(match &*text.to_ascii_lowercase() {
            "trace" | "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "warn" | "warning" => LogLevel::Warn,
            "error" => LogLevel::Error,
            "fatal" | "panic" => LogLevel::Fatal,
            _ => return Err(SettingsError::Value(format!("invalid logging level: {text}"))),
        })
    }
}

fn limits(table: &LimitsTable) -> Result<LayerLimits, SettingsError> {
    let size = |text: &Option<String>, name: &str| match text {
        None => Ok(None),
        Some(text) => match spec::parse_binary_size(text) {
            Ok(bytes) if bytes > 0 => Ok(Some(bytes as u64)),
            _ => Err(SettingsError::Value(format!("limits.{name}: {text:?} is not a size"))),
        },
    };
    let mut limits = LayerLimits::default();
    limits.tar_bytes = size(&table.layer_size, "layer-size")?.unwrap_or(limits.tar_bytes);
    let apparent = size(&table.layer_apparent_size, "layer-apparent-size")?;
    limits.tree.apparent_bytes = apparent.unwrap_or(limits.tree.apparent_bytes);
    limits.tree.entries = table.layer_entries.unwrap_or(limits.tree.entries);
    limits.tree.depth = table.path_depth.unwrap_or(limits.tree.depth);
    Ok(limits)
}

fn absolute(path: &Path) -> Result<PathBuf, SettingsError> {
    // What was not text has become this; another folder must not be taken for the one that is meant.
    if path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) {
        return Err(SettingsError::Value(format!("the name of {path:?} is not UTF-8")));
    }
    std::path::absolute(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(flags: SettingFlags, environment: &[(&str, &str)]) -> Settings {
        let environment =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Settings::gather(&flags, &environment.collect()).unwrap()
    }

    #[test]
    fn flags_come_before_environment_before_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "data-root = '/from/file'\nrun-root = '/run/file'\n").unwrap();
        let with_file = SettingFlags { config: Some(file.clone()), ..SettingFlags::default() };
        let all = gather(with_file.clone(), &[]);
        assert_eq!(all.data_root, Path::new("/from/file"));
        let all = gather(with_file.clone(), &[("MICA_ROOT", "/from/env")]);
        assert_eq!(all.data_root, Path::new("/from/env"));
        assert_eq!(all.run_root, Path::new("/run/file"));
        std::fs::write(&file, "log-level = 'warn'\n").unwrap();
        assert_eq!(gather(with_file.clone(), &[]).log_level, LogLevel::Warn);
        let variable = [("MICA_LOG_LEVEL", "error")];
        assert_eq!(gather(with_file.clone(), &variable).log_level, LogLevel::Error);
        let flags = SettingFlags { log_level: Some("debug".to_owned()), ..with_file.clone() };
        assert_eq!(gather(flags, &variable).log_level, LogLevel::Debug);
        assert_eq!(gather(with_file.clone(), &[("MICA_LOG_LEVEL", "")]).log_level, LogLevel::Warn);
        let flags = SettingFlags { data_root: Some("/from/flag".into()), ..with_file };
        assert_eq!(gather(flags, &[("MICA_ROOT", "/from/env")]).data_root, Path::new("/from/flag"));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let attempt = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let flags = SettingFlags { config: Some(file.clone()), ..SettingFlags::default() };
            Settings::gather(&flags, &BTreeMap::new()).unwrap_err().to_string()
        };
        let words = attempt("dataroot = 'x'");
        assert!(words.contains("unknown field `dataroot`"), "{words}");
        assert!(words.ends_with("; did you mean `data-root`?"), "{words}");
        assert!(attempt("[limits]\nlayer-sise = 'x'").ends_with("did you mean `layer-size`?"));
        assert!(!attempt("colour = 'red'").contains("did you mean"));
        assert!(attempt("storage-driver = 'zfs'").contains("unknown storage driver"));
        assert!(attempt("[limits]\nlayer-size = 'much'").contains("limits.layer-size"));
        assert!(attempt("log-level = 'loud'").contains("invalid logging level: loud"));
    }
}
