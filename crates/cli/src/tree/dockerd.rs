//! `dockerd`: the flags of docker's engine, for scripts and tools that start one themselves.

use super::{Cmd, DRIVERS};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

/// A switch that is on unless it is switched off.
const fn on(name: &'static str, about: &'static str) -> Flag {
    Flag::bool(name, about).default_value("true")
}

pub(super) const FLAGS: &[Flag] = &[
    Flag::list("add-runtime", "Register an additional OCI compatible runtime").value("runtime"),
    Flag::bool(
        "allow-direct-routing",
        "Allow remote access to published ports on internal addresses",
    ),
    Flag::list(
        "allow-nondistributable-artifacts",
        "Taken for dockerd's sake: all layers are pushed",
    ),
    Flag::string("api-cors-header", "Refused: browsers are not served"),
    Flag::list("authorization-plugin", "Authorization plugins to load"),
    Flag::string("bip", "IPv4 address for the default bridge"),
    Flag::string("bip6", "IPv6 address for the default bridge"),
    Flag::string("bridge", "Attach containers to a network bridge; 'none' for no default network")
        .short('b'),
    Flag::string("bridge-accept-fwmark", "Accept packets with this mark in bridge networks"),
    Flag::list("cdi-spec-dir", "CDI specification directories to use"),
    Flag::string("cgroup-parent", "Set parent cgroup for all containers"),
    Flag::string("config-file", "Daemon configuration file")
        .default_value("/etc/docker/daemon.json")
        .complete(Complete::Files),
    Flag::string("containerd", "containerd grpc address"),
    Flag::string("containerd-namespace", "Containerd namespace to use"),
    Flag::string("containerd-plugins-namespace", "Containerd namespace to use for plugins"),
    Flag::int("cpu-rt-period", "Limit the CPU real-time period for the parent cgroup"),
    Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime for the parent cgroup"),
    Flag::bool("cri-containerd", "Start containerd with cri"),
    Flag::string("data-root", "Root directory of persistent state").complete(Complete::Folders),
    Flag::bool("debug", "Enable debug mode").short('D'),
    Flag::list("default-address-pool", "Default address pools for node specific local networks")
        .value("pool-options"),
    Flag::string(
        "default-cgroupns-mode",
        "Default mode for containers cgroup namespace (\"host\" | \"private\")",
    )
    .complete(Complete::Words(&["host", "private"])),
    Flag::string("default-gateway", "Default gateway IPv4 address for the default bridge network"),
    Flag::string(
        "default-gateway-v6",
        "Default gateway IPv6 address for the default bridge network",
    ),
    Flag::string(
        "default-ipc-mode",
        "Default mode for containers ipc (\"shareable\" | \"private\")",
    )
    .complete(Complete::Words(&["private", "shareable"])),
    Flag::list("default-network-opt", "Default network options").value("mapmap"),
    Flag::string("default-runtime", "Default OCI runtime for containers"),
    Flag::string("default-shm-size", "Default shm size for containers").value("bytes"),
    Flag::list("default-ulimit", "Default ulimits for containers").value("ulimit"),
    Flag::list("dns", "DNS server to use"),
    Flag::list("dns-opt", "DNS options to use"),
    Flag::list("dns-search", "DNS search domains to use"),
    Flag::list("exec-opt", "Runtime execution options"),
    Flag::string("exec-root", "Root directory for execution state files")
        .complete(Complete::Folders),
    Flag::bool("experimental", "Enable experimental features"),
    Flag::list("feature", "Enable a feature in the daemon").value("map"),
    Flag::list("features", "Enable a feature in the daemon").same_as("feature"),
    Flag::string("firewall-backend", "Firewall backend to use, iptables or nftables")
        .complete(Complete::Words(&["iptables", "nftables"])),
    Flag::string("fixed-cidr", "IPv4 subnet for the default bridge network"),
    Flag::string("fixed-cidr-v6", "IPv6 subnet for the default bridge network"),
    Flag::string("group", "Group for the unix socket").short('G'),
    Flag::list("host", "Daemon socket(s) to connect to").short('H'),
    Flag::list(
        "host-gateway-ip",
        "IP addresses that the special 'host-gateway' string resolves to",
    ),
    Flag::string("http-proxy", "HTTP proxy URL to use for outgoing traffic"),
    Flag::string("https-proxy", "HTTPS proxy URL to use for outgoing traffic"),
    on("icc", "Enable inter-container communication for the default bridge network"),
    Flag::bool("init", "Run an init in the container to forward signals and reap processes"),
    Flag::string("init-path", "Path to the docker-init binary").complete(Complete::Files),
    Flag::list("insecure-registry", "Enable insecure registry communication"),
    Flag::string("ip", "Host IP for port publishing from the default bridge network"),
    on("ip-forward", "Enable IP forwarding in system configuration"),
    Flag::bool("ip-forward-no-drop", "Do not set the filter-FORWARD policy to DROP"),
    on("ip-masq", "Enable IP masquerading for the default bridge network"),
    on("ip6tables", "Enable addition of ip6tables rules"),
    on("iptables", "Enable addition of iptables rules"),
    Flag::bool("ipv6", "Enable IPv6 networking for the default bridge network"),
    Flag::list("label", "Set key=value labels to the daemon"),
    Flag::bool("live-restore", "Keep containers running when this ends"),
    Flag::string("log-driver", "Default driver for container logs"),
    Flag::string("log-format", "Set the logging format (\"text\"|\"json\")")
        .complete(Complete::Words(&["json", "text"])),
    Flag::string(
        "log-level",
        "Set the logging level (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\")",
    )
    .short('l')
    .complete(Complete::Words(&["debug", "info", "warn", "error", "fatal"])),
    Flag::list("log-opt", "Default log driver options for containers").value("map"),
    Flag::int("max-concurrent-downloads", "Set the max concurrent downloads"),
    Flag::int("max-concurrent-uploads", "Set the max concurrent uploads"),
    Flag::int("max-download-attempts", "Set the max download attempts for each pull"),
    Flag::string("metrics-addr", "Set default address and port to serve the metrics api on"),
    Flag::int("mtu", "Set the MTU for the default bridge network"),
    Flag::int("network-control-plane-mtu", "Network Control plane MTU"),
    Flag::bool("no-new-privileges", "Set no-new-privileges by default for new containers"),
    Flag::string("no-proxy", "Hosts or IP addresses for which the proxy is skipped"),
    Flag::list("node-generic-resource", "Advertise user-defined resource"),
    Flag::int("oom-score-adjust", "Set the oom_score_adj for the daemon"),
    Flag::string("pidfile", "Path to use for daemon PID file").short('p').complete(Complete::Files),
    Flag::bool("raw-logs", "Full timestamps without ANSI coloring"),
    Flag::list("registry-mirror", "Preferred registry mirror"),
    Flag::bool("rootless", "Enable rootless mode"),
    Flag::string("seccomp-profile", "Path to seccomp profile, 'builtin' or 'unconfined'")
        .complete(Complete::Files),
    Flag::bool("selinux-enabled", "Enable selinux support"),
    Flag::int("shutdown-timeout", "Set the default shutdown timeout"),
    Flag::string("storage-driver", "Storage driver to use")
        .short('s')
        .complete(Complete::Words(DRIVERS)),
    Flag::list("storage-opt", "Storage driver options"),
    Flag::string(
        "swarm-default-advertise-addr",
        "Set default address for swarm advertised address",
    ),
    Flag::bool("tls", "Use TLS; implied by --tlsverify"),
    Flag::string("tlscacert", "Trust certs signed only by this CA").complete(Complete::Files),
    Flag::string("tlscert", "Path to TLS certificate file").complete(Complete::Files),
    Flag::string("tlskey", "Path to TLS key file").complete(Complete::Files),
    Flag::bool("tlsverify", "Use TLS and verify the remote"),
    on("userland-proxy", "Use userland proxy for loopback traffic"),
    Flag::string("userland-proxy-path", "Path to the userland proxy binary")
        .complete(Complete::Files),
    Flag::string("userns-remap", "User/Group setting for user namespaces"),
    Flag::bool("validate", "Validate daemon configuration and exit"),
    Flag::bool("version", "Print version information and quit").short('v'),
];

pub(super) static DOCKERD: Cmd = Command {
    name: "dockerd",
    usage: "[OPTIONS]",
    about: "Serve docker's API as docker's engine does, with its flags and its file",
    examples: "  mica dockerd\n  mica dockerd --data-root /srv/mica --exec-root /run/lab -H unix:///run/lab.sock\n  mica dockerd --validate --config-file daemon.json",
    footer: "docs/api.md says which of these are without meaning here.",
    args: Arity::None,
    flags: &[FLAGS],
    action: Some(run::dockerd::run),
    ..Command::BLANK
};
