//! A file system becomes an image of one layer.

use std::io::Read;

use spec::{
    ChainId, ContainerConfig, History, ImageConfig, ImageId, Platform, Reference, RootFs,
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
        let mut config = ContainerConfig::default();
        if !import.changes.is_empty() && import.changes.iter().all(|text| text.trim().is_empty()) {
            return Err(EngineError::Refused("file with no instructions".to_owned()));
        }
        apply_changes(&mut config, import.changes.iter().map(String::as_str))?;
        let lease = self.store.lease()?;
        let item = progress.begin(&import.source.name, "Importing", import.source.bytes);
        let mut reader = Reported { inner: import.source.reader, item };
        let unpacked = self.store.unpack_layer(&lease, &mut reader, Expected::default())?;
        reader.item.done();
        let (diff, size) = (unpacked.diff(), unpacked.bytes());
        let message =
            import.message.unwrap_or_else(|| format!("Imported from {}", import.source.name));
        let platform = import.platform.unwrap_or_else(Platform::host);
        let document = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            created: Some(import.created),
            comment: message.clone(),
            config: Some(config),
            rootfs: RootFs::new(vec![diff]),
            history: vec![History {
                created: Some(import.created),
                comment: message,
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let chain = ChainId::extend(None, diff);
        // Protected first and looked for then: what is there now stays there.
        lease.protect_chain(&chain)?;
        let mut layers = self.store.tables()?.layers;
        self.store.keep_fit(&mut layers, [diff])?;
        let layer = match layers.layers.get(&chain) {
            Some(_) => None,
            None => Some(self.store.adopt_layer(&lease, unpacked, None, &layers)?),
        };
        let id = ImageId(self.store.put_document(&lease, &document.to_bytes())?);
        let record = ImageRecord {
            top: Some(chain),
            created: Some(import.created),
            tagged: import.name.as_ref().map(|_| Timestamp::now()),
            layers: vec![size],
            platform: platform.into(),
            manifest: None,
            repo_digests: Default::default(),
            parent: None,
        };
        self.store.change(|tables| {
            if let Some((chain, layer)) = layer {
                tables.layers.layers.insert_new(chain, || layer);
            }
            tables.images.images.insert(id, record);
            if let Some(name) = &import.name {
                tables.images.names.insert(name.to_string(), NameRecord::of(id));
            }
            Ok::<_, EngineError>(())
        })?;
        let text = id.to_string();
        let name = import.name.as_ref().map_or_else(|| text.clone(), Reference::familiar);
        self.store.record_event("image", "import", &text, &[("name", &name)]);
        Ok(id)
    }
}
