//! A process out of its configuration: numbers in place of names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;

use rustix::process::Resource;
use spec::bundle::{ConsoleSize, Process, Rlimit, Scheduler};
use sys::task::Scheduling;

use super::capability::{self, CapabilitySet};
use super::{Facts, Warning};
use crate::error::{Result, RuntimeError};

/// A process as it will be.
#[derive(Clone, Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// Whether nothing says where the user's files are, so that the container's accounts do.
    pub(crate) needs_home: bool,
    /// Where programs without a path are looked for.
    pub(crate) search: String,
    pub(crate) folder: String,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: Option<CapabilityPlan>,
    pub(crate) limits: Vec<(Resource, Option<u64>, Option<u64>)>,
    pub(crate) no_new_privileges: bool,
    /// What is written into `/proc/self/attr`, by file.
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) oom_score: Option<i32>,
    pub(crate) io_priority: Option<(u8, u8)>,
    pub(crate) scheduling: Option<Scheduling>,
    pub(crate) affinity: Affinity,
    pub(crate) size: Option<ConsoleSize>,
    /// What the process that asks for it ignores; the program must not.
    pub(crate) ignored_signals: u64,
    /// Whether the process that asks for it is this user already, and nobody else besides.
    pub(crate) is_user: bool,
}

/// The processors of a process that joins a container; none means any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Affinity {
    /// Before it is in the container's group.
    pub(crate) first: Vec<usize>,
    /// From then on.
    pub(crate) last: Vec<usize>,
}

/// The sets of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CapabilityPlan {
    pub(crate) bounding: CapabilitySet,
    pub(crate) effective: CapabilitySet,
    pub(crate) permitted: CapabilitySet,
    pub(crate) inheritable: CapabilitySet,
    pub(crate) ambient: CapabilitySet,
}

const DEFAULT_SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn plan(
    process: &Process,
    facts: &Facts,
    warnings: &mut Vec<Warning>,
) -> Result<ProcessPlan> {
    if process.args.is_empty() {
        return Err(RuntimeError::invalid("process.args is empty"));
    }
    if !process.cwd.starts_with('/') {
        return Err(RuntimeError::invalid("process.cwd is not absolute"));
    }
    let (environment, needs_home) = environment(&process.env);
    let search = environment.iter().find_map(|entry| entry.strip_prefix("PATH="));
    let (oom_score, floor) = (process.oom_score_adj, facts.oom_score_floor);
    let oom_score = oom_score.map(|wanted| {
        let granted = wanted.max(floor);
        if granted != wanted {
            warnings.push(Warning::OomScore { wanted, granted });
        }
        granted
    });
    Ok(ProcessPlan {
        arguments: strings(&process.args)?,
        search: search.unwrap_or(DEFAULT_SEARCH).to_owned(),
        environment: strings(&environment)?,
        needs_home,
        folder: process.cwd.clone(),
        user: process.user.uid,
        group: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: process.user.umask.unwrap_or(0o022),
        capabilities: capabilities(process, facts, warnings),
        limits: limits(&process.rlimits, facts, warnings)?,
        no_new_privileges: process.no_new_privileges,
        labels: labels(process, facts)?,
        oom_score,
        io_priority: io_priority(process)?,
        scheduling: process.scheduler.as_ref().map(scheduling).transpose()?,
        affinity: affinity(process)?,
        size: process.console_size,
        ignored_signals: facts.ignored_signals,
        is_user: facts.user == Some((process.user.uid, process.user.gid)),
    })
}

/// Each variable once, where it was first said, with what was said last; and whether `HOME` is
/// missing, as it also is where nothing is in it.
fn environment(list: &[String]) -> (Vec<&str>, bool) {
    let name = |entry: &str| entry.split_once('=').map_or(entry, |(name, _)| name).to_owned();
    let mut places = BTreeMap::new();
    let mut once: Vec<&str> = Vec::new();
    for entry in list.iter().map(String::as_str) {
        match places.entry(name(entry)) {
            Entry::Occupied(place) => once[*place.get()] = entry,
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push(entry);
            }
        }
    }
    once.retain(|entry| *entry != "HOME=");
    let has_home = once.iter().any(|entry| entry.starts_with("HOME="));
    (once, !has_home)
}

fn strings(list: &[impl AsRef<str>]) -> Result<Vec<CString>> {
    let wrong = |_| RuntimeError::invalid("an argument or variable holds a NUL");
    list.iter().map(|text| CString::new(text.as_ref()).map_err(wrong)).collect()
}

