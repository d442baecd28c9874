//! A folder with an OCI layout as an end of a copy.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use image::archive::{IMAGE_NAME, REF_NAME, merge_index};
use registry::{RemoteDocument, Target};
use spec::{Descriptor, Digest, Document, Hasher, Index, Reference};

use super::ends::{End, Open, Role};
use crate::error::{EngineError, Result};
use crate::sign::Policy;
use crate::whole::WholeFile;

const INDEX: &str = "index.json";
const LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);

/// A folder with an OCI layout.
pub(super) struct Layout {
    root: PathBuf,
    /// What the layout calls the image that is meant.
    name: Option<String>,
    /// The list of names changes under this and under the folder's lock.
    changes: Mutex<()>,
}

impl Layout {
    /// One that is there.
    pub(super) fn open(root: &Path, name: Option<String>) -> Result<Layout> {
        let layout = Layout { root: root.to_owned(), name, changes: Mutex::default() };
        layout.index()?;
        Ok(layout)
    }

    /// One that is there from now on.
    pub(super) fn create(root: &Path, name: Option<String>) -> Result<Layout> {
        let blobs = root.join("blobs");
        fs::create_dir_all(&blobs).map_err(EngineError::io("create", &blobs))?;
        let layout = Layout { root: root.to_owned(), name, changes: Mutex::default() };
        if !root.join(LAYOUT.0).exists() {
            layout.write(&root.join(LAYOUT.0), |mut file| file.write_all(LAYOUT.1))?;
        }
        Ok(layout)
    }

    fn index(&self) -> Result<Index> {
        let path = self.root.join(INDEX);
        let bytes = fs::read(&path).map_err(EngineError::io("read", &path))?;
        match Document::parse(&bytes) {
            Ok(Document::Index(index)) => Ok(index),
            _ => Err(EngineError::Input(format!("{} is no image index", path.display()))),
        }
    }

    /// The entry that has this name: in full, as its tag, or as people write it.
    fn entry(&self, name: &str) -> Result<Option<Descriptor>> {
        let manifests = match self.index() {
            Ok(index) => index.manifests,
            Err(EngineError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let has = |entry: &Descriptor, key: &str| {
            entry.annotations.get(key).is_some_and(|word| word == name)
        };
        let find = |key: &str| manifests.iter().find(|entry| has(entry, key)).cloned();
        Ok(find(IMAGE_NAME).or_else(|| find(REF_NAME)))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let mut path = self.root.join("blobs");
        path.extend([digest.algorithm().as_str(), &digest.hex()]);
        path
    }

    fn write(&self, path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        let failed = |error| EngineError::io("write", path)(error);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(failed)?;
        let whole = WholeFile::create(path, 0o666).map_err(failed)?;
        fill(whole.file()).map_err(|error| match error.downcast::<registry::RegistryError>() {
            Ok(error) => error.into(),
            Err(error) => failed(error),
        })?;
        whole.finish().map_err(failed)
    }

    /// Makes the layout's list lead to a document.
    fn list(&self, mut entry: Descriptor, target: Option<&Target>) -> Result<()> {
        if let Some(Target::Tag(name)) = target {
            let full = Reference::parse(name).ok().filter(|_| name.contains('/'));
            let word = full.as_ref().and_then(Reference::tag).unwrap_or(name).to_owned();
            entry.annotations.insert(REF_NAME.to_owned(), word);
            if let Some(full) = full {
                entry.annotations.insert(IMAGE_NAME.to_owned(), full.to_string());
            }
        }
        let _mine = self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _alone = crate::folder::take(&self.root)?;
        let path = self.root.join(INDEX);
        let old = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(EngineError::io("read", &path))?),
        };
        let merged = merge_index(old.as_deref(), &Index::new(vec![entry]).to_bytes(), false)?;
        self.write(&path, |mut file| file.write_all(&merged))
    }
}

