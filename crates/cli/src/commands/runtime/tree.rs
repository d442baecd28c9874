//! The commands of a runtime and their flags, as callers know them.

use super::{change, make};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::context::Action;

type Cmd = Command<Action>;

/// The name that messages show.
pub(crate) const PROGRAM: &str = "mica runtime";

const FORMAT: Flag = Flag::string("format", "Output format: table or json")
    .short('f')
    .default_value("table")
    .complete(Complete::Words(&["table", "json"]));
const BUNDLE: Flag = Flag::string("bundle", "Folder of the bundle").short('b').default_value(".");
const CONSOLE: Flag =
    Flag::string("console-socket", "Socket that the terminal's descriptor is sent to");
const PIDFD_SOCKET: Flag =
    Flag::string("pidfd-socket", "Socket that a descriptor of the process is sent to");
const PID_FILE: Flag = Flag::string("pid-file", "File that the process's number is written to");
const PRESERVE: Flag = Flag::new(
    Kind::Uint,
    "preserve-fds",
    "Descriptors beyond the standard ones that are handed on",
);
const CREATE: &[Flag] = &[
    BUNDLE,
    CONSOLE,
    Flag::bool("no-new-keyring", "Leave the container the keyring of its maker"),
    Flag::bool("no-pivot", "Cover the host's root instead of putting it aside"),
    PIDFD_SOCKET,
    PID_FILE,
    PRESERVE,
];

/// Names under which this program is a runtime and nothing else: what asks for a runtime by a path
/// cannot put a word behind it.
const NAMES: [&str; 3] = ["mica-runtime", "runc", "crun"];

/// Whether the program was called by such a name.
pub(crate) fn is_runtime(program: &str) -> bool {
    NAMES.contains(&program.rsplit('/').next().unwrap_or_default())
}

/// `mica runtime`.
pub(crate) static ROOT: Cmd = Command {
    name: "runtime",
    usage: "[OPTIONS] COMMAND",
    about: "Run containers out of OCI bundles",
    long: "Run containers out of OCI bundles, as containerd, CRI-O and podman ask a runtime to.\nUnder the names mica-runtime, runc and crun this program is a runtime and nothing else.",
    examples: "  ln -s $(command -v mica) /usr/local/bin/mica-runtime\n  podman --runtime /usr/local/bin/mica-runtime run --rm alpine true",
    flags: &[&[
        Flag::bool("debug", "Show warnings, and tell more in the log"),
        Flag::string("log", "File that errors are written to").complete(Complete::Files),
        Flag::string("log-format", "Format of the log: text or json")
            .default_value("text")
            .complete(Complete::Words(&["text", "json"])),
        Flag::string("root", "Folder that containers are recorded in").complete(Complete::Folders),
        Flag::string("rootless", "Go without a cgroup where none may be made: auto, true, false")
            .default_value("auto")
            .complete(Complete::Words(&["auto", "true", "false"])),
        Flag::bool(
            "systemd-cgroup",
            "Let systemd make cgroups, as scopes: cgroupsPath is then SLICE:PREFIX:NAME",
        ),
        Flag::bool("version", "Print version information and quit").short('v'),
    ]],
    sub: &[
        &CREATE_CMD,
        &DELETE,
        &EVENTS,
        &EXEC,
        &FEATURES,
        &KILL,
        &LIST,
        &PAUSE,
        &PS,
        &RESUME,
        &RUN,
        &SPEC,
        &START,
        &STATE,
        &UPDATE,
    ],
    ..Command::BLANK
};

/// A command that takes a container.
const ONE: Cmd = Command { usage: "CONTAINER", args: Arity::Exact(1), ..Command::BLANK };

