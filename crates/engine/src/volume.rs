//! Volumes: folders that outlive the containers they are mounted into.
//!
//! `volumes/NAME/volume.json` says what a volume is, `volumes/NAME/_data` holds its files. A volume
//! exists once it has its document, which is written into a folder aside and shown by one rename.

mod ship;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spec::{MountError, Timestamp, check_volume_name, is_volume_name};
use sys::lock::Mode;

use crate::Engine;
use crate::error::{EngineError, Result};

pub(crate) use used::VolumeUse;

/// What docker labels a volume with that nobody named.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A volume, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    /// When it was made.
    pub created_at: Timestamp,
    /// Who keeps it: always `local`.
    pub driver: String,
    /// What it is labelled with.
    pub labels: Option<BTreeMap<String, String>>,
    /// Where its files are.
    pub mountpoint: PathBuf,
    /// Its name.
    pub name: String,
    /// How it is kept: options of a mount.
    pub options: Option<BTreeMap<String, String>>,
    /// Always `local`.
    pub scope: String,
}

impl Volume {
    /// Whether nobody gave it a name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.as_ref().is_some_and(|labels| labels.contains_key(ANONYMOUS_LABEL))
    }
}

/// What a volume is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateVolume {
    /// Its name; one is invented if there is none.
    pub name: Option<String>,
    /// Who keeps it; empty is `local`.
    pub driver: String,
    /// Options of a mount: `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
}

/// What lies on disk of a volume.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<BTreeMap<String, String>>,
}

/// No name is longer: while a volume is made, its folder is called by a longer one.
const MAX_NAME_BYTES: usize = 240;

const DOCUMENT: &str = "volume.json";
const FILES: &str = "_data";
/// How the folder of a volume that is being removed ends.
const GONE: &str = ".gone";
/// What a local volume's mount may be told.
const OPTIONS: [&str; 3] = ["type", "o", "device"];

impl Engine {
    /// Makes a volume, or gives the one that has the name already.
    pub fn create_volume(&self, request: CreateVolume) -> Result<Volume> {
        if !matches!(request.driver.as_str(), "" | "local") {
            let driver = request.driver;
            return Err(EngineError::NoVolumeDriver {
                volume: request.name.unwrap_or_default(),
                driver,
            });
        }
        check_options(&request.options).map_err(|error| match (error, &request.name) {
            (EngineError::Refused(words), Some(name)) if !name.is_empty() => {
                EngineError::Refused(format!("create {name}: {words}"))
            }
            (error, _) => error,
        })?;
        let mut labels = request.labels;
        let name = match request.name.filter(|name| !name.is_empty()) {
            Some(name) if name.len() > MAX_NAME_BYTES => {
                return Err(EngineError::Refused(format!(
                    "volume name of {} bytes is longer than {MAX_NAME_BYTES}",
                    name.len()
                )));
            }
            Some(name) => {
                let wrong = |error: MountError| EngineError::Refused(error.to_string());
                check_volume_name(&name).map_err(wrong)?;
                name
            }
            None => {
                labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
                self.invent_volume_name()?
            }
        };
        match self.volume(&name) {
            Err(EngineError::NoSuchVolume(_)) => {}
            other => return other,
        }
        let some = |map: BTreeMap<String, String>| (!map.is_empty()).then_some(map);
        let document = Document {
            created: Timestamp::now(),
            labels: some(labels),
            options: some(request.options),
        };
        self.keep_volume(&name, &document)?;
        self.store.record_event("volume", "create", &name, &[("driver", "local")]);
        self.volume(&name)
    }

