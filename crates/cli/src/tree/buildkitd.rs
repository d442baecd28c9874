//! `buildkitd`.

use super::Cmd;
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

/// What is said of a worker that mica is not.
const TAKEN: &str = "Taken for buildkitd's sake: mica is the worker";

/// Flags about buildkitd's workers.
const WORKERS: &[Flag] = &[
    Flag::bool("cdi-disabled", TAKEN),
    Flag::list("cdi-spec-dir", TAKEN).value("list"),
    Flag::string("containerd-cni-binary-dir", TAKEN),
    Flag::string("containerd-cni-config-path", TAKEN),
    Flag::int("containerd-cni-pool-size", TAKEN),
    Flag::string("containerd-worker", TAKEN),
    Flag::string("containerd-worker-addr", TAKEN),
    Flag::string("containerd-worker-apparmor-profile", TAKEN),
    Flag::bool("containerd-worker-gc", TAKEN),
    Flag::string("containerd-worker-gc-keepstorage", TAKEN),
    Flag::list("containerd-worker-labels", TAKEN).value("list"),
    Flag::string("containerd-worker-namespace", TAKEN),
    Flag::string("containerd-worker-net", TAKEN),
    Flag::list("containerd-worker-platform", TAKEN).value("list"),
    Flag::bool("containerd-worker-rootless", TAKEN),
    Flag::bool("containerd-worker-selinux", TAKEN),
    Flag::string("containerd-worker-snapshotter", TAKEN),
    Flag::string("oci-cni-binary-dir", TAKEN),
    Flag::string("oci-cni-config-path", TAKEN),
    Flag::int("oci-cni-pool-size", TAKEN),
    Flag::int("oci-max-parallelism", TAKEN),
    Flag::string("oci-worker", TAKEN),
    Flag::string("oci-worker-apparmor-profile", TAKEN),
    Flag::string("oci-worker-binary", TAKEN),
    Flag::bool("oci-worker-gc", TAKEN),
    Flag::string("oci-worker-gc-keepstorage", TAKEN),
    Flag::list("oci-worker-labels", TAKEN).value("list"),
    Flag::string("oci-worker-net", TAKEN),
    Flag::bool("oci-worker-no-process-sandbox", TAKEN),
    Flag::list("oci-worker-platform", TAKEN).value("list"),
    Flag::string("oci-worker-proxy-snapshotter-path", TAKEN),
    Flag::bool("oci-worker-rootless", TAKEN),
    Flag::bool("oci-worker-selinux", TAKEN),
    Flag::string("oci-worker-snapshotter", TAKEN),
    Flag::string("otel-socket-path", TAKEN),
    Flag::bool("rootless", TAKEN),
    Flag::bool("save-cache-debug", TAKEN),
];

pub(super) static BUILDKITD: Cmd = Command {
    name: "buildkitd",
    usage: "[OPTIONS]",
    about: "Serve BuildKit's API until SIGTERM or SIGINT",
    long: "Serve BuildKit's API until SIGTERM or SIGINT.\nTakes buildkitd's flags; images and cache are those of the store.",
    examples: "  mica buildkitd\n  mica buildkitd --addr tcp://127.0.0.1:1234 --tlscacert ca.pem --tlscert cert.pem --tlskey key.pem\n  buildctl --addr unix:///run/buildkit/buildkitd.sock build --frontend dockerfile.v0 --local context=. --local dockerfile=.",
    args: Arity::None,
    flags: &[
        &[
            Flag::list("addr", "Where to listen: unix://PATH, tcp://HOST:PORT, or fd://")
                .value("list"),
            Flag::list(
                "allow-insecure-entitlement",
                "What builds may be allowed: network.host, security.insecure",
            )
            .value("list")
            .complete(Complete::Words(&["network.host", "security.insecure"])),
            Flag::bool("allow-plain-tcp", "Let whoever reaches a TCP port be root of this machine"),
            Flag::string("config", "BuildKit's configuration file (TOML)")
                .default_value("/etc/buildkit/buildkitd.toml")
                .complete(Complete::Files),
            Flag::bool("debug", "Enable debug mode"),
            Flag::string("debugaddr", "Refused: the process tells nothing of its inside"),
            Flag::string("group", "Group that may use the socket"),
            Flag::string("log-format", "How lines are written; text is the one way there is")
                .default_value("text")
                .complete(Complete::Words(&["text"])),
            Flag::string("provenance-env-dir", "Refused: builds tell nothing of this machine"),
            Flag::string("root", "Folder that everything is kept in").complete(Complete::Folders),
            Flag::string(
                "tlscacert",
                "Trust clients whose certificates this authority signed (PEM)",
            )
            .complete(Complete::Files),
            Flag::string("tlscert", "The server's certificate (PEM)").complete(Complete::Files),
            Flag::string("tlskey", "The certificate's key (PEM)").complete(Complete::Files),
            Flag::bool("trace", "Enable debug mode, too: there is no more to tell"),
        ],
        WORKERS,
    ],
    action: Some(run::buildkitd::run),
    ..Command::BLANK
};
