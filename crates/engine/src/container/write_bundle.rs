//! A container, or an image, as a bundle that any OCI runtime can run: `config.json` and its files.

use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use image::folder::Marks;
use image::pack::LayerWriter;
use runtime::cgroup::Layout;
use spec::bundle::{Root as BundleRoot, Spec};
use spec::{
    ContainerConfig, ContainerId, HostConfig, ImageConfig, IpcMode, MountKind, MountPoint,
    NetworkMode, Timestamp,
};
use store::Lease;

use super::export::Root;
use super::extract::extract;
use super::network::Places;
use super::watch::files;
use super::watch::outside::put_init;
use super::{ContainerRecord, bundle, host, merge};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::{about, find};

/// What a bundle is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleSource {
    /// A container, with all that it was asked to be.
    Container(ContainerId),
    /// An image, by its name, as a container without any options.
    Image(String),
}

/// What `container bundle` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBundle {
    /// What it is made of.
    pub source: BundleSource,
    /// Its folder: a new one, or an empty one.
    pub folder: PathBuf,
    /// The image's files are mounted there instead of copied; what is written to them is kept in
    /// the bundle.
    pub mount: bool,
}

/// Where a bundle's files are in it.
const ROOTFS: &str = "rootfs";
/// Where the files are that a container has of its own.
const OWN: &str = "files";
/// Where what is written to mounted files goes.
const CHANGES: &str = "changes";
/// This program, for a container with an init.
const INIT: &str = "init";

impl Engine {
    /// Writes a bundle, and gives what its user should know. `config.json` comes last: a bundle
    /// that has it is whole.
    pub fn write_bundle(&self, request: &WriteBundle) -> Result<Vec<String>> {
        let folder = std::path::absolute(&request.folder);
        let folder = folder.map_err(EngineError::io("find", &request.folder))?;
        let is_new = claim(&folder)?;
        let written = self.fill_bundle(request, &folder);
        if written.is_err() {
            // What is mounted there is not removed with it.
            let _ = sys::mount::detach(&folder.join(ROOTFS));
            clear(&folder, is_new);
        }
        written
    }

    fn fill_bundle(&self, request: &WriteBundle, folder: &Path) -> Result<Vec<String>> {
        let lease = self.store.lease()?;
        let (mut record, root) = match &request.source {
            BundleSource::Container(id) if request.mount => {
                let words = "only an image's files are mounted: a container changes its own";
                return Err(EngineError::Refused(format!("{words} ({})", id.short())));
            }
            BundleSource::Container(id) => (self.containers().read(id)?, self.container_root(id)?),
            BundleSource::Image(name) => self.image_as_container(&lease, name)?,
        };
        let mut said = stand_alone(&mut record);
        let facts = self.facts(&record, &root, folder)?;
        let mut spec = bundle::plan(&record, &facts)?;
        adapt(&mut spec, folder);
        if record.host_config.init == Some(true) {
            let path = folder.join(INIT);
            fs::copy("/proc/self/exe", &path).map_err(EngineError::io("create", &path))?;
            put_init(Path::new(INIT), &mut spec);
        }
        let rootfs = folder.join(ROOTFS);
        fs::create_dir(&rootfs).map_err(EngineError::io("create", &rootfs))?;
        if request.mount {
            let top = self.store.images()?.images.get(&record.image).and_then(|image| image.top);
            let mount = self.store.mount_over(&lease, top, &folder.join(CHANGES))?;
            sys::mount::attach(mount, &rootfs).map_err(EngineError::io("mount", &rootfs))?;
            said.push(format!("{} is mounted: unmount it before you remove it", rootfs.display()));
        } else {
            copy(&root, &rootfs)?;
        }
        let text = serde_json::to_vec_pretty(&spec).expect("it has only string keys");
        let path = folder.join("config.json");
        fs::write(&path, text).map_err(EngineError::io("write", &path))?;
        Ok(said)
    }

    /// An image as the container that `create` makes of it, and its files.
    fn image_as_container(&self, lease: &Lease, name: &str) -> Result<(ContainerRecord, Root)> {
        let images = self.store.images_about(&about(name))?;
        let image = find(&images, name)?.id;
        if let Some(top) = &images.images[&image].top {
            lease.protect_chain(top)?;
        }
        let layers = self.store.tables()?.layers;
        let stack = self.store.stacked(images.images[&image].top, &layers)?;
        let document = self.store.read_document(&image.0)?;
        let of_image = ImageConfig::parse(&document).map_err(EngineError::Config)?;
        let asked = ContainerConfig { image: name.to_owned(), ..ContainerConfig::default() };
        let mut config = merge::with_image(asked, of_image.config.unwrap_or_default());
        if config.entrypoint.is_none() && config.cmd.is_none() {
            return Err(EngineError::Refused("no command specified".to_owned()));
        }
        let random = sys::host::random_bytes().map_err(EngineError::io("read", "/dev/urandom"))?;
        let id = ContainerId::of(random);
        config.hostname = id.short();
        let mut host_config = HostConfig::default();
        host::complete(&mut host_config)?;
        let record = ContainerRecord {
            id,
            name: String::new(),
            created: Timestamp::now(),
            image,
            platform: images.images[&image].platform.platform().os,
            driver: self.store.driver().kind().to_string(),
            config,
            host_config,
            networks: Default::default(),
            mounts: Vec::new(),
            runtime: None,
            by_systemd: false,
            users: None,
        };
        Ok((record, Root::of_mount(self.store.view(&stack)?)?))
    }

