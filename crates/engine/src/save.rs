//! Images into an archive or a layout: the same images always give the same bytes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image::archive::{ArchiveContent, ArchiveFamily, ArchiveImage, ArchivePlan, plan_archive};
use image::codec::Codec;
use image::tar::{Entry, EntryKind, encode_header, padding};
use spec::{Descriptor, Document, ImageConfig, ImageId, Manifest, MediaType, Platform, Reference};
use store::{ImageRecord, Images, LayerBlob, LayerRecord, Lease, ManifestRef, NameRecord, Tables};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::{find, find_for};
use crate::outgoing::Outlet;
use crate::tag::parse;
use crate::whole::{WholeFile, check_place};

/// A request to save.
pub struct Save {
    /// The images: names, repositories (then all their tags) or ids.
    pub images: Vec<String>,
    /// Only the image of this platform, where a name has several.
    pub platform: Option<Platform>,
    /// What the only image is called in the archive, if not by its own names.
    pub called: Option<Called>,
}

/// What an image is called in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// By this name.
    Name(String),
    /// By this tag, as OCI layouts have it: a whole name, or the tag of the image's own name.
    Tag(String),
}

/// An image that was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Its id.
    pub id: ImageId,
    /// The names that it has in the archive.
    pub names: Vec<Reference>,
}

/// Where an archive goes.
pub enum SaveTarget {
    /// Into a file, which appears when it is whole.
    File(PathBuf),
    /// Into an open file, a pipe or a socket.
    Stream(File),
    /// Into a folder, as an OCI layout; images that are there already stay.
    Layout(PathBuf),
    /// One image into a folder, in skopeo's form `dir:`.
    Dir(PathBuf),
}

impl Engine {
    /// Writes images into an archive.
    pub fn save(&self, save: &Save, target: SaveTarget) -> Result<Vec<Saved>> {
        let lease = self.store.lease()?;
        let chosen = select(&self.store.images()?, save)?;
        self.protect(&lease, chosen.images.iter().map(|(id, _)| *id))?;
        let tables = self.store.tables()?;
        let mut images: Vec<ArchiveImage> = Vec::new();
        for (id, names) in chosen.images {
            // It was there a moment ago, before it was protected.
            let record = tables.images.images.get(&id);
            let record = record.ok_or_else(|| EngineError::NoSuchImage(id.to_string()))?;
            images.push(self.archive_image(&tables, id, record, names)?);
        }
        let families = chosen.families.iter().map(|family| self.archive_family(&lease, family));
        let mut families: Vec<ArchiveFamily> = families.collect::<Result<_>>()?;
        if let Some(called) = &save.called {
            rename(&mut images, &mut families, called)?;
        }
        let by_word = matches!(save.called, Some(Called::Tag(_)));
        let plan = plan_archive(&images, &families);
        match target {
            SaveTarget::Stream(file) => self.write_archive(&plan, &file)?,
            SaveTarget::File(path) => self.write_file(&plan, &path)?,
            SaveTarget::Layout(path) => self.write_layout(&plan, &path, by_word)?,
            SaveTarget::Dir(path) => self.write_dir(only(&mut images)?, &path)?,
        }
        Ok(images.into_iter().map(|image| self.saved(image, &families)).collect())
    }

    /// What is told of an image that was saved.
    fn saved(&self, image: ArchiveImage, families: &[ArchiveFamily]) -> Saved {
        let digest = image.config.digest;
        let own = families.iter().filter(|family| family.members.contains(&digest));
        let mut names = image.names;
        names.extend(own.flat_map(|family| family.names.clone()));
        let id = ImageId(digest);
        self.image_event("save", id, &[("name", &id.to_string())]);
        Saved { id, names }
    }

    /// Protects everything that these images need.
    pub(crate) fn protect(
        &self,
        lease: &Lease,
        chosen: impl IntoIterator<Item = ImageId>,
    ) -> Result<()> {
        let images = self.store.images()?.images;
        for id in chosen {
            lease.protect_blob(&id.0)?;
            let Some(record) = images.get(&id) else { continue };
            if let Some(top) = &record.top {
                lease.protect_chain(top)?;
            }
            if let Some(manifest) = &record.manifest {
                lease.protect_blob(&manifest.digest)?;
            }
        }
        Ok(())
    }

    /// The images of a name, with the index that they came in if that is still here.
    fn archive_family(&self, lease: &Lease, family: &Family) -> Result<ArchiveFamily> {
        let index = match &family.index {
            Some(index) if lease.protect_blob(&index.digest)? => {
                Some((self.store.read_document(&index.digest)?, index.media_type.clone()))
            }
            _ => None,
        };
        let members = family.members.iter().map(|id| id.0).collect();
        Ok(ArchiveFamily { names: vec![family.name.clone()], tag: None, index, members })
    }

