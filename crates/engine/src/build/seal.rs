//! The documents of images on their way out: manifests, and an index where there is more than one.
//!
//! Layers that the build made are compressed here, into the store, by all processors. Those of a
//! base stay as they came unless somebody insists.

use std::collections::BTreeMap;

use image::archive::ArchiveImage;
use spec::{Compression, Descriptor, Document, Index, Manifest, MediaType, Platform, Reference};
use store::{LayerBlob, LayerRecord, Layers, Lease};

use super::assemble::Image;
use super::attest::{Attestation, Told, attest};
use super::output::{Annotation, AnnotationPlace, Packing, Types};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::pack::{LayerCoding, Packer, Plain, Squeeze};
use crate::progress::Quiet;

/// Images with their documents.
pub(super) struct Sealed {
    /// Each with its manifest; the blobs that they name are here as long as the lease lives.
    pub(super) images: Vec<ArchiveImage>,
    /// What names all of them, where that is not one manifest.
    pub(super) index: Option<(Vec<u8>, MediaType)>,
    /// What is told of how they were built; the index names it.
    pub(super) attestations: Vec<Attestation>,
    /// What is said at the entry of what names all of them, or of the only manifest.
    said: BTreeMap<String, String>,
}

impl Packing {
    /// Whether nothing is asked for, so that images may stay as they are until they leave.
    pub(super) fn is_usual(&self) -> bool {
        *self == Packing::default()
    }

    /// The annotations that stand at a place about an image, or about all.
    fn annotations(
        &self,
        place: AnnotationPlace,
        platform: Option<&Platform>,
    ) -> impl Iterator<Item = (String, String)> {
        let is_about = move |one: &&Annotation| {
            let wanted = one.platform.as_ref();
            one.place == place
                && wanted.is_none_or(|wanted| platform.is_some_and(|own| own.matches(wanted)))
        };
        let pair = |one: &Annotation| (one.key.clone(), one.value.clone());
        self.annotations.iter().filter(is_about).map(pair)
    }
}

impl Sealed {
    /// What the name of the images stands for.
    pub(super) fn descriptor(&self) -> Descriptor {
        let (bytes, media_type) = self.index.as_ref().unwrap_or(&self.images[0].manifest);
        let mut descriptor = Descriptor::of(media_type.clone(), bytes);
        descriptor.annotations.extend(self.said.clone());
        descriptor
    }
}

/// Makes the documents of images.
pub(super) fn seal(
    engine: &Engine,
    lease: &Lease,
    images: &[Image],
    packing: &Packing,
    (told, names): (Option<&Told>, &[Reference]),
) -> Result<Sealed> {
    let layers = engine.store().tables()?.layers;
    let is_docker = packing.types == Some(Types::Docker);
    let attests = told.is_some() || images.iter().any(|image| !image.contents.is_empty());
    check(packing, images.len() + usize::from(attests), is_docker)?;
    let sealed = images.iter().map(|image| seal_one(engine, lease, image, packing, &layers));
    let sealed = sealed.collect::<Result<Vec<_>>>()?;
    let tell = |(image, sealed): (&Image, &ArchiveImage)| {
        let (bytes, media_type) = &sealed.manifest;
        let about = Descriptor::of(media_type.clone(), bytes);
        attest(image, &about, names, (told, packing.artifact))
    };
    let attestations: Vec<Attestation> = images.iter().zip(&sealed).filter_map(tell).collect();
    if is_docker && !attestations.is_empty() {
        let words = "docker's media types have no attestations: use oci-mediatypes=true";
        return Err(EngineError::Refused(words.to_owned()));
    }
    let images = sealed;
    let index = (images.len() > 1 || !attestations.is_empty()).then(|| {
        let entries = images.iter().map(|image| entry(image, packing));
        let entries = entries.chain(attestations.iter().map(|one| one.entry.clone()));
        let mut index = Index::new(entries.collect());
        index.annotations.extend(packing.annotations(AnnotationPlace::Index, None));
        if is_docker {
            index.media_type = Some(MediaType::DockerIndex);
        }
        let bytes = index.to_bytes();
        (bytes, Document::Index(index).media_type())
    });
    let said = match index {
        Some(_) => packing.annotations(AnnotationPlace::IndexDescriptor, None).collect(),
        None => {
            let platform = Some(&images[0].platform);
            packing.annotations(AnnotationPlace::ManifestDescriptor, platform).collect()
        }
    };
    Ok(Sealed { images, index, attestations, said })
}