    fn facts(&self, record: &ContainerRecord, root: &Root, folder: &Path) -> Result<bundle::Facts> {
        let mut opened = std::collections::BTreeMap::new();
        for point in &record.mounts {
            if let Some(place) = self.place_of(record, point)? {
                opened.insert(point.destination.clone(), place);
            }
        }
        let own = folder.join(OWN);
        fs::create_dir(&own).map_err(EngineError::io("create", &own))?;
        files::write(&own, record, &Places::default(), false, &[])?;
        Ok(bundle::Facts {
            accounts: super::accounts(&root.folder)?,
            unified_cgroups: matches!(Layout::of_host()?, Layout::Version2 { .. }),
            network: None,
            others: self.others(record)?,
            memory: self.memory_of(record)?,
            folder: own,
            guards: bundle::Guards::of_host(&record.host_config),
            devices: bundle::look_up_devices(&record.host_config)?,
            opened,
            users: None,
            plain: Default::default(),
            linked: Vec::new(),
            standing: self.settings().standing,
        })
    }

    /// Where a place in a volume is on the host. What mica mounts for a container alone is in no
    /// bundle.
    fn place_of(&self, record: &ContainerRecord, point: &MountPoint) -> Result<Option<PathBuf>> {
        let not_there = |what: &str| {
            let words = format!("{what} at {} is mounted by mica alone", point.destination);
            EngineError::Refused(format!("a bundle cannot have it: {words}"))
        };
        match point.kind {
            MountKind::Image => return Err(not_there("an image")),
            MountKind::Bind | MountKind::Tmpfs => return Ok(None),
            MountKind::Volume => {}
        }
        let volume = self.volume(&point.name)?;
        if self.use_volume(&volume)?.is_some() {
            return Err(not_there("a volume with a device"));
        }
        let told = record.host_config.mounts.iter().find(|one| one.target == point.destination);
        let part = told.and_then(|mount| mount.volume_options.as_ref());
        let Some(part) = part.map(|options| &options.subpath).filter(|part| !part.is_empty())
        else {
            return Ok(None);
        };
        let path = &volume.mountpoint;
        let failed = || EngineError::io("open", path.join(part));
        let open = sys::fs::open_folder(path).map_err(failed())?;
        let place: OwnedFd = sys::fs::path_in_root(&open, Path::new(part)).map_err(failed())?;
        let link = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
        fs::read_link(link).map(Some).map_err(failed())
    }
}

/// Makes a folder for a bundle; one that is there must be empty. Says whether it is new.
fn claim(folder: &Path) -> Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(folder).map_err(EngineError::io("read", folder))?;
            match entries.next() {
                None => Ok(false),
                Some(_) => {
                    let words = format!("{} is not empty", folder.display());
                    Err(EngineError::Refused(words))
                }
            }
        }
        Err(error) => Err(EngineError::io("create", folder)(error)),
    }
}

/// Removes what was written before something failed, whose error is the one to tell.
fn clear(folder: &Path, is_new: bool) {
    for name in [ROOTFS, OWN, CHANGES] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
    let _ = fs::remove_file(folder.join(INIT));
    if is_new {
        let _ = fs::remove_dir(folder);
    }
}

/// Takes out what only mica gives to a container, and says what that is.
fn stand_alone(record: &mut ContainerRecord) -> Vec<String> {
    let mut said = Vec::new();
    let host = &mut record.host_config;
    if let NetworkMode::Named(name) = NetworkMode::parse(&host.network_mode) {
        host.network_mode = "none".to_owned();
        said.push(format!(
            "network {name} is mica's: the bundle has a network of its own with nothing in it"
        ));
    }
    if IpcMode::parse(&host.ipc_mode) == Some(IpcMode::Shareable) {
        host.ipc_mode = "private".to_owned();
    }
    said
}

/// Paths as they are seen from the bundle, which may be moved; the group is the runtime's choice.
fn adapt(spec: &mut Spec, folder: &Path) {
    let readonly = spec.root.as_ref().is_some_and(|root| root.readonly);
    spec.root = Some(BundleRoot { path: ROOTFS.to_owned(), readonly });
    for mount in &mut spec.mounts {
        if let Ok(inside) = Path::new(&mount.source).strip_prefix(folder) {
            mount.source = inside.display().to_string();
        }
    }
    if let Some(linux) = &mut spec.linux {
        linux.cgroups_path.clear();
    }
}

/// Copies all files of a root.
fn copy(root: &Root, rootfs: &Path) -> Result<()> {
    let folder = sys::fs::open_folder(rootfs).map_err(EngineError::io("open", rootfs))?;
    let (reader, writer) = io::pipe().map_err(EngineError::Write)?;
    std::thread::scope(|scope| {
        let packer = scope.spawn(move || -> io::Result<()> {
            let out = BufWriter::with_capacity(256 << 10, writer);
            let mut writer = LayerWriter::new(out, Marks::Trusted, None).one_mount();
            writer = writer.inside(root.users.clone());
            writer.add_folder(&root.folder, false)?;
            writer.finish()?.0.flush()
        });
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let unpacked = extract(&mut reader, &folder, true);
        // The packer must not wait for a reader that gave up.
        drop(reader);
        let packed = packer.join().expect("the packer does not panic");
        unpacked?;
        packed.map_err(EngineError::Read)
    })
}
