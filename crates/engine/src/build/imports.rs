//! Steps that others did: looked up by key, and their layers fetched when they are needed.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::archive::{Bundle, FolderBundle};
use registry::{Access, Client, Target};
use serde_json::value::RawValue;
use spec::{Descriptor, Digest, Document, ImageConfig, Manifest, MediaType, Platform};
use store::{Expected, StepLayer, Unpacked};

use super::carried::{CacheConfig, CacheLayer, CachePlace, CacheRecord, INLINE, config_type};
use super::depot::Depot;
use super::session::BuildSession;
use super::tell::Teller;
use crate::error::{EngineError, Result};
use crate::sign::Policy;

/// No document that is read here is larger.
pub(super) const DOCUMENT_BYTES: u64 = 8 << 20;

/// What others did, from all places that were named.
#[derive(Default)]
pub(super) struct Imports {
    places: Vec<Place>,
    steps: BTreeMap<Digest, Known>,
}

/// A step that is known.
pub(super) struct Known {
    /// The instruction.
    pub(super) text: String,
    /// What it depended on.
    pub(super) rest: Box<RawValue>,
    /// Its layer, if it made one.
    pub(super) layer: Option<StepLayer>,
    /// Where that is.
    packed: Option<(usize, Descriptor)>,
}

/// Where layers come from.
enum Place {
    Folder(FolderBundle),
    Registry(Box<Client>, spec::Reference),
    Depot(Box<dyn Depot>),
}

impl Imports {
    /// Reads what is to be had; a place that has nothing is told and passed over, as BuildKit does.
    pub(super) fn read(
        session: &BuildSession<'_>,
        places: &[CachePlace],
        platform: &Platform,
        teller: &Teller<'_>,
    ) -> Imports {
        let mut imports = Imports::default();
        let own = session.engine.store().build_folder();
        for place in places {
            let name = match place {
                // One of ours holds what a client has sent; its name says nothing to the client.
                CachePlace::Folder { folder, .. } if folder.starts_with(&own) => {
                    "client directory".to_owned()
                }
                CachePlace::Folder { folder, .. } => folder.display().to_string(),
                CachePlace::Registry(name) => name.to_string(),
                CachePlace::Bucket(bucket) => {
                    format!("{}/{}", bucket.bucket, bucket.names.join(";"))
                }
                CachePlace::Github(github) => format!("gha:{}", github.scope),
            };
            let telling = teller.begin(&format!("importing cache manifest from {name}"));
            let read = imports.add(session, place, platform);
            // Without it the build takes longer, and that is all.
            let _ = telling.end(read);
        }
        imports
    }

    /// A step that somebody did.
    pub(super) fn find(&self, key: &Digest) -> Option<&Known> {
        self.steps.get(key)
    }

    /// Fetches the layer of a step.
    pub(super) fn fetch(
        &self,
        session: &BuildSession<'_>,
        known: &Known,
    ) -> Result<Option<Unpacked>> {
        let (Some((place, packed)), Some(layer)) = (&known.packed, known.layer) else {
            return Ok(None);
        };
        let expected = Expected {
            blob: Some(packed.digest),
            blob_bytes: Some(packed.size),
            diff: Some(layer.diff),
        };
        let (store, lease) = (session.engine.store(), &session.lease);
        let unpack = |reader: &mut (dyn Read + Send)| store.unpack_layer(lease, reader, expected);
        let unpacked = match &self.places[*place] {
            Place::Folder(bundle) => {
                let Some(mut part) = bundle.open(&blob_path(&packed.digest))? else {
                    return Ok(None);
                };
                unpack(&mut *part.reader)?
            }
            Place::Registry(client, name) => {
                let repository = client.repository(name, Access::Pull)?;
                unpack(&mut repository.blob(packed.digest, packed.size)?)?
            }
            Place::Depot(depot) => {
                let Some(mut reader) = depot.open(packed)? else { return Ok(None) };
                unpack(&mut *reader)?
            }
        };
        Ok(Some(unpacked))
    }

    fn add(
        &mut self,
        session: &BuildSession<'_>,
        place: &CachePlace,
        platform: &Platform,
    ) -> Result<()> {
        let settings = session.engine.settings();
        let policy = settings.registry.policy()?;
        let opened = match place {
            CachePlace::Folder { folder, .. } => Place::Folder(FolderBundle::open(folder)?),
            CachePlace::Registry(name) => {
                Place::Registry(Box::new(settings.client()?), name.clone())
            }
            CachePlace::Bucket(bucket) => Place::Depot(bucket.open(settings)?),
            CachePlace::Github(github) => Place::Depot(github.open(settings)?),
        };
        let configs = match &opened {
            Place::Depot(depot) => depot.documents()?.iter().map(|bytes| parse(bytes)).collect(),
            _ => opened.config(place, platform, policy.as_ref()).map(|config| vec![config]),
        };
        for config in configs? {
            self.know(config);
        }
        self.places.push(opened);
        Ok(())
    }

