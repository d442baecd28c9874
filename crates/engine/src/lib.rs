//! The verbs: import, load, save, pull, push, tag, remove, look; what the rooms below do together.
//!
//! Nothing here knows a terminal or a wire. A verb takes a request with named fields and returns
//! what happened; long work reports to a [`Progress`].

mod about;
mod bake;
mod build;
mod build_call;
mod container;
mod difference;
mod distribution;
mod error;
mod event_filter;
mod family;
mod filter;
mod find;
mod folder;
mod history;
mod import;
mod inspect;
mod list;
mod load;
mod login;
mod look;
mod manifest;
mod network;
mod network_document;
mod network_filter;
mod outgoing;
mod pack;
mod progress;
mod pull;
mod push;
mod remote;
mod remove;
mod save;
mod sbom;
mod send;
mod settings;
mod shelf;
mod sign;
mod stream;
mod system;
mod tag;
mod told;
mod volume;
mod whole;

pub use ::build::BuildError;
pub use ::build::bake::{
    Field as BakeField, File as BakeFile, Given as BakeGiven, HERE as BAKE_HERE, Plan as BakePlan,
    Target as BakeTarget, Variable as BakeVariable, World as BakeWorld, list as list_bake,
    plan as plan_bake,
};
pub use ::build::call::{Call, Format};
pub use ::build::scope::Inputs as BuildInputs;

/// The steps of a build, for whoever has them from elsewhere than a Dockerfile.
pub mod steps {
    pub use ::build::change::{Change, Circumstances, Exact, Moment};
    pub use ::build::graph::{Graph, Op, Step, StepId};
    pub use ::build::instruction::{Command, CopyFlags, Mount, MountKind, Run, Sharing, Source};
    pub use ::build::scope::Scope;
    pub use ::build::{BuildError, Span};
}
pub use ::image::upper::Altered;
pub use ::network::{
    AddressPool, Driver as NetworkDriver, Endpoint, ErrorKind as NetworkErrorKind, Network,
    NetworkError, NetworkFilter, NetworkRequest, Networks, PublishedPort, Subnet, SubnetError,
    SubnetPool,
};
pub use about::{API_VERSION, MIN_API_VERSION, version_document};
pub use bake::{bake_files, dot_env};
pub use build::{
    Annotation, AnnotationPlace, ArchiveForm, Blamed, BucketCache, BuildCache, BuildFailure,
    BuildInput, BuildMoment, BuildOutcome, BuildRecord, BuildRequest, BuildSession, BuildStep,
    BuildWarning, BuildWatch, Built, BuiltImage, CacheAttributes, CacheFilter, CacheMount,
    CachePlace, CacheRow, CacheTarget, CacheUse, ContextSource, Divergence, DockerfileSource,
    FilesTarget, GithubCache, KeepCache, KeyAgents, Keyring, Naming, News, Output, Packing,
    PlannedLine, Provenance, ProvenanceMode, ProvenanceVersion, PruneCache, Push, Sbom, SentFolder,
    SshKey, StepConfig, StepOutcome, StepState, Types, Verified, WrongCacheFilter,
    is_remote_context, is_repository, local_context, repository_token,
};
pub use build_call::{Answer, Definition};
pub use container::{
    Alive, Arriving, Booted, BundleSource, CommitContainer, ContainerFilter, ContainerLog,
    ContainerRecord, ContainerRow, ContainerSample, Containers, CopyEnd, CopyFiles,
    CreateContainer, Created, ExecProcess, ExecSession, Fresh, Leaving, LinkCounts, ListContainers,
    ONCE_COMMAND, PathStat, ProcessTable, PruneContainers, RemoveContainer, Spawned, Starting,
    Summary, SummaryConfig, SummaryHost, TOLD, UpdateContainer, WATCH_COMMAND, WriteBundle,
    change_letter, inherited_connection, run_once, status_words, unpack_copy,
};
pub use difference::{DiffEntry, ImageDiff};
pub use error::{EngineError, Kind, Result};
pub use event_filter::EventConditions;
pub use family::{Family, Member};
pub use filter::ImageFilter;
pub use find::Found;
pub use history::HistoryRow;
pub use import::{Import, ImportSource};
pub use inspect::inspect_image;
pub use list::{ImageList, ImageRow, ListImages};
pub use load::{Load, LoadSource, Loaded};
pub use login::{LoggedIn, Login};
pub use look::{FileRow, ImageFiles, TreeRow, WhyRow};
pub use manifest::ManifestDocument;
pub use network_document::network_document;
pub use network_filter::{network_list_filter, network_prune_filter};
pub use pack::LayerCoding;
pub use progress::{Item, Progress, Quiet};
pub use pull::{PullImage, Pulled};
pub use push::{PushImage, Pushed, Repack};
pub use registry::{
    Anonymous, Client, Credential, CredentialError, Credentials, Direct, GivenToken, Kept,
    RegistryError, SearchResult, Secret, WantedToken, config_trouble,
};
pub use remote::{
    Combination, CombineImages, Copied, CopyImage, ListEntry, ManifestList, ManifestLists, Note,
    Place, RemoteEntry, RemoteImage, SyncImages, SyncOutcome, SyncTarget, Synced, copy_image,
    remote_digest, remote_document, remote_tags, remove_remote, sync_images,
};
pub use remove::{PruneImages, Pruned, RemoveImages, Removed};
pub use runtime::state::{State, Status};
pub use save::{Called, Save, SaveTarget, Saved};
pub use send::{SendContext, read_files, write_files};
pub use settings::{
    BuildKitFile, CacheRule, CacheSettings, CgroupDriver, ContainerDefaults, DefaultBridge,
    HubSettings, Lender, LogLevel, NAMESPACE_VARIABLE, NetworkDefaults, OWN_RUNTIME,
    RegistrySettings, RuntimeSettings, SettingFlags, Settings, SettingsError, Space, Standing,
    UserRemap,
};
pub use shelf::ShelfDocument;
pub use sign::{
    Identity, Policy, SignatureForm, SigningKey, Verdict, VerifyingKey, sign_remote, verify_remote,
};
pub use store::{
    CheckReport, DriverKind, Event, EventFilter, Fault, ImageUsage, Migrated, Usage, View,
};
pub use system::{
    Counts, DiskUsage, Info, RegistryView, VERSION, VolumeUsage, event_document, fetch,
    kernel_release,
};
pub use told::Events;
pub use volume::{ANONYMOUS_LABEL, CreateVolume, Volume};

use std::path::Path;

use store::Store;

/// The engine: a store and what can be done with it.
pub struct Engine {
    store: Store,
    settings: Settings,
}

impl Engine {
    /// Opens the store that the settings name.
    pub fn open(settings: Settings) -> Result<Engine> {
        let store = Store::open(settings.store())?;
        Ok(Engine { store, settings })
    }

    /// Whether the store that the settings name was made already. Opening would make it.
    pub fn is_made(settings: &Settings) -> bool {
        Store::is_made(&settings.data_root)
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        self.store.paths().root()
    }

    /// The store beneath.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
