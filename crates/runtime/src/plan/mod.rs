//! What will be done for a bundle on this host: a pure function of both.

pub mod capability;
pub(crate) mod mounts;
mod process;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use rustix::process::Resource;
use rustix::thread::UnshareFlags;
use spec::bundle::{Device, IdMapping, Linux, NamespaceKind, Process, Spec};

pub(crate) use mounts::{IdMap, MountPlan, What, plan as mount};
pub(crate) use process::{Affinity, CapabilityPlan, ProcessPlan};

use crate::error::{Result, RuntimeError};

/// What of the host a plan depends on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether this process acts as root over the host's users.
    pub root: bool,
    /// The capabilities that this process may hand on.
    pub bounding: u64,
    /// Whether it may raise hard limits.
    pub may_raise_limits: bool,
    /// Hard limits of this process, where they matter.
    pub hard_limits: Vec<(Resource, u64)>,
    /// The lowest score that it may set without that power.
    pub oom_score_floor: i32,
    /// Whether the kernel has AppArmor.
    pub apparmor: bool,
    /// Whether the kernel has SELinux.
    pub selinux: bool,
    /// Signals that this process ignores, as bits from the first one on.
    pub ignored_signals: u64,
    /// The user and group that this process is, if it is nobody else besides and the new one will
    /// have the same users.
    pub user: Option<(u32, u32)>,
}

impl Facts {
    /// Asks the host for what this process's configuration makes matter.
    pub fn of_host(process: Option<&Process>, linux: Option<&Linux>) -> Facts {
        let sets = rustix::thread::capabilities(None).ok();
        let held = sets.map_or(0, |sets| sets.permitted.bits());
        let may_raise_limits = held & capability::bit("SYS_RESOURCE").unwrap_or(0) != 0;
        let limits = process.map(|process| process.rlimits.as_slice()).unwrap_or_default();
        let resources = limits.iter().filter_map(|limit| process::resource(&limit.kind));
        let hard_limits = resources.map(|resource| {
            let limit = rustix::process::getrlimit(resource);
            (resource, limit.maximum.unwrap_or(u64::MAX))
        });
        let scored = process.is_some_and(|process| process.oom_score_adj.is_some());
        let score = || fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok();
        let labelled = process.is_some_and(|process| {
            !process.apparmor_profile.is_empty() || !process.selinux_label.is_empty()
        }) || linux.is_some_and(|linux| !linux.mount_label.is_empty());
        let root = sys::host::is_root();
        // Of a container that is joined, nothing is known here.
        let users = linux.is_none_or(|linux| {
            linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User)
        });
        Facts {
            root,
            // An unprivileged process gets all capabilities over a user namespace of its own.
            bounding: if root { held } else { u64::MAX },
            may_raise_limits,
            hard_limits: hard_limits.collect(),
            oom_score_floor: match scored && !may_raise_limits {
                true => score().unwrap_or(0),
                false => -1000,
            },
            apparmor: labelled && fs::metadata("/sys/kernel/security/apparmor").is_ok(),
            selinux: labelled && fs::metadata("/sys/fs/selinux/enforce").is_ok(),
            ignored_signals: sys::task::ignored_signals().unwrap_or(u64::MAX),
            user: if users { None } else { sys::host::only_user() },
        }
    }

    fn hard_limit(&self, resource: Resource) -> u64 {
        let known = self.hard_limits.iter().find(|(known, _)| *known == resource);
        known.map_or(u64::MAX, |(_, limit)| *limit)
    }
}

/// Something that was asked for and that the host does not let this process give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// A hard limit above this process's own.
    Limit {
        /// Its name.
        name: String,
        /// What was asked for.
        wanted: u64,
        /// What it will be.
        granted: u64,
    },
    /// A score below this process's own.
    OomScore {
        /// What was asked for.
        wanted: i32,
        /// What it will be.
        granted: i32,
    },
    /// A capability that is unknown, or that this process has not.
    Capability {
        /// Its name.
        name: String,
    },
    /// An option of a mount that means nothing there.
    MountOption {
        /// The mount.
        mount: String,
        /// The option.
        option: String,
    },
    /// A hook that failed when nothing could be changed any more.
    Hook {
        /// Which one, and why.
        why: String,
    },
    /// That the program is ready could not be told.
    Untold {
        /// Why.
        why: String,
    },
    /// A limit of a group for which the machine has no controller.
    Controller {
        /// The limit.
        limit: String,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Warning::Limit { name, wanted, granted } => {
                write!(f, "{name} is set to {granted}, not {wanted}: the host allows no more")
            }
            Warning::OomScore { wanted, granted } => {
                write!(
                    f,
                    "the OOM score is set to {granted}, not {wanted}: the host allows no less"
                )
            }
            Warning::Capability { name } => {
                write!(f, "capability {name} is left out: this host cannot give it")
            }
            Warning::MountOption { mount, option } => {
                write!(f, "the option {option} has no effect on the mount {mount}")
            }
            Warning::Hook { why } | Warning::Untold { why } => f.write_str(why),
            Warning::Controller { limit } => {
                write!(f, "{limit} is not set: this machine has no controller for it")
            }
        }
    }
}

