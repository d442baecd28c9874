//! What is mounted into a container, in the order in which it must be.

use spec::bundle::Mount;
use spec::{
    BindOptions, HostConfig, IdMaps, IpcMode, MountKind, MountPoint, NamespaceMode, NetworkMode,
    TmpfsOptions,
};

use super::Facts;
use crate::ContainerRecord;
use crate::error::{EngineError, Result};

/// A row of the kernel's own file systems: where, type, source, options.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const USUAL: [Row; 5] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
];

/// Files of its own that a container has, each unless something else is mounted there.
const OWN: [(&str, &str); 3] =
    [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")];

pub(super) fn plan(record: &ContainerRecord, facts: &Facts) -> Result<Vec<Mount>> {
    let host = &record.host_config;
    let asked: Vec<Mount> = record
        .mounts
        .iter()
        .map(|point| asked(record, point, facts))
        .chain(host.tmpfs.iter().map(|(target, options)| Ok(tmpfs(target, options))))
        .chain(facts.devices.mounts.iter().cloned().map(Ok))
        .collect::<Result<_>>()?;
    let taken = |path: &str| asked.iter().any(|mount| mount.destination == path);
    let mut list: Vec<Mount> = Vec::new();
    for (destination, kind, source, options) in USUAL {
        if taken(destination) {
            continue;
        }
        let mut mount = row((destination, kind, source, options));
        if (facts.standing.is_of_user() || facts.users.is_some()) && is_hosts(host, destination) {
            if destination == "/dev/mqueue" {
                // Queues have names without it too.
                continue;
            }
            "bind".clone_into(&mut mount.kind);
            destination.clone_into(&mut mount.source);
            mount.options.iter_mut().filter(|it| *it == "ro").for_each(|it| it.insert(0, 'r'));
            mount.options.extend(["rbind", "rslave"].map(str::to_owned));
        }
        if facts.standing.is_single() {
            // There is no such group.
            mount.options.retain(|option| option != "gid=5");
        }
        if destination == "/sys" && host.privileged {
            mount.options.retain(|option| option != "ro" && option != "rro");
        }
        list.push(mount);
    }
    if !taken("/sys/fs/cgroup") {
        list.push(cgroup(record));
    }
    list.extend(shared_memory(record, facts).filter(|_| !taken("/dev/shm")));
    for (destination, file) in OWN {
        let source = facts.folder.join(file);
        if !taken(destination) {
            let options: &[&str] = match host.readonly_rootfs {
                true => &["rbind", "rprivate", "ro"],
                false => &["rbind", "rprivate"],
            };
            let mut mount = bind(destination, &source.display().to_string(), options);
            map_users(&mut mount, facts);
            list.push(mount);
        }
    }
    let mut asked = asked;
    // Shorter places first, so that what is below them is not hidden.
    asked.sort_by_key(|mount| mount.destination.matches('/').count());
    list.extend(asked);
    Ok(list)
}

/// Whether what a file system of the kernel's would show is the host's: that may be mounted anew by
/// root alone, and others take what is there.
fn is_hosts(host: &HostConfig, destination: &str) -> bool {
    match destination {
        "/sys" => NetworkMode::parse(&host.network_mode) == NetworkMode::Host,
        "/proc" => NamespaceMode::parse(&host.pid_mode) == Some(NamespaceMode::Host),
        "/dev/mqueue" => IpcMode::parse(&host.ipc_mode) == Some(IpcMode::Host),
        _ => false,
    }
}

fn row((destination, kind, source, options): Row) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(ToString::to_string).collect(),
        ..Mount::default()
    }
}

fn bind(destination: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: "bind".to_owned(),
        source: source.to_owned(),
        options: options.iter().map(ToString::to_string).collect(),
        ..Mount::default()
    }
}

fn cgroup(record: &ContainerRecord) -> Mount {
    let mut mount =
        row(("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime"]));
    let host = &record.host_config;
    if !host.privileged {
        mount.options.push("ro".to_owned());
    }
    mount
}

