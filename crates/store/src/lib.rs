//! Where images are kept: blobs, layers, storage drivers, records, garbage.
//!
//! Any number of processes work on one store at once, without a daemon. What a process makes is
//! protected by its [`Lease`]; what exists is what the two documents of [`Tables`] name; changes to
//! them are made alone, under the store's lock, and only for milliseconds. Deletion is renaming
//! into the trash, so nobody waits for it.

mod arrive;
mod below;
mod blobs;
mod change;
mod check;
mod document;
mod driver;
mod error;
mod events;
mod gc;
mod index;
mod layers;
mod lease;
mod migrate;
mod paths;
mod platform;
mod remove;
mod reserve;
mod run;
mod seen;
mod snapshot;
mod sorted;
mod steps;
mod tables;
mod trust;
mod untouch;
mod usage;
mod views;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use image::folder::Ownership;
use image::layer::LayerLimits;
use serde::{Deserialize, Serialize};
use spec::Digest;
use sys::lock::Mode;

pub use arrive::{Expected, Unpacked};
pub use blobs::{Arrived, DOCUMENT_BYTES, Durability, Ingest, LeftOver};
pub use check::{CheckReport, Fault};
pub use driver::{Choice, Driver, DriverKind, Lasting, Stacked, Top, Users, choose};
pub use error::{ErrorKind, Result, StoreError};
pub use events::{Actor, Event, EventFilter, Events, IMAGE, NAMES, OWN_ATTRIBUTES};
pub use gc::{Collected, Plan, Present, plan};
pub use lease::{Lease, Making, Protected};
pub use migrate::{Busy, MigrateStep, Migrated};
pub use paths::Paths;
pub use platform::PlatformName;
pub use snapshot::{Snapshot, TopUsage};
pub use sorted::SortedMap;
pub use steps::{RememberedStep, StepLayer, StepRecord};
pub use tables::{
    About, ImageRecord, Images, LayerBlob, LayerRecord, Layers, ManifestRef, NameRecord, Tables,
};
pub use untouch::Touched;
pub use usage::{ImageUsage, TopShare, Usage};
pub use views::View;

/// The version of the format on disk that this mica writes.
const FORMAT_VERSION: u32 = 1;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept.
    pub root: PathBuf,
    /// Where mounts and what else does not outlive a boot goes; each store has a folder in it.
    pub run: PathBuf,
    /// The driver to use; by default the store's own, or the best that works.
    pub driver: Option<DriverKind>,
    /// What ids files get on disk.
    pub owners: Ownership,
    /// What a layer may be.
    pub limits: LayerLimits,
}

/// What `format.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Format {
    version: u32,
    id: String,
    driver: DriverKind,
    why: String,
}

/// The part of `format.json` that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A store, opened.
pub struct Store {
    paths: Paths,
    format: Format,
    driver: Box<dyn Driver>,
    owners: Ownership,
    limits: LayerLimits,
    seen: seen::SeenLayers,
}

/// The file that makes a folder a store.
const FORMAT_FILE: &str = "format.json";
/// Whatever a newer mica writes there, it is not more.
const FORMAT_BYTES: u64 = 1 << 20;

impl Store {
    /// Whether there is a store in a folder.
    pub fn is_made(root: &Path) -> bool {
        root.join(FORMAT_FILE).exists()
    }

    /// Opens a store, and makes it first if there is none.
    pub fn open(settings: Settings) -> Result<Store> {
        let path = settings.root.join(FORMAT_FILE);
        let format: Format = match document::read_limited(&path, FORMAT_BYTES)? {
            Some(bytes) => parse_format(&settings.root, &bytes)?,
            None => create(&settings)?,
        };
        if let Some(asked) = settings.driver.filter(|asked| *asked != format.driver) {
            let (root, kept) = (settings.root, format.driver);
            return Err(StoreError::OtherDriver { root, kept, asked });
        }
        // The id becomes a path, so it must be what we write: nothing but hexadecimal digits.
        let named =
            format.id.get(..12).filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(named) = named else {
            let why = format!("{:?} is no id of a store", format.id);
            return Err(StoreError::DamagedFormat { path, why });
        };
        let paths = Paths::new(settings.root, settings.run.join(named));
        let driver = driver::open(format.driver, &paths, &settings.owners);
        let Settings { owners, limits, .. } = settings;
        Ok(Store { paths, format, driver, owners, limits, seen: Default::default() })
    }

