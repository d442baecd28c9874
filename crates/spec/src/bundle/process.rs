//! What is run in a container, and as whom.

use serde::{Deserialize, Serialize};

use super::is_default;

/// The program and what it is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Whether it gets a terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub terminal: bool,
    /// The terminal's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// As whom it runs.
    pub user: User,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Its environment, `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it starts.
    pub cwd: String,
    /// What root's powers it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Limits of the process itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether set-user-id programs stay without effect.
    #[serde(skip_serializing_if = "is_default")]
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// How soon it is killed when memory is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// The SELinux label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// Its share of the disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// How it is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The processors that exec'd processes start and stay on.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// As whom a program runs, in the container's own numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The bits that new files do not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// The sets of capabilities, by name (`CAP_CHOWN`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// What can be had at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounding: Vec<String>,
    /// What is in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<String>,
    /// What programs with file capabilities may inherit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inheritable: Vec<String>,
    /// What may be put in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<String>,
    /// What ordinary programs inherit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
}

/// One limit of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rlimit {
    /// Its name (`RLIMIT_NOFILE`).
    #[serde(rename = "type")]
    pub kind: String,
    /// What it may be raised to.
    pub hard: u64,
    /// What is in force.
    pub soft: u64,
}

/// A share of the disks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `_BE` or `_IDLE`.
    pub class: String,
    /// 0 (first) to 7 (last) within the class.
    pub priority: i32,
}

/// How a process is scheduled.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_OTHER` and so on.
    pub policy: String,
    /// Niceness.
    #[serde(skip_serializing_if = "is_default")]
    pub nice: i32,
    /// Priority of the real-time policies.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: u32,
    /// `SCHED_FLAG_RESET_ON_FORK` and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Nanoseconds of the deadline policy.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: u64,
    /// Nanoseconds of the deadline policy.
    #[serde(skip_serializing_if = "is_default")]
    pub deadline: u64,
    /// Nanoseconds of the deadline policy.
    #[serde(skip_serializing_if = "is_default")]
    pub period: u64,
}

/// The processors of exec'd processes, as lists (`0-3,7`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// Before the program's cgroup is entered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// After it.
    #[serde(rename = "final", skip_serializing_if = "String::is_empty")]
    pub last: String,
}
