//! What a container was asked to be, as the runtime's document: a pure function of its record and of
//! what was found out about the host and the container's files.

mod capability;
mod cdi;
mod devices;
mod labels;
mod mounts;
mod resources;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use runtime::seccomp::{Profile, Subject};
use spec::bundle::{
    BUNDLE_VERSION, ConsoleSize, Linux, Namespace, NamespaceKind, Process, Rlimit, Root, Seccomp,
    Spec,
};
use spec::{CgroupnsMode, HostConfig, IpcMode, NamespaceMode, NetworkMode};

use super::ContainerRecord;
use super::exec::ExecProcess;
use crate::Standing;
use crate::error::{EngineError, Result};

pub(crate) use cdi::Registered;
pub(super) use labels::Guards;
pub(super) use resources::has_usual_rules;
pub(crate) use user::Accounts;

/// What a plan depends on besides the record.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The users and groups that the container's files name.
    pub(super) accounts: Accounts,
    /// Whether the host has only control groups of the second version.
    pub(super) unified_cgroups: bool,
    /// The network namespace that is joined; without it the container has the host's, or one of its
    /// own where it stands in no network.
    pub(super) network: Option<PathBuf>,
    /// First processes of containers whose namespaces are shared, by what was asked for.
    pub(super) others: BTreeMap<String, i32>,
    /// Where shared memory is mounted that several containers have.
    pub(super) memory: Option<PathBuf>,
    /// Where the container's own hosts file and its like are, written already.
    pub(super) folder: PathBuf,
    /// Devices of the host and what comes with them, as they were looked up.
    pub(super) devices: devices::Given,
    /// Where what is mounted was opened already, by destination: images, and places in volumes,
    /// which whoever has the volume too could change on the way.
    pub(super) opened: BTreeMap<String, PathBuf>,
    /// The namespace of users that is joined; without it the container has the host's.
    pub(super) users: Option<PathBuf>,
    /// Where volumes will be that are folders of the store's own.
    pub(super) plain: BTreeSet<String>,
    /// Variables of those it is linked to.
    pub(super) linked: Vec<String>,
    /// Whether it is an ordinary user's, who is not root over the host's namespaces.
    pub(super) standing: Standing,
    /// What guards processes on this host.
    pub(super) guards: Guards,
}

/// Says what is wrong with the capabilities and security options that are asked for.
pub(super) fn check_security(host: &HostConfig) -> Result<()> {
    labels::check(host)?;
    capability::names(host).map(drop)
}

/// What a container is labelled with on this host.
pub(super) fn labels(record: &ContainerRecord) -> Result<labels::Labels> {
    let host = &record.host_config;
    labels::plan(&record.id, host, &Guards::of_host(host))
}

/// What a container may use, without what it may do with devices: limits that are changed while it
/// runs.
pub(super) fn limits(host: &HostConfig) -> Result<spec::bundle::Resources> {
    let planned = resources::plan(host, &[])?;
    Ok(spec::bundle::Resources { devices: Vec::new(), ..planned })
}

/// Looks up the devices that a container is to have.
pub(super) fn look_up_devices(host: &HostConfig) -> Result<devices::Given> {
    devices::look_up(host)
}

/// A further process in a container: as the first one, but for what is asked.
pub(super) fn exec_process(
    record: &ContainerRecord,
    accounts: &Accounts,
    asked: &ExecProcess,
    standing: Standing,
) -> Result<Process> {
    let mut record = record.clone();
    let (config, host) = (&mut record.config, &mut record.host_config);
    if !asked.user.is_empty() {
        config.user.clone_from(&asked.user);
    }
    if !asked.working_dir.is_empty() {
        config.working_dir.clone_from(&asked.working_dir);
    }
    config.tty = asked.tty;
    host.privileged |= asked.privileged;
    config.entrypoint = None;
    config.cmd = Some(asked.cmd.clone());
    let guards = Guards::of_host(&record.host_config);
    let accounts = accounts.clone();
    let facts = Facts { accounts, standing, guards, ..Facts::default() };
    let mut process = process(&record, &facts)?;
    for variable in &asked.env {
        match variable.contains('=') {
            true => process.env.push(variable.clone()),
            // One that whoever asks does not have: then the process has none either.
            false => process.env.retain(|own| own.split('=').next() != Some(variable)),
        }
    }
    Ok(process)
}