/// What the host itself lacks cannot be given away: it is left out, and said.
fn capabilities(
    process: &Process,
    facts: &Facts,
    warnings: &mut Vec<Warning>,
) -> Option<CapabilityPlan> {
    let sets = process.capabilities.as_ref()?;
    let mut set = |names: &[String]| {
        let mut set = 0;
        for name in names {
            match capability::bit(name).filter(|bit| facts.bounding & bit != 0) {
                Some(bit) => set |= bit,
                None => {
                    let warning = Warning::Capability { name: name.clone() };
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
            }
        }
        set
    };
    let bounding = set(&sets.bounding);
    let permitted = set(&sets.permitted);
    let inheritable = set(&sets.inheritable);
    let effective = set(&sets.effective) & permitted;
    // The kernel takes for ambient only what is permitted and inheritable.
    let ambient = set(&sets.ambient) & permitted & inheritable;
    Some(CapabilityPlan { bounding, effective, permitted, inheritable, ambient })
}

/// A limit by its name.
pub(crate) fn resource(name: &str) -> Option<Resource> {
    let upper = name.to_ascii_uppercase();
    Some(match upper.strip_prefix("RLIMIT_").unwrap_or(&upper) {
        "CPU" => Resource::Cpu,
        "FSIZE" => Resource::Fsize,
        "DATA" => Resource::Data,
        "STACK" => Resource::Stack,
        "CORE" => Resource::Core,
        "RSS" => Resource::Rss,
        "NPROC" => Resource::Nproc,
        "NOFILE" => Resource::Nofile,
        "MEMLOCK" => Resource::Memlock,
        "AS" => Resource::As,
        "LOCKS" => Resource::Locks,
        "SIGPENDING" => Resource::Sigpending,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        _ => return None,
    })
}

type Limits = Vec<(Resource, Option<u64>, Option<u64>)>;

/// Raising a hard limit needs a power that this process may lack: then the host's own is the most.
fn limits(list: &[Rlimit], facts: &Facts, warnings: &mut Vec<Warning>) -> Result<Limits> {
    let mut planned = Limits::new();
    for limit in list {
        let unknown = || RuntimeError::invalid(format!("unknown limit {}", limit.kind));
        let resource = resource(&limit.kind).ok_or_else(unknown)?;
        if planned.iter().any(|(known, ..)| *known == resource) {
            return Err(RuntimeError::invalid(format!("limit {} is given twice", limit.kind)));
        }
        if limit.soft > limit.hard {
            let what = format!("limit {}: the soft one is above the hard one", limit.kind);
            return Err(RuntimeError::invalid(what));
        }
        let most = match facts.may_raise_limits {
            true => u64::MAX,
            false => facts.hard_limit(resource),
        };
        let granted = limit.hard.min(most);
        if granted != limit.hard {
            warnings.push(Warning::Limit { name: limit.kind.clone(), wanted: limit.hard, granted });
        }
        let number = |value: u64| (value != u64::MAX).then_some(value);
        planned.push((resource, number(limit.soft.min(granted)), number(granted)));
    }
    Ok(planned)
}

fn labels(process: &Process, facts: &Facts) -> Result<Vec<(&'static str, String)>> {
    let mut labels = Vec::new();
    if !process.apparmor_profile.is_empty() {
        match (facts.apparmor, process.apparmor_profile.as_str()) {
            (true, profile) => labels.push(("apparmor/exec", format!("exec {profile}"))),
            (false, "unconfined") => {}
            (false, _) => {
                return Err(RuntimeError::invalid(
                    "an AppArmor profile is asked for and the kernel has no AppArmor",
                ));
            }
        }
    }
    if !process.selinux_label.is_empty() {
        if !facts.selinux {
            return Err(RuntimeError::invalid(
                "a SELinux label is asked for and the kernel has no SELinux",
            ));
        }
        labels.push(("exec", process.selinux_label.clone()));
    }
    Ok(labels)
}

fn io_priority(process: &Process) -> Result<Option<(u8, u8)>> {
    let Some(wanted) = &process.io_priority else { return Ok(None) };
    let class = match wanted.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" | "" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(RuntimeError::invalid(format!("unknown class {other} of I/O"))),
    };
    match u8::try_from(wanted.priority) {
        Ok(priority) if priority < 8 => Ok(Some((class, priority))),
        _ => Err(RuntimeError::invalid("the priority of I/O is not within 0 and 7")),
    }
}

fn scheduling(scheduler: &Scheduler) -> Result<Scheduling> {
    const FLAGS: &[(&str, u64)] = &[
        ("SCHED_FLAG_RESET_ON_FORK", 1),
        ("SCHED_FLAG_RECLAIM", 2),
        ("SCHED_FLAG_DL_OVERRUN", 4),
        ("SCHED_FLAG_KEEP_POLICY", 8),
        ("SCHED_FLAG_KEEP_PARAMS", 16),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 32),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 64),
    ];
    let policy = match scheduler.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(RuntimeError::invalid(format!("unknown scheduler {other}"))),
    };
    let mut flags = 0;
    for name in &scheduler.flags {
        let known = FLAGS.iter().find(|(known, _)| known == name);
        let unknown = || RuntimeError::invalid(format!("unknown flag {name} of the scheduler"));
        flags |= known.ok_or_else(unknown)?.1;
    }
    Ok(Scheduling {
        policy,
        flags,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

fn affinity(process: &Process) -> Result<Affinity> {
    let Some(wanted) = &process.exec_cpu_affinity else { return Ok(Affinity::default()) };
    Ok(Affinity { first: processors(&wanted.initial)?, last: processors(&wanted.last)? })
}

fn processors(text: &str) -> Result<Vec<usize>> {
    let wrong = || RuntimeError::invalid(format!("{text} is no list of processors"));
    let mut list = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if last < first || last >= rustix::thread::CpuSet::MAX_CPU {
            return Err(wrong());
        }
        list.extend(first..=last);
    }
    Ok(list)
}