/// `/dev/shm`: its own, one that several containers have, the host's, or none.
fn shared_memory(record: &ContainerRecord, facts: &Facts) -> std::option::IntoIter<Mount> {
    let host = &record.host_config;
    let mount = match IpcMode::parse(&host.ipc_mode) {
        Some(IpcMode::None) => None,
        Some(IpcMode::Host) => Some(bind("/dev/shm", "/dev/shm", &["rbind", "rprivate"])),
        Some(IpcMode::Shareable | IpcMode::Container(_)) => facts.memory.as_ref().map(|path| {
            let options = ["rbind", "rprivate", "nosuid", "noexec", "nodev"];
            bind("/dev/shm", &path.display().to_string(), &options)
        }),
        _ => {
            let mut mount =
                row(("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777"]));
            mount.options.push(format!("size={}", host.shm_size));
            Some(mount)
        }
    };
    mount.into_iter()
}

fn tmpfs(target: &str, options: &str) -> Mount {
    let mut mount = row(("", "tmpfs", "tmpfs", &["noexec", "nosuid", "nodev"]));
    target.clone_into(&mut mount.destination);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        // What is asked for takes the place of what is usual.
        let opposite = option.strip_prefix("no").map_or(format!("no{option}"), str::to_owned);
        mount.options.retain(|own| *own != opposite && own != option);
        mount.options.push(option.to_owned());
    }
    mount
}

fn asked(record: &ContainerRecord, point: &MountPoint, facts: &Facts) -> Result<Mount> {
    let told = record.host_config.mounts.iter().find(|mount| mount.target == point.destination);
    let access = if point.writable { "rw" } else { "ro" };
    match point.kind {
        MountKind::Tmpfs => {
            let options = told.and_then(|mount| mount.tmpfs_options.clone()).unwrap_or_default();
            Ok(told_tmpfs(&point.destination, &options, point.writable))
        }
        MountKind::Image => {
            let source = facts.opened.get(&point.destination).ok_or_else(|| {
                EngineError::Start(format!("image {} is not mounted", point.source))
            })?;
            Ok(bind(&point.destination, &source.display().to_string(), &["rbind", "ro"]))
        }
        MountKind::Bind => {
            let options = told.and_then(|mount| mount.bind_options.clone()).unwrap_or_default();
            let depth = if options.non_recursive { "bind" } else { "rbind" };
            let access = read_only(&options, point.writable, access);
            let spread = if point.propagation.is_empty() { "rprivate" } else { &point.propagation };
            let mut mount = bind(&point.destination, &point.source, &[depth, access, spread]);
            let maps = IdMaps::of_mode(&point.mode);
            if let Some(maps) = maps.map_err(|error| EngineError::Start(error.to_string()))? {
                (mount.uid_mappings, mount.gid_mappings) = maps.into_lists();
                // What is mounted below shows nobody else either.
                mount.options.extend((depth == "rbind").then(|| "ridmap".to_owned()));
            }
            Ok(mount)
        }
        MountKind::Volume => {
            let opened =
                facts.opened.get(&point.destination).map(|path| path.display().to_string());
            let source = opened.unwrap_or_else(|| point.source.clone());
            let mut mount = bind(&point.destination, &source, &["rbind", access, "rprivate"]);
            if facts.plain.contains(&point.destination) {
                map_users(&mut mount, facts);
            }
            Ok(mount)
        }
    }
}

/// What is the container's own belongs inside to whom it belongs on disk.
fn map_users(mount: &mut Mount, facts: &Facts) {
    if facts.users.is_some() {
        mount.options.push("idmap".to_owned());
    }
}

/// How a bind is closed: what is mounted below it too, unless asked otherwise.
fn read_only<'a>(options: &BindOptions, writable: bool, access: &'a str) -> &'a str {
    match (writable, options.read_only_non_recursive, options.non_recursive) {
        (true, _, _) | (false, true, _) | (false, _, true) => access,
        _ => "rro",
    }
}

fn told_tmpfs(target: &str, options: &TmpfsOptions, writable: bool) -> Mount {
    let mut words = vec![if writable { "rw" } else { "ro" }.to_owned()];
    if options.size_bytes > 0 {
        words.push(format!("size={}", options.size_bytes));
    }
    if options.mode != 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    words.extend(options.options.iter().map(|option| option.join("=")));
    tmpfs(target, &words.join(","))
}

/// The root takes part in what mounts that are shared with the host need.
pub(super) fn root_propagation(record: &ContainerRecord) -> String {
    let has = |words: [&str; 2]| {
        record.mounts.iter().any(|point| words.contains(&point.propagation.as_str()))
    };
    match (has(["shared", "rshared"]), has(["slave", "rslave"])) {
        (true, _) => "shared".to_owned(),
        (false, true) => "rslave".to_owned(),
        (false, false) => String::new(),
    }
}
