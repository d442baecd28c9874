//! The configuration that `spec` writes for a start.

use spec::bundle::{
    Capabilities, DeviceRule, Linux, Mount, Namespace, NamespaceKind, OCI_VERSION, Process,
    Resources, Rlimit, Root, Spec,
};

/// A configuration that runs a shell with few powers in `rootfs`.
pub fn template() -> Spec {
    let capabilities: Vec<String> =
        ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"].map(str::to_owned).to_vec();
    Spec {
        oci_version: OCI_VERSION.to_owned(),
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
