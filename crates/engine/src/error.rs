//! What can go wrong with a verb. Where docker's users match docker's words, the words are docker's.

use std::io;
use std::path::PathBuf;

use image::archive::ArchiveError;
use registry::{BucketError, FetchError, RegistryError, RegistryErrorKind};
use spec::{ChangeError, ConfigError, ContainerId, ReferenceError};
use store::{ErrorKind, StoreError};

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error("No such image: {0}")]
    NoSuchImage(String),
    #[error("image {prefix} is ambiguous: {candidates}")]
    Ambiguous { prefix: String, candidates: String },
    #[error("{source}")]
    Reference { text: String, source: ReferenceError },
    #[error("Error parsing reference: {text:?} is not a valid repository/tag: {source}")]
    TagName { text: String, source: ReferenceError },
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    #[error("failed to save image: {0}")]
    Output(String),
    #[error("reference does not exist")]
    NoReference(String),
    #[error(
        "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
    )]
    ManyNames { id: String },
    #[error("conflict: unable to delete {id} (must be forced) - image is mounted at {}", path.display())]
    Mounted { id: String, path: PathBuf },
    #[error(
        "conflict: unable to delete {id} (cannot be forced) - image has dependent child images"
    )]
    HasChildren { id: String },
    #[error("no record found for {0:?}")]
    NoSuchBuild(String),
    #[error("several builds begin with {0:?}")]
    AmbiguousBuild(String),
    #[error("there is no cache mount {0}")]
    NoCacheMount(String),
    #[error("unknown or invalid runtime name: {0}")]
    NoRuntime(String),
    #[error("no {} ranges found for user {user:?}", file.trim_start_matches("/etc/"))]
    NothingLent { user: String, file: &'static str },
    #[error("running containers stand on what is mounted: {containers}")]
    AtWork { containers: usize },
    #[error(
        "image with reference {name} was found but does not provide the specified platform ({wanted})"
    )]
    NoPlatform { name: String, wanted: String },
    #[error("the archive has no image {name}; it has {known}")]
    NotInArchive { name: String, known: String },
    #[error("{0}")]
    Start(String),
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("{0}")]
    Busy(String),
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    #[error("Exec session {0} was started already")]
    ExecStarted(String),
    #[error("{message}")]
    Monitor { message: String, failure: Box<runtime::failure::Failure> },
    #[error(transparent)]
    Runtime(#[from] runtime::RuntimeError),
    #[error("networks on bridges, and links between containers, need root")]
    NoBridges,
    #[error(
        "create {volume}: error looking up volume plugin {driver}: plugin {driver:?} not found"
    )]
    NoVolumeDriver { volume: String, driver: String },
    #[error("{0} takes control groups, which an ordinary user has none of")]
    NoGroups(&'static str),
    #[error("an image that an ordinary user mounts is seen by nobody else")]
    MountUnseen,
    #[error("containers of an ordinary user need a namespace of users, which this machine forbids")]
    NoContainers,
    #[error(transparent)]
    Network(#[from] network::NetworkError),
    #[error("cannot join {what} of a non running container: {id}")]
    CannotJoin { what: &'static str, id: String },
    #[error("cannot remove container \"/{name}\": container is {why}")]
    Running { name: String, why: &'static str },
    #[error("Cannot update container {id}: {why}")]
    Update { id: ContainerId, kind: Kind, why: String },
    #[error("removal of container {0} is already in progress")]
    BeingRemoved(String),
    #[error("Could not find the file {path} in container {container}")]
    NoFile { path: String, container: String },
    #[error(
        "conflict: unable to delete {id} (must be forced) - image is being used by stopped container {container}"
    )]
    UsedByStopped { id: String, container: String },
    #[error(
        "conflict: unable to delete {id} (cannot be forced) - image is being used by running container {container}"
    )]
    UsedByRunning { id: String, container: String },
    #[error(
        "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {id}"
    )]
    NameUsed { name: String, container: String, id: String },
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    AmbiguousContainer(String),
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    ContainerName(String),
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, holder: ContainerId },
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("the record of container {id} is damaged: {why}")]
    DamagedContainer { id: ContainerId, why: String },
    #[error("the document of volume {name} is damaged: {why}")]
    DamagedVolume { name: String, why: String },
    #[error("get {0}: no such volume")]
    NoSuchVolume(String),
    #[error("remove {name}: volume is in use - [{users}]")]
    VolumeInUse { name: String, users: String },
    #[error("image {0} is not mounted")]
    NotMounted(String),
    #[error("{path} is not in the image")]
    NoPath { path: String },
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("invalid filter '{0}'")]
    Filter(String),
    #[error(
        "pull access denied for {name}, repository does not exist or may require 'docker login': {source}"
    )]
    PullDenied { name: String, source: RegistryError },
    #[error("manifest for {name} not found: {source}")]
    NoManifest { name: String, source: RegistryError },
    #[error("repository {name} not found: {source}")]
    NoRepository { name: String, source: RegistryError },
    #[error("no matching manifest for {wanted} in the manifest list entries")]
    NoMatchingManifest { wanted: String },
    #[error("cannot pull {name}: {why}")]
    NoImage { name: String, why: String },
    #[error("tag does not exist: {0}")]
    NoTag(String),
    #[error("An image does not exist locally with the tag: {0}")]
    NothingToPush(String),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A registry that is pushed to wants to know who does it, and nobody is known there.
    #[error("no basic auth credentials{}", .0.why_nameless().map_or_else(String::new, |why| format!(": {why}")))]
    NoLogin(#[source] RegistryError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("no credentials were given for bucket {bucket}, and this machine has none of its own")]
    NoBucketKeys { bucket: String, source: BucketError },
    #[error(transparent)]
    Dockerfile(#[from] ::build::BuildError),
    #[error("{name}: failed to resolve source metadata for {full}: {source}")]
    Base { name: String, full: String, source: Box<EngineError> },
    #[error("process {words:?} did not complete successfully: {how}")]
    StepFailed { words: String, how: String },
    #[error("cannot fetch the repository {0}: the program git is not installed")]
    NoGit(String),
    #[error("RUN needs programs for {platform}, and this machine runs those for {host}")]
    Foreign { platform: String, host: String },
    #[error("{name} may not be pulled: {why}")]
    Unsigned { name: String, why: String, file: PathBuf },
    #[error("{} is no key that can be used: {why}", path.display())]
    BadKey { path: PathBuf, why: String },
    #[error("{} is no policy: {why}", path.display())]
    BadPolicy { path: PathBuf, why: String },
    #[error("no such manifest: {0}")]
    NoRemote(String),
    #[error("the registry does not remove the name {name} alone")]
    KeepsNames { name: String, source: RegistryError },
    #[error("{failed} of {all} images were not copied")]
    SomeFailed { failed: usize, all: usize },
    #[error("refusing to amend an existing manifest list with no --amend flag")]
    ListExists(String),
    #[error("No such manifest: {0}")]
    NoList(String),
    #[error("manifest for image {name} does not exist in {list}")]
    NotInList { list: String, name: String },
    #[error("{0} is a manifest list")]
    IsList(String),
    #[error("manifest entry for image has unsupported os/arch combination: {0}")]
    OtherSystem(String),
    #[error("{0}")]
    Refused(String),
    /// What is asked for stands against what is. The words are docker's.
    #[error("{0}")]
    Conflicting(String),
    #[error("cannot keep /{0}: in a layer, a name that begins with .wh. says that a file is gone")]
    UnkeepableName(String),
    #[error("{0}")]
    Input(String),
    #[error("context canceled")]
    Stopped,
    #[error("the image's configuration is malformed")]
    Config(#[source] ConfigError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
}

/// What kind of error it is.
pub type Kind = ErrorKind;

impl EngineError {
    /// What kind it is, for exit codes and statuses.
    pub fn kind(&self) -> Kind {
        use EngineError as E;
        match self {
            E::NoSuchImage(_) | E::NoReference(_) | E::NoPath { .. } => Kind::NotFound,
            E::Start(_) | E::StepFailed { .. } => Kind::Other,
            E::Foreign { .. } | E::NoGit(_) => Kind::Unsupported,
            E::NoBridges | E::NoGroups(_) | E::MountUnseen | E::NoContainers => Kind::Unsupported,
            E::Base { source, .. } => source.kind(),
            E::Dockerfile(error) => match error.kind() {
                ::build::error::ErrorKind::InvalidInput => Kind::InvalidInput,
                ::build::error::ErrorKind::NotFound => Kind::NotFound,
            },
            E::Monitor { .. } | E::Runtime(_) => Kind::Other,
            E::NotRunning(_) | E::CannotJoin { .. } => Kind::Conflict,
            E::Running { .. } | E::BeingRemoved(_) => Kind::Conflict,
            E::Busy(_) | E::ExecStarted(_) => Kind::Conflict,
            E::NoSuchExec(_) => Kind::NotFound,
            E::UsedByStopped { .. } | E::UsedByRunning { .. } | E::NameUsed { .. } => {
                Kind::Conflict
            }
            E::NoFile { .. } => Kind::NotFound,
            E::Update { kind, .. } => *kind,
            E::Network(error) => match error.kind() {
                network::ErrorKind::NotFound => Kind::NotFound,
                network::ErrorKind::Conflict | network::ErrorKind::Forbidden => Kind::Conflict,
                network::ErrorKind::InvalidInput => Kind::InvalidInput,
                network::ErrorKind::Corrupt => Kind::Corrupt,
                network::ErrorKind::Unsupported => Kind::Unsupported,
                network::ErrorKind::Other => Kind::Other,
            },
            E::NoSuchContainer(_) | E::NoSuchVolume(_) | E::NoSuchBuild(_) => Kind::NotFound,
            E::NoVolumeDriver { .. } => Kind::NotFound,
            E::NoCacheMount(_) => Kind::NotFound,
            E::NameTaken { .. } | E::VolumeInUse { .. } => Kind::Conflict,
            E::AmbiguousContainer(_) | E::AmbiguousBuild(_) | E::ContainerName(_) | E::SameName => {
                Kind::InvalidInput
            }
            E::DamagedContainer { .. } | E::DamagedVolume { .. } => Kind::Corrupt,
            E::NoPlatform { .. } | E::NotInArchive { .. } => Kind::NotFound,
            E::ManyNames { .. } | E::Mounted { .. } | E::HasChildren { .. } => Kind::Conflict,
            E::AtWork { .. } | E::Conflicting(_) => Kind::Conflict,
            E::NotMounted(_) => Kind::Conflict,
            E::NoManifest { .. } | E::NoRepository { .. } | E::NoMatchingManifest { .. } => {
                Kind::NotFound
            }
            E::NoTag(_) | E::NothingToPush(_) | E::NoRemote(_) => Kind::NotFound,
            E::NoList(_) | E::NotInList { .. } => Kind::NotFound,
            E::ListExists(_) => Kind::Conflict,
            E::Unsigned { .. } | E::BadKey { .. } | E::BadPolicy { .. } => Kind::InvalidInput,
            E::IsList(_) | E::OtherSystem(_) | E::KeepsNames { .. } => Kind::InvalidInput,
            E::SomeFailed { .. } => Kind::Other,
            E::NoImage { .. } => Kind::Corrupt,
            E::PullDenied { source, .. } | E::NoLogin(source) | E::Registry(source) => {
                registry_kind(source.kind())
            }
            E::Bucket(error) => registry_kind(error.kind()),
            E::NoBucketKeys { .. } => Kind::InvalidInput,
            E::Reference { .. } | E::Ambiguous { .. } | E::TagWithDigest | E::Change(_) => {
                Kind::InvalidInput
            }
            E::TagName { .. }
            | E::Output(_)
            | E::Refused(_)
            | E::UnkeepableName(_)
            | E::NoRuntime(_)
            | E::NothingLent { .. } => Kind::InvalidInput,
            E::Filter(_) | E::Input(_) | E::Archive(_) => Kind::InvalidInput,
            E::Config(_) => Kind::Corrupt,
            E::Store(error) => error.kind(),
            E::Stopped | E::Io { .. } | E::Write(_) | E::Read(_) | E::Fetch(_) => Kind::Other,
        }
    }

    /// Whether its words are those of docker's client, which says nothing before them.
    pub fn is_clients(&self) -> bool {
        use EngineError as E;
        matches!(
            self,
            E::TagName { .. }
                | E::TagWithDigest
                | E::Output(_)
                | E::NoRemote(_)
                | E::ListExists(_)
                | E::NoList(_)
                | E::NotInList { .. }
                | E::IsList(_)
                | E::OtherSystem(_)
        )
    }

    /// Whether a registry wants to know who asks, or somebody else.
    pub fn is_denied(&self) -> bool {
        use EngineError as E;
        match self {
            E::PullDenied { source, .. } | E::NoLogin(source) | E::Registry(source) => {
                source.kind() == RegistryErrorKind::Denied
            }
            _ => false,
        }
    }

    /// Whether its words are docker's daemon's, so that its first line is what docker prints.
    pub fn is_dockers(&self) -> bool {
        use EngineError as E;
        matches!(
            self,
            E::NoSuchImage(_)
                | E::NoSuchContainer(_)
                | E::NoSuchVolume(_)
                | E::NoVolumeDriver { .. }
                | E::Start(_)
                | E::NotRunning(_)
                | E::CannotJoin { .. }
                | E::Busy(_)
                | E::NoSuchExec(_)
                | E::ExecStarted(_)
                | E::Monitor { .. }
                | E::Running { .. }
                | E::BeingRemoved(_)
                | E::Update { .. }
                | E::NoFile { .. }
                | E::UsedByStopped { .. }
                | E::UsedByRunning { .. }
                | E::NameUsed { .. }
                | E::AmbiguousContainer(_)
                | E::ContainerName(_)
                | E::NameTaken { .. }
                | E::SameName
                | E::VolumeInUse { .. }
                | E::NoReference(_)
                | E::Reference { .. }
                | E::Ambiguous { .. }
                | E::ManyNames { .. }
                | E::Mounted { .. }
                | E::HasChildren { .. }
                | E::Change(_)
                | E::Filter(_)
                | E::Refused(_)
                | E::Stopped
                | E::PullDenied { .. }
                | E::NoLogin(_)
                | E::NoManifest { .. }
                | E::NoRepository { .. }
                | E::NoMatchingManifest { .. }
                | E::NoImage { .. }
                | E::NoTag(_)
                | E::NothingToPush(_)
                | E::Registry(_)
                | E::NoPlatform { .. }
        ) || matches!(self, E::Network(error) if is_dockers(error))
    }

    /// What the user can do, where we know it.
    pub fn hint(&self) -> Option<String> {
        use EngineError as E;
        match self {
            E::Store(error) => error.hint(),
            E::Dockerfile(error) => error.hint(),
            E::Base { source, .. } => source.hint(),
            E::Registry(error) | E::NoLogin(error) => error.hint(),
            E::Bucket(error) if error.kind() == RegistryErrorKind::Denied => Some("the keys are wrong, or may not do this: docs/build.md says where they are read".to_owned()),
            E::Bucket(_) | E::NoBucketKeys { .. } => Some("docs/build.md says which attributes and variables there are".to_owned()),
            E::PullDenied { .. } => Some("`mica login` first, or look at the name".to_owned()),
            E::Network(error) => error.hint(),
            E::NoSuchImage(_) | E::NoReference(_) => Some(
                "`mica images` lists what is here; `mica pull`, `mica load` and `mica import` bring more"
                    .to_owned(),
            ),
            E::UnkeepableName(_) => Some(
                "leave it out with .dockerignore or --exclude, or give it another name".to_owned(),
            ),
            E::NoGit(_) => Some("install git, or fetch the files before and build from the folder".to_owned()),
            E::Foreign { .. } => Some(
                "register an emulator, as Debian's packages qemu-user-static and binfmt-support do, or build such files in a stage FROM --platform=$BUILDPLATFORM"
                    .to_owned(),
            ),
            E::Unsigned { file, .. } if file.as_os_str().is_empty() => None,
            E::Unsigned { file, .. } => {
                Some(format!("{} says what may be pulled", file.display()))
            }
            E::KeepsNames { .. } => Some(
                "with its digest, `NAME@DIGEST`, the manifest goes, and all names that stand for it"
                    .to_owned(),
            ),
            E::IsList(_) => Some(
                "name the images in it by their digests, or use `mica buildx imagetools create`"
                    .to_owned(),
            ),
            E::ListExists(_) => Some("`mica manifest rm` forgets the old one".to_owned()),
            E::NothingLent { user, file } => Some(format!(
                "a line `{user}:100000:65536` in {file} lends it ids; `--userns=host` does without"
            )),
            E::NoRuntime(_) => Some(
                "`mica info` names the runtimes there are; others are a path, or named under \
                 [runtimes] in the settings"
                    .to_owned(),
            ),
            E::NoBridges => Some(
                "the default network leads out by pasta or slirp4netns; --network none and --network host work too"
                    .to_owned(),
            ),
            E::MountUnseen => {
                Some("`mica image files` and `mica cp image:NAME:PATH .` look into it".to_owned())
            }
            E::NoContainers => Some(
                "user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns allow them"
                    .to_owned(),
            ),
            E::Runtime(error) => error.hint().map(str::to_owned),
            E::AtWork { .. } => Some("stop them first, with `mica stop`".to_owned()),
            E::Ambiguous { .. } => Some("give more digits, or a name".to_owned()),
            E::NoSuchBuild(_) => Some("list what there is with `mica buildx history ls`".to_owned()),
            E::AmbiguousBuild(_) => Some("give more of the id".to_owned()),
            E::Mounted { id, .. } => {
                Some(format!("`mica image unmount {id}` first, or use --force to do both"))
            }
            E::Archive(ArchiveError::NoImages) => {
                Some("a plain file system becomes an image with `mica import`".to_owned())
            }
            E::Write(error) if error.kind() == io::ErrorKind::StorageFull => {
                Some("free space where the archive is written".to_owned())
            }
            _ => None,
        }
    }

    /// An error of input or output, with what was done and to what.
    pub fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> EngineError {
        let path = path.into();
        move |source| EngineError::Io { doing, path, source }
    }
}

/// A registry's errors among all.
fn registry_kind(kind: RegistryErrorKind) -> Kind {
    match kind {
        RegistryErrorKind::NotFound => Kind::NotFound,
        RegistryErrorKind::Corrupt => Kind::Corrupt,
        RegistryErrorKind::Invalid => Kind::InvalidInput,
        RegistryErrorKind::Denied | RegistryErrorKind::Unavailable => Kind::Other,
    }
}

/// Whether an error of networks is one that docker has words for.
fn is_dockers(error: &network::NetworkError) -> bool {
    use network::ErrorKind as K;
    matches!(error.kind(), K::NotFound | K::Conflict | K::Forbidden | K::InvalidInput)
        || matches!(error, network::NetworkError::NoPools | network::NetworkError::Full { .. })
}

/// What the verbs return.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;
