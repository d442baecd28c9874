//! What was built goes out: into the store under its names, to registries, into archives and
//! folders.

use std::borrow::Cow;
use std::collections::BTreeMap;

use image::archive::{ArchiveContent, ArchiveFamily, ArchivePlan, Member, plan_archive};
use spec::{
    Descriptor, DiffId, Digest, Document, ImageId, MediaType, Platform, Reference, Timestamp,
};
use store::{Images, LayerBlob, Lease, ManifestRef, NameRecord};

use super::assemble::Image;
use super::attest::Told;
use super::beside::{beside, refuse_overlap};
use super::files;
use super::output::{ArchiveForm, Naming, Output, Packing, Push};
use super::request::{Built, BuiltImage};
use super::seal::{Sealed, seal};
use super::tell::{Teller, Telling};
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::progress::{Item, Progress, Quiet};
use crate::push::PushImage;
use crate::save::SaveTarget;

/// What was built, on its way out.
pub(super) struct Export<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: &'a Lease,
    pub(super) images: &'a [Image],
    /// How they were built, if that is told.
    pub(super) told: Option<&'a Told>,
    pub(super) teller: &'a Teller<'a>,
    /// What the build is called.
    pub(super) reference: String,
}

impl Export<'_> {
    /// Takes all ways out.
    pub(super) fn all(&self, outputs: &[Output]) -> Result<Built> {
        let image = |image: &Image| BuiltImage { id: image.id, platform: image.platform() };
        let images = self.images.iter().map(image).collect();
        let (names, document, is_image) = Default::default();
        let reference = self.reference.clone();
        let (provenance, warnings) = Default::default();
        let mut built =
            Built { reference, images, names, document, is_image, provenance, warnings };
        for output in outputs {
            self.one(output, &mut built)?;
        }
        Ok(built)
    }

    fn one(&self, output: &Output, built: &mut Built) -> Result<()> {
        let (title, names) = match output {
            Output::Nothing => return Ok(()),
            Output::Image { names, .. } => ("exporting to image", names.as_slice()),
            Output::Archive { form: ArchiveForm::Docker, names, .. } => {
                ("exporting to docker image format", names.as_slice())
            }
            Output::Archive { names, .. } => ("exporting to oci image format", names.as_slice()),
            Output::Files { .. } => ("exporting to client directory", &[][..]),
        };
        let telling = self.teller.begin(title);
        let document = match output {
            Output::Nothing => Ok(None),
            Output::Image { names, push, packing, naming } => {
                self.image(names, *push, (packing, naming), &telling)
            }
            Output::Archive { names, form, target, packing } => {
                self.archive(names, *form, target, packing, &telling).map(Some)
            }
            Output::Files { target, split, prefix } => {
                let split = split.unwrap_or(self.images.len() > 1);
                let told = self.with_told(prefix, self.images.len() > 1 && !split);
                told.and_then(|told| files::write(self.engine, &told, target, split)).map(|()| None)
            }
        };
        let document = telling.end(document)?;
        built.is_image |= !matches!(output, Output::Files { .. });
        built.document = document.or(built.document.take());
        let known = built.names.clone();
        built.names.extend(names.iter().filter(|name| !known.contains(name)).cloned());
        Ok(())
    }

    fn image(
        &self,
        names: &[Reference],
        push: Push,
        (packing, naming): (&Packing, &Naming),
        telling: &Telling<'_>,
    ) -> Result<Option<Descriptor>> {
        if push != Push::No && names.is_empty() {
            return Err(EngineError::Refused("tag is needed when pushing to registry".to_owned()));
        }
        // One image can stay as it is until it leaves; what several are is said by an index.
        let is_alone = self.images.len() == 1 && !self.attests();
        let canonical = naming.canonical_names(names);
        let sealed = match packing.is_usual() && is_alone && canonical.is_empty() {
            true => None,
            false => Some(self.seal(packing, names)?),
        };
        telling.note("exporting layers done");
        let kept = if push == Push::ByDigest { &[] } else { names };
        self.keep(sealed.as_ref(), kept, &canonical)?;
        for image in self.images {
            telling.note(&format!("writing image {} done", image.id));
        }
        kept.iter().for_each(|name| telling.note(&format!("naming to {name} done")));
        let mut document = sealed.as_ref().map(Sealed::descriptor);
        if push != Push::No {
            for name in names {
                document = Some(self.push(name, (push, naming.insecure), telling)?);
            }
        }
        Ok(document)
    }

    fn seal(&self, packing: &Packing, names: &[Reference]) -> Result<Sealed> {
        seal(self.engine, self.lease, self.images, packing, (self.told, names))
    }

    /// The images with files that tell of them.
    fn with_told(&self, prefix: &str, named: bool) -> Result<Vec<files::Told<'_>>> {
        if named {
            refuse_overlap(self.engine, self.images)?;
        }
        let one = |image| Ok((image, beside(self.engine, image, self.told, (prefix, named))?));
        self.images.iter().map(one).collect()
    }

    /// Whether anything is told beside the images.
    fn attests(&self) -> bool {
        self.told.is_some() || self.images.iter().any(|image| !image.contents.is_empty())
    }

    fn push(
        &self,
        name: &Reference,
        (push, is_insecure): (Push, bool),
        telling: &Telling<'_>,
    ) -> Result<Descriptor> {
        telling.note(&format!("pushing {name}"));
        let mut settings = Cow::Borrowed(self.engine.settings());
        if is_insecure {
            settings.to_mut().registry.insecure.push(name.domain().to_owned());
        }
        let client = settings.client()?;
        let told = PushTold(telling);
        let mut pushed = None;
        match push {
            Push::ByDigest => {
                let (false, [image]) = (self.attests(), self.images) else {
                    let words = "only one image can be pushed by digest: build for one platform, without attestations";
                    return Err(EngineError::Refused(words.to_owned()));
                };
                pushed = Some(self.engine.push_by_digest(&client, name, image.id, &told)?);
            }
            _ => {
                let name = name.clone();
                let push = PushImage { name, all_tags: false, platform: None, repack: None };
                let mut note = |one: &crate::Pushed| pushed = Some(one.clone());
                self.engine.push(&client, &push, &told, &mut note)?;
            }
        }
        let pushed = pushed.expect("a push that ends well has pushed the name");
        telling.note(&format!("pushed {}@{}", name.name(), pushed.digest));
        Ok(Descriptor::new(pushed.media_type, pushed.digest, pushed.bytes))
    }

    fn archive(
        &self,
        names: &[Reference],
        form: ArchiveForm,
        target: &SaveTarget,
        packing: &Packing,
        telling: &Telling<'_>,
    ) -> Result<Descriptor> {
        if form == ArchiveForm::Docker && self.images.len() > 1 {
            let words = "docker exporter does not currently support exporting manifest lists";
            return Err(EngineError::Refused(words.to_owned()));
        }
        let sealed = self.seal(packing, names)?;
        let document = sealed.descriptor();
        telling.note("exporting layers done");
        telling.note(&format!("exporting manifest {} done", document.digest));
        let plan = plan(sealed, names, form)?;
        match target {
            SaveTarget::File(path) => self.engine.write_file(&plan, path)?,
            SaveTarget::Stream(file) => self.engine.write_archive(&plan, file)?,
            SaveTarget::Layout(path) | SaveTarget::Dir(path) => {
                self.engine.write_layout(&plan, path, false)?;
            }
        }
        telling.note("sending tarball done");
        Ok(document)
    }

    /// Keeps the images and gives them their names. What is there already is not written again.
    /// With `canonical` names they are known by their digest too.
    fn keep(
        &self,
        sealed: Option<&Sealed>,
        names: &[Reference],
        canonical: &[&Reference],
    ) -> Result<()> {
        let store = self.engine.store();
        let kept = sealed.map(|sealed| self.keep_documents(sealed)).transpose()?;
        let Kept { manifests, index, attached } = kept.unwrap_or_default();
        let name_record = NameRecord { attached, ..self.name_record(index) };
        let images = store.images()?;
        for image in self.images {
            self.lease.protect_blob(&image.id.0)?;
        }
        let digest = sealed.map(|sealed| sealed.descriptor().digest);
        let digests = canonical.iter().zip(digest.into_iter().cycle());
        let digests: Vec<String> =
            digests.map(|(name, digest)| format!("{}@{digest}", name.name())).collect();
        let is_known = |image: &Image| {
            let Some(record) = images.images.get(&image.id) else { return false };
            if !digests.iter().all(|known| record.repo_digests.contains(known)) {
                return false;
            }
            let manifest = manifests.get(&image.id);
            let same = manifest.is_none_or(|manifest| record.manifest.as_deref() == Some(manifest));
            same && store.has_blob(&image.id.0)
        };
        let is_named = |name: &Reference| images.names.get(&name.to_string()) == Some(&name_record);
        if self.images.iter().all(is_known) && names.iter().all(is_named) {
            return Ok(());
        }
        for image in self.images {
            store.put_document(self.lease, &image.document)?;
        }
        let now = Timestamp::now();
        let change = |images: &mut Images| {
            for image in self.images {
                let known = images.images.get(&image.id).cloned();
                let mut record = known.unwrap_or_else(|| image.record());
                if !names.is_empty() {
                    record.tagged = Some(now);
                }
                if let Some(manifest) = manifests.get(&image.id) {
                    record.manifest = Some(manifest.clone().into());
                }
                record.repo_digests.extend(digests.iter().cloned());
                images.images.insert(image.id, record);
            }
            for name in names {
                images.names.insert(name.to_string(), name_record.clone());
            }
        };
        match sealed {
            None => store.change_images(|images| {
                change(images);
                Ok::<_, EngineError>(())
            })?,
            Some(sealed) => store.change(|tables| {
                change(&mut tables.images);
                let blobs = self.blobs(sealed);
                for layer in tables.layers.layers.values_mut() {
                    if let (None, Some(blob)) = (&layer.blob, blobs.get(&layer.diff)) {
                        layer.blob = Some(blob.clone());
                    }
                }
                Ok::<_, EngineError>(())
            })?,
        }
        for name in names {
            self.engine.image_event("tag", name_record.image, &[("name", &name.familiar())]);
        }
        Ok(())
    }

    /// Keeps manifests and the index, and says what the store is to know of them.
    fn keep_documents(&self, sealed: &Sealed) -> Result<Kept> {
        let store = self.engine.store();
        let keep = |(bytes, media_type): &(Vec<u8>, MediaType)| {
            let digest = store.put_document(self.lease, bytes)?;
            let (media_type, size) = (media_type.clone(), bytes.len() as u64);
            Ok::<_, EngineError>(ManifestRef { digest, media_type, size })
        };
        let manifests = self.images.iter().zip(&sealed.images);
        let manifests = manifests.map(|(image, sealed)| Ok((image.id, keep(&sealed.manifest)?)));
        let manifests = manifests.collect::<Result<_>>()?;
        let mut attached = Vec::new();
        for attestation in &sealed.attestations {
            attached.extend(attestation.keep(self.engine, self.lease)?);
        }
        let index = sealed.index.as_ref().map(keep).transpose()?;
        Ok(Kept { manifests, index, attached })
    }

    /// What a name of the images stands for: the one for this machine stands first.
    fn name_record(&self, index: Option<ManifestRef>) -> NameRecord {
        let host = Platform::host();
        let rank = |image: &&Image| image.platform().rank(&host).unwrap_or(u32::MAX);
        let mut ids: Vec<ImageId> = Vec::new();
        let mut images: Vec<&Image> = self.images.iter().collect();
        images.sort_by_key(rank);
        for image in images {
            if !ids.contains(&image.id) {
                ids.push(image.id);
            }
        }
        let image = ids.remove(0);
        NameRecord { others: ids, index: index.map(Box::new), ..NameRecord::of(image) }
    }

    /// The compressed forms of layers.
    fn blobs(&self, sealed: &Sealed) -> BTreeMap<DiffId, LayerBlob> {
        let mut blobs = BTreeMap::new();
        for (image, sealed) in self.images.iter().zip(&sealed.images) {
            for (diff, layer) in image.config.rootfs.diff_ids.iter().zip(&sealed.layers) {
                let blob = LayerBlob { digest: layer.digest, bytes: layer.size };
                if layer.digest != diff.0 {
                    blobs.insert(*diff, blob);
                }
            }
        }
        blobs
    }
}

