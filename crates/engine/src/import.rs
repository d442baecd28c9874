//! A file system becomes an image of one layer.

use std::io::Read;

use spec::{
    ChainId, ContainerConfig, DiffId, History, ImageConfig, ImageId, Platform, Reference, RootFs,
    Timestamp, apply_changes,
};
use store::{Expected, ImageRecord, NameRecord};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::progress::{Progress, Reported};

/// A request to import.
pub struct Import {
    /// The file system.
    pub source: ImportSource,
    /// What the image will be called.
    pub name: Option<Reference>,
    /// Instructions that change its configuration.
    pub changes: Vec<String>,
    /// What the history says; by default where it came from.
    pub message: Option<String>,
    /// What it runs on; by default this machine.
    pub platform: Option<Platform>,
    /// When it was made.
    pub created: Timestamp,
}

/// A file system as a tar, compressed or not.
pub struct ImportSource {
    /// Its bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many, where known.
    pub bytes: Option<u64>,
    /// What it is called in the history: `-`, or a URL.
    pub name: String,
}

impl Engine {
    /// Imports a file system.
    pub fn import(&self, import: Import, progress: &dyn Progress) -> Result<ImageId> {
        let config = configuration(&import.changes)?;
        let Import { source, name, message, platform, created, .. } = import;
        let lease = self.store.lease()?;
        let item = progress.begin(&source.name, "Importing", source.bytes);
        let mut reader = Reported { inner: source.reader, item };
        let unpacked = self.store.unpack_layer(&lease, &mut reader, Expected::default())?;
        reader.item.done();
        let (diff, size) = (unpacked.diff(), unpacked.bytes());
        let message = message.unwrap_or_else(|| format!("Imported from {}", source.name));
        let platform = runnable(platform.unwrap_or_else(Platform::host))?;
        let document = document(config, diff, message, &platform, created);
        let layer = self.store.adopt_unless_here(&lease, unpacked, None)?;
        let id = ImageId(self.store.put_document(&lease, &document.to_bytes())?);
        let record = ImageRecord {
            top: Some(ChainId::extend(None, diff)),
            created: Some(created),
            tagged: name.as_ref().map(|_| Timestamp::now()),
            layers: vec![size],
            platform: platform.into(),
            manifest: None,
            repo_digests: Default::default(),
            parent: None,
        };
        self.store.change(|tables| {
            if let Some((chain, layer)) = layer {
                tables.layers.add(chain, layer);
            }
            tables.images.images.insert(id, record);
            if let Some(name) = &name {
                tables.images.names.insert(name.to_string(), NameRecord::of(id));
            }
            Ok::<_, EngineError>(())
        })?;
        if let Some(name) = &name {
            self.image_event("tag", id, &[("name", &name.familiar())]);
        }
        self.image_event("import", id, &[("name", &id.to_string())]);
        Ok(id)
    }
}

/// The platform, if it is of an operating system whose images are kept here. Docker's words.
fn runnable(platform: Platform) -> Result<Platform> {
    match platform.os.as_str() {
        "linux" => Ok(platform),
        _ => Err(EngineError::Refused("operating system is not supported".to_owned())),
    }
}

/// What instructions make of nothing.
fn configuration(changes: &[String]) -> Result<ContainerConfig> {
    let says_nothing = |line: &str| line.trim().is_empty() || line.trim().starts_with('#');
    if !changes.is_empty() && changes.iter().flat_map(|text| text.lines()).all(says_nothing) {
        return Err(EngineError::Refused("file with no instructions".to_owned()));
    }
    let mut config = ContainerConfig::default();
    apply_changes(&mut config, changes.iter().map(String::as_str))?;
    Ok(config)
}

/// The configuration of an image of one layer.
fn document(
    config: ContainerConfig,
    diff: DiffId,
    message: String,
    platform: &Platform,
    created: Timestamp,
) -> ImageConfig {
    let created = Some(created);
    ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        created,
        comment: message.clone(),
        config: Some(config),
        rootfs: RootFs::new(vec![diff]),
        history: vec![History { created, comment: message, ..History::default() }],
        ..ImageConfig::default()
    }
}