    /// An image as an archive has it: with its own manifest where all of that is here, else with
    /// one made from the forms in which its layers are kept.
    pub(crate) fn archive_image(
        &self,
        tables: &Tables,
        id: ImageId,
        record: &ImageRecord,
        names: Vec<Reference>,
    ) -> Result<ArchiveImage> {
        let config_bytes = self.store.read_document(&id.0)?;
        let platform = ImageConfig::parse(&config_bytes).map_err(EngineError::Config)?.platform();
        let stack = self.store.fit(record.top, &tables.layers)?;
        if let Some(manifest) = &record.manifest {
            let bytes = self.store.read_document(&manifest.digest)?;
            if let Ok(Document::Manifest(own)) = Document::parse(&bytes)
                && own.config.digest == id.0
                && own.layers.iter().all(|layer| self.store.has_blob(&layer.digest))
            {
                let manifest = (bytes, manifest.media_type.clone());
                let Manifest { config, layers, .. } = own;
                return Ok(ArchiveImage { names, tag: None, manifest, config, layers, platform });
            }
        }
        let config = Descriptor::new(MediaType::OciConfig, id.0, config_bytes.len() as u64);
        let layers: Vec<Descriptor> =
            stack.iter().map(|(_, layer)| self.layer_descriptor(layer)).collect::<Result<_>>()?;
        let manifest = Manifest::new(config.clone(), layers.clone());
        let manifest = (manifest.to_bytes(), MediaType::OciManifest);
        Ok(ArchiveImage { names, tag: None, manifest, config, layers, platform })
    }

    /// A layer as it is kept: its compressed blob, if that is of a kind that images have, else its
    /// plain tar.
    pub(crate) fn layer_descriptor(&self, layer: &LayerRecord) -> Result<Descriptor> {
        let blob = layer.blob.as_ref().filter(|blob| self.store.has_blob(&blob.digest));
        let described = match blob {
            Some(blob) => self.described(blob)?,
            None => None,
        };
        let plain = || Descriptor::new(MediaType::OciLayer, layer.diff.0, layer.bytes);
        Ok(described.unwrap_or_else(plain))
    }

    /// A compressed blob, with what is said of its table if it has one.
    fn described(&self, blob: &LayerBlob) -> Result<Option<Descriptor>> {
        let file = self.store.open_blob(&blob.digest)?;
        let mut head = [0; 16];
        let read = file.read_at(&mut head, 0).map_err(EngineError::Read)?;
        let media_type = match Codec::detect(&head[..read]) {
            Codec::Zstd => MediaType::OciLayerZstd,
            Codec::Gzip => MediaType::OciLayerGzip,
            _ => return Ok(None),
        };
        let annotations =
            image::chunked::annotations(&file, blob.bytes).map_err(EngineError::Read)?;
        let described = Descriptor::new(media_type, blob.digest, blob.bytes);
        Ok(Some(Descriptor { annotations, ..described }))
    }

    pub(crate) fn write_file(&self, plan: &ArchivePlan, path: &Path) -> Result<()> {
        check_place(path)?;
        // As docker has it: what an image holds is not for everybody to read.
        let whole = WholeFile::create(path, 0o600).map_err(EngineError::Write)?;
        self.write_archive(plan, whole.file())?;
        whole.finish().map_err(EngineError::Write)
    }

    pub(crate) fn write_archive(&self, plan: &ArchivePlan, mut file: &File) -> Result<()> {
        let is_plain = file.metadata().map_err(EngineError::Write)?.is_file();
        let mut head = Vec::new();
        for member in plan {
            let (kind, size) = match &member.content {
                ArchiveContent::Folder => (EntryKind::Directory, 0),
                ArchiveContent::Bytes(bytes) => (EntryKind::File, bytes.len() as u64),
                ArchiveContent::Blob { bytes, .. } => (EntryKind::File, *bytes),
            };
            let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
            let path = member.path.clone().into_bytes();
            let entry = Entry { path, kind, mode, size, ..Entry::default() };
            encode_header(&entry, &mut head)
                .map_err(|error| EngineError::Write(io::Error::other(error)))?;
            match &member.content {
                ArchiveContent::Folder => {}
                ArchiveContent::Bytes(bytes) => head.extend(bytes),
                ArchiveContent::Blob { digest, bytes } => {
                    file.write_all(&head).map_err(EngineError::Write)?;
                    head.clear();
                    let outlet = Outlet { file, is_plain };
                    self.send_blob(digest, *bytes, outlet, EngineError::Write)?;
                }
            }
            head.resize(head.len() + padding(size) as usize, 0);
        }
        head.resize(head.len() + 1024, 0);
        file.write_all(&head).map_err(EngineError::Write)
    }
}