    /// Notes what the place says that is added next.
    fn know(&mut self, config: CacheConfig) {
        let at = self.places.len();
        for record in config.records {
            let CacheRecord { digest, results, text, rest } = record;
            let made =
                results.first().and_then(|result| Some((result, config.layers.get(result.layer)?)));
            let layer =
                made.map(|(result, layer)| StepLayer { diff: layer.diff(), bytes: result.bytes });
            let packed = made.map(|(_, layer)| (at, layer.descriptor()));
            if made.is_some() != results.is_empty() {
                self.steps.entry(digest).or_insert(Known { text, rest, layer, packed });
            }
        }
    }
}

/// A cache's document.
fn parse(bytes: &[u8]) -> Result<CacheConfig> {
    serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
}

fn malformed(why: String) -> EngineError {
    EngineError::Refused(format!("it is no cache: {why}"))
}

impl Place {
    /// What is said by a cache's image, or by an image that carries one.
    fn config(
        &self,
        place: &CachePlace,
        platform: &Platform,
        policy: Option<&Policy>,
    ) -> Result<CacheConfig> {
        let (manifest, digests) = self.manifest(place, platform)?;
        // A step of a cache is as good as an image: what it brings is run and sent.
        if let (Some(policy), Place::Registry(client, name)) = (policy, self) {
            policy.judge(&client.repository(name, Access::Pull)?, name, digests)?;
        }
        let config = self.blob(&manifest.config)?;
        match manifest.config.media_type == config_type() {
            true => parse(&config),
            false => inline(&config, &manifest).map_err(malformed),
        }
    }

    /// The manifest of a cache, or of an image that carries one; its digest, and that of the index
    /// around it.
    fn manifest(&self, place: &CachePlace, platform: &Platform) -> Result<(Manifest, Vec<Digest>)> {
        let nothing = || EngineError::Refused("there is no cache".to_owned());
        let mut bytes = match (self, place) {
            (Place::Folder(bundle), CachePlace::Folder { tag, .. }) => {
                let index = bundle.document("index.json")?.ok_or_else(nothing)?;
                let Ok(Document::Index(index)) = Document::parse(&index) else {
                    return Err(nothing());
                };
                let is_called = |entry: &&Descriptor| {
                    entry.annotations.get(image::archive::REF_NAME) == Some(tag)
                };
                let entry = index.manifests.iter().find(is_called).cloned();
                // One that lost its name to a later one is still there.
                let by_digest =
                    || Some(Descriptor::new(MediaType::OciManifest, tag.parse().ok()?, 0));
                self.blob(&entry.or_else(by_digest).ok_or_else(nothing)?)?
            }
            (Place::Registry(client, name), _) => {
                let repository = client.repository(name, Access::Pull)?;
                repository.document(&crate::pull::target(name))?.bytes
            }
            _ => return Err(nothing()),
        };
        let mut digests = vec![Digest::of(&bytes)];
        if let Ok(Document::Index(index)) = Document::parse(&bytes) {
            let entry = index.best(platform).ok_or_else(nothing)?;
            bytes = match self {
                Place::Folder(_) => self.blob(entry)?,
                Place::Registry(client, name) => {
                    let repository = client.repository(name, Access::Pull)?;
                    repository.document(&Target::Digest(entry.digest))?.bytes
                }
                Place::Depot(_) => return Err(nothing()),
            };
            digests.push(entry.digest);
        }
        match Document::parse(&bytes) {
            Ok(Document::Manifest(manifest)) => Ok((manifest, digests)),
            _ => Err(nothing()),
        }
    }

    /// A small blob, checked.
    fn blob(&self, wanted: &Descriptor) -> Result<Vec<u8>> {
        let missing = || EngineError::Refused(format!("blob {} is not there", wanted.digest));
        match self {
            Place::Folder(bundle) => {
                let bytes = bundle.document(&blob_path(&wanted.digest))?.ok_or_else(missing)?;
                let is_it = Digest::of(&bytes) == wanted.digest;
                is_it.then_some(bytes).ok_or_else(missing)
            }
            Place::Registry(client, name) => {
                let repository = client.repository(name, Access::Pull)?;
                Ok(repository.small_blob(wanted.digest, wanted.size, DOCUMENT_BYTES)?)
            }
            Place::Depot(_) => Err(missing()),
        }
    }
}

/// The cache in an image's configuration: its layers are the image's.
fn inline(config: &[u8], manifest: &Manifest) -> Result<CacheConfig, String> {
    let image = ImageConfig::parse(config).map_err(|error| error.to_string())?;
    let field = image.rest.get(INLINE).and_then(|value| value.as_str());
    let field = field.ok_or("the image carries none")?;
    let bytes = STANDARD.decode(field).map_err(|error| error.to_string())?;
    let records = serde_json::from_slice::<CacheConfig>(&bytes);
    let CacheConfig { records, .. } = records.map_err(|error| error.to_string())?;
    let layers = image.rootfs.diff_ids.iter().zip(&manifest.layers);
    let layers = layers.map(|(diff, layer)| CacheLayer::new(*diff, layer)).collect();
    Ok(CacheConfig { layers, records })
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}
