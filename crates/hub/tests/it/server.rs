//! Registries for tests: ours in this process, docker's beside it.

use std::io::PipeWriter;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use hub::{Bucket, Place, Settings};
use serde_json::{Value, json};
use spec::{Digest, MediaType};
use tempfile::TempDir;

use crate::client::{Answer, Ask, with_query};

/// What not every registry can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feature {
    Referrers,
    DeleteTags,
    SinglePost,
    Sha512,
    SparseIndexes,
    Artifacts,
    /// A chunk that is out of order is refused with 416 and told where the upload is.
    StrictChunks,
    TagsWithPush,
    /// Lists of tags are sorted, and given page by page.
    PagesOfTags,
    /// What is refused for what the client has said of it, as a part that is not there, is refused with
    /// an answer that can be read.
    RefusedRanges,
    /// A layer may be elsewhere without a setting that allows it.
    ForeignLayers,
    /// A manifest that is no JSON is the client's fault.
    JunkManifests,
}

/// A registry of one test, gone when the test is.
pub(crate) struct Registry {
    pub(crate) host: String,
    lacks: &'static [Feature],
    server: Server,
    place: Place,
    folder: TempDir,
}

enum Server {
    Ours { stop: Option<PipeWriter>, thread: Option<JoinHandle<hub::Result<()>>> },
    Dockers(Child),
}

impl Registry {
    /// Ours, as it is without settings.
    pub(crate) fn ours() -> Registry {
        Registry::ours_with(|_| {})
    }

    /// Ours, with other settings.
    pub(crate) fn ours_with(change: impl FnOnce(&mut Settings)) -> Registry {
        let folder = testkit::folder_in_memory().unwrap_or_else(|| TempDir::new().unwrap());
        Registry::ours_in(folder, change)
    }

    /// Ours, in a folder that may be a registry's already.
    pub(crate) fn ours_in(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Registry {
        let place = Place::Folder(folder.path().join("registry"));
        Registry::ours_at(place, folder, change)
    }

    /// Ours, in an object store that others may have too.
    pub(crate) fn objects_in(bucket: &Bucket) -> Registry {
        Registry::ours_at(Place::Bucket(bucket.clone()), TempDir::new().unwrap(), |_| {})
    }

    /// Ours, in an object store of its own.
    pub(crate) fn objects() -> Registry {
        Registry::objects_in(&Bucket::in_memory().unwrap())
    }

    fn ours_at(place: Place, folder: TempDir, change: impl FnOnce(&mut Settings)) -> Registry {
        let mut settings = Settings::new("127.0.0.1:0".to_owned(), place.clone());
        change(&mut settings);
        let (until, stop) = std::io::pipe().unwrap();
        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            hub::serve(settings, until.as_fd(), Box::new(|address| send.send(address).unwrap()))
        });
        let host = receive.recv_timeout(Duration::from_secs(20)).unwrap().to_string();
        let server = Server::Ours { stop: Some(stop), thread: Some(thread) };
        Registry { host, lacks: &[], server, place, folder }
    }

    /// Docker's, as Debian has it.
    pub(crate) fn dockers() -> Option<Registry> {
        let folder = TempDir::new().unwrap();
        let port = testkit::free_port();
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.path().join("registry").display()
        );
        let config = folder.path().join("config.yml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        let host = format!("127.0.0.1:{port}");
        let lacks = &[
            Feature::Referrers,
            Feature::DeleteTags,
            Feature::SinglePost,
            Feature::Sha512,
            Feature::SparseIndexes,
            Feature::Artifacts,
            Feature::StrictChunks,
            Feature::TagsWithPush,
            Feature::PagesOfTags,
            Feature::RefusedRanges,
            Feature::ForeignLayers,
            Feature::JunkManifests,
        ];
        let place = Place::Folder(folder.path().join("registry"));
        let registry = Registry { host, lacks, server: Server::Dockers(child), place, folder };
        for _ in 0..400 {
            if TcpStream::connect(&registry.host).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("docker's registry does not come up");
    }

    pub(crate) fn has(&self, feature: Feature) -> bool {
        !self.lacks.contains(&feature)
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// Stops it as a signal would, and gives the folder back.
    pub(crate) fn stop(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.folder, TempDir::new().unwrap())
    }

    fn end(&mut self) {
        match &mut self.server {
            Server::Ours { stop, thread } => {
                drop(stop.take());
                if let Some(thread) = thread.take() {
                    let ended = thread.join();
                    assert!(std::thread::panicking() || ended.unwrap().is_ok());
                }
            }
            Server::Dockers(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    pub(crate) fn ask(&self, method: &'static str, path: impl Into<String>) -> Ask {
        let path = path.into();
        let is_manifest = path.contains("/manifests/") && matches!(method, "GET" | "HEAD");
        let ask = Ask::new(&self.host, method, path);
        // Docker's registry gives only what is asked for.
        if is_manifest { ask.header("Accept", KINDS.join(", ")) } else { ask }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Answer {
        self.ask("GET", path).send()
    }

    pub(crate) fn head(&self, path: impl Into<String>) -> Answer {
        self.ask("HEAD", path).send()
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Answer {
        self.ask("DELETE", path).send()
    }

    /// Begins an upload; where it is continued.
    #[track_caller]
    pub(crate) fn begin(&self, name: &str) -> String {
        self.ask("POST", format!("/v2/{name}/blobs/uploads/")).body("").send().is(202).location()
    }

    /// Pushes a blob.
    #[track_caller]
    pub(crate) fn push(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let location = with_query(&self.begin(name), &format!("digest={digest}"));
        let put = self.ask("PUT", location).header("Content-Type", "application/octet-stream");
        put.body(bytes).send().is(201);
        digest
    }

    #[track_caller]
    pub(crate) fn put_manifest(&self, name: &str, reference: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        let ask = self.ask("PUT", format!("/v2/{name}/manifests/{reference}"));
        ask.header("Content-Type", media_type).body(manifest.to_string()).send()
    }

    /// Pushes an image of one layer, and gives its manifest.
    #[track_caller]
    pub(crate) fn push_image(&self, name: &str, tag: &str, layer: &str) -> Value {
        self.push(name, CONFIG);
        self.push(name, layer.as_bytes());
        let manifest = image(CONFIG, &[layer.as_bytes()]);
        self.put_manifest(name, tag, &manifest).is(201);
        manifest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end();
    }
}

/// Every kind of manifest.
const KINDS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

pub(crate) const CONFIG: &[u8] =
    br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

pub(crate) fn descriptor(media_type: &MediaType, bytes: &[u8]) -> Value {
    let (media_type, digest) = (media_type.as_str(), Digest::of(bytes));
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// The manifest of an image.
pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<_> =
        layers.iter().map(|layer| descriptor(&MediaType::OciLayer, layer)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest.as_str(),
        "config": descriptor(&MediaType::OciConfig, config),
        "layers": layers,
    })
}

/// The digest of a document as it is sent.
pub(crate) fn digest_of(document: &Value) -> Digest {
    Digest::of(document.to_string().as_bytes())
}
