//! Which images a bundle holds, whatever form it has.
//!
//! Docker's `manifest.json` names images by their parts; an OCI `index.json` names manifests by
//! digest. An archive may be both: then docker's file gives the names and OCI's the exact manifests
//! that belong to them.

use std::collections::BTreeMap;
use std::io;

use spec::{
    ArchiveManifest, Descriptor, DiffId, Digest, Document, ImageConfig, ImageId, Index, Manifest,
    MediaType, Platform, Reference,
};

use super::bundle::Bundle;
use super::dir::{is_dir_manifest, read_dir};
use crate::tar::TarError;

/// Why an archive is no image archive.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ArchiveError {
    #[error("cannot read the archive")]
    Source(#[source] io::Error),
    #[error("the archive is no valid tar archive")]
    Tar(#[source] TarError),
    #[error("cannot read {name} in the archive")]
    Read { name: String, source: io::Error },
    #[error("{name} in the archive has {bytes} bytes, which is too much for a document")]
    LargeDocument { name: String, bytes: u64 },
    #[error("{name} in the archive is malformed: {why}")]
    Malformed { name: String, why: String },
    #[error("the archive names {name}, but does not have it")]
    Missing { name: String },
    #[error("{name} in the archive is {got}")]
    WrongBytes { name: String, got: Digest },
    #[error("the archive has more than {limit} parts, or too long names: no archive of images has")]
    TooManyParts { limit: usize },
    #[error(
        "the archive is neither a docker archive (no manifest.json) nor an OCI layout (no index.json)"
    )]
    NoImages,
    #[error("the archive names no image")]
    Empty,
}

/// A document that must leave as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its type.
    pub media_type: MediaType,
}

impl Original {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// An image in a bundle.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// Its names.
    pub names: Vec<Reference>,
    /// What a layout calls it, which may be a name or just a tag.
    pub tag: Option<String>,
    /// Its configuration, byte for byte.
    pub config_bytes: Vec<u8>,
    /// The same, understood.
    pub config: ImageConfig,
    /// The manifest it came with, if it has one.
    pub manifest: Option<Original>,
    /// The index that its names stand for, if that has several images.
    pub index: Option<Original>,
    /// Its layers, bottom first.
    pub layers: Vec<BundledLayer>,
}

impl Bundled {
    /// Its id.
    pub fn id(&self) -> ImageId {
        ImageConfig::id(&self.config_bytes)
    }

    /// Whether a person means just it by this word: what the layout calls it, or one of its names.
    pub fn is_called(&self, word: &str) -> bool {
        let full = Reference::parse(word).map(Reference::with_default_tag).ok();
        self.tag.as_deref() == Some(word)
            || self.names.iter().any(|name| Some(name) == full.as_ref())
    }

    /// Whether one of its names has this tag.
    pub fn has_tag(&self, word: &str) -> bool {
        self.names.iter().any(|name| name.tag() == Some(word))
    }
}

/// A layer in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledLayer {
    /// The part that holds it.
    pub part: String,
    /// The digest of its plain tar.
    pub diff: DiffId,
    /// The digest of the part, where the archive says it.
    pub blob: Option<Digest>,
    /// The part's size, where the archive says it.
    pub bytes: Option<u64>,
}

/// The images in a bundle, those of other platforms included.
pub fn read_bundle(bundle: &dyn Bundle) -> Result<Vec<Bundled>, ArchiveError> {
    let docker = bundle.document("manifest.json")?;
    let docker = match docker {
        Some(bytes) if is_dir_manifest(&bytes) => return read_dir(bundle, bytes),
        docker => docker,
    };
    let index = bundle.document("index.json")?;
    let layout = index.map(|bytes| read_layout(bundle, &bytes)).transpose()?;
    let Some(docker) = docker else {
        return match layout.ok_or(ArchiveError::NoImages)? {
            Layout { missing: Some(missing), .. } => Err(missing),
            Layout { images, .. } if images.is_empty() => Err(ArchiveError::Empty),
            Layout { images, .. } => Ok(images),
        };
    };
    // What docker's file names must be here; the index then only says more about it.
    let oci = layout.map(|layout| layout.images).unwrap_or_default();
    let entries: Vec<ArchiveManifest> = serde_json::from_slice(&docker)
        .map_err(|error| malformed("manifest.json", error.to_string()))?;
    let mut images: Vec<Bundled> = Vec::new();
    let mut exact: BTreeMap<ImageId, Bundled> =
        oci.into_iter().map(|image| (image.id(), image)).collect();
    for entry in &entries {
        let names = docker_names(entry)?;
        let mut image = read_docker(bundle, entry, names)?;
        // The same image in its OCI form says more: digests, sizes, the manifest itself.
        if let Some(other) = exact.remove(&image.id()) {
            let names = std::mem::take(&mut image.names);
            image = Bundled { names, ..other };
        }
        images.push(image);
    }
    // Images of other platforms stand only in the index; an image without any name in docker's
    // file has no other way to be found.
    images.extend(exact.into_values().filter(|image| image.index.is_some()));
    Ok(images)
}

