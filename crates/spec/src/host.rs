//! How the host runs a container: docker's `HostConfig`, as the command line and the API give it and
//! `inspect` shows it.
//!
//! Field names, their order and what is `null` when nothing was given are docker's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_is_default, one_or_many, with_members_of};

mod device;
mod mode;
mod mount;
mod network;
mod resources;
mod restart;

pub use device::{DeviceMapping, DeviceRequest, ThrottleDevice, Ulimit, WeightDevice};
pub use mode::{CgroupnsMode, IpcMode, NamespaceMode, NetworkMode};
pub use mount::{
    Bind, BindOptions, IdMaps, ImageOptions, Mount, MountError, MountKind, MountPoint,
    PROPAGATIONS, TmpfsOptions, VolumeDriver, VolumeOptions, check_volume_name, is_volume_name,
    mount_target, parse_bind, parse_mount, parse_tmpfs,
};
pub use network::{EndpointSettings, IpamSettings, NetworkingConfig, PortBinding};
pub use resources::Resources;
pub use restart::{RestartError, RestartName, RestartPolicy};

/// Which log driver keeps what a container writes, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// The driver's name.
    #[serde(rename = "Type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Its options.
    #[serde(deserialize_with = "null_is_default")]
    pub config: BTreeMap<String, String>,
}

/// How the host runs a container.
///
/// A list that was never given is `None`, which docker shows as `null`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, remote = "Self")]
pub struct HostConfig {
    /// What `-v` gave.
    pub binds: Option<Vec<String>>,
    /// The file that the id was written to.
    #[serde(rename = "ContainerIDFile", deserialize_with = "null_is_default")]
    pub container_id_file: String,
    /// Where output is kept.
    #[serde(deserialize_with = "null_is_default")]
    pub log_config: LogConfig,
    /// The network it stands in: a name, `host`, `none`, `container:ID`.
    #[serde(deserialize_with = "null_is_default")]
    pub network_mode: String,
    /// Published ports, by `80/tcp`.
    #[serde(deserialize_with = "null_is_default")]
    pub port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
    /// What happens when it ends.
    #[serde(deserialize_with = "null_is_default")]
    pub restart_policy: RestartPolicy,
    /// Whether it goes when it ends.
    #[serde(deserialize_with = "null_is_default")]
    pub auto_remove: bool,
    /// The driver of volumes that `-v` makes.
    #[serde(deserialize_with = "null_is_default")]
    pub volume_driver: String,
    /// Containers whose volumes it has too.
    pub volumes_from: Option<Vec<String>>,
    /// Rows and columns of the terminal that started it.
    #[serde(deserialize_with = "null_is_default")]
    pub console_size: [u32; 2],
    /// Notes handed to the runtime.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Capabilities beyond docker's default.
    #[serde(deserialize_with = "one_or_many")]
    pub cap_add: Option<Vec<String>>,
    /// Capabilities of docker's default that it must not have.
    #[serde(deserialize_with = "one_or_many")]
    pub cap_drop: Option<Vec<String>>,
    /// Whose view of control groups it has: `private`, `host` or empty.
    #[serde(deserialize_with = "null_is_default")]
    pub cgroupns_mode: String,
    /// Name servers.
    pub dns: Option<Vec<String>>,
    /// Options of the resolver.
    pub dns_options: Option<Vec<String>>,
    /// Domains that short names are looked up in.
    pub dns_search: Option<Vec<String>>,
    /// Lines for its hosts file, `name:address`.
    pub extra_hosts: Option<Vec<String>>,
    /// Groups of its process besides the first.
    pub group_add: Option<Vec<String>>,
    /// Shared memory and queues: `private`, `shareable`, `host`, `none`, `container:ID`.
    #[serde(deserialize_with = "null_is_default")]
    pub ipc_mode: String,
    /// Always empty; docker's field of old.
    #[serde(deserialize_with = "null_is_default")]
    pub cgroup: String,
    /// Containers it knows by other names, `container:alias`.
    pub links: Option<Vec<String>>,
    /// How soon the kernel kills it when memory runs out.
    #[serde(deserialize_with = "null_is_default")]
    pub oom_score_adj: i64,
    /// Whose processes it sees: empty, `host`, `container:ID`.
    #[serde(deserialize_with = "null_is_default")]
    pub pid_mode: String,
    /// Whether it may do what the host's root may.
    #[serde(deserialize_with = "null_is_default")]
    pub privileged: bool,
    /// Whether all ports it exposes are published.
    #[serde(deserialize_with = "null_is_default")]
    pub publish_all_ports: bool,
    /// Whether its root file system is read-only.
    #[serde(deserialize_with = "null_is_default")]
    pub readonly_rootfs: bool,
    /// Profiles and labels of security modules.
    pub security_opt: Option<Vec<String>>,
    /// Options of the storage driver.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub storage_opt: BTreeMap<String, String>,
    /// Folders in memory, with their mount options.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub tmpfs: BTreeMap<String, String>,
    /// Whose host name it has: empty or `host`.
    #[serde(rename = "UTSMode", deserialize_with = "null_is_default")]
    pub uts_mode: String,
    /// Whose users it has: empty or `host`.
    #[serde(deserialize_with = "null_is_default")]
    pub userns_mode: String,
    /// The size of `/dev/shm`; 0 is the default.
    #[serde(deserialize_with = "null_is_default")]
    pub shm_size: i64,
    /// Kernel parameters of its namespaces.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    /// What runs it.
    #[serde(deserialize_with = "null_is_default")]
    pub runtime: String,
    /// Always empty; of Windows.
    #[serde(deserialize_with = "null_is_default")]
    pub isolation: String,
    /// How much of the host it may use.
    #[serde(flatten, skip_deserializing)]
    pub resources: Resources,
    /// What `--mount` gave.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub mounts: Vec<Mount>,
    /// Files of `/proc` and `/sys` that it must not see; `None` is docker's own list.
    pub masked_paths: Option<Vec<String>>,
    /// Files of `/proc` and `/sys` that it must not write; `None` is docker's own list.
    pub readonly_paths: Option<Vec<String>>,
    /// Whether an init reaps what its process leaves; `None` is the host's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

with_members_of!(HostConfig, resources);
