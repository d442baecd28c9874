//! Folders with layouts that are the client's: what is in them comes by blob, and goes by blob.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use engine::{CachePlace, CacheTarget, SentFolder};
use serde_json::{Value, json};
use spec::{Descriptor, Digest, Document, Index, Manifest, Platform};

use super::build::{Facts, Work};
use super::caches::LocalCache;
use super::messages::content::{
    ReadContentRequest, ReadContentResponse, WriteAction, WriteContentRequest, WriteContentResponse,
};
use super::sessions::Session;
use crate::wire::{Code, Exchange, Status};

const READ: &str = "/containerd.services.content.v1.Content/Read";
const WRITE: &str = "/containerd.services.content.v1.Content/Write";
/// What says which of a client's stores is meant.
const STORE: &str = "buildkit-attachable-store-id";
/// No document of a cache is longer.
const MAX_DOCUMENT_BYTES: u64 = 32 << 20;
/// So much of a blob goes in one message.
const PART_BYTES: usize = 256 << 10;
/// What the cache is called in a folder here.
const TAG: &str = "latest";
/// Where the client is told of the cache that it has got.
const FACT: &str = "cache.manifest";

/// A store of the client's.
struct Store<'a> {
    session: &'a Session,
    metadata: [(&'static str, String); 1],
}

impl<'a> Store<'a> {
    /// The one of a cache.
    fn cache(session: &'a Session, folder: &str) -> Store<'a> {
        Store { session, metadata: [(STORE, format!("local:{folder}"))] }
    }

    /// One with images.
    fn images(session: &'a Session, name: &str) -> Store<'a> {
        Store { session, metadata: [(STORE, format!("oci:{name}"))] }
    }

    /// The one that results go to.
    fn results(session: &'a Session) -> Store<'a> {
        Store { session, metadata: [(STORE, "export".to_owned())] }
    }

    /// Gives the client all blobs of a layout.
    fn put_all(&self, layout: &Path) -> Result<(), Status> {
        for folder in fs::read_dir(layout.join("blobs"))? {
            let folder = folder?.path();
            let algorithm = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for path in fs::read_dir(&folder)? {
                let hex = path?.file_name().to_string_lossy().into_owned();
                // What is no blob's name is no blob.
                if let Ok(digest) = format!("{algorithm}:{hex}").parse() {
                    self.put(&digest, layout)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a blob into a layout.
    fn fetch(&self, digest: &Digest, size: u64, layout: &Path) -> Result<PathBuf, Status> {
        let path = blob(layout, digest);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let Exchange { mut incoming, outgoing } = self.session.caller.call(READ, &self.metadata)?;
        let digest_text = digest.to_string();
        let request = ReadContentRequest { digest: digest_text, ..ReadContentRequest::default() };
        // Why nobody listens is in the answer.
        let _ = outgoing.send(&request);
        drop(outgoing);
        let mut file = File::create(&path)?;
        let mut bytes = 0;
        for part in incoming.all::<ReadContentResponse>() {
            let part = part?;
            bytes += part.data.len() as u64;
            if bytes > size {
                return Err(Status::invalid(format!("blob {digest} is longer than it says")));
            }
            file.write_all(&part.data)?;
        }
        Ok(path)
    }

    /// Takes a document into a layout, checked.
    fn document(&self, digest: &Digest, layout: &Path) -> Result<(Vec<u8>, Document), Status> {
        let bytes = fs::read(self.fetch(digest, MAX_DOCUMENT_BYTES, layout)?)?;
        if Digest::of(&bytes) != *digest {
            return Err(Status::invalid(format!("blob {digest} is something else")));
        }
        let document = Document::parse(&bytes);
        let document = document.map_err(|error| Status::invalid(format!("{digest}: {error}")))?;
        Ok((bytes, document))
    }

    /// Takes an image's manifest and all that it names into a layout.
    fn take_image(&self, manifest: &Manifest, layout: &Path) -> Result<(), Status> {
        for part in manifest.layers.iter().chain([&manifest.config]) {
            // What is in it is checked by whoever uses it.
            self.fetch(&part.digest, part.size, layout)?;
        }
        Ok(())
    }

    /// Gives the client a blob of a layout, unless it has it.
    fn put(&self, digest: &Digest, layout: &Path) -> Result<(), Status> {
        let mut file = File::open(blob(layout, digest))?;
        let total = file.metadata()?.len() as i64;
        let Exchange { mut incoming, outgoing } =
            self.session.caller.call(WRITE, &self.metadata)?;
        let random = sys::host::random_id()?;
        let mut offset = 0;
        loop {
            let mut data = vec![0; PART_BYTES];
            let count = file.read(&mut data)?;
            data.truncate(count);
            let action = if count == 0 { WriteAction::Commit } else { WriteAction::Write };
            let request = WriteContentRequest {
                action: action as i32,
                reference: format!("mica-{random}"),
                total,
                expected: digest.to_string(),
                offset,
                data,
            };
            let _ = outgoing.send(&request);
            match incoming.one::<WriteContentResponse>() {
                Err(status) if status.code == Code::AlreadyExists => return Ok(()),
                other => _ = other?,
            }
            if count == 0 {
                return Ok(());
            }
            offset += count as i64;
        }
    }
}

fn blob(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().to_string()).join(digest.hex())
}

fn document<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Status> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| Status::invalid(error.to_string()))
}

/// Makes a layout of a folder that has the blobs of these manifests.
fn seal(layout: &Path, manifests: &Value) -> Result<(), Status> {
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(layout.join("index.json"), index.to_string())?;
    Ok(fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?)
}

/// A cache that is to go to the client.
pub(super) struct Leaving {
    asked: LocalCache,
    layout: SentFolder,
}

impl Work<'_> {
    /// Takes in the client's caches. One that cannot be had costs time, and nothing else.
    pub(super) fn take_caches(
        &self,
        places: &mut Vec<CachePlace>,
        kept: &mut Vec<SentFolder>,
    ) -> Result<(), Status> {
        for asked in self.asked.local_imports() {
            let layout = self.engine.sent_folder(None)?;
            let title = format!("importing cache manifest from {}", asked.folder);
            if self.watch.step(&title, |_| self.take_cache(&asked, &layout.files())).is_ok() {
                let (folder, tag) = (layout.files(), TAG.to_owned());
                places.push(CachePlace::Folder { folder, tag });
                kept.push(layout);
            }
        }
        Ok(())
    }

    fn take_cache(&self, asked: &LocalCache, layout: &Path) -> Result<(), Status> {
        let digest: Digest = asked
            .digest
            .parse()
            .map_err(|_| Status::invalid(format!("no cache in {}", asked.folder)))?;
        let store = Store::cache(self.session()?, &asked.folder);
        let (bytes, Document::Manifest(manifest)) = store.document(&digest, layout)? else {
            return Err(Status::invalid(format!("{digest} is no cache")));
        };
        store.take_image(&manifest, layout)?;
        let kind = Document::Manifest(manifest).media_type();
        let mut own = json!(Descriptor::of(kind, &bytes));
        own["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
        seal(layout, &json!([own]))
    }

    /// Takes in an image of one of the client's stores: of several those for these platforms, or for
    /// this machine. Gives what names them.
    pub(super) fn take_image(
        &self,
        store: &str,
        digest: &Digest,
        platforms: &[Platform],
    ) -> Result<(SentFolder, Digest), Status> {
        let sent = self.engine.sent_folder(None)?;
        let (layout, store) = (sent.files(), Store::images(self.session()?, store));
        let mut named = *digest;
        match store.document(digest, &layout)?.1 {
            Document::Manifest(manifest) => store.take_image(&manifest, &layout)?,
            Document::Index(index) => {
                let host = [Platform::host()];
                let wanted = if platforms.is_empty() { &host[..] } else { platforms };
                let mut chosen: Vec<Descriptor> = Vec::new();
                for platform in wanted {
                    let best = index.best(platform).ok_or_else(|| {
                        Status::missing(format!("{digest} has no image for {platform}"))
                    })?;
                    if chosen.iter().any(|known| known.digest == best.digest) {
                        continue;
                    }
                    let (_, Document::Manifest(manifest)) =
                        store.document(&best.digest, &layout)?
                    else {
                        return Err(Status::invalid(format!("{} is no image", best.digest)));
                    };
                    store.take_image(&manifest, &layout)?;
                    chosen.push(best.clone());
                }
                // The rest is not here, so nothing here may name it.
                let bytes = Index::new(chosen).to_bytes();
                named = Digest::of(&bytes);
                fs::write(blob(&layout, &named), bytes)?;
            }
        }
        seal(&layout, &json!([]))?;
        Ok((sent, named))
    }

    /// Has caches made for the client.
    pub(super) fn make_caches(
        &self,
        targets: &mut Vec<CacheTarget>,
    ) -> Result<Vec<Leaving>, Status> {
        let mut leaving = Vec::new();
        for asked in self.asked.local_exports()? {
            let layout = self.engine.sent_folder(None)?;
            let (folder, tag) = (layout.files(), TAG.to_owned());
            targets.push(CacheTarget::Place {
                place: CachePlace::Folder { folder, tag },
                all: asked.all,
                packing: asked.packing.clone(),
                ignore_error: asked.ignore_error,
            });
            leaving.push(Leaving { asked, layout });
        }
        Ok(leaving)
    }

    /// Gives the client the caches that were made for it.
    pub(super) fn give_caches(
        &self,
        leaving: Vec<Leaving>,
        facts: &mut Facts,
    ) -> Result<(), Status> {
        for Leaving { asked, layout } in leaving {
            let sent = self.watch.step("sending cache to client", |_| {
                self.give_cache(&asked.folder, &layout.files())
            });
            match sent {
                Ok(described) => {
                    facts.insert(FACT.to_owned(), described);
                }
                Err(_) if asked.ignore_error => {}
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// Gives the client images as a layout.
    pub(super) fn give_layout(&self, layout: &Path) -> Result<(), Status> {
        Store::results(self.session()?).put_all(layout)
    }

    fn give_cache(&self, folder: &str, layout: &Path) -> Result<String, Status> {
        let index: Value = document(&layout.join("index.json"))?;
        let first = index["manifests"].get(0).cloned().unwrap_or_default();
        let own: Descriptor = serde_json::from_value(first)
            .map_err(|error| Status::internal(format!("a cache without a manifest: {error}")))?;
        Store::cache(self.session()?, folder).put_all(layout)?;
        let plain = Descriptor::new(own.media_type.clone(), own.digest, own.size);
        Ok(json!(plain).to_string())
    }
}