/// Plans a container's process. The root file system is handed over beside it.
pub(super) fn plan(record: &ContainerRecord, facts: &Facts) -> Result<Spec> {
    let host = &record.host_config;
    let namespaces = namespaces(host, facts)?;
    let linux = Linux {
        sysctl: host.sysctls.clone(),
        resources: Some(resources::plan(host, &facts.devices.nodes)?),
        cgroups_path: cgroup_path(record),
        namespaces,
        devices: facts.devices.nodes.iter().map(devices::Found::device).collect(),
        masked_paths: host.masked_paths.clone().unwrap_or_default(),
        readonly_paths: host.readonly_paths.clone().unwrap_or_default(),
        rootfs_propagation: mounts::root_propagation(record),
        seccomp: seccomp(host)?,
        mount_label: labels::plan(&record.id, host, &facts.guards)?.mount,
        ..Linux::default()
    };
    let on_host = host.uts_mode == "host";
    Ok(Spec {
        oci_version: BUNDLE_VERSION.to_owned(),
        process: Some(process(record, facts)?),
        root: Some(Root { path: "rootfs".to_owned(), readonly: host.readonly_rootfs }),
        hostname: if on_host { String::new() } else { record.config.hostname.clone() },
        domainname: record.config.domainname.clone(),
        mounts: mounts::plan(record, facts)?,
        hooks: facts.devices.hooks.clone(),
        annotations: host.annotations.clone(),
        linux: Some(linux),
    })
}

/// The filter of system calls: docker's own, one of the user's, or none.
fn seccomp(host: &HostConfig) -> Result<Option<Seccomp>> {
    let asked = option(host, "seccomp");
    if host.privileged && asked.is_none() {
        return Ok(None);
    }
    let profile = match asked {
        Some("unconfined") => return Ok(None),
        None | Some("" | "builtin") => Profile::of_docker(),
        Some(text) => match Profile::parse(text.as_bytes())? {
            Some(profile) => profile,
            None => return Ok(None),
        },
    };
    let names = capability::names(host)?;
    let sets = names.iter().filter_map(|name| runtime::capability::bit(name));
    let capabilities = sets.fold(0, |all, bit| all | bit);
    let subject = Subject { capabilities, kernel: sys::host::kernel_version() };
    Ok(Some(profile.resolve(subject)?))
}

fn process(record: &ContainerRecord, facts: &Facts) -> Result<Process> {
    let (config, host) = (&record.config, &record.host_config);
    let account = facts.accounts.find(&config.user)?;
    let mut user = account.user;
    // The first group is among the further ones too: a program that lets go of it by setgid could
    // otherwise pass where a mode refuses that group.
    user.additional_gids = vec![user.gid];
    let further = facts.accounts.groups(&account.name, host.group_add.as_deref())?;
    let given = facts.devices.groups.iter().copied();
    for gid in further.into_iter().chain(given) {
        if !user.additional_gids.contains(&gid) {
            user.additional_gids.push(gid);
        }
    }
    if facts.standing.is_single() {
        // Whoever has one id may not change his groups.
        user.additional_gids.clear();
    }
    let words = config.entrypoint.iter().chain(&config.cmd).flatten();
    let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let no_new_privileges = option(host, "no-new-privileges").is_some_and(|value| value != "false");
    let is_root = user.uid == 0;
    let labels = labels::plan(&record.id, host, &facts.guards)?;
    let mut env = environment(record, &account.home, &facts.linked);
    facts.devices.env.iter().for_each(|variable| cdi::set(&mut env, variable));
    Ok(Process {
        terminal: config.tty,
        console_size: console_size(record),
        user,
        args: words.cloned().collect(),
        env,
        cwd: cwd.to_owned(),
        capabilities: Some(capability::plan(host, is_root)?),
        rlimits: rlimits(host),
        no_new_privileges,
        apparmor_profile: labels.profile,
        selinux_label: labels.process,
        oom_score_adj: (host.oom_score_adj != 0).then_some(host.oom_score_adj as i32),
        ..Process::default()
    })
}

/// What the terminal has at the start, where there is one and that is known.
pub(super) fn console_size(record: &ContainerRecord) -> Option<ConsoleSize> {
    let [rows, columns] = record.host_config.console_size;
    let number = |value: u32| u16::try_from(value).ok().filter(|value| *value > 0);
    let (height, width) = (number(rows)?, number(columns)?);
    record.config.tty.then_some(ConsoleSize { height, width })
}