impl Naming {
    /// The names that are to be known with a digest.
    fn canonical_names<'a>(&'a self, names: &'a [Reference]) -> Vec<&'a Reference> {
        match names {
            [] => self.dangling.iter().collect(),
            names => names.iter().filter(|_| self.canonical).collect(),
        }
    }
}

/// Documents that are kept.
#[derive(Default)]
struct Kept {
    manifests: BTreeMap<ImageId, ManifestRef>,
    index: Option<ManifestRef>,
    /// Attestations and all that they name.
    attached: Vec<Digest>,
}

/// What an archive of these images holds.
fn plan(sealed: Sealed, names: &[Reference], form: ArchiveForm) -> Result<ArchivePlan> {
    let document = sealed.descriptor();
    let Sealed { mut images, index, attestations, .. } = sealed;
    let members: Vec<Digest> = images.iter().map(|image| image.config.digest).collect();
    let families = match index {
        Some(index) => {
            let (names, index) = (names.to_vec(), Some(index));
            vec![ArchiveFamily { names, tag: None, index, members }]
        }
        None => {
            images[0].names = names.to_vec();
            Vec::new()
        }
    };
    let mut plan = plan_archive(&images, &families);
    for bytes in attestations.into_iter().flat_map(|one| [vec![one.manifest], one.blobs].concat()) {
        let digest = Digest::of(&bytes);
        let path = format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex());
        if !plan.iter().any(|member| member.path == path) {
            plan.push(Member { path, content: ArchiveContent::Bytes(bytes) });
        }
    }
    if form == ArchiveForm::Oci {
        plan.retain(|member| !matches!(member.path.as_str(), "manifest.json" | "repositories"));
    }
    if !document.annotations.is_empty() {
        say(&mut plan, &document)?;
    }
    Ok(plan)
}

/// Puts what is said of a document at its entries in the list of a layout.
fn say(plan: &mut ArchivePlan, document: &Descriptor) -> Result<()> {
    for member in plan.iter_mut().filter(|member| member.path == "index.json") {
        let ArchiveContent::Bytes(bytes) = &mut member.content else { continue };
        let malformed = |error: spec::DocumentError| EngineError::Refused(error.to_string());
        let Document::Index(mut list) = Document::parse(bytes).map_err(malformed)? else {
            continue;
        };
        for entry in list.manifests.iter_mut().filter(|entry| entry.digest == document.digest) {
            entry.annotations.extend(document.annotations.clone());
        }
        *bytes = list.to_bytes();
    }
    Ok(())
}

/// A push as a part of a step.
struct PushTold<'a>(&'a Telling<'a>);

impl Progress for PushTold<'_> {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) -> Box<dyn Item + '_> {
        Box::new(Quiet)
    }

    fn note(&self, text: &str) {
        self.0.note(text);
    }
}
