//! Images into an archive or a layout: the same images always give the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use image::archive::{ArchiveContent, ArchiveImage, ArchivePlan, plan_archive};
use image::codec::Codec;
use image::tar::{Entry, EntryKind, encode_header, padding};
use spec::{Descriptor, Document, ImageConfig, ImageId, Manifest, MediaType, Platform, Reference};
use store::{ImageRecord, LayerRecord, Lease, Tables};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::{find, find_for};
use crate::tag::parse;

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
        let chosen = self.protect(&lease, select(&self.store.tables()?, save)?)?;
        let tables = self.store.tables()?;
        let mut images: Vec<ArchiveImage> = Vec::new();
        for (id, names) in chosen {
            // It was there a moment ago, before it was protected.
            let record = tables.images.images.get(&id);
            let record = record.ok_or_else(|| EngineError::NoSuchImage(id.to_string()))?;
            images.push(self.archive_image(&tables, id, record, names)?);
        }
        if let Some(called) = &save.called {
            rename(only(&mut images)?, called)?;
        }
        let plan = plan_archive(&images);
        match target {
            SaveTarget::Stream(file) => self.write_archive(&plan, file)?,
            SaveTarget::File(path) => self.write_file(&plan, &path)?,
            SaveTarget::Layout(path) => self.write_layout(&plan, &path)?,
            SaveTarget::Dir(path) => self.write_dir(only(&mut images)?, &path)?,
        }
        for image in &images {
            let id = image.config.digest.to_string();
            let name = image.names.first().map_or_else(|| id.clone(), Reference::familiar);
            self.store.record_event("image", "save", &id, &[("name", &name)]);
        }
        let saved =
            |image: ArchiveImage| Saved { id: ImageId(image.config.digest), names: image.names };
        Ok(images.into_iter().map(saved).collect())
    }

    /// Protects everything that these images need.
    pub(crate) fn protect(&self, lease: &Lease, chosen: Chosen) -> Result<Chosen> {
        let images = self.store.images()?.images;
        for (id, _) in &chosen {
            lease.protect_blob(&id.0)?;
            let Some(record) = images.get(id) else { continue };
            if let Some(top) = &record.top {
                lease.protect_chain(top)?;
            }
            if let Some(manifest) = &record.manifest {
                lease.protect_blob(&manifest.digest)?;
            }
        }
        Ok(chosen)
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
            stack.iter().map(|(_, layer)| self.layer_descriptor(layer)).collect();
        let manifest = Manifest::new(config.clone(), layers.clone());
        let manifest = (manifest.to_bytes(), MediaType::OciManifest);
        Ok(ArchiveImage { names, tag: None, manifest, config, layers, platform })
    }

    /// A layer as it is kept: its compressed blob, if that is of a kind that images have, else its
    /// plain tar.
    pub(crate) fn layer_descriptor(&self, layer: &LayerRecord) -> Descriptor {
        let blob = layer.blob.as_ref().filter(|blob| self.store.has_blob(&blob.digest));
        let typed = blob.and_then(|blob| Some((blob, self.blob_type(&blob.digest)?)));
        match typed {
            Some((blob, media_type)) => Descriptor::new(media_type, blob.digest, blob.bytes),
            None => Descriptor::new(MediaType::OciLayer, layer.diff.0, layer.bytes),
        }
    }

    fn blob_type(&self, digest: &spec::Digest) -> Option<MediaType> {
        let mut head = [0; 16];
        let mut file = self.store.open_blob(digest).ok()?;
        let read = io::Read::read(&mut file, &mut head).ok()?;
        match Codec::detect(&head[..read]) {
            Codec::Zstd => Some(MediaType::OciLayerZstd),
            Codec::Gzip => Some(MediaType::OciLayerGzip),
            _ => None,
        }
    }

    fn write_file(&self, plan: &ArchivePlan, path: &Path) -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if let Err(why) = is_folder(folder) {
            let text = format!("invalid output path: stat {}: {why}", folder.display());
            return Err(EngineError::Output(text));
        }
        if path.is_dir() {
            return Err(EngineError::Output("cannot write to a directory".to_owned()));
        }
        if path.exists() && !path.is_file() {
            // A pipe or a device is written to as it stands.
            let file = File::options().write(true).open(path);
            return self.write_archive(plan, file.map_err(EngineError::Write)?);
        }
        let aside = aside_of(path)?;
        // As docker has it: what an image holds is not for everybody to read.
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(EngineError::Write)
            .and_then(|file| self.write_archive(plan, file))
            .and_then(|()| fs::rename(&aside, path).map_err(EngineError::Write));
        if written.is_err() {
            // The first error is what counts.
            let _ = fs::remove_file(&aside);
        }
        written
    }

    fn write_archive(&self, plan: &ArchivePlan, mut file: File) -> Result<()> {
        let regular = file.metadata().map_err(EngineError::Write)?.is_file();
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
                    let blob = self.store.open_blob(digest)?;
                    let copied = store::send(&blob, &mut file, *bytes, regular);
                    let copied = copied.map_err(EngineError::Write)?;
                    if copied != *bytes {
                        return Err(short_blob(digest, copied, *bytes));
                    }
                }
            }
            head.resize(head.len() + padding(size) as usize, 0);
        }
        head.resize(head.len() + 1024, 0);
        file.write_all(&head).map_err(EngineError::Write)
    }
}