static CREATE_CMD: Cmd = Command {
    name: "create",
    usage: "[OPTIONS] CONTAINER",
    about: "Make a container whose program waits for its start",
    flags: &[CREATE],
    examples: "  mica runtime create --bundle /srv/app --pid-file app.pid app",
    action: Some(make::create),
    ..ONE
};
static RUN: Cmd = Command {
    name: "run",
    usage: "[OPTIONS] CONTAINER",
    about: "Make a container, start it and wait for its end",
    flags: &[
        CREATE,
        &[
            Flag::bool("detach", "Do not wait for its end").short('d'),
            Flag::bool("keep", "Keep the container when its program has ended"),
        ],
    ],
    examples: "  mica runtime spec && mica runtime run -b . test",
    action: Some(make::run),
    ..ONE
};
static START: Cmd = Command {
    name: "start",
    about: "Start the program of a container that was made",
    examples: "  mica runtime start app",
    action: Some(change::start),
    ..ONE
};
static STATE: Cmd = Command {
    name: "state",
    about: "Print how a container is",
    examples: "  mica runtime state app",
    action: Some(change::state),
    ..ONE
};
static KILL: Cmd = Command {
    name: "kill",
    usage: "[OPTIONS] CONTAINER [SIGNAL]",
    about: "Send a signal to a container (SIGTERM where none is named)",
    args: Arity::Range(1, 2),
    flags: &[&[Flag::bool("all", "Send it to all processes").short('a')]],
    examples: "  mica runtime kill app\n  mica runtime kill --all app KILL",
    action: Some(change::kill),
    ..ONE
};
static DELETE: Cmd = Command {
    name: "delete",
    usage: "[OPTIONS] CONTAINER",
    about: "Remove what is left of a container that has ended",
    flags: &[&[Flag::bool("force", "End it first if it runs").short('f')]],
    examples: "  mica runtime delete app\n  mica runtime delete --force app",
    action: Some(change::delete),
    ..ONE
};
static EXEC: Cmd = Command {
    name: "exec",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Run one more process in a container",
    args: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[
        CONSOLE,
        PIDFD_SOCKET,
        PID_FILE,
        PRESERVE,
        Flag::list("additional-gids", "Further groups").short('g'),
        Flag::string("apparmor", "AppArmor profile"),
        Flag::list("cap", "Add a capability").short('c'),
        Flag::list("cgroup", "Group below the container's own to run in: [CONTROLLER,...:]PATH"),
        Flag::string("cwd", "Working folder"),
        Flag::bool("detach", "Do not wait for its end").short('d'),
        Flag::list("env", "Set a variable").short('e'),
        Flag::bool("ignore-paused", "Also in a container that is paused; waits until it goes on"),
        Flag::bool("no-new-privs", "Keep set-user-id programs without effect"),
        Flag::string("process", "File that describes the process").short('p'),
        Flag::string("process-label", "SELinux label"),
        Flag::bool("tty", "Give it a terminal").short('t'),
        Flag::string("user", "Run as this user (UID[:GID])").short('u'),
    ]],
    examples: "  mica runtime exec -t app sh\n  mica runtime exec -d --process process.json app",
    action: Some(make::exec),
    ..ONE
};
static PS: Cmd = Command {
    name: "ps",
    usage: "[OPTIONS] CONTAINER [PS OPTIONS]",
    about: "List the processes of a container",
    args: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[FORMAT]],
    examples: "  mica runtime ps app\n  mica runtime ps app -o pid,comm",
    action: Some(change::ps),
    ..ONE
};
static LIST: Cmd = Command {
    name: "list",
    aliases: &["ls"],
    usage: "[OPTIONS]",
    about: "List containers",
    args: Arity::None,
    flags: &[&[FORMAT, Flag::bool("quiet", "Only show names").short('q')]],
    examples: "  mica runtime list\n  mica runtime --root /run/app list -f json",
    action: Some(change::list),
    ..ONE
};
static PAUSE: Cmd = Command {
    name: "pause",
    about: "Stop all processes of a container",
    examples: "  mica runtime pause app",
    action: Some(change::pause),
    ..ONE
};
static RESUME: Cmd = Command {
    name: "resume",
    about: "Let the processes of a paused container go on",
    examples: "  mica runtime resume app",
    action: Some(change::resume),
    ..ONE
};
static EVENTS: Cmd = Command {
    name: "events",
    usage: "[OPTIONS] CONTAINER",
    about: "Print what a container uses and what happens to it",
    flags: &[&[
        Flag::new(Kind::Duration, "interval", "Time between two prints").default_value("5s"),
        Flag::bool("stats", "Print once"),
    ]],
    examples: "  mica runtime events --stats app\n  mica runtime events --interval 1s app",
    action: Some(change::events),
    ..ONE
};
static FEATURES: Cmd = Command {
    name: "features",
    usage: "",
    about: "Print what this runtime can do",
    args: Arity::None,
    examples: "  mica runtime features",
    action: Some(change::features),
    ..ONE
};
static SPEC: Cmd = Command {
    name: "spec",
    usage: "[OPTIONS]",
    about: "Write a configuration to start from",
    args: Arity::None,
    flags: &[&[BUNDLE, Flag::bool("rootless", "For an ordinary user")]],
    examples: "  mica runtime spec --bundle /srv/app\n  mica runtime spec --rootless",
    action: Some(change::spec),
    ..ONE
};
static UPDATE: Cmd = Command {
    name: "update",
    usage: "[OPTIONS] CONTAINER",
    about: "Change the limits of a container",
    flags: &[&[
        Flag::int("blkio-weight", "Weight of disks"),
        Flag::int("cpu-burst", "CPU burst in microseconds"),
        Flag::int("cpu-idle", "Take only what nobody wants: 0 or 1"),
        Flag::int("cpu-period", "CPU period in microseconds"),
        Flag::int("cpu-quota", "CPU quota in microseconds"),
        Flag::int("cpu-rt-period", "Real-time period in microseconds"),
        Flag::int("cpu-rt-runtime", "Real-time share in microseconds"),
        Flag::int("cpu-share", "CPU shares"),
        Flag::string("cpuset-cpus", "Processors"),
        Flag::string("cpuset-mems", "Memory nodes"),
        Flag::new(Kind::SwapSize, "kernel-memory", "Means nothing: kernels have no such limit")
            .hidden(),
        Flag::new(Kind::SwapSize, "kernel-memory-tcp", "Means nothing, too").hidden(),
        Flag::string("l3-cache-schema", "Intel's resource director; refused").hidden(),
        Flag::string("mem-bw-schema", "Intel's resource director; refused").hidden(),
        Flag::new(Kind::SwapSize, "memory", "Memory limit"),
        Flag::new(Kind::SwapSize, "memory-reservation", "Memory reservation"),
        Flag::new(Kind::SwapSize, "memory-swap", "Limit of memory and swap"),
        Flag::int("pids-limit", "Limit of processes"),
        Flag::string("resources", "File with limits, or - for standard input").short('r'),
    ]],
    examples: "  mica runtime update --memory 256m --pids-limit 64 app\n  mica runtime update -r limits.json app",
    action: Some(change::update),
    ..ONE
};
