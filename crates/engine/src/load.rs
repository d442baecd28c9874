//! Images out of an archive, a layout or a stream.
//!
//! Layers are unpacked side by side and put on their stacks from the bottom up. The images become
//! visible together, when all of them are whole.

mod bring;
mod publish;
mod queue;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use image::archive::{
    ArchiveError, Bundle, Bundled, BundledLayer, FolderBundle, TarBundle, read_bundle,
};
use image::codec::{Codec, expand};
use spec::{ImageId, Platform, Reference};
use store::{Expected, Lease, NAMES, Store, Unpacked};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::progress::{Progress, Reported};
use crate::stream::Streamed;

pub(crate) use bring::{LayerSource, is_usable};

/// A request to load.
pub struct Load {
    /// Where from.
    pub source: LoadSource,
    /// Only images of these platforms; all of them if empty.
    pub platforms: Vec<Platform>,
    /// Only the image that the archive calls so, or `@N` for the Nth of them from 0. An only image
    /// without a name is given this one.
    pub called: Option<String>,
}

/// Where images come from.
pub enum LoadSource {
    /// An archive in a file, compressed or not.
    File(File),
    /// An archive in a stream.
    Stream(Box<dyn Read + Send>),
    /// An OCI layout, or skopeo's `dir:` form, in a folder.
    Folder(PathBuf),
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// Its names.
    pub names: Vec<Reference>,
    /// The names that other images lost to it, with their ids.
    pub displaced: Vec<(Reference, ImageId)>,
}

/// As many layers of an archive are unpacked at once.
const WORKERS: usize = 2;

impl Engine {
    /// Loads all images of an archive.
    pub fn load(&self, load: Load, progress: &dyn Progress) -> Result<Vec<Loaded>> {
        let loaded = self.load_all(load, progress);
        if loaded.is_err() {
            // What came before the fault is of no use. The first error is what counts.
            let _ = self.store.collect();
        }
        loaded
    }

    fn load_all(&self, load: Load, progress: &dyn Progress) -> Result<Vec<Loaded>> {
        let lease = self.store.lease()?;
        let archive = match load.source {
            LoadSource::Folder(path) => Archive::Lying(Box::new(FolderBundle::open(&path)?)),
            LoadSource::File(file) => self.open_archive(&lease, file, progress)?,
            LoadSource::Stream(stream) => self.read_stream(&lease, stream, progress)?,
        };
        let mut images = read_bundle(archive.bundle())?;
        if !load.platforms.is_empty() {
            images = select(images, &load.platforms)?;
        }
        if images.is_empty() {
            return Err(ArchiveError::Empty.into());
        }
        if let Some(word) = &load.called {
            images = called(images, word)?;
        }
        let made = self.unpack_all(&lease, &archive, &images, progress)?;
        let loaded = self.publish(&lease, &images, made, &BTreeSet::new())?;
        for image in &loaded {
            let id = image.id.to_string();
            let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
            self.image_event("load", image.id, &[("name", &id), (NAMES, &names.join(" "))]);
        }
        Ok(loaded)
    }

    /// A plain archive is read where it lies; a compressed one is a stream.
    fn open_archive(&self, lease: &Lease, file: File, progress: &dyn Progress) -> Result<Archive> {
        let mut head = [0; 16];
        let is_file = file.metadata().map_err(EngineError::Read)?.is_file();
        let bytes = match is_file {
            true => std::os::unix::fs::FileExt::read_at(&file, &mut head, 0)
                .map_err(EngineError::Read)?,
            false => 0,
        };
        if is_file && Codec::detect(&head[..bytes]) == Codec::None {
            return Ok(Archive::Lying(Box::new(TarBundle::open(file)?)));
        }
        self.read_stream(lease, Box::new(file), progress)
    }

