//! The tree of commands: docker's, and what is beyond it.

mod build;
mod buildkitd;
mod completion;
mod containers;
mod context;
mod create;
mod dockerd;
mod images;
mod look;
mod networks;
mod registry;
mod remote;
mod running;
mod serve;
mod system;
mod usage;
mod volumes;

use crate::args::{Command, Complete, Flag};
use crate::context::Action;

pub(crate) type Cmd = Command<Action>;

/// What `--format` takes where rows are printed.
const FORMAT_ROWS: Flag = Flag::string(
    "format",
    "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nFields are those of 'json'; docs/json.md describes them",
);
/// What `--format` takes where one document is printed, or what was done.
const FORMAT_JSON: Flag = Flag::string(
    "format",
    "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nFields are those of 'json'; docs/json.md describes them",
);
const FORMAT_DOCUMENT: Flag = FORMAT_JSON.short('f');
const FILTER: Flag = Flag::list("filter", "Filter output based on conditions provided")
    .short('f')
    .value("filter")
    .check(name_and_value);
const FORCE: Flag = Flag::bool("force", "Do not prompt for confirmation").short('f');
const NO_TRUNC: Flag = Flag::bool("no-trunc", "Don't truncate output");

/// What every filter is; whether its name is known is not said here.
fn name_and_value(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('=') {
        true => Ok(()),
        false => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// The storage drivers, as a shell completes them.
const DRIVERS: &[&str] = &["erofs", "overlay", "btrfs", "vfs"];

const GLOBALS: &[Flag] = &[
    Flag::string("config", "Settings file (TOML), or the folder that holds config.toml")
        .complete(Complete::Files),
    Flag::string("context", "Name of the context to use to connect to an engine elsewhere")
        .short('c'),
    Flag::string("data-root", "Folder that everything is kept in").complete(Complete::Folders),
    Flag::bool("debug", "Enable debug mode").short('D'),
    Flag::list("host", "Engine elsewhere to connect to").short('H'),
    Flag::string(
        "log-level",
        "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l')
    .default_value("info")
    .complete(Complete::Words(&["debug", "info", "warn", "error", "fatal"])),
    Flag::string("run-root", "Folder for mounts and what else ends with the boot")
        .complete(Complete::Folders),
    Flag::string("storage-driver", "How layers are kept: erofs, overlay, btrfs or vfs")
        .complete(Complete::Words(DRIVERS)),
    Flag::bool("tls", "Use TLS; implied by --tlsverify"),
    Flag::string("tlscacert", "Trust certs signed only by this CA").complete(Complete::Files),
    Flag::string("tlscert", "Path to TLS certificate file").complete(Complete::Files),
    Flag::string("tlskey", "Path to TLS key file").complete(Complete::Files),
    Flag::bool("tlsverify", "Use TLS and verify the remote"),
    Flag::bool("version", "Print version information and quit").short('v'),
];

/// The flags of docker's engine.
pub(crate) fn dockerd_flags() -> &'static [Flag] {
    dockerd::FLAGS
}

/// `dockerd`, as a program of its own.
pub(crate) static DOCKERD: &Cmd = &dockerd::DOCKERD;

/// `mica`.
pub(crate) static ROOT: Cmd = Command {
    name: "mica",
    usage: "[OPTIONS] COMMAND [ARG...]",
    about: "Container images in one program, without a daemon",
    flags: &[GLOBALS],
    sub: &[
        &build::BUILD,
        &registry::PULL,
        &registry::PUSH,
        &images::IMAGES,
        &registry::LOGIN,
        &registry::LOGOUT,
        &registry::SEARCH,
        &system::VERSION,
        &system::INFO,
        &build::BUILDER,
        &build::BUILDX,
        &containers::CONTAINER,
        &context::CONTEXT,
        &images::IMAGE,
        &remote::MANIFEST,
        &system::SYSTEM,
        &networks::NETWORK,
        &registry::REGISTRY,
        &remote::REMOTE,
        &serve::SERVE,
        &dockerd::DOCKERD,
        &buildkitd::BUILDKITD,
        &volumes::VOLUME,
        &completion::COMPLETION,
        &containers::CREATE,
        &containers::COMMIT,
        &containers::CP,
        &containers::DIFF,
        &containers::EXPORT,
        &containers::PORT,
        &containers::PS,
        &containers::RENAME,
        &containers::RM,
        &system::EVENTS,
        &running::RUN,
        &running::EXEC,
        &running::ATTACH,
        &running::KILL,
        &running::LOGS,
        &running::PAUSE,
        &running::RESTART,
        &running::START,
        &running::STOP,
        &usage::STATS,
        &usage::TOP,
        &running::UNPAUSE,
        &usage::UPDATE,
        &running::WAIT,
        &running::WATCH,
        &build::ONCE,
        &images::HISTORY,
        &images::IMPORT,
        &system::INSPECT,
        &images::LOAD,
        &images::RMI,
        &images::SAVE,
        &images::TAG,
        &completion::COMPLETE,
        &completion::COMPLETE_TERSELY,
    ],
    ..Command::BLANK
};

#[cfg(test)]
mod tests;