fn docker_names(entry: &ArchiveManifest) -> Result<Vec<Reference>, ArchiveError> {
    let parse = |name: &String| {
        let wrong =
            |why: String| malformed("manifest.json", format!("invalid tag {name:?}: {why}"));
        match Reference::parse(name).map(Reference::with_default_tag) {
            Ok(reference) if reference.digest().is_none() => Ok(reference),
            Ok(_) => Err(wrong("a digest is no name that an image is given".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        }
    };
    entry.repo_tags.iter().flatten().map(parse).collect()
}

fn read_docker(
    bundle: &dyn Bundle,
    entry: &ArchiveManifest,
    names: Vec<Reference>,
) -> Result<Bundled, ArchiveError> {
    let config_bytes = required(bundle, &entry.config)?;
    let config = ImageConfig::parse(&config_bytes)
        .map_err(|error| malformed(&entry.config, error.to_string()))?;
    if config.rootfs.diff_ids.len() != entry.layers.len() {
        let (layers, diffs) = (entry.layers.len(), config.rootfs.diff_ids.len());
        let why = format!("{layers} layers, but the configuration says {diffs}");
        return Err(malformed("manifest.json", why));
    }
    let layers = entry.layers.iter().zip(&config.rootfs.diff_ids).map(|(part, diff)| {
        let blob = part.strip_prefix("blobs/").and_then(|name| name.replace('/', ":").parse().ok());
        BundledLayer { part: part.clone(), diff: *diff, blob, bytes: None }
    });
    let layers = layers.collect();
    Ok(Bundled { names, tag: None, config_bytes, config, manifest: None, index: None, layers })
}

/// What a layout holds.
struct Layout {
    images: Vec<Bundled>,
    /// The first image that it lists and does not have all of.
    missing: Option<ArchiveError>,
}

/// The images of an OCI layout. All that it lists by itself must be there; of an index in it only
/// some platforms may be. Artifacts and attestations are passed over.
fn read_layout(bundle: &dyn Bundle, bytes: &[u8]) -> Result<Layout, ArchiveError> {
    let mut layout = Layout { images: Vec::new(), missing: None };
    for descriptor in &parse_list(bytes)?.manifests {
        match read_entry(bundle, descriptor) {
            Ok(images) => layout.images.extend(images),
            Err(error @ ArchiveError::Missing { .. }) => {
                layout.missing.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(layout)
}

fn parse_list(bytes: &[u8]) -> Result<Index, ArchiveError> {
    match Document::parse(bytes) {
        Ok(Document::Index(index)) => Ok(index),
        Ok(Document::Manifest(_)) => Err(malformed("index.json", "it is a manifest".to_owned())),
        Err(error) => Err(malformed("index.json", error.to_string())),
    }
}

/// What the list of an OCI layout names.
pub fn layout_entries(bundle: &dyn Bundle) -> Result<Vec<Descriptor>, ArchiveError> {
    let bytes = bundle.document("index.json")?.ok_or(ArchiveError::NoImages)?;
    Ok(parse_list(&bytes)?.manifests)
}

/// The images under one document of a layout, whether its list names it or not.
pub fn read_entry(
    bundle: &dyn Bundle,
    descriptor: &Descriptor,
) -> Result<Vec<Bundled>, ArchiveError> {
    let names = layout_names(&descriptor.annotations);
    let mut images = Vec::new();
    let original = required_blob(bundle, &descriptor.digest, &descriptor.media_type)?;
    match parse(&original, &descriptor.digest)? {
        Document::Manifest(manifest) => {
            images.extend(read_manifest(bundle, manifest, original, names)?);
        }
        Document::Index(inner) => {
            let missing = read_index(bundle, &inner, &original, &names, &mut images, 0)?;
            if let (true, Some(missing)) = (images.is_empty(), missing) {
                return Err(missing);
            }
        }
    }
    let tag = descriptor.annotations.get(REF_NAME);
    images.iter_mut().for_each(|image| image.tag = tag.cloned());
    Ok(images)
}

/// Indexes in indexes are followed so deep.
const MAX_NESTING: usize = 4;

/// The images of an index, whose other platforms need not be there: what is missing first, if
/// anything is.
pub(super) fn read_index(
    bundle: &dyn Bundle,
    index: &Index,
    original: &Original,
    names: &[Reference],
    images: &mut Vec<Bundled>,
    depth: usize,
) -> Result<Option<ArchiveError>, ArchiveError> {
    let mut missing = None;
    for descriptor in index.manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
        let inner = match required_blob(bundle, &descriptor.digest, &descriptor.media_type) {
            Err(error @ ArchiveError::Missing { .. }) => {
                missing.get_or_insert(error);
                continue;
            }
            other => other?,
        };
        match parse(&inner, &descriptor.digest)? {
            Document::Manifest(manifest) => {
                match read_manifest(bundle, manifest, inner, names.to_vec()) {
                    Err(error @ ArchiveError::Missing { .. }) => {
                        missing.get_or_insert(error);
                    }
                    image => images.extend(
                        image?.map(|image| Bundled { index: Some(original.clone()), ..image }),
                    ),
                }
            }
            Document::Index(nested) if depth < MAX_NESTING => {
                let lacks = read_index(bundle, &nested, original, names, images, depth + 1)?;
                missing = missing.or(lacks);
            }
            Document::Index(_) => {
                let why = "indexes in indexes, too many".to_owned();
                return Err(malformed(&blob_name(&descriptor.digest), why));
            }
        }
    }
    Ok(missing)
}

/// An image by its manifest, if it is an image; all of it must be there.
pub(super) fn read_manifest(
    bundle: &dyn Bundle,
    manifest: Manifest,
    original: Original,
    names: Vec<Reference>,
) -> Result<Option<Bundled>, ArchiveError> {
    if !manifest.config.media_type.is_config() {
        return Ok(None);
    }
    let name = blob_name(&manifest.config.digest);
    let config = &manifest.config;
    let config_bytes = required_blob(bundle, &config.digest, &config.media_type)?.bytes;
    let config =
        ImageConfig::parse(&config_bytes).map_err(|error| malformed(&name, error.to_string()))?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        let (layers, diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        let why = format!("{diffs} layers, but its manifest says {layers}");
        return Err(malformed(&name, why));
    }
    let mut layers = Vec::new();
    for (descriptor, diff) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let part = blob_name(&descriptor.digest);
        if bundle.open(&part)?.is_none() {
            return Err(ArchiveError::Missing { name: part });
        }
        let (blob, bytes) = (Some(descriptor.digest), Some(descriptor.size));
        layers.push(BundledLayer { part, diff: *diff, blob, bytes });
    }
    let manifest = Some(original);
    Ok(Some(Bundled { names, tag: None, config_bytes, config, manifest, index: None, layers }))
}

/// containerd's annotation for a full name.
pub const IMAGE_NAME: &str = "io.containerd.image.name";
/// OCI's annotation for what a layout calls an image.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The names that a layout's annotations give: containerd's in full, else OCI's, where that is a
/// name and not just a tag.
fn layout_names(annotations: &BTreeMap<String, String>) -> Vec<Reference> {
    let full = annotations.get(IMAGE_NAME);
    let short = annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    let name = full.or(short);
    name.and_then(|name| Reference::parse(name).ok())
        // One that is a digest and no tag is no name that an image is given.
        .filter(|name| name.tag().is_some() || name.digest().is_none())
        .map(|name| name.without_digest().with_default_tag())
        .into_iter()
        .collect()
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// A document among the blobs, checked against its digest.
fn required_blob(
    bundle: &dyn Bundle,
    digest: &Digest,
    media_type: &MediaType,
) -> Result<Original, ArchiveError> {
    let name = blob_name(digest);
    let bytes = required(bundle, &name)?;
    let mut hasher = spec::Hasher::new(digest.algorithm());
    hasher.update(&bytes);
    let got = hasher.finish();
    if got != *digest {
        return Err(ArchiveError::WrongBytes { name, got });
    }
    Ok(Original { bytes, media_type: media_type.clone() })
}

fn parse(original: &Original, digest: &Digest) -> Result<Document, ArchiveError> {
    Document::parse(&original.bytes)
        .map_err(|error| malformed(&blob_name(digest), error.to_string()))
}

fn required(bundle: &dyn Bundle, name: &str) -> Result<Vec<u8>, ArchiveError> {
    bundle.document(name)?.ok_or_else(|| ArchiveError::Missing { name: name.to_owned() })
}

pub(super) fn malformed(name: &str, why: String) -> ArchiveError {
    ArchiveError::Malformed { name: name.to_owned(), why }
}

/// What an image runs on, for choosing among those of one name.
impl Bundled {
    /// Its platform.
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }
}
