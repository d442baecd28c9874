//! What docker's engine can be told, in the words of its file `daemon.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// All of it. What nobody says is `None` or empty, and then docker's default counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Directives {
    pub(super) allow_direct_routing: bool,
    pub(super) allow_nondistributable_artifacts: Vec<String>,
    pub(super) api_cors_header: String,
    pub(super) authorization_plugins: Vec<String>,
    pub(super) bip: String,
    pub(super) bip6: String,
    pub(super) bridge: String,
    pub(super) bridge_accept_fwmark: String,
    pub(super) builder: Value,
    pub(super) cdi_spec_dirs: Vec<String>,
    pub(super) cgroup_parent: String,
    pub(super) containerd: String,
    pub(super) containerd_namespace: String,
    pub(super) containerd_plugin_namespace: String,
    pub(super) containerd_plugins_namespace: String,
    pub(super) cpu_rt_period: i64,
    pub(super) cpu_rt_runtime: i64,
    pub(super) cri_containerd: bool,
    pub(super) data_root: String,
    pub(super) debug: bool,
    pub(super) default_address_pools: Vec<Pool>,
    pub(super) default_cgroupns_mode: String,
    pub(super) default_gateway: String,
    pub(super) default_gateway_v6: String,
    pub(super) default_ipc_mode: String,
    pub(super) default_network_opts: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) default_runtime: String,
    pub(super) default_shm_size: Value,
    pub(super) default_ulimits: BTreeMap<String, Limit>,
    pub(super) dns: Vec<String>,
    pub(super) dns_opts: Vec<String>,
    pub(super) dns_search: Vec<String>,
    pub(super) exec_opts: Vec<String>,
    pub(super) exec_root: String,
    pub(super) experimental: bool,
    pub(super) features: BTreeMap<String, bool>,
    pub(super) firewall_backend: String,
    pub(super) fixed_cidr: String,
    pub(super) fixed_cidr_v6: String,
    pub(super) group: Option<String>,
    pub(super) host_gateway_ip: Option<String>,
    pub(super) host_gateway_ips: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) icc: Option<bool>,
    pub(super) init: bool,
    pub(super) init_path: String,
    pub(super) insecure_registries: Vec<String>,
    pub(super) ip: String,
    pub(super) ip6tables: Option<bool>,
    pub(super) ip_forward: Option<bool>,
    pub(super) ip_forward_no_drop: bool,
    pub(super) ip_masq: Option<bool>,
    pub(super) iptables: Option<bool>,
    pub(super) ipv6: bool,
    pub(super) labels: Vec<String>,
    pub(super) live_restore: bool,
    pub(super) log_driver: String,
    pub(super) log_format: String,
    pub(super) log_level: String,
    pub(super) log_opts: BTreeMap<String, String>,
    pub(super) max_concurrent_downloads: Option<i64>,
    pub(super) max_concurrent_uploads: Option<i64>,
    pub(super) max_download_attempts: Option<i64>,
    pub(super) metrics_addr: String,
    pub(super) min_api_version: String,
    pub(super) mtu: u32,
    pub(super) network_control_plane_mtu: i64,
    pub(super) no_new_privileges: bool,
    pub(super) node_generic_resources: Vec<String>,
    pub(super) oom_score_adjust: i64,
    pub(super) pidfile: Option<String>,
    pub(super) proxies: Proxies,
    pub(super) raw_logs: bool,
    pub(super) registry_mirrors: Vec<String>,
    pub(super) rootless: bool,
    pub(super) runtimes: BTreeMap<String, Runtime>,
    pub(super) seccomp_profile: String,
    pub(super) selinux_enabled: bool,
    pub(super) shutdown_timeout: Option<i64>,
    pub(super) storage_driver: String,
    pub(super) storage_opts: Vec<String>,
    pub(super) swarm_default_advertise_addr: String,
    pub(super) tls: Option<bool>,
    pub(super) tlscacert: String,
    pub(super) tlscert: String,
    pub(super) tlskey: String,
    pub(super) tlsverify: Option<bool>,
    pub(super) userland_proxy: Option<bool>,
    pub(super) userland_proxy_path: String,
    pub(super) userns_remap: String,
}

/// Where subnets come from.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) base: String,
    pub(super) size: u8,
}

/// A limit of each process.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) hard: i64,
    pub(super) soft: i64,
}

/// The way to registries.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Proxies {
    pub(super) http_proxy: String,
    pub(super) https_proxy: String,
    pub(super) no_proxy: String,
}

/// A program that runs containers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Runtime {
    pub(super) path: String,
    pub(super) runtime_args: Vec<String>,
    pub(super) runtime_type: String,
    pub(super) options: Value,
}
