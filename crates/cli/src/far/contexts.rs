//! Docker's contexts: names for engines elsewhere, in docker's own files.
//!
//! ```text
//! ~/.docker/config.json                              currentContext
//! ~/.docker/contexts/meta/SHA256(NAME)/meta.json     what it is called, and where it is
//! ~/.docker/contexts/tls/SHA256(NAME)/docker/*.pem   what is proved there
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use client::TlsFiles;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spec::Digest;

use crate::failure::Failure;

/// The context that is always there, and means what the environment says.
pub(crate) const DEFAULT: &str = "default";
/// The certificates of a context, by the names of docker's flags.
pub(crate) const PEMS: [(&str, &str); 3] =
    [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")];

/// The folder that docker's client keeps its things in.
pub(crate) struct Contexts {
    folder: PathBuf,
}

/// A context as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Meta {
    /// What it is called.
    pub(crate) name: String,
    /// What is said about it.
    pub(crate) metadata: Metadata,
    /// Where it is, by what is asked there: `docker`.
    pub(crate) endpoints: BTreeMap<String, Place>,
}

/// What is said about a context. What others have written there stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Metadata {
    /// In the user's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// Where an engine is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Place {
    /// `unix://…`, `tcp://…`, `ssh://…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) host: String,
    /// Whether whoever answers there is believed to be it.
    #[serde(rename = "SkipTLSVerify")]
    pub(crate) skip_tls_verify: bool,
    /// What others have written there.
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Value>,
}

impl Contexts {
    /// Those of the user whose environment this is.
    pub(crate) fn of(environment: &BTreeMap<String, String>) -> Contexts {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let folder = variable("DOCKER_CONFIG").map(PathBuf::from).unwrap_or_else(|| {
            Path::new(variable("HOME").map_or("/", String::as_str)).join(".docker")
        });
        Contexts { folder }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The context that the user has chosen; `None` for the default one.
    pub(crate) fn chosen(&self) -> Option<String> {
        // A file that is none chooses nothing; whoever wants to change it is told.
        let config = self.config().unwrap_or_default();
        let name = config.get("currentContext").and_then(Value::as_str).map(str::to_owned);
        name.filter(|name| !name.is_empty() && name != DEFAULT)
    }

    /// Chooses a context, or the default one. What else is in the file stays as it is.
    pub(crate) fn choose(&self, name: &str) -> Result<(), Failure> {
        let mut config = self.config()?;
        let Some(fields) = config.as_object_mut() else {
            return Err(Failure::new(format!(
                "{}: no configuration",
                self.config_file().display()
            )));
        };
        match name {
            DEFAULT => drop(fields.shift_remove("currentContext")),
            name => drop(fields.insert("currentContext".to_owned(), json!(name))),
        }
        let mut text =
            serde_json::to_vec_pretty(&config).map_err(|e| Failure::new(e.to_string()))?;
        text.push(b'\n');
        write(&self.config_file(), &text)
    }

    /// All by name.
    pub(crate) fn all(&self) -> Result<Vec<Meta>, Failure> {
        let entries =
            fs::read_dir(self.folder.join("contexts/meta")).into_iter().flatten().flatten();
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.path().join("meta.json");
            if path.exists() {
                all.push(read(&path)?);
            }
        }
        all.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(all)
    }

    /// One of them.
    pub(crate) fn find(&self, name: &str) -> Result<Meta, Failure> {
        let path = self.meta_folder(name).join("meta.json");
        match path.exists() {
            true => read(&path),
            false => Err(Failure::new(format!(
                "context {name:?}: context not found: open {}: no such file or directory",
                path.display()
            ))),
        }
    }

    /// Whether there is one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.meta_folder(name).join("meta.json").exists()
    }

    /// Writes one down, its certificates first.
    pub(crate) fn keep(&self, meta: &Meta, pems: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        let tls = self.tls_folder(&meta.name);
        if !pems.is_empty() {
            remove(&tls)?;
        }
        for (name, bytes) in pems {
            write(&tls.join("docker").join(name), bytes)?;
        }
        let text = serde_json::to_vec(meta).map_err(|error| Failure::new(error.to_string()))?;
        write(&self.meta_folder(&meta.name).join("meta.json"), &text)
    }

    /// Forgets one.
    pub(crate) fn forget(&self, name: &str) -> Result<(), Failure> {
        self.find(name)?;
        remove(&self.meta_folder(name))?;
        remove(&self.tls_folder(name))
    }

    /// The certificates of one, by the names of their files.
    pub(crate) fn pems(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = self.tls_folder(name).join("docker");
        let found = PEMS
            .iter()
            .filter_map(|(_, file)| Some(((*file).to_owned(), fs::read(folder.join(file)).ok()?)));
        found.collect()
    }

    /// What is proved to the engine of a context.
    pub(crate) fn tls(&self, meta: &Meta) -> Option<TlsFiles> {
        let folder = self.tls_folder(&meta.name).join("docker");
        let skips = meta.endpoints.get("docker").is_some_and(|place| place.skip_tls_verify);
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let own = there("cert.pem").zip(there("key.pem"));
        let authorities = there("ca.pem").filter(|_| !skips);
        (skips || own.is_some() || authorities.is_some()).then_some(TlsFiles { authorities, own })
    }

    pub(crate) fn meta_folder(&self, name: &str) -> PathBuf {
        self.folder.join("contexts/meta").join(folder_name(name))
    }

    pub(crate) fn tls_folder(&self, name: &str) -> PathBuf {
        self.folder.join("contexts/tls").join(folder_name(name))
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// What docker's own file says.
    pub(crate) fn config(&self) -> Result<Value, Failure> {
        let path = self.config_file();
        match fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(json!({})),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display()))),
            // Whoever may not read it has chosen nothing in it.
            Err(_) => Ok(json!({})),
        }
    }
}

/// Whether a context may be called so.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b));
    match name {
        "" => Err(Failure::new("context name cannot be empty")),
        DEFAULT => Err(Failure::new("\"default\" is a reserved context name")),
        _ if first && rest => Ok(()),
        _ => Err(Failure::new(format!(
            "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ))),
    }
}

fn folder_name(name: &str) -> String {
    Digest::of(name.as_bytes()).hex()
}

fn read(path: &Path) -> Result<Meta, Failure> {
    let wrong = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

/// Writes a file that is its owner's alone, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let aside = path.with_extension(format!("{}.new", std::process::id()));
        let mut file =
            fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    written().map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}