/// The value of a security option: `seccomp=unconfined`.
pub(super) fn option<'a>(host: &'a HostConfig, name: &str) -> Option<&'a str> {
    host.security_opt.iter().flatten().find_map(|option| {
        match option.split_once('=').or_else(|| option.split_once(':')) {
            Some((key, value)) => (key == name).then_some(value),
            None => (option == name).then_some(""),
        }
    })
}

/// What docker sets where neither the image nor the user does.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn environment(record: &ContainerRecord, home: &str, linked: &[String]) -> Vec<String> {
    let config = &record.config;
    let has = |name: &str| config.env.iter().any(|one| one.split('=').next() == Some(name));
    let mut list = Vec::new();
    if !has("PATH") {
        list.push(format!("PATH={PATH}"));
    }
    if !has("HOSTNAME") && !config.hostname.is_empty() {
        list.push(format!("HOSTNAME={}", config.hostname));
    }
    if config.tty && !has("TERM") {
        list.push("TERM=xterm".to_owned());
    }
    let name = |one: &String| one.split('=').next().is_some_and(has);
    list.extend(linked.iter().filter(|one| !name(one)).cloned());
    list.extend(config.env.iter().cloned());
    if !has("HOME") {
        list.push(format!("HOME={home}"));
    }
    list
}

fn rlimits(host: &HostConfig) -> Vec<Rlimit> {
    let number = |value: i64| if value < 0 { u64::MAX } else { value as u64 };
    let limit = |limit: &spec::Ulimit| Rlimit {
        kind: format!("RLIMIT_{}", limit.name.to_uppercase()),
        hard: number(limit.hard),
        soft: number(limit.soft),
    };
    host.resources.ulimits.iter().flatten().map(limit).collect()
}

fn namespaces(host: &HostConfig, facts: &Facts) -> Result<Vec<Namespace>> {
    let own = |kind| Namespace { kind, path: String::new() };
    let other = |kind: NamespaceKind, name: &String| {
        let pid = facts.others.get(name).ok_or_else(|| {
            EngineError::Refused(format!(
                "cannot join namespace of a non running container: {name}"
            ))
        })?;
        Ok::<_, EngineError>(Namespace {
            kind,
            path: format!("/proc/{pid}/ns/{}", kind.file_name()),
        })
    };
    let mut list = vec![own(NamespaceKind::Mount)];
    if let Some(path) = &facts.users {
        list.push(Namespace { kind: NamespaceKind::User, path: path.display().to_string() });
    }
    match NamespaceMode::parse(&host.pid_mode) {
        Some(NamespaceMode::Host) => {}
        Some(NamespaceMode::Container(name)) => list.push(other(NamespaceKind::Pid, &name)?),
        _ => list.push(own(NamespaceKind::Pid)),
    }
    if host.uts_mode != "host" {
        list.push(own(NamespaceKind::Uts));
    }
    match IpcMode::parse(&host.ipc_mode) {
        Some(IpcMode::Host) => {}
        Some(IpcMode::Container(name)) => list.push(other(NamespaceKind::Ipc, &name)?),
        _ => list.push(own(NamespaceKind::Ipc)),
    }
    match (&facts.network, NetworkMode::parse(&host.network_mode)) {
        (Some(path), _) => {
            let path = path.display().to_string();
            list.push(Namespace { kind: NamespaceKind::Network, path });
        }
        (None, NetworkMode::None) => list.push(own(NamespaceKind::Network)),
        (None, _) => {}
    }
    let usual = if facts.unified_cgroups { CgroupnsMode::Private } else { CgroupnsMode::Host };
    if CgroupnsMode::parse(&host.cgroupns_mode, usual) == Some(CgroupnsMode::Private) {
        list.push(own(NamespaceKind::Cgroup));
    }
    Ok(list)
}

/// Everything of ours is below one group, or is a scope of systemd's.
pub(super) fn cgroup_path(record: &ContainerRecord) -> String {
    let parent = record.host_config.resources.cgroup_parent.trim_end_matches('/');
    if record.by_systemd {
        return format!("{parent}:mica:{}", record.id);
    }
    match parent.is_empty() {
        true => format!("/mica/{}", record.id),
        false => format!("/{}/{}", parent.trim_start_matches('/'), record.id),
    }
}