/// A namespace that is joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Join {
    pub(crate) kind: NamespaceKind,
    pub(crate) path: PathBuf,
}

/// All that is done to make a container, in numbers and paths.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) new: Vec<NamespaceKind>,
    pub(crate) join: Vec<Join>,
    pub(crate) uids: Vec<IdMapping>,
    pub(crate) gids: Vec<IdMapping>,
    /// The content of `/proc/self/timens_offsets`.
    pub(crate) time_offsets: String,
    pub(crate) hostname: String,
    pub(crate) domainname: String,
    pub(crate) root: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) propagation: (u64, bool),
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<Device>,
    /// Paths below `/proc/sys` and what is written there.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) masked: Vec<String>,
    pub(crate) protected: Vec<String>,
    pub(crate) personality: Option<u64>,
    pub(crate) process: ProcessPlan,
    /// What the host does not let us give.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// The plan for a configuration on a host.
    pub fn new(spec: &Spec, facts: &Facts) -> Result<Plan> {
        let missing = |what: &str| RuntimeError::invalid(format!("{what} is missing"));
        let process = spec.process.as_ref().ok_or_else(|| missing("process"))?;
        let root = spec.root.as_ref().ok_or_else(|| missing("root"))?;
        let nothing = Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&nothing);
        let (new, join) = namespaces(linux)?;
        let mut warnings = Vec::new();
        let plan = Plan {
            uids: linux.uid_mappings.clone(),
            gids: linux.gid_mappings.clone(),
            time_offsets: time_offsets(linux, &new)?,
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            root: PathBuf::from(&root.path),
            read_only: root.readonly,
            propagation: mounts::propagation(&linux.rootfs_propagation)?,
            mounts: plan_mounts(spec, facts, &mut warnings)?,
            devices: devices(&linux.devices)?,
            parameters: parameters(linux, &new, &join)?,
            masked: linux.masked_paths.clone(),
            protected: linux.readonly_paths.clone(),
            personality: personality(linux)?,
            process: ProcessPlan {
                // It is for processes that come later.
                affinity: Affinity::default(),
                ..process::plan(process, facts, &mut warnings)?
            },
            new,
            join,
            warnings,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The plan for one more process in a container that runs.
    pub(crate) fn process(process: &Process, facts: &Facts) -> Result<(ProcessPlan, Vec<Warning>)> {
        let mut warnings = Vec::new();
        let plan = process::plan(process, facts, &mut warnings)?;
        Ok((plan, warnings))
    }

    /// Refuses what would change the host instead of the container.
    fn check(&self) -> Result<()> {
        let own = |kind| self.new.contains(&kind) || self.join.iter().any(|ns| ns.kind == kind);
        if !own(NamespaceKind::Mount) {
            return Err(RuntimeError::invalid("a mount namespace is needed"));
        }
        self.check_names()?;
        let named = !self.hostname.is_empty() || !self.domainname.is_empty();
        if named && !own(NamespaceKind::Uts) {
            return Err(RuntimeError::invalid("a host name needs a UTS namespace"));
        }
        // One that is joined has been mapped by whoever made it; what is said of it here changes
        // nothing there.
        let mapped = !self.uids.is_empty() || !self.gids.is_empty();
        if mapped && !own(NamespaceKind::User) {
            return Err(RuntimeError::invalid("mapped users need a user namespace"));
        }
        for (kind, maps) in [("uid", &self.uids), ("gid", &self.gids)] {
            if self.makes(NamespaceKind::User) && maps.is_empty() {
                let what = format!("User namespaces enabled, but no {kind} mappings found.");
                return Err(RuntimeError::invalid(what));
            }
        }
        Ok(())
    }

    /// A name is said in one place: as a member or as a parameter.
    fn check_names(&self) -> Result<()> {
        for (name, value) in
            [("kernel.hostname", &self.hostname), ("kernel.domainname", &self.domainname)]
        {
            let path = name.replace('.', "/");
            if !value.is_empty() && self.parameters.iter().any(|(known, _)| *known == path) {
                let field = name.trim_start_matches("kernel.");
                let what = format!(
                    "sysctl {name:?} is not allowed as it conflicts with the OCI {field:?} field"
                );
                return Err(RuntimeError::invalid(what));
            }
        }
        Ok(())
    }

    /// The namespaces that the process is born into.
    pub(crate) fn born_into(&self) -> UnshareFlags {
        let born = self.new.iter().filter(|kind| {
            // The group must be entered first; clocks must be set before they are entered.
            !matches!(kind, NamespaceKind::Cgroup | NamespaceKind::Time)
        });
        born.fold(UnshareFlags::empty(), |flags, kind| flags | flag(*kind))
    }

    /// Whether nothing that is mounted or unmounted passes between the host and the container.
    pub(crate) fn is_private(&self) -> bool {
        !matches!(self.propagation.0, libc::MS_SLAVE | libc::MS_SHARED)
    }

    pub(crate) fn makes(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }
}

