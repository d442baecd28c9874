//! What is kept of containers: a folder each, with a record that is replaced whole.
//!
//! `containers/ID/container.json` says what a container was asked to be and is written by the
//! engine; what becomes of it is its monitor's to write. `containers/names/NAME` is a link
//! whose target is the id of whoever has the name. Names are given and taken under one lock; a name whose container has no
//! record was left by somebody who died and is free.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use runtime::external::Program;
use serde::{Deserialize, Serialize};
use spec::{
    ContainerConfig, ContainerId, EndpointSettings, HostConfig, IdMaps, ImageId, MountPoint,
    Timestamp,
};
use sys::lock::Mode;

use crate::error::{EngineError, Result};

/// What a container was asked to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerRecord {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: ContainerId,
    /// Its name, without a slash.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The image it was made from.
    pub image: ImageId,
    /// What the image runs on.
    pub platform: String,
    /// The storage driver that keeps it.
    pub driver: String,
    /// How its process runs, with what the image says.
    pub config: ContainerConfig,
    /// How the host runs it.
    pub host_config: HostConfig,
    /// The networks it is to stand in.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// What is mounted into it.
    pub mounts: Vec<MountPoint>,
    /// The program that runs it, unless mica does. It stays, whatever the settings say later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Program>,
    /// Whether systemd makes its control group. It stays, whatever the settings say later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_systemd: bool,
    /// Who its users are outside, unless they are the host's. They stay, whatever the settings say
    /// later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<IdMaps>,
}

/// The containers of a store.
pub struct Containers {
    folder: PathBuf,
}

pub(super) const RECORD: &str = "container.json";

impl Containers {
    /// Those kept in this folder.
    pub fn new(folder: PathBuf) -> Containers {
        Containers { folder }
    }

    /// A container's own folder.
    pub fn folder(&self, id: &ContainerId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// The file that a container's output is kept in, if its log driver has files.
    pub fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.folder(id).join(format!("{id}-json.log"))
    }

    /// Gives a container its name and its record: from then on it exists. Its folder is there.
    /// With `durable` it will be there after a power cut too.
    pub fn add(&self, record: &ContainerRecord, durable: bool) -> Result<()> {
        let _alone = self.lock()?;
        self.claim(&record.name, &record.id)?;
        write(&self.folder(&record.id).join(RECORD), record, durable)
    }

    /// Replaces a container's record.
    pub fn replace(&self, record: &ContainerRecord) -> Result<()> {
        let durable = !record.host_config.auto_remove;
        write(&self.folder(&record.id).join(RECORD), record, durable)
    }

