//! A container's changes become an image: its image's layers and one more, if anything was changed.

use spec::{
    ChainId, ContainerConfig, ContainerId, DiffId, Digest, History, ImageConfig, ImageId,
    Reference, Timestamp, apply_changes,
};
use store::{ImageRecord, NameRecord, StoreError};

use super::alive::Alive;
use super::merge;
use super::record::ContainerRecord;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::tag::target_name;

/// What `commit` is asked for.
#[derive(Debug, Clone)]
pub struct CommitContainer {
    /// The container.
    pub container: ContainerId,
    /// What the image will be called.
    pub name: Option<String>,
    /// Who made it.
    pub author: String,
    /// What is said about it.
    pub message: String,
    /// A configuration that goes before the container's own, where one is given.
    pub config: Option<ContainerConfig>,
    /// Instructions that change its configuration.
    pub changes: Vec<String>,
    /// Whether a container that runs is frozen meanwhile.
    pub pause: bool,
    /// When it was made.
    pub created: Timestamp,
}

impl Engine {
    /// Makes an image of a container.
    pub fn commit_container(
        &self,
        request: &CommitContainer,
        alive: &dyn Alive,
    ) -> Result<ImageId> {
        let record = self.containers().read(&request.container)?;
        let name = request.name.as_deref().map(target_name).transpose()?;
        let mut config = request.config.clone().unwrap_or_else(|| record.config.clone());
        apply_changes(&mut config, request.changes.iter().map(String::as_str))?;
        if request.config.is_some() {
            config = merge::with_image(config, record.config.clone());
        }
        // Without control groups it is as it would be with `--pause=false`.
        let pauses = request.pause
            && !self.settings().standing.is_of_user()
            && self.container_state(&record.id)?.status == runtime::state::Status::Running;
        let frozen = match pauses.then(|| alive.freeze(&record.id, true)).transpose() {
            Ok(frozen) => frozen.is_some(),
            // It has ended since.
            Err(EngineError::NotRunning(_)) => false,
            Err(error) => return Err(error),
        };
        let made = self.make_image(request, &record, config, name.as_ref());
        if frozen {
            // It goes on, whatever became of the image.
            let thawed = alive.freeze(&record.id, false);
            let id = made?;
            // It may have been ended meanwhile.
            if self.container_state(&record.id)?.status == runtime::state::Status::Paused {
                thawed?;
            }
            return Ok(id);
        }
        made
    }

    fn make_image(
        &self,
        request: &CommitContainer,
        record: &ContainerRecord,
        config: ContainerConfig,
        name: Option<&Reference>,
    ) -> Result<ImageId> {
        let lease = self.store.lease()?;
        let snapshot = self.store.snapshot(&record.id.to_string())?;
        let unpacked = self.store.unpack_snapshot(&lease, &snapshot, None)?;
        let (diff, size) = (unpacked.diff(), unpacked.bytes());
        // Nothing was changed: docker's images have no layer for that, and neither have these.
        let diff = Some(diff).filter(|diff| *diff != DiffId(Digest::of(&EMPTY_TAR)));
        let chain = diff.map(|diff| ChainId::extend(snapshot.below, diff));
        let layer = match chain {
            Some(_) => self.store.adopt_unless_here(&lease, unpacked, snapshot.below)?,
            None => None,
        };
        let tables = self.store.tables()?;
        let base = match self.config(record.image) {
            // Its image was forced away; its layers are here, since its snapshot holds them.
            Err(EngineError::Store(StoreError::NoBlob(_))) => {
                let stack = tables.layers.stack(snapshot.below)?;
                let mut base =
                    ImageConfig { os: record.platform.clone(), ..ImageConfig::default() };
                base.rootfs =
                    spec::RootFs::new(stack.iter().map(|(_, layer)| layer.diff).collect());
                base.architecture = spec::Platform::host().architecture;
                base
            }
            other => other?,
        };
        let stack = tables.layers.stack(snapshot.below)?;
        let mut sizes: Vec<u64> = stack.iter().map(|(_, layer)| layer.bytes).collect();
        sizes.extend(diff.map(|_| size));
        let document = document(request, record, config, base, diff);
        let platform = document.platform();
        let id = ImageId(self.store.put_document(&lease, &document.to_bytes())?);
        let parent = tables.images.images.contains_key(&record.image).then_some(record.image);
        let image = ImageRecord {
            top: chain.or(snapshot.below),
            created: Some(request.created),
            tagged: name.map(|_| Timestamp::now()),
            layers: sizes,
            platform: platform.into(),
            manifest: None,
            repo_digests: Default::default(),
            parent,
        };
        self.store.change(|tables| {
            if let Some((chain, layer)) = layer {
                tables.layers.add(chain, layer);
            }
            tables.images.images.insert(id, image);
            if let Some(name) = name {
                tables.images.names.insert(name.to_string(), NameRecord::of(id));
            }
            Ok::<_, EngineError>(())
        })?;
        let (text, shown) = (id.to_string(), name.map(Reference::familiar).unwrap_or_default());
        if !shown.is_empty() {
            self.image_event("tag", id, &[("name", &shown)]);
        }
        let said =
            [("comment", request.message.as_str()), ("imageID", &text), ("imageRef", &shown)];
        self.container_event("commit", record, &said);
        Ok(id)
    }
}

/// A tar without files.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// The new image's configuration: the old one's, with one more layer if there is one, and how it
/// came about.
fn document(
    request: &CommitContainer,
    record: &ContainerRecord,
    config: ContainerConfig,
    base: ImageConfig,
    diff: Option<DiffId>,
) -> ImageConfig {
    let mut image = base;
    image.rootfs.diff_ids.extend(diff);
    image.history.push(History {
        created: Some(request.created),
        created_by: record.config.cmd.clone().unwrap_or_default().join(" "),
        author: request.author.clone(),
        comment: request.message.clone(),
        empty_layer: diff.is_none(),
    });
    image.created = Some(request.created);
    image.author.clone_from(&request.author);
    image.comment.clone_from(&request.message);
    image.container = record.id.to_string();
    image.container_config = None;
    image.config = Some(config);
    image
}
