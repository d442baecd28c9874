//! What the command line opens but does not know: doors beside it. The binary hands them in.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use engine::Settings;

/// The doors beside the command line.
pub struct Doors {
    /// Serves a registry until somebody ends it; the function is called once, when it answers, with
    /// its address.
    pub serve_registry: fn(ServeRegistry, &dyn Fn(&str)) -> Result<(), DoorError>,
    /// Takes what nobody needs out of a registry's folder.
    pub collect_registry: fn(CollectRegistry) -> Result<CollectedRegistry, DoorError>,
    /// Serves docker's API until somebody ends it.
    pub serve_api: fn(ServeApi, &dyn Serving) -> Result<(), DoorError>,
}

/// Whoever has docker's API served.
pub trait Serving {
    /// It answers at this place.
    fn ready(&self, place: &str);
    /// SIGHUP has come: the settings from now on, unless they stay as they are.
    fn reload(&self) -> Option<Settings>;
    /// SIGTERM or SIGINT has come. Requests are still answered.
    fn ending(&self);
}

/// An error behind another door, and what can be done about it.
#[derive(Debug)]
pub struct DoorError {
    /// What failed, and why.
    pub error: Box<dyn Error + Send + Sync>,
    /// What the user can do.
    pub hint: Option<String>,
}

/// What `mica serve` was asked for.
#[derive(Clone, Debug)]
pub struct ServeApi {
    /// The store, and all else that commands know too.
    pub settings: Settings,
    /// Where it listens: `unix://PATH`, `tcp://HOST:PORT`, `fd://`.
    pub hosts: Vec<String>,
    /// How many sockets were open for it when it was started.
    pub inherited: usize,
    /// The group that may use the socket.
    pub group: String,
    /// What clients by TCP meet.
    pub tls: Option<ServeTls>,
    /// Whether clients by TCP may come without a proof.
    pub plain_tcp: bool,
    /// Whether BuildKit's API alone is spoken, in docker's place.
    pub buildkit: bool,
    /// What builds of BuildKit's clients may be allowed that they are not by themselves.
    pub entitlements: Vec<String>,
    /// A file for the process id.
    pub pid_file: Option<PathBuf>,
    /// How long requests that are being answered get when the server is to end.
    pub grace: Duration,
}

/// Certificates of docker's API.
#[derive(Clone, Debug)]
pub struct ServeTls {
    /// Who may have signed clients' certificates, if clients have to have one.
    pub authorities: Option<PathBuf>,
    /// The server's own.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What `mica registry serve` was asked for.
pub struct ServeRegistry {
    /// Where it listens.
    pub listen: String,
    /// Where it keeps everything.
    pub root: RegistryRoot,
    /// Nothing can be pushed or deleted.
    pub read_only: bool,
    /// Nothing can be deleted.
    pub no_delete: bool,
    /// The file with names and hashes of passwords.
    pub htpasswd: Option<PathBuf>,
    /// The file with rules.
    pub rules: Option<PathBuf>,
    /// The server's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Who gives tokens.
    pub tokens: Option<RegistryTokens>,
    /// How often garbage is collected; never where it is zero.
    pub collect_every: Duration,
    /// The store whose images are shown instead of what is in a folder.
    pub store: Option<engine::Engine>,
    /// The registry that has what is not here.
    pub upstream: Option<RegistryUpstream>,
    /// The file that requests are logged to; `-` is standard output.
    pub log: Option<PathBuf>,
}

/// Where a registry keeps everything.
pub enum RegistryRoot {
    /// A folder.
    Folder(PathBuf),
    /// An object store.
    Bucket(Box<RegistryBucket>),
}

/// An object store that a registry keeps everything in.
pub struct RegistryBucket {
    /// `s3://BUCKET/PREFIX`, `gs://…` or `az://…`.
    pub address: String,
    /// What the file and the flags say of it, by name.
    pub options: Vec<(String, String)>,
    /// The environment, which has its credentials.
    pub environment: std::collections::BTreeMap<String, String>,
    /// Who asks there.
    pub direct: engine::Direct,
}

impl RegistryRoot {
    /// As users are shown it.
    pub(crate) fn shown(&self) -> String {
        match self {
            RegistryRoot::Folder(path) => path.display().to_string(),
            RegistryRoot::Bucket(bucket) => bucket.address.clone(),
        }
    }
}

/// The registry behind a registry.
pub struct RegistryUpstream {
    /// `host[:port][/path]`.
    pub location: String,
    /// Who asks there.
    pub client: engine::Client,
    /// For so long a tag is believed.
    pub fresh: Duration,
}

/// Who gives clients of a registry tokens.
#[derive(Clone, Debug)]
pub struct RegistryTokens {
    /// Where clients ask.
    pub realm: String,
    /// What the registry is called there.
    pub service: String,
    /// What the issuer is called.
    pub issuer: String,
    /// Public keys or certificates that tokens are signed with.
    pub keys: PathBuf,
}

/// What `mica registry gc` was asked for.
pub struct CollectRegistry {
    /// Where the registry keeps everything.
    pub root: RegistryRoot,
    /// What is younger stays.
    pub grace: Duration,
    /// Manifests without a tag go too.
    pub untagged: bool,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectedRegistry {
    /// Manifests without a tag.
    pub manifests: u64,
    /// Blobs, and how long they were together.
    pub blobs: u64,
    /// The length of those blobs.
    pub bytes: u64,
    /// Uploads that nobody went on with.
    pub uploads: u64,
}