    /// Changes a container's record: what it is now is read, changed and written with nobody in
    /// between. Nothing is written if the change fails.
    pub fn change(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut ContainerRecord) -> Result<()>,
    ) -> Result<ContainerRecord> {
        let _alone = self.lock()?;
        let mut record = self.read(id)?;
        change(&mut record)?;
        self.replace(&record)?;
        Ok(record)
    }

    /// Gives a container another name.
    pub fn rename(&self, id: &ContainerId, name: &str) -> Result<ContainerRecord> {
        super::name::check(name)?;
        let name = name.strip_prefix('/').unwrap_or(name);
        let _alone = self.lock()?;
        let mut record = self.read(id)?;
        if record.name == name {
            return Err(EngineError::SameName);
        }
        self.claim(name, id)?;
        let before = std::mem::replace(&mut record.name, name.to_owned());
        self.replace(&record)?;
        self.release(&before)?;
        Ok(record)
    }

    /// Takes a container's name and record away; its folder goes to whoever asked. It may have got
    /// another name since it was known by this one.
    pub fn remove(&self, id: &ContainerId, name: &str) -> Result<()> {
        let _alone = self.lock()?;
        let folder = self.folder(id);
        let is_still = |link: &Path| link.as_os_str() == id.to_string().as_str();
        let name = match fs::read_link(self.names().join(name)) {
            Ok(link) if is_still(&link) => Ok(name.to_owned()),
            _ => self.read(id).map(|record| record.name),
        };
        let path = folder.join(RECORD);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(EngineError::io("remove", &path))?,
        }
        if let Ok(name) = name {
            self.release(&name)?;
        }
        let log = format!("{id}-json.log");
        let usual = ["state.json", "resolv.conf", "hosts", "hostname", "monitor.lock", &log];
        clear(&folder, &usual).map_err(EngineError::io("remove", &folder))
    }

    /// A container's record.
    pub fn read(&self, id: &ContainerId) -> Result<ContainerRecord> {
        read(&self.folder(id).join(RECORD), id)
    }

    /// The folder that has all of theirs, open; none if there never was a container.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>> {
        match sys::fs::open_folder(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(EngineError::io("open", &self.folder)),
        }
    }

    /// The ids of all containers, in no order.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(EngineError::io("list", &self.folder))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(EngineError::io("list", &self.folder))?;
            ids.extend(
                entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok()),
            );
        }
        Ok(ids)
    }

    /// All records, youngest first. One that is being removed is left out.
    pub fn list(&self) -> Result<Vec<ContainerRecord>> {
        let mut records = Vec::new();
        for id in self.ids()? {
            match self.read(&id) {
                Ok(record) => records.push(record),
                Err(EngineError::NoSuchContainer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        records.sort_by(|one, two| two.created.cmp(&one.created).then(one.id.cmp(&two.id)));
        Ok(records)
    }

    /// The container that is meant: by its id, its name, or the beginning of its id, in this order.
    pub fn find(&self, text: &str) -> Result<ContainerId> {
        let missing = || EngineError::NoSuchContainer(text.to_owned());
        if text.is_empty() {
            return Err(EngineError::Input("No container name or ID supplied".to_owned()));
        }
        if let Ok(id) = text.parse::<ContainerId>()
            && self.exists(&id)
        {
            return Ok(id);
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        if let Some(id) = self.holder(name)? {
            return Ok(id);
        }
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let ids = self.ids()?;
        let mut meant = ids.iter().filter(|id| id.to_string().starts_with(text) && self.exists(id));
        match (meant.next(), meant.next()) {
            (None, _) => Err(missing()),
            (Some(id), None) => Ok(*id),
            (Some(_), Some(_)) => Err(EngineError::AmbiguousContainer(text.to_owned())),
        }
    }

    /// Fails if somebody has a name.
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        let name = name.strip_prefix('/').unwrap_or(name);
        match self.holder(name)? {
            Some(holder) => Err(EngineError::NameTaken { name: name.to_owned(), holder }),
            None => Ok(()),
        }
    }

    pub(super) fn exists(&self, id: &ContainerId) -> bool {
        self.folder(id).join(RECORD).exists()
    }

    /// Whether a name is still a container's.
    pub(super) fn is_called(&self, id: &ContainerId, name: &str) -> bool {
        let link = fs::read_link(self.names().join(name));
        link.is_ok_and(|link| link.as_os_str() == id.to_string().as_str())
    }

    /// Who has a name. A holder without a record died before it existed.
    fn holder(&self, name: &str) -> Result<Option<ContainerId>> {
        if super::name::check(name).is_err() {
            return Ok(None);
        }
        let path = self.names().join(name);
        let id = match fs::read_link(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A file with the id in it, as names once were.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                fs::read_to_string(&path).map(PathBuf::from)
            }
            other => other,
        };
        let id = id.map_err(EngineError::io("read", &path))?;
        let id = id.to_str().and_then(|id| id.parse::<ContainerId>().ok());
        Ok(id.filter(|id| self.exists(id)))
    }

    /// Writes a name down for a container, under the lock.
    fn claim(&self, name: &str, id: &ContainerId) -> Result<()> {
        let names = self.names();
        let path = names.join(name);
        let link = || symlink(id.to_string(), &path);
        let claimed = match link() {
            // The first name of the store.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&names).and_then(|()| link())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if let Some(holder) = self.holder(name)?.filter(|holder| holder != id) {
                    return Err(EngineError::NameTaken { name: name.to_owned(), holder });
                }
                fs::remove_file(&path).and_then(|()| link())
            }
            other => other,
        };
        claimed.map_err(EngineError::io("write", &path))
    }

    fn release(&self, name: &str) -> Result<()> {
        let path = self.names().join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(EngineError::io("remove", &path)),
        }
    }

    fn names(&self) -> PathBuf {
        self.folder.join("names")
    }

    /// Names are given and taken by one at a time.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let open = || File::options().write(true).create(true).truncate(false).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder).and_then(|()| open())
            }
            other => other,
        };
        let file = file.map_err(EngineError::io("open", &path))?;
        sys::lock::lock(&file, Mode::Exclusive).map_err(EngineError::io("lock", &path))?;
        Ok(file)
    }
}

/// Removes a folder with what is usually in it; only if there is more, it is looked for.
pub(super) fn clear(folder: &Path, usual: &[&str]) -> io::Result<()> {
    for name in usual {
        // What cannot be removed is met again when the folder is.
        let _ = fs::remove_file(folder.join(name));
    }
    let removed = fs::remove_dir(folder).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir_all(folder),
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read(path: &Path, id: &ContainerId) -> Result<ContainerRecord> {
    let bytes = sys::read::whole(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => EngineError::NoSuchContainer(id.to_string()),
        _ => EngineError::io("read", path)(source),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| EngineError::DamagedContainer { id: *id, why: error.to_string() })
}

fn write(path: &Path, record: &ContainerRecord, durable: bool) -> Result<()> {
    let bytes = serde_json::to_vec(record).expect("a record has only string keys");
    let aside = path.with_extension("json.new");
    let done = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&aside, path)?;
        match path.parent().filter(|_| durable) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    done().map_err(EngineError::io("write", path))
}