    fn invent_volume_name(&self) -> Result<String> {
        let random: [u8; 32] =
            sys::host::random_bytes().map_err(EngineError::io("read", "/dev/urandom"))?;
        Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Shows a new volume. Of two who make the same one at once, the first wins.
    fn keep_volume(&self, name: &str, document: &Document) -> Result<()> {
        let folder = self.volume_folder(name);
        let parent = self.volumes_folder();
        make_folder(&parent, 0o711)?;
        // A server makes several at once, each in a thread.
        let maker = rustix::thread::gettid().as_raw_nonzero();
        let aside = parent.join(format!(".{name}.{maker}"));
        let _ = fs::remove_dir_all(&aside);
        make_folder(&aside, 0o711)?;
        make_folder(&aside.join(FILES), 0o755)?;
        let path = aside.join(DOCUMENT);
        let bytes = serde_json::to_vec(document).expect("a document has only string keys");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_data()
        });
        written.map_err(EngineError::io("write", &path))?;
        let mut shown = fs::rename(&aside, &folder);
        if shown.is_err() && !folder.join(DOCUMENT).exists() {
            // What is left of one whose removal was cut short.
            let gone = self.gone_folder(name);
            let _ = fs::remove_dir_all(&gone);
            if fs::rename(&folder, &gone).is_ok() && gone.join(DOCUMENT).exists() {
                // Somebody else has just seen to it.
                let _ = fs::rename(&gone, &folder);
            }
            shown = fs::rename(&aside, &folder);
            let _ = fs::remove_dir_all(&gone);
        }
        if shown.is_err() && folder.join(DOCUMENT).exists() {
            let _ = fs::remove_dir_all(&aside);
            return Ok(());
        }
        shown.map_err(EngineError::io("create", &folder))?;
        let synced = File::open(&parent).and_then(|folder| folder.sync_all());
        synced.map_err(EngineError::io("sync", &parent))
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        let missing = || EngineError::NoSuchVolume(name.to_owned());
        if !is_volume_name(name) || name.len() > MAX_NAME_BYTES {
            return Err(missing());
        }
        let folder = self.volume_folder(name);
        let path = folder.join(DOCUMENT);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => EngineError::io("read", &path)(source),
        })?;
        let Document { created, labels, options } =
            serde_json::from_slice(&bytes).map_err(|error| EngineError::DamagedVolume {
                name: name.to_owned(),
                why: error.to_string(),
            })?;
        Ok(Volume {
            created_at: created,
            driver: "local".to_owned(),
            labels,
            mountpoint: folder.join(FILES),
            name: name.to_owned(),
            options,
            scope: "local".to_owned(),
        })
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let folder = self.volumes_folder();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(EngineError::io("list", &folder))?,
        };
        let mut volumes = Vec::new();
        for entry in entries {
            let entry = entry.map_err(EngineError::io("list", &folder))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            match self.volume(&name) {
                Ok(volume) => volumes.push(volume),
                // Half made, or half gone.
                Err(EngineError::NoSuchVolume(_)) => {}
                Err(error) => return Err(error),
            }
        }
        volumes.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(volumes)
    }

    /// Removes a volume that no container has. With `force` one that is not there is no error.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let lock = self.lock_volumes(Mode::Exclusive)?;
        match self.volume(name) {
            Err(EngineError::NoSuchVolume(_)) if force => return Ok(()),
            other => other?,
        };
        let users = self.volume_users(name)?;
        if !users.is_empty() {
            return Err(EngineError::VolumeInUse {
                name: name.to_owned(),
                users: users.join(", "),
            });
        }
        let hidden = self.hide_volume(name)?;
        drop(lock);
        self.drop_hidden(name, &hidden)
    }

    /// Removes volumes that no container has and that `wanted` says; gives their names and bytes.
    pub fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool) -> Result<(Vec<String>, u64)> {
        let lock = self.lock_volumes(Mode::Exclusive)?;
        let used = self.used_volumes()?;
        let mut hidden = Vec::new();
        let mut found = self.volumes()?.into_iter();
        let result: Result<()> = found.try_for_each(|volume| {
            if !used.contains(&volume.name) && wanted(&volume) {
                hidden.push((self.hide_volume(&volume.name)?, volume.name));
            }
            Ok(())
        });
        drop(lock);
        let mut removed = (Vec::new(), 0);
        for (folder, name) in hidden {
            removed.1 += bytes(&folder.join(FILES));
            self.drop_hidden(&name, &folder)?;
            removed.0.push(name);
        }
        result?;
        self.sweep_volumes();
        let reclaimed = removed.1.to_string();
        self.store.record_event("volume", "prune", "", &[("reclaimed", &reclaimed)]);
        Ok(removed)
    }

    /// Bytes of a volume's files; what cannot be read counts nothing.
    pub fn volume_bytes(&self, volume: &Volume) -> u64 {
        bytes(&volume.mountpoint)
    }

    /// The containers that have a volume.
    pub fn volume_users(&self, name: &str) -> Result<Vec<String>> {
        let has =
            |record: &crate::ContainerRecord| record.mounts.iter().any(|mount| mount.name == name);
        let records = self.containers().list()?;
        Ok(records.iter().filter(|r| has(r)).map(|record| record.id.to_string()).collect())
    }

    /// The names of volumes that containers have.
    pub fn used_volumes(&self) -> Result<BTreeSet<String>> {
        let records = self.containers().list()?;
        Ok(records.into_iter().flat_map(|record| record.mounts).map(|mount| mount.name).collect())
    }

    /// Removes the files of volumes whose removal was cut short.
    fn sweep_volumes(&self) {
        let entries = fs::read_dir(self.volumes_folder()).into_iter().flatten().flatten();
        for entry in entries {
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.strip_prefix('.').is_some_and(|name| name.ends_with(GONE)))
            {
                // Somebody may be at it at this moment.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Keeps all volumes from being removed for as long as it lives: for who is about to write down
    /// that a container has some. Whoever removes one waits for that, and looks again.
    pub(crate) fn hold_volumes(&self) -> Result<File> {
        self.lock_volumes(Mode::Shared)
    }

    fn lock_volumes(&self, mode: Mode) -> Result<File> {
        let folder = self.volumes_folder();
        make_folder(&folder, 0o711)?;
        let lock = File::open(&folder).map_err(EngineError::io("open", &folder))?;
        sys::lock::lock(&lock, mode).map_err(EngineError::io("lock", &folder))?;
        Ok(lock)
    }

    /// Takes a volume's document away: without it it is no volume any more. Gives the place where
    /// its files are then, in nobody's way who makes another one of this name.
    fn hide_volume(&self, name: &str) -> Result<PathBuf> {
        let folder = self.volume_folder(name);
        let path = folder.join(DOCUMENT);
        self.clear_mountpoint(&folder.join(FILES))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(EngineError::io("remove", &path))?,
        }
        let hidden = self.gone_folder(name);
        let _ = fs::remove_dir_all(&hidden);
        match fs::rename(&folder, &hidden) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(EngineError::io("rename", &folder))?,
        }
        Ok(hidden)
    }

    fn gone_folder(&self, name: &str) -> PathBuf {
        let maker = rustix::thread::gettid().as_raw_nonzero();
        self.volumes_folder().join(format!(".{name}.{maker}{GONE}"))
    }

    /// Removes the files of a volume that is hidden.
    fn drop_hidden(&self, name: &str, hidden: &Path) -> Result<()> {
        match fs::remove_dir_all(hidden) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(EngineError::io("remove", hidden))?,
        }
        self.store.record_event("volume", "destroy", name, &[("driver", "local")]);
        Ok(())
    }

    fn volumes_folder(&self) -> PathBuf {
        self.store.paths().root().join("volumes")
    }

    fn volume_folder(&self, name: &str) -> PathBuf {
        self.volumes_folder().join(name)
    }
}

/// What the files in a folder take; what cannot be read counts nothing.
fn bytes(folder: &Path) -> u64 {
    let open = sys::fs::open_folder(folder);
    open.and_then(|folder| image::upper::usage(&folder)).map_or(0, |(bytes, _)| bytes)
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(EngineError::io("create", path))
}

fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        return Err(EngineError::Refused(format!("invalid option: {unknown:?}")));
    }
    let given = |key: &str| options.get(key).is_some_and(|value| !value.is_empty());
    if (given("type") || given("o")) && !given("device") {
        return Err(EngineError::Refused("missing required option: \"device\"".to_owned()));
    }
    if given("device") && !given("type") && !given("o") {
        return Err(EngineError::Refused("missing required option: \"type\"".to_owned()));
    }
    Ok(())
}