    /// Where things lie.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The driver in use.
    pub fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// Why this driver was chosen.
    pub fn driver_reason(&self) -> &str {
        &self.format.why
    }

    /// The store's own name, the same for as long as it exists.
    pub fn id(&self) -> &str {
        &self.format.id
    }

    /// What a layer may be.
    pub fn limits(&self) -> &LayerLimits {
        &self.limits
    }

    /// What ids files get on disk.
    pub fn owners(&self) -> &Ownership {
        &self.owners
    }

    /// Begins work that makes something.
    pub fn lease(&self) -> Result<Lease> {
        let lease = match Lease::take(&self.paths) {
            Err(error) if error.is_missing() => {
                self.paths.create_folders()?;
                Lease::take(&self.paths)?
            }
            other => other?,
        };
        // From now on nobody changes the driver; somebody may have done so before.
        self.must_be_current()?;
        Ok(lease)
    }

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        blobs::open(&self.paths, digest)
    }

    /// Whether a blob is here.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.paths.blob(digest).exists()
    }

    /// Reads a document and checks its digest.
    pub fn read_document(&self, digest: &Digest) -> Result<Vec<u8>> {
        blobs::read_document(&self.paths, digest)
    }

    /// Keeps a document under its digest, durably.
    pub fn put_document(&self, lease: &Lease, bytes: &[u8]) -> Result<Digest> {
        let size = bytes.len() as u64;
        if size > DOCUMENT_BYTES {
            return Err(StoreError::LargeDocument { bytes: size, limit: DOCUMENT_BYTES });
        }
        let digest = Digest::of(bytes);
        if lease.protect_blob(&digest)? && self.read_document(&digest).is_ok() {
            // Whoever wrote it may not have synced it, or not yet.
            return blobs::make_durable(&self.paths, &digest).map(|()| digest);
        }
        let mut ingest = Ingest::create(lease.aside(), digest.algorithm())?;
        let path = self.paths.blob(&digest);
        std::io::Write::write_all(&mut ingest, bytes).map_err(StoreError::io("write", path))?;
        ingest.commit(&self.paths, Durability::Synced).map(|arrived| arrived.digest)
    }

    /// A file for what need not be kept; it has no name and goes with the process.
    pub fn scratch(&self, lease: &Lease) -> Result<File> {
        let path = lease.aside();
        let file = File::options().read(true).append(true).create_new(true).open(&path);
        let file = file.map_err(StoreError::io("create", &path))?;
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        Ok(file)
    }

    /// Keeps a blob whose digest nobody knows yet, durably, for as long as the lease lives and
    /// whatever else names it then.
    pub fn keep_blob(&self, lease: &Lease, source: &mut dyn Read) -> Result<Arrived> {
        let mut ingest = Ingest::create(lease.aside(), spec::Algorithm::Sha256)?;
        let taken = ingest.take_all(source, u64::MAX);
        taken.map_err(StoreError::io("write", self.paths.ingest()))?;
        lease.protect_blob(&ingest.arrived().digest)?;
        ingest.commit(&self.paths, Durability::Synced)
    }

    /// Keeps a blob that must have this digest and size. If somebody else is writing the same one,
    /// waits for that and leaves `source` unread.
    pub fn put_blob(
        &self,
        lease: &Lease,
        wanted: &Digest,
        size: Option<u64>,
        source: &mut dyn Read,
    ) -> Result<Arrived> {
        let blob = self.paths.blob(wanted);
        let right_size = |got: u64| match size {
            Some(expected) if expected != got => {
                Err(StoreError::WrongSize { wanted: *wanted, got, expected })
            }
            _ => Ok(()),
        };
        let Some(mut ingest) = Ingest::awaited(lease, wanted)? else {
            let bytes = fs::metadata(&blob).map_err(StoreError::io("read", &blob))?.len();
            right_size(bytes)?;
            blobs::make_durable(&self.paths, wanted)?;
            return Ok(Arrived { digest: *wanted, bytes });
        };
        // One byte too many is enough to know that it is wrong.
        let limit = size.map_or(u64::MAX, |size| size.saturating_add(1));
        ingest.take_all(source, limit).map_err(StoreError::io("write", &blob))?;
        let arrived = ingest.arrived();
        right_size(arrived.bytes)?;
        if arrived.digest != *wanted {
            return Err(StoreError::WrongBytes { wanted: *wanted, got: arrived.digest });
        }
        ingest.commit(&self.paths, Durability::Synced)
    }
}