/// What is to be saved.
#[derive(Default)]
struct Chosen {
    /// Images in the order in which they were named, each with the names that are its alone.
    images: Vec<(ImageId, Vec<Reference>)>,
    families: Vec<Family>,
}

/// A name for images of several platforms.
struct Family {
    name: Reference,
    index: Option<Box<ManifestRef>>,
    members: Vec<ImageId>,
}

impl Chosen {
    fn add(&mut self, id: ImageId, name: Option<Reference>) {
        let at = match self.images.iter().position(|(known, _)| *known == id) {
            Some(at) => at,
            None => {
                self.images.push((id, Vec::new()));
                self.images.len() - 1
            }
        };
        let names = &mut self.images[at].1;
        names.extend(name.filter(|name| !names.contains(name)));
    }

    /// All images of a name.
    fn add_all(&mut self, name: Reference, record: &NameRecord) {
        if record.others.is_empty() {
            return self.add(record.image, Some(name));
        }
        record.images().for_each(|id| self.add(id, None));
        if !self.families.iter().any(|family| family.name == name) {
            let (index, members) = (record.index.clone(), record.images().collect());
            self.families.push(Family { name, index, members });
        }
    }
}

/// The images meant: of a name with several platforms all, unless one is asked for.
fn select(images: &Images, save: &Save) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    for text in &save.images {
        let repository = Reference::parse(text)
            .ok()
            .filter(|name| name.tag().is_none() && name.digest().is_none());
        let tags: Vec<&String> = match &repository {
            Some(name) => {
                let prefix = format!("{}:", name.name());
                images.names.keys().filter(|full| full.starts_with(&prefix)).collect()
            }
            None => Vec::new(),
        };
        for full in &tags {
            match &save.platform {
                None => chosen.add_all(parse(full)?, &images.names[*full]),
                platform => {
                    let found = find_for(images, full, platform.as_ref())?;
                    chosen.add(found.id, Some(parse(full)?));
                }
            }
        }
        if tags.is_empty() {
            let missing = |error| match (error, &repository) {
                (EngineError::NoSuchImage(_), Some(_)) => EngineError::NoSuchImage(text.clone()),
                (EngineError::NoSuchImage(_), None) => EngineError::NoReference(text.clone()),
                (error, _) => error,
            };
            let found = find(images, text).map_err(missing)?;
            let name = found.name.as_ref().filter(|_| !found.by_digest);
            match (name.and_then(|name| Some((name, images.names.get(name)?))), &save.platform) {
                (Some((name, record)), None) => chosen.add_all(parse(name)?, record),
                (name, platform) => {
                    let id = match platform {
                        Some(platform) => find_for(images, text, Some(platform))?.id,
                        None => found.id,
                    };
                    chosen.add(id, name.map(|(name, _)| parse(name)).transpose()?);
                }
            }
        }
    }
    Ok(chosen)
}

/// The only image there is; a target for one image takes no more.
fn only(images: &mut [ArchiveImage]) -> Result<&mut ArchiveImage> {
    match images {
        [image] => Ok(image),
        images => {
            let count = images.len();
            let text = format!(
                "{count} images do not fit where one image goes: name one, or its --platform"
            );
            Err(EngineError::Input(text))
        }
    }
}

/// Calls the only image of an archive, or all the platforms of one, something else.
fn rename(
    images: &mut [ArchiveImage],
    families: &mut [ArchiveFamily],
    called: &Called,
) -> Result<()> {
    let (names, tag) = match families {
        [family] if family.members.len() == images.len() => (&mut family.names, &mut family.tag),
        _ => {
            let image = only(images)?;
            (&mut image.names, &mut image.tag)
        }
    };
    match called {
        Called::Name(name) => *names = vec![parse(name)?.without_digest().with_default_tag()],
        Called::Tag(word) => {
            names.truncate(1);
            if word.contains([':', '/']) {
                *names = vec![parse(word)?.without_digest().with_default_tag()];
            } else if let Some(name) = names.first_mut() {
                let failed = |source| EngineError::Reference { text: word.clone(), source };
                *name = name.with_tag(word).map_err(failed)?;
            }
            *tag = Some(word.clone());
        }
    }
    Ok(())
}