/// The kernel's flag of a namespace.
pub(crate) fn flag(kind: NamespaceKind) -> UnshareFlags {
    match kind {
        NamespaceKind::User => UnshareFlags::NEWUSER,
        NamespaceKind::Pid => UnshareFlags::NEWPID,
        NamespaceKind::Network => UnshareFlags::NEWNET,
        NamespaceKind::Uts => UnshareFlags::NEWUTS,
        NamespaceKind::Ipc => UnshareFlags::NEWIPC,
        NamespaceKind::Cgroup => UnshareFlags::NEWCGROUP,
        NamespaceKind::Mount => UnshareFlags::NEWNS,
        NamespaceKind::Time => UnshareFlags::NEWTIME,
    }
}

fn plan_mounts(spec: &Spec, facts: &Facts, warnings: &mut Vec<Warning>) -> Result<Vec<MountPlan>> {
    let label = spec.linux.as_ref().map_or("", |linux| linux.mount_label.as_str());
    if !label.is_empty() && !facts.selinux {
        let what = "a SELinux label of mounts is asked for and the kernel has no SELinux";
        return Err(RuntimeError::invalid(what));
    }
    let one = |mount| {
        let (mut planned, unused) = mounts::plan(mount)?;
        mounts::label(&mut planned, label);
        let mount = &mount.destination;
        let warning = |option| Warning::MountOption { mount: mount.clone(), option };
        warnings.extend(unused.into_iter().map(warning));
        Ok(planned)
    };
    spec.mounts.iter().map(one).collect()
}

fn namespaces(linux: &Linux) -> Result<(Vec<NamespaceKind>, Vec<Join>)> {
    let (mut new, mut join) = (Vec::new(), Vec::<Join>::new());
    for namespace in &linux.namespaces {
        let kind = namespace.kind;
        if new.contains(&kind) || join.iter().any(|known| known.kind == kind) {
            return Err(RuntimeError::invalid(format!("namespace {kind:?} is given twice")));
        }
        match namespace.path.is_empty() {
            true => new.push(kind),
            false => join.push(Join { kind, path: PathBuf::from(&namespace.path) }),
        }
    }
    Ok((new, join))
}

fn time_offsets(linux: &Linux, new: &[NamespaceKind]) -> Result<String> {
    let mut text = String::new();
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(RuntimeError::invalid(format!("clock {clock} has no offset")));
        }
        text.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
    }
    match text.is_empty() || new.contains(&NamespaceKind::Time) {
        true => Ok(text),
        false => Err(RuntimeError::invalid("offsets of clocks need a time namespace")),
    }
}

fn devices(list: &[Device]) -> Result<Vec<Device>> {
    for device in list {
        if !device.path.starts_with('/') {
            let what = format!("the device path {} is not absolute", device.path);
            return Err(RuntimeError::invalid(what));
        }
        if !matches!(device.kind.as_str(), "c" | "u" | "b" | "p") {
            return Err(RuntimeError::invalid(format!("unknown type of device {}", device.path)));
        }
    }
    Ok(list.to_vec())
}

/// Only parameters that belong to a namespace of the container; the rest are the host's.
fn parameters(
    linux: &Linux,
    new: &[NamespaceKind],
    join: &[Join],
) -> Result<Vec<(String, String)>> {
    let mut list = Vec::new();
    for (name, value) in &linux.sysctl {
        let dotted = name.replace('/', ".");
        let needs = match dotted.as_str() {
            "kernel.domainname" | "kernel.hostname" => NamespaceKind::Uts,
            "kernel.msgmax"
            | "kernel.msgmnb"
            | "kernel.msgmni"
            | "kernel.sem"
            | "kernel.shmall"
            | "kernel.shmmax"
            | "kernel.shmmni"
            | "kernel.shm_rmid_forced" => NamespaceKind::Ipc,
            name if name.starts_with("fs.mqueue.") => NamespaceKind::Ipc,
            name if name.starts_with("net.") => NamespaceKind::Network,
            name if name.starts_with("user.") => NamespaceKind::User,
            _ => {
                let what = format!("sysctl {name} is not in a namespace of its own");
                return Err(RuntimeError::invalid(what));
            }
        };
        if !new.contains(&needs) && !join.iter().any(|ns| ns.kind == needs) {
            let what = format!("sysctl {name} needs a {} namespace", needs.file_name());
            return Err(RuntimeError::invalid(what));
        }
        // A name with slashes is a path already and may have dots in its parts (links' names).
        let path = if name.contains('/') { name.clone() } else { name.replace('.', "/") };
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(RuntimeError::invalid(format!("sysctl {name} is no name")));
        }
        list.push((path, value.clone()));
    }
    Ok(list)
}

/// The number of an execution domain.
pub(crate) fn personality(linux: &Linux) -> Result<Option<u64>> {
    let Some(wanted) = &linux.personality else { return Ok(None) };
    if let Some(flag) = wanted.flags.first() {
        return Err(RuntimeError::invalid(format!("unknown flag {flag} of the execution domain")));
    }
    match wanted.domain.as_str() {
        "LINUX" => Ok(Some(0)),
        "LINUX32" => Ok(Some(8)),
        other => Err(RuntimeError::invalid(format!("unknown execution domain {other}"))),
    }
}