/// Reads `format.json`. The version comes first: what else a newer mica wrote there may be nothing
/// that this one knows, and that is no damage.
fn parse_format(root: &Path, bytes: &[u8]) -> Result<Format> {
    let damaged = |error: serde_json::Error| StoreError::DamagedFormat {
        path: root.join(FORMAT_FILE),
        why: error.to_string(),
    };
    let Version { version: found } = serde_json::from_slice(bytes).map_err(damaged)?;
    if found > FORMAT_VERSION {
        let root = root.to_owned();
        return Err(StoreError::NewerFormat { root, found, known: FORMAT_VERSION });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// Makes a store's folders and chooses its driver. Two processes that meet here agree.
fn create(settings: &Settings) -> Result<Format> {
    let paths = Paths::new(settings.root.clone(), settings.run.clone());
    paths.create_folders()?;
    let _alone = lease::hold(&paths, Mode::Exclusive)?;
    if let Some(bytes) = document::read_limited(&paths.format(), FORMAT_BYTES)? {
        // Somebody else was quicker; perhaps a newer mica, whose store must not be written over.
        return parse_format(&settings.root, &bytes);
    }
    let blobs = paths.blobs();
    sys::fs::sync_folder(&blobs).map_err(StoreError::io("sync", blobs))?;
    tables::begin(&paths)?;
    let choice = driver::choose(settings.driver, &paths.ingest(), &settings.owners)?;
    let id = sys::host::random_id().map_err(StoreError::io("read", "/proc"))?;
    let format = Format { version: FORMAT_VERSION, id, driver: choice.kind, why: choice.why };
    document::write(&paths.format(), &format)?;
    reserve::keep(&paths);
    Ok(format)
}

/// Whether this process acts as root; rooms above ask here, not the kernel.
pub fn is_root() -> bool {
    sys::host::is_root()
}

/// Makes a run root, and refuses one where others could put something in its place.
pub fn check_run_root(run: &Path) -> Result<()> {
    paths::create_private(run)?;
    run::check_owner(run)
}

/// How many users and groups there are in this process's namespace, if it is not the host's.
pub fn ids_of_namespace() -> Option<(u32, u32)> {
    sys::host::ids_of_namespace()
}

/// The user that this process acts as.
pub fn user_id() -> u32 {
    sys::host::user_id()
}

/// What ids files get on disk if this process writes them: as root those of the layer, else its
/// own.
pub fn own_files() -> Ownership {
    match is_root() {
        true => Ownership::Same,
        false => Ownership::Single { uid: user_id(), gid: sys::host::group_id() },
    }
}

/// Copies a blob to where a file stands, by reference or within the kernel where that can be.
pub fn send(blob: &File, mut target: &File, bytes: u64, regular: bool) -> std::io::Result<u64> {
    use std::io::{Seek, SeekFrom};
    if !regular {
        return sys::fs::send_range(blob, 0, target, bytes);
    }
    let at = target.stream_position()?;
    let copied = sys::fs::copy_range(blob, 0, target, at, bytes)?;
    target.seek(SeekFrom::Start(at + copied))?;
    Ok(copied)
}