/// Refuses what would not be in any document.
fn check(packing: &Packing, images: usize, is_docker: bool) -> Result<()> {
    let refused = |words: &str| Err(EngineError::Refused(words.to_owned()));
    let stands = |place| packing.annotations.iter().any(|one| one.place == place);
    if is_docker && !packing.annotations.is_empty() {
        return refused("docker's media types have no annotations: use oci-mediatypes=true");
    }
    if is_docker
        && packing.compression.is_some_and(|coding| coding.compression() == Compression::Zstd)
    {
        return refused("docker's media types have no zstd: use oci-mediatypes=true");
    }
    let of_index = stands(AnnotationPlace::Index) || stands(AnnotationPlace::IndexDescriptor);
    if images == 1 && of_index {
        return refused(
            "index annotations are not supported for a single image, which has no index",
        );
    }
    Ok(())
}

fn entry(image: &ArchiveImage, packing: &Packing) -> Descriptor {
    let (bytes, media_type) = &image.manifest;
    let mut entry = Descriptor::of(media_type.clone(), bytes);
    let said = packing.annotations(AnnotationPlace::ManifestDescriptor, Some(&image.platform));
    entry.annotations.extend(said);
    entry.platform = Some(image.platform.clone());
    entry
}

fn seal_one(
    engine: &Engine,
    lease: &Lease,
    image: &Image,
    packing: &Packing,
    layers: &Layers,
) -> Result<ArchiveImage> {
    engine.store().put_document(lease, &image.document)?;
    let stack = layers.stack(image.top)?;
    let packed = stack.iter().enumerate().map(|(at, (_, layer))| {
        let packed = pack(engine, lease, layer, packing, at >= image.base_layers)?;
        Ok(Descriptor { media_type: layer_type(&packed, packing.types), ..packed })
    });
    let layers = packed.collect::<Result<Vec<_>>>()?;
    let config_type = match packing.types {
        Some(Types::Docker) => MediaType::DockerConfig,
        _ => MediaType::OciConfig,
    };
    let config = Descriptor::of(config_type, &image.document);
    let platform = image.platform();
    let mut manifest = Manifest::new(config.clone(), layers.clone());
    manifest.annotations.extend(packing.annotations(AnnotationPlace::Manifest, Some(&platform)));
    let manifest = (manifest.to_bytes(), Document::Manifest(manifest).media_type());
    Ok(ArchiveImage { names: Vec::new(), tag: None, manifest, config, layers, platform })
}

fn layer_type(layer: &Descriptor, types: Option<Types>) -> MediaType {
    match (types, layer.media_type.compression()) {
        (Some(Types::Docker), Some(Compression::None)) => MediaType::DockerLayer,
        (Some(Types::Docker), Some(Compression::Gzip)) => MediaType::DockerLayerGzip,
        (Some(Types::Docker), Some(Compression::Zstd)) => MediaType::DockerLayerZstd,
        _ => layer.media_type.clone(),
    }
}

/// A layer as it shall leave. `own`: the build made it.
pub(super) fn pack(
    engine: &Engine,
    lease: &Lease,
    layer: &LayerRecord,
    packing: &Packing,
    own: bool,
) -> Result<Descriptor> {
    lease.protect_blob(&layer.diff.0)?;
    if let Some(LayerBlob { digest, .. }) = &layer.blob {
        lease.protect_blob(digest)?;
    }
    let wanted = packing.compression.unwrap_or(LayerCoding::Gzip);
    let kept = engine.layer_descriptor(layer)?;
    let is_plain = kept.media_type.compression() == Some(Compression::None);
    let may_stay = !is_plain && (wanted.is_of(&kept) || !own);
    if may_stay && !packing.force {
        return Ok(kept);
    }
    let tar = Plain::of(engine, lease, layer)?;
    if wanted == LayerCoding::Plain {
        match engine.store().has_blob(&layer.diff.0) {
            true => engine.store().verify_blob(&layer.diff.0)?,
            false => {
                engine.store().put_blob(lease, &layer.diff.0, Some(layer.bytes), &mut &tar.file)?;
            }
        }
        return Ok(Descriptor::new(MediaType::OciLayer, layer.diff.0, layer.bytes));
    }
    let squeeze = Squeeze { coding: wanted, level: packing.level };
    Packer::run(&tar, squeeze, Box::new(Quiet), |packer| {
        engine.store().keep_blob(lease, packer)?;
        packer.finish().ok_or_else(|| tar.fault(engine))
    })
}
