//! What cannot be done as docker's engine does it, and what means nothing here.

use std::fs;

use engine::CgroupDriver;

use super::directives::Directives;
use crate::failure::Failure;

/// Refuses what would be something else than was asked for.
pub(super) fn check(all: &Directives, is_root: bool) -> Result<(), Failure> {
    match refusals(all, is_root).into_iter().next() {
        None => Ok(()),
        Some((flag, why)) => {
            let failure = Failure::new(format!("failed to start daemon: {flag}: {why}"));
            Err(failure.hint("leave it out; docs/api.md says what mica's engine can be told"))
        }
    }
}

fn refusals(all: &Directives, is_root: bool) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut refuse = |is_asked: bool, flag: &'static str, why: &str| {
        if is_asked {
            found.push((flag, why.to_owned()));
        }
    };
    refuse(!all.authorization_plugins.is_empty(), "authorization-plugin", "there are no plugins");
    refuse(!all.bridge_accept_fwmark.is_empty(), "bridge-accept-fwmark", "packets are not marked");
    refuse(
        all.allow_direct_routing,
        "allow-direct-routing",
        "ports are reached where they are published",
    );
    refuse(!all.api_cors_header.is_empty(), "api-cors-header", "browsers are not served");
    refuse(all.cpu_rt_period != 0, "cpu-rt-period", "groups have no share of real time");
    refuse(all.cpu_rt_runtime != 0, "cpu-rt-runtime", "groups have no share of real time");
    refuse(all.cri_containerd, "cri-containerd", "there is no containerd");
    refuse(
        !all.default_gateway.is_empty(),
        "default-gateway",
        "the bridge is the gateway; --bip gives its address",
    );
    refuse(
        !all.default_gateway_v6.is_empty(),
        "default-gateway-v6",
        "the bridge is the gateway; --bip6 gives its address",
    );
    refuse(
        all.firewall_backend == "iptables",
        "firewall-backend",
        "nftables is used where the kernel has it",
    );
    refuse(!all.metrics_addr.is_empty(), "metrics-addr", "no metrics are served");
    refuse(all.rootless && is_root, "rootless", "this is root");
    refuse(all.selinux_enabled, "selinux-enabled", "containers get no labels of SELinux");
    refuse(
        !matches!(all.default_cgroupns_mode.as_str(), "" | "host" | "private"),
        "default-cgroupns-mode",
        "expected host or private",
    );
    refuse(
        !matches!(all.default_ipc_mode.as_str(), "" | "shareable" | "private"),
        "default-ipc-mode",
        "expected shareable or private",
    );
    refuse(
        !matches!(all.log_format.as_str(), "" | "text" | "json"),
        "log-format",
        "expected text or json",
    );
    refuse(
        !all.bridge.is_empty() && !all.bip.is_empty(),
        "bip",
        "You specified -b & --bip, mutually exclusive options. Please specify only one",
    );
    refuse(
        all.shutdown_timeout.is_some_and(|time| time < -1),
        "shutdown-timeout",
        "expected seconds, or -1 for no end",
    );
    let foreign = all.exec_opts.iter().find(|option| cgroup_driver(option).is_none());
    refuse(foreign.is_some(), "exec-opt", "expected native.cgroupdriver=cgroupfs or =systemd");
    let foreign =
        all.storage_opts.iter().find(|option| !option.ends_with("override_kernel_check=true"));
    refuse(foreign.is_some(), "storage-opt", "storage drivers have no options");
    let runtime = all.runtimes.iter().find(|(_, runtime)| runtime.path.is_empty());
    refuse(runtime.is_some(), "add-runtime", "a runtime is a program with a path");
    let no_filter = all.bridge != "none"
        && (all.iptables == Some(false) || all.ip6tables == Some(false) && all.ipv6);
    refuse(
        no_filter,
        "iptables",
        "networks on bridges need the packet filter; --bridge none does without them",
    );
    let forwards =
        || fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|now| now.trim() != "0");
    let no_forward = all.bridge != "none" && all.ip_forward == Some(false) && !forwards();
    refuse(
        no_forward,
        "ip-forward",
        "this machine does not forward, and networks on bridges need that",
    );
    found
}

/// Who makes control groups, as this option of the engine's says.
pub(super) fn cgroup_driver(option: &str) -> Option<CgroupDriver> {
    match option.strip_prefix("native.cgroupdriver=")? {
        "cgroupfs" => Some(CgroupDriver::Cgroupfs),
        "systemd" => Some(CgroupDriver::Systemd),
        _ => None,
    }
}

/// What was given and means nothing, each with the reason.
pub(super) fn idle(all: &Directives) -> Vec<String> {
    let containerd = [
        &all.containerd,
        &all.containerd_namespace,
        &all.containerd_plugin_namespace,
        &all.containerd_plugins_namespace,
    ];
    let proxy = all.userland_proxy.is_some() || !all.userland_proxy_path.is_empty();
    let pulls =
        [all.max_concurrent_downloads, all.max_concurrent_uploads, all.max_download_attempts];
    let swarm = !all.swarm_default_advertise_addr.is_empty()
        || !all.node_generic_resources.is_empty()
        || all.network_control_plane_mtu != 0;
    let rows = [
        (containerd.iter().any(|text| !text.is_empty()), "containerd", "there is none"),
        (
            proxy,
            "userland-proxy",
            "ports are published by the kernel, or carried by the container's monitor",
        ),
        (
            pulls.iter().any(Option::is_some),
            "max-concurrent-downloads, max-concurrent-uploads, max-download-attempts",
            "mica has its own numbers",
        ),
        (swarm, "swarm", "this engine manages none"),
        (!all.init_path.is_empty(), "init-path", "the init is a part of mica"),
        (
            !all.builder.is_null(),
            "builder",
            "what builds remember is pruned when somebody asks for it",
        ),
        (!all.features.is_empty(), "features", "there is nothing to choose"),
        (
            !all.cdi_spec_dirs.is_empty(),
            "cdi-spec-dirs",
            "devices are described in /etc/cdi and /var/run/cdi",
        ),
        (all.experimental, "experimental", "there is nothing that is"),
        (all.raw_logs, "raw-logs", "lines have no colours"),
        (
            all.ip_forward_no_drop,
            "ip-forward-no-drop",
            "the policy of others' chains is never changed",
        ),
        (
            !all.allow_nondistributable_artifacts.is_empty(),
            "allow-nondistributable-artifacts",
            "all layers are pushed",
        ),
        (
            !all.min_api_version.is_empty(),
            "min-api-version",
            "all versions from 1.24 on are answered",
        ),
        (!all.storage_opts.is_empty(), "storage-opts", "the kernel is asked what it can do"),
    ];
    let shown = |(_, name, why): (bool, &str, &str)| format!("{name} means nothing here: {why}");
    rows.into_iter().filter(|(given, ..)| *given).map(shown).collect()
}
