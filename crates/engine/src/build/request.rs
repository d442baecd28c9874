//! What a build is asked for, and what it gives.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use ::build::graph::Graph;
use spec::{Descriptor, HostConfig, ImageConfig, ImageId, Platform, Reference};

use super::attest::Provenance;
use super::carried::{CachePlace, CacheTarget};
use super::output::Output;
use crate::error::Result;

/// What is read for a build.
pub struct BuildInput<'a> {
    /// Where files come from.
    pub context: ContextSource<'a>,
    /// The Dockerfile; without it, the one in the context.
    pub dockerfile: DockerfileSource<'a>,
}

/// A request to build.
#[derive(Default)]
pub struct BuildRequest {
    /// Further contexts, by name.
    pub contexts: BTreeMap<String, String>,
    /// Folders of the host that a graph of operations copies from, by the names it has for them.
    pub folders: BTreeMap<String, PathBuf>,
    /// The configuration of a graph's result; nothing says it otherwise.
    pub config: Option<Box<ImageConfig>>,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// What it is called among the builds of a session; others can begin with it then.
    pub called: Option<String>,
    /// What it is to run on, an image for each; by default this machine.
    pub platforms: Vec<Platform>,
    /// Where the result goes.
    pub outputs: Vec<Output>,
    /// Labels that it gets besides.
    pub labels: BTreeMap<String, String>,
    /// Which steps may be remembered from before.
    pub cache: CacheUse,
    /// Where others remember steps.
    pub cache_from: Vec<CachePlace>,
    /// Where steps are to be remembered for others.
    pub cache_to: Vec<CacheTarget>,
    /// Whether it is told how images were built, and how much of it.
    pub provenance: Option<Provenance>,
    /// Whether it is told what is installed in images, and who looks.
    pub sbom: Option<Sbom>,
    /// Whether all layers that the build makes become one.
    pub squash: bool,
    /// Whether bases are fetched though they are here.
    pub pull: bool,
    /// `SOURCE_DATE_EPOCH`: no time in the image is later.
    pub epoch: Option<i64>,
    /// How steps are run: network, hosts, limits.
    pub host: HostConfig,
    /// What steps may know without its being in the image, by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of agents, by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// Who is asked for secrets and agents that are not among these.
    pub keyring: Option<Arc<dyn Keyring>>,
    /// What steps are allowed that they are not by themselves.
    pub allowed: Vec<String>,
    /// Whether it is told why steps were not remembered.
    pub explain: bool,
    /// Whether a step that is not remembered fails: any, or those of a stage.
    pub fail_on_miss: Option<String>,
    /// Where the files go that a failed command wrote.
    pub output_on_failure: Option<PathBuf>,
}

/// Who looks for what is installed in images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sbom {
    /// We do.
    BuiltIn,
    /// An image, by the protocol of BuildKit's scanners.
    Generator(Reference),
}

/// The argument that asks for a cache in the image itself.
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

impl BuildRequest {
    /// Whether the image carries its steps for others.
    pub(super) fn writes_inline(&self) -> bool {
        let asked = self.arguments.get(INLINE_CACHE).map(String::as_str);
        self.cache_to.contains(&CacheTarget::Inline) || matches!(asked, Some("1" | "true"))
    }

    /// The address of a further context, however its name is written.
    pub(super) fn context(&self, name: &str) -> Option<&str> {
        let wanted = context_name(name);
        let known = self.contexts.iter().find(|(own, _)| context_name(own) == wanted);
        known.map(|(_, address)| address.as_str())
    }
}

/// A context's name as names are compared: an image's in its short form, without the tag that is
/// meant anyway.
pub(crate) fn context_name(name: &str) -> String {
    let short = Reference::parse(name).map_or_else(|_| name.to_owned(), |own| own.familiar());
    short.strip_suffix(":latest").map_or_else(|| short.clone(), str::to_owned)
}

/// Somebody who is asked for what steps may know, when they need it and not before.
pub trait Keyring: Send + Sync {
    /// A secret, if there is one of this id.
    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>>;
    /// The socket of an agent, if there is one of this id. It is there as long as the keyring is.
    fn agent(&self, id: &str) -> Result<Option<PathBuf>>;
}

impl BuildRequest {
    /// A secret, if there is one of this id.
    pub(super) fn secret(&self, id: &str) -> Result<Option<Vec<u8>>> {
        match (self.secrets.get(id), &self.keyring) {
            (Some(secret), _) => Ok(Some(secret.clone())),
            (None, Some(keyring)) => keyring.secret(id),
            (None, None) => Ok(None),
        }
    }

    /// The socket of an agent, if there is one of this id.
    pub(super) fn agent(&self, id: &str) -> Result<Option<PathBuf>> {
        match (self.agents.get(id), &self.keyring) {
            (Some(socket), _) => Ok(Some(socket.clone())),
            (None, Some(keyring)) => keyring.agent(id),
            (None, None) => Ok(None),
        }
    }
}

/// Where files come from.
pub enum ContextSource<'a> {
    /// A folder of the host.
    Folder(PathBuf),
    /// A folder that somebody sent, and the list of what they left out: nothing in it leads out of
    /// it, whoever made it.
    Sent {
        /// The folder.
        folder: PathBuf,
        /// What its ignore file says.
        ignored: String,
    },
    /// A Dockerfile or a tar, told by its content.
    Reader(Box<dyn Read + Send + 'a>),
    /// A file of the web, which is a tar or a Dockerfile.
    Url(String),
    /// Nowhere: a graph says itself where its files are.
    Nowhere,
}

/// Where the Dockerfile is.
pub enum DockerfileSource<'a> {
    /// In the context, under its usual name.
    Usual,
    /// In this file, of the host if the context is a folder, else of the context.
    Path(PathBuf),
    /// Read from here.
    Reader(Box<dyn Read + Send + 'a>),
    /// There is none: these are the steps.
    Graph(Box<Graph>),
}

/// Which steps may be remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// All but those of these stages.
    But(Vec<String>),
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// What this one build is called.
    pub reference: String,
    /// The images, one for each platform.
    pub images: Vec<BuiltImage>,
    /// The names they got.
    pub names: Vec<Reference>,
    /// The manifest or the index that they left with, if they have one.
    pub document: Option<Descriptor>,
    /// Whether they went anywhere as images.
    pub is_image: bool,
    /// How each was built: as much of it as was asked for, or the least.
    pub provenance: Vec<serde_json::Value>,
    /// What the checks of the Dockerfile found.
    pub warnings: Vec<BuildWarning>,
}

/// What a check of a Dockerfile found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildWarning {
    /// In one line: the check, what it found, and where.
    pub short: String,
    /// What the check is for.
    pub detail: String,
    /// The Dockerfile's name.
    pub file: Arc<str>,
    /// All of it.
    pub text: Arc<str>,
    /// The first line that is meant and the last, counted from one.
    pub lines: (usize, usize),
}

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Its id.
    pub id: ImageId,
    /// What it runs on.
    pub platform: Platform,
}

/// A step that failed, or the whole build.
#[derive(Debug)]
pub struct BuildFailure {
    /// Why.
    pub error: crate::EngineError,
    /// The step, and the last lines that it printed.
    pub step: Option<(String, String)>,
    /// The lines of the Dockerfile that are to blame.
    pub excerpt: Option<String>,
    /// Where those are.
    pub blamed: Option<Blamed>,
}

/// Lines of a Dockerfile that are to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The Dockerfile's name.
    pub file: String,
    /// All of it.
    pub text: String,
    /// The first line and the last, counted from one.
    pub lines: (usize, usize),
}