/// Images with the names that they were meant by.
pub(crate) type Chosen = Vec<(ImageId, Vec<Reference>)>;

/// The images meant, in the order in which they were named, each with the names it was meant by.
fn select(tables: &Tables, save: &Save) -> Result<Chosen> {
    let mut chosen: Chosen = Vec::new();
    let mut add = |id: ImageId, name: Option<Reference>| {
        let at = match chosen.iter().position(|(known, _)| *known == id) {
            Some(at) => at,
            None => {
                chosen.push((id, Vec::new()));
                chosen.len() - 1
            }
        };
        let names = &mut chosen[at].1;
        names.extend(name.filter(|name| !names.contains(name)));
    };
    for text in &save.images {
        let repository = Reference::parse(text)
            .ok()
            .filter(|name| name.tag().is_none() && name.digest().is_none());
        let tags: Vec<&String> = match &repository {
            Some(name) => {
                let prefix = format!("{}:", name.name());
                tables.images.names.keys().filter(|full| full.starts_with(&prefix)).collect()
            }
            None => Vec::new(),
        };
        for full in &tags {
            let found = find_for(&tables.images, full, save.platform.as_ref())?;
            add(found.id, Some(parse(full)?));
        }
        if tags.is_empty() {
            let missing = |error| match (error, &repository) {
                (EngineError::NoSuchImage(_), Some(_)) => EngineError::NoSuchImage(text.clone()),
                (EngineError::NoSuchImage(_), None) => EngineError::NoReference(text.clone()),
                (error, _) => error,
            };
            let found = find(&tables.images, text).map_err(missing)?;
            let found = match &save.platform {
                Some(platform) => find_for(&tables.images, text, Some(platform))?,
                None => found,
            };
            let name = found.name.filter(|_| !found.by_digest);
            add(found.id, name.map(|name| parse(&name)).transpose()?);
        }
    }
    Ok(chosen)
}

/// The only image there is; a target for one image takes no more.
fn only(images: &mut [ArchiveImage]) -> Result<&mut ArchiveImage> {
    match images {
        [image] => Ok(image),
        images => {
            let text = format!("{} images do not fit where one image goes", images.len());
            Err(EngineError::Input(text))
        }
    }
}

/// Calls an image in an archive something else.
fn rename(image: &mut ArchiveImage, called: &Called) -> Result<()> {
    match called {
        Called::Name(name) => {
            image.names = vec![parse(name)?.without_digest().with_default_tag()];
        }
        Called::Tag(tag) => {
            image.names.truncate(1);
            if tag.contains([':', '/']) {
                image.names = vec![parse(tag)?.without_digest().with_default_tag()];
            } else if let Some(name) = image.names.first_mut() {
                let failed = |source| EngineError::Reference { text: tag.clone(), source };
                *name = name.with_tag(tag).map_err(failed)?;
            }
            image.tag = Some(tag.clone());
        }
    }
    Ok(())
}

/// Whether a folder is there, and if not, why, in the words of Go's library.
fn is_folder(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err("not a directory".to_owned()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::NotADirectory => "not a directory".to_owned(),
            _ => error.to_string(),
        }),
    }
}

/// A blob that ended early, or went on.
pub(crate) fn short_blob(digest: &spec::Digest, copied: u64, bytes: u64) -> EngineError {
    let why = format!("it has {copied} bytes instead of {bytes}");
    store::StoreError::Damaged { what: format!("blob {digest}"), why }.into()
}

/// A name beside a file, for writing it whole or not at all.
pub(crate) fn aside_of(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        EngineError::Input(format!("invalid output path: {:?} is a directory", path))
    })?;
    // Process ids come again, soon in a container: what a crash has left must be in nobody's way.
    let id = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
    Ok(path.with_file_name(format!(".{}.{}", name.to_string_lossy(), &id[..8])))
}