    fn read_stream(
        &self,
        lease: &Lease,
        stream: Box<dyn Read + Send>,
        progress: &dyn Progress,
    ) -> Result<Archive> {
        let (_, mut plain) = expand(stream).map_err(EngineError::Read)?;
        Ok(Archive::Passed(Streamed::read(&self.store, lease, &mut plain, progress)?))
    }
}

/// An archive, opened.
pub(crate) enum Archive {
    /// It can be read at any place.
    Lying(Box<dyn Bundle>),
    /// It was read from front to back, and its layers are unpacked.
    Passed(Streamed),
}

impl Archive {
    fn bundle(&self) -> &dyn Bundle {
        match self {
            Archive::Lying(bundle) => &**bundle,
            Archive::Passed(streamed) => streamed,
        }
    }
}

impl LayerSource for Archive {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn unpack(
        &self,
        store: &Store,
        lease: &Lease,
        layer: &BundledLayer,
        progress: &dyn Progress,
    ) -> Result<Unpacked> {
        let expected =
            Expected { blob: layer.blob, blob_bytes: layer.bytes, diff: Some(layer.diff) };
        if let Archive::Passed(archive) = self
            && let Some(unpacked) = archive.take(&layer.part)
        {
            return Ok(store.confirm_layer(lease, unpacked?, expected)?);
        }
        let missing = || ArchiveError::Missing { name: layer.part.clone() };
        let part = self.bundle().open(&layer.part)?.ok_or_else(missing)?;
        let item = progress.begin(&layer.diff.0.short(), "Loading layer", Some(part.bytes));
        let mut reader = Reported { inner: part.reader, item };
        let unpacked = store.unpack_layer(lease, &mut reader, expected)?;
        reader.item.done();
        Ok(unpacked)
    }
}

/// The images that a word means.
fn called(mut images: Vec<Bundled>, word: &str) -> Result<Vec<Bundled>> {
    let missing = |images: &[Bundled]| {
        let mut known: Vec<String> = Vec::new();
        for image in images {
            known.extend(image.names.iter().map(Reference::familiar));
            known.extend(image.tag.clone().filter(|_| image.names.is_empty()));
        }
        EngineError::NotInArchive { name: word.to_owned(), known: known.join(", ") }
    };
    if let Some(number) = word.strip_prefix('@') {
        let at = number.parse().ok().filter(|at| *at < images.len());
        return Ok(vec![images.remove(at.ok_or_else(|| missing(&images))?)]);
    }
    // Where one is called just so, another's tag of the same name is not meant.
    let is_meant = match images.iter().any(|image| image.is_called(word)) {
        true => Bundled::is_called,
        false => Bundled::has_tag,
    };
    if images.iter().any(|image| is_meant(image, word)) {
        images.retain(|image| is_meant(image, word));
        for image in &mut images {
            // Of an image's names only the one that was asked for is meant.
            let full = Reference::parse(word).map(Reference::with_default_tag).ok();
            if image.names.iter().any(|name| Some(name) == full.as_ref()) {
                image.names.retain(|name| Some(name) == full.as_ref());
            }
        }
        return Ok(images);
    }
    match images.as_mut_slice() {
        [image] if image.names.is_empty() && image.tag.is_none() => {
            image.names.push(crate::tag::parse(word)?.without_digest().with_default_tag());
            Ok(images)
        }
        _ => Err(missing(&images)),
    }
}

fn select(images: Vec<Bundled>, platforms: &[Platform]) -> Result<Vec<Bundled>> {
    let shown = images.first().and_then(|image| image.names.first().map(Reference::familiar));
    let mut chosen: Vec<Bundled> = Vec::new();
    for wanted in platforms {
        let before = chosen.len();
        for image in &images {
            let have = chosen.iter().any(|other| other.id() == image.id());
            if image.platform().matches(wanted) && !have {
                chosen.push(image.clone());
            }
        }
        if chosen.len() == before {
            let name = shown.clone().unwrap_or_else(|| "<none>".to_owned());
            return Err(EngineError::NoPlatform { name, wanted: wanted.to_string() });
        }
    }
    Ok(chosen)
}
