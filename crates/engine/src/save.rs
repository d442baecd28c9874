//! Images into an archive or a layout: the same images always give the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::archive::{ArchiveContent, ArchiveImage, ArchivePlan, plan_archive};
use image::tar::{Entry, EntryKind, encode_header, padding};
use spec::{Descriptor, Document, ImageConfig, ImageId, Manifest, MediaType, Platform, Reference};
use store::{ImageRecord, LayerRecord, Tables};

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
}

/// Where an archive goes.
pub enum SaveTarget {
    /// Into a file, which appears when it is whole.
    File(PathBuf),
    /// Into an open file, a pipe or a socket.
    Stream(File),
    /// Into a folder, as an OCI layout.
    Folder(PathBuf),
}

impl Engine {
    /// Writes images into an archive.
    pub fn save(&self, save: &Save, target: SaveTarget) -> Result<()> {
        let lease = self.store.lease()?;
        let tables = self.store.tables()?;
        let mut images: Vec<ArchiveImage> = Vec::new();
        for (id, names) in select(&tables, save)? {
            let record = &tables.images.images[&id];
            if let Some(top) = &record.top {
                lease.protect_chain(top)?;
            }
            images.push(self.archive_image(&tables, id, record, names)?);
        }
        let plan = plan_archive(&images);
        match target {
            SaveTarget::Stream(file) => self.write_archive(&plan, file)?,
            SaveTarget::File(path) => self.write_file(&plan, &path)?,
            SaveTarget::Folder(path) => self.write_folder(&plan, &path)?,
        }
        for image in &images {
            let id = image.config.digest.to_string();
            let name = image.names.first().map_or_else(|| id.clone(), Reference::familiar);
            self.store.record_event("image", "save", &id, &[("name", &name)]);
        }
        Ok(())
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
        let stack = tables.layers.stack(record.top)?;
        if let Some(manifest) = &record.manifest {
            let bytes = self.store.read_document(&manifest.digest)?;
            if let Ok(Document::Manifest(own)) = Document::parse(&bytes)
                && own.config.digest == id.0
                && own.layers.iter().all(|layer| self.store.has_blob(&layer.digest))
            {
                let manifest = (bytes, manifest.media_type.clone());
                let Manifest { config, layers, .. } = own;
                return Ok(ArchiveImage { names, manifest, config, layers, platform });
            }
        }
        let config = Descriptor::new(MediaType::OciConfig, id.0, config_bytes.len() as u64);
        let layers: Vec<Descriptor> =
            stack.iter().map(|(_, layer)| self.layer_descriptor(layer)).collect();
        let manifest = Manifest::new(config.clone(), layers.clone());
        let manifest = (manifest.to_bytes(), MediaType::OciManifest);
        Ok(ArchiveImage { names, manifest, config, layers, platform })
    }

    /// A layer as it is kept: its compressed blob where there is one, else its plain tar.
    fn layer_descriptor(&self, layer: &LayerRecord) -> Descriptor {
        match &layer.blob {
            Some(blob) if self.store.has_blob(&blob.digest) => {
                let media_type = self.blob_type(&blob.digest);
                Descriptor::new(media_type, blob.digest, blob.bytes)
            }
            _ => Descriptor::new(MediaType::OciLayer, layer.diff.0, layer.bytes),
        }
    }

    fn blob_type(&self, digest: &spec::Digest) -> MediaType {
        let mut head = [0; 16];
        let read = self.store.open_blob(digest).ok().and_then(|mut file| {
            io::Read::read(&mut file, &mut head).ok()
        });
        match image::codec::Codec::detect(&head[..read.unwrap_or(0)]) {
            image::codec::Codec::Zstd => MediaType::OciLayerZstd,
            image::codec::Codec::Gzip => MediaType::OciLayerGzip,
            _ => MediaType::OciLayer,
        }
    }

    fn write_file(&self, plan: &ArchivePlan, path: &Path) -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let shown = folder.strip_prefix(".").unwrap_or(folder);
            let text = format!("invalid output path: directory {:?} does not exist", shown);
            return Err(EngineError::Input(text));
        }
        if path.exists() && !path.is_file() {
            // A pipe or a device is written to as it stands.
            let file = File::options().write(true).open(path);
            return self.write_archive(plan, file.map_err(EngineError::Write)?);
        }
        let aside = aside_of(path)?;
        let written = File::create_new(&aside)
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
                        let why = format!("it has {copied} bytes instead of {bytes}");
                        let what = format!("blob {digest}");
                        return Err(store::StoreError::Damaged { what, why }.into());
                    }
                }
            }
            head.resize(head.len() + padding(size) as usize, 0);
        }
        head.resize(head.len() + 1024, 0);
        file.write_all(&head).map_err(EngineError::Write)
    }

    fn write_folder(&self, plan: &ArchivePlan, root: &Path) -> Result<()> {
        fs::create_dir_all(root).map_err(EngineError::io("create", root))?;
        for member in plan {
            let path = root.join(&member.path);
            let failed = |error| EngineError::io("write", &path)(error);
            match &member.content {
                ArchiveContent::Folder => fs::create_dir_all(&path).map_err(failed)?,
                ArchiveContent::Bytes(bytes) => {
                    // Docker's own files have no place in a layout.
                    if !matches!(member.path.as_str(), "manifest.json" | "repositories") {
                        fs::write(&path, bytes).map_err(failed)?;
                    }
                }
                ArchiveContent::Blob { digest, bytes } => {
                    let blob = self.store.open_blob(digest)?;
                    let mut file = File::create(&path).map_err(failed)?;
                    store::send(&blob, &mut file, *bytes, true)
                        .map_err(|error| EngineError::io("write", &path)(error))?;
                }
            }
        }
        Ok(())
    }
}

/// The images meant, in the order in which they were named, each with the names it was meant by.
fn select(tables: &Tables, save: &Save) -> Result<Vec<(ImageId, Vec<Reference>)>> {
    let mut chosen: Vec<(ImageId, Vec<Reference>)> = Vec::new();
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
            let missing = |_| EngineError::NoReference(text.clone());
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

/// A name beside a file, for writing it whole or not at all.
fn aside_of(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        EngineError::Input(format!("invalid output path: {:?} is a directory", path))
    })?;
    let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    Ok(path.with_file_name(name))
}