impl End for Layout {
    fn target(&self) -> Result<Target> {
        if let Some(name) = &self.name {
            return Ok(Target::Tag(name.clone()));
        }
        let tags = self.tags().unwrap_or_default();
        match tags.as_slice() {
            [only] => Ok(Target::Tag(only.clone())),
            _ => {
                let (folder, names) = (self.root.display(), tags.join(", "));
                Err(EngineError::Input(format!("{folder} has several images: {names}")))
            }
        }
    }

    fn document(&self, target: &Target) -> Result<RemoteDocument> {
        let digest = match target {
            Target::Digest(digest) => *digest,
            Target::Tag(name) => {
                let entry = self.entry(name)?;
                entry.ok_or_else(|| EngineError::NoRemote(self.said(name)))?.digest
            }
        };
        let path = self.blob_path(&digest);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => EngineError::NoRemote(self.said(&digest.to_string())),
            _ => EngineError::io("read", &path)(error),
        };
        let mut bytes = Vec::new();
        let limit = spec::MAX_DOCUMENT_BYTES as u64 + 1;
        let read = File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map_err(failed)?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let got = hasher.finish();
        if got != digest {
            let (url, wanted) = (path.display().to_string(), digest);
            return Err(registry::RegistryError::WrongDigest { url, wanted, got }.into());
        }
        let parsed = Document::parse(&bytes);
        let refused =
            |error: spec::DocumentError| EngineError::Input(format!("{}: {error}", path.display()));
        let media_type = parsed.map_err(refused)?.media_type();
        Ok(RemoteDocument { bytes, digest, media_type })
    }

    fn head(&self, target: &Target) -> Result<Option<Digest>> {
        match target {
            Target::Digest(digest) => Ok(self.blob_path(digest).exists().then_some(*digest)),
            Target::Tag(name) => Ok(self.entry(name)?.map(|entry| entry.digest)),
        }
    }

    /// It says what may come out of registries; this is none.
    fn judge(&self, _: &Policy, _: &[Digest]) -> Result<()> {
        Ok(())
    }

    fn tags(&self) -> Result<Vec<String>> {
        let name = |entry: &Descriptor| {
            let notes = &entry.annotations;
            notes.get(IMAGE_NAME).or_else(|| notes.get(REF_NAME)).cloned()
        };
        Ok(self.index()?.manifests.iter().filter_map(name).collect())
    }

    /// What the list leads to and says that it is about the document.
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for entry in self.index()?.manifests {
            let document = self.document(&Target::Digest(entry.digest))?;
            let subject = match Document::parse(&document.bytes) {
                Ok(Document::Manifest(manifest)) => manifest.subject,
                Ok(Document::Index(index)) => index.subject,
                Err(_) => None,
            };
            if subject.is_some_and(|subject| subject.digest == *digest) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let meta = fs::metadata(self.blob_path(&blob.digest));
        Ok(meta.is_ok_and(|meta| meta.is_file() && meta.len() == blob.size))
    }

    fn blob(&self, blob: &Descriptor, at: u64) -> Result<Box<dyn Read + '_>> {
        let path = self.blob_path(&blob.digest);
        let failed = |error| EngineError::io("read", &path)(error);
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        Ok(Box::new(file.take(blob.size - at)))
    }

    fn take_blob(&self, blob: &Descriptor, open: &Open<'_>) -> Result<bool> {
        let mut from = open(0)?;
        self.write(&self.blob_path(&blob.digest), |mut file| {
            match io::copy(&mut from, &mut file)? {
                bytes if bytes == blob.size => Ok(()),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })?;
        Ok(true)
    }

    fn take_document(&self, role: Role<'_>, document: &RemoteDocument) -> Result<()> {
        let path = self.blob_path(&document.digest);
        self.write(&path, |mut file| file.write_all(&document.bytes))?;
        let size = document.bytes.len() as u64;
        let entry = Descriptor::new(document.media_type.clone(), document.digest, size);
        match role {
            Role::Named(target) => self.list(entry, Some(target)),
            Role::Loose => self.list(entry, None),
            Role::Inner => Ok(()),
        }
    }
}

impl Layout {
    fn said(&self, name: &str) -> String {
        format!("oci:{}:{name}", self.root.display())
    }
}
