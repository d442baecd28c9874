//! The configuration that `spec` writes for a start.

use spec::bundle::{
    BUNDLE_VERSION, Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind,
    Process, Resources, Rlimit, Root, Spec,
};

/// A configuration that runs a shell with few powers in `rootfs`.
pub fn template() -> Spec {
    let capabilities: Vec<String> =
        ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"].map(str::to_owned).to_vec();
    Spec {
        oci_version: BUNDLE_VERSION.to_owned(),
        process: Some(Process {
            terminal: true,
            args: vec!["sh".to_owned()],
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                "TERM=xterm".to_owned(),
            ],
            cwd: "/".to_owned(),
            capabilities: Some(Capabilities {
                bounding: capabilities.clone(),
                effective: capabilities.clone(),
                permitted: capabilities,
                ..Capabilities::default()
            }),
            rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
            no_new_privileges: true,
            ..Process::default()
        }),
        root: Some(Root { path: "rootfs".to_owned(), readonly: true }),
        hostname: "mica".to_owned(),
        mounts: mounts(),
        linux: Some(linux()),
        ..Spec::default()
    }
}

/// The same for an ordinary user, who is root inside and nobody else: with a namespace of users,
/// without limits, and with the host's network.
pub fn for_user(mut spec: Spec, user: u32, group: u32) -> Spec {
    use NamespaceKind::{Network, User};
    let alone = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    let linux = spec.linux.get_or_insert_with(Linux::default);
    linux.namespaces.retain(|namespace| namespace.kind != Network);
    linux.namespaces.push(Namespace { kind: User, path: String::new() });
    (linux.uid_mappings, linux.gid_mappings) = (alone(user), alone(group));
    linux.resources = None;
    spec.mounts.retain(|mount| mount.destination != "/sys/fs/cgroup");
    for mount in &mut spec.mounts {
        // Groups that are not mapped cannot own anything.
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
        // A new one belongs to the namespace of the network, which is the host's.
        if mount.destination == "/sys" {
            mount.kind = "none".to_owned();
            mount.source = "/sys".to_owned();
            mount.options.insert(0, "rbind".to_owned());
        }
    }
    spec
}

fn mounts() -> Vec<Mount> {
    let mount = |destination: &str, kind: &str, source: &str, options: &str| Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect(),
        ..Mount::default()
    };
    vec![
        mount("/proc", "proc", "proc", ""),
        mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
        ),
        mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ]
}

fn linux() -> Linux {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Linux {
        resources: Some(Resources {
            devices: vec![DeviceRule { access: "rwm".to_owned(), ..DeviceRule::default() }],
            ..Resources::default()
        }),
        namespaces: [Pid, Network, Ipc, Uts, Mount, Cgroup]
            .map(|kind| Namespace { kind, path: String::new() })
            .to_vec(),
        masked_paths: strings(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ]),
        readonly_paths: strings(&[
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ]),
        ..Linux::default()
    }
}
