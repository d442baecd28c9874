//! The commands under test.

use super::{Arity, Command, Complete, Flag, Kind};

type Row = Command<&'static str>;

pub(super) static ROOT: Row = Command {
    usage: "[OPTIONS] COMMAND [ARG...]",
    about: "A self-sufficient runtime for containers",
    footer: "For more help, read the manual.",
    flags: &[GLOBAL],
    sub: &[
        &RUN, &EXEC, &PS, &IMAGES, &IMAGE, &CONTAINER, &CP, &RMI, &STOP, &TAG, &COMMIT, &LOGIN,
        &SECRET,
    ],
    ..Command::BLANK
};

const GLOBAL: &[Flag] = &[
    Flag::string("config", "Location of client config files").complete(Complete::Folders),
    Flag::bool("debug", "Enable debug mode").short('D'),
    Flag::list("host", "Daemon socket to connect to").short('H'),
    Flag::string(
        "log-level",
        "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l')
    .default_value("info")
    .complete(Complete::Words(&["debug", "info", "warn", "error", "fatal"])),
    Flag::bool("tls", "Use TLS; implied by --tlsverify"),
    Flag::bool("version", "Print version information and quit").short('v'),
];

const CREATE: &[Flag] = &[
    Flag::list("add-host", "Add a custom host-to-IP mapping (host:ip)").check(check_host),
    Flag::new(Kind::Uint16, "blkio-weight", "Block IO weight"),
    Flag::string("cidfile", "Write the container ID to the file").complete(Complete::Files),
    Flag::new(Kind::Decimal, "cpus", "Number of CPUs"),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::list("env", "Set environment variables").short('e'),
    Flag::new(Kind::Duration, "health-interval", "Time between running the check"),
    Flag::string("hostname", "Container host name").short('h'),
    Flag::bool("interactive", "Keep STDIN open even if not attached").short('i'),
    Flag::new(Kind::Size, "memory", "Memory limit").short('m'),
    Flag::new(Kind::SwapSize, "memory-swap", "Swap limit"),
    Flag::int("memory-swappiness", "Tune swappiness").default_value("-1"),
    Flag::string("name", "Assign a name to the container"),
    Flag::list("network", "Connect a container to a network")
        .value("network")
        .complete(Complete::Networks),
    Flag::list("net", "Connect a container to a network").value("network").same_as("network"),
    Flag::list("publish", "Publish a container's port(s) to the host").short('p'),
    Flag::string("pull", "Pull image before running")
        .default_value("missing")
        .complete(Complete::Words(&["always", "missing", "never"])),
    Flag::list("sysctl", "Sysctl options").value("map").default_value("map[]"),
    Flag::new(Kind::Float, "ratio", "A number for tests").hidden(),
    Flag::new(Kind::Uint, "stop-count", "A number for tests").hidden(),
    Flag::bool("tty", "Allocate a pseudo-TTY").short('t'),
    Flag::list("volume", "Bind mount a volume").short('v').complete(Complete::Volumes),
    Flag::string("trace", "Trace, perhaps into a file").no_value("all"),
];

fn check_host(text: &str) -> Result<(), String> {
    if text.contains(':') { Ok(()) } else { Err(format!("bad format for add-host: \"{text}\"")) }
}

const RUN_ONLY: &[Flag] = &[
    Flag::bool("detach", "Run container in background and print container ID").short('d'),
    Flag::bool("rm", "Automatically remove the container when it exits"),
    Flag::bool("sig-proxy", "Proxy received signals to the process").default_value("true"),
];

const RUN: Row = Command {
    name: "run",
    also: &["container run", "run"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    args: Arity::AtLeast(1),
    flags: &[CREATE, RUN_ONLY],
    interspersed: false,
    common: true,
    complete: &[Complete::Images, Complete::Nothing],
    action: Some("run"),
    ..Command::BLANK
};

const EXEC: Row = Command {
    name: "exec",
    also: &["container exec", "exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    args: Arity::AtLeast(2),
    flags: &[&[
        Flag::bool("detach", "Detached mode: run command in the background").short('d'),
        Flag::string("detach-keys", "Override the key sequence for detaching a container"),
        Flag::list("env", "Set environment variables").short('e'),
        Flag::list("env-file", "Read in a file of environment variables").complete(Complete::Files),
        Flag::bool("interactive", "Keep STDIN open even if not attached").short('i'),
        Flag::bool("privileged", "Give extended privileges to the command"),
        Flag::bool("tty", "Allocate a pseudo-TTY").short('t'),
        Flag::string("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
        Flag::string("workdir", "Working directory inside the container").short('w'),
    ]],
    interspersed: false,
    common: true,
    complete: &[Complete::Running, Complete::Nothing],
    action: Some("exec"),
    ..Command::BLANK
};

const PS: Row = Command {
    name: "ps",
    also: &["container ls", "container list", "container ps", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    flags: &[&[
        Flag::bool("all", "Show all containers (default shows just running)").short('a'),
        FILTER,
        FORMAT,
        Flag::int("last", "Show n last created containers (includes all states)")
            .short('n')
            .default_value("-1"),
        Flag::bool("quiet", "Only display container IDs").short('q'),
    ]],
    common: true,
    action: Some("ps"),
    ..Command::BLANK
};

const FILTER: Flag =
    Flag::list("filter", "Filter output based on conditions provided").short('f').value("filter");

const FORMAT: Flag = Flag::string(
    "format",
    "Format output using a custom template:\n\
     'table':            Print output in table format with column headers (default)\n\
     'table TEMPLATE':   Print output in table format using the given Go template\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template.\n\
     Refer to https://docs.docker.com/go/formatting/ for more information about formatting \
     output with templates",
);

const IMAGES: Row = Command {
    name: "images",
    also: &["image ls", "image list", "images"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    args: Arity::AtMost(1),
    flags: &[&[
        Flag::bool("all", "Show all images (default hides intermediate images)").short('a'),
        Flag::bool("digests", "Show digests"),
        FILTER,
        FORMAT,
        Flag::bool("no-trunc", "Don't truncate output"),
        Flag::bool("quiet", "Only show image IDs").short('q'),
        Flag::bool("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
    ]],
    common: true,
    complete: &[Complete::Images],
    action: Some("images"),
    ..Command::BLANK
};

const IMAGE: Row = Command {
    name: "image",
    about: "Manage images",
    sub: &[
        &TAG,
        &Command { name: "ls", aliases: &["list"], common: false, ..IMAGES },
        &Command { name: "rm", aliases: &["remove"], ..RMI },
    ],
    ..Command::BLANK
};

const CONTAINER: Row = Command {
    name: "container",
    about: "Manage containers",
    sub: &[
        &Command { common: false, ..RUN },
        &Command { name: "ls", aliases: &["ps", "list"], common: false, ..PS },
        &CP,
        &Command {
            name: "port",
            usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
            about: "List port mappings or a specific mapping for the container",
            args: Arity::Range(1, 2),
            complete: &[Complete::Containers, Complete::Nothing],
            action: Some("port"),
            ..Command::BLANK
        },
        &Command {
            name: "disconnect-all",
            aliases: &["cut"],
            about: "A command with a long name",
            long: "\nDisconnects all containers.\n\nIt takes its time.\n",
            examples: "  $ mica container disconnect-all\n",
            args: Arity::Any,
            action: Some("disconnect-all"),
            ..Command::BLANK
        },
    ],
    ..Command::BLANK
};

const CP: Row = Command {
    name: "cp",
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files/folders between a container and the local filesystem",
    args: Arity::Exact(2),
    flags: &[&[Flag::bool("archive", "Archive mode (copy all uid/gid information)").short('a')]],
    complete: &[Complete::ContainerPath],
    action: Some("cp"),
    ..Command::BLANK
};

const RMI: Row = Command {
    name: "rmi",
    also: &["image rm", "image remove", "rmi"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::bool("force", "Force removal of the image").short('f'),
        Flag::bool("no-prune", "Do not delete untagged parents"),
        Flag::new(Kind::Strings, "platform", "Remove only the given platform variant")
            .default_value("[]"),
    ]],
    complete: &[Complete::Images],
    action: Some("rmi"),
    ..Command::BLANK
};

const STOP: Row = Command {
    name: "stop",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::string("signal", "Signal to send to the container").short('s'),
        Flag::int("time", "").deprecated("use --timeout instead").same_as("timeout"),
        Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    ]],
    complete: &[Complete::Running],
    action: Some("stop"),
    ..Command::BLANK
};

const TAG: Row = Command {
    name: "tag",
    also: &["image tag", "tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    args: Arity::Exact(2),
    interspersed: false,
    complete: &[Complete::Images],
    action: Some("tag"),
    ..Command::BLANK
};

const COMMIT: Row = Command {
    name: "commit",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Create a new image from a container's changes",
    args: Arity::Range(1, 2),
    flags: &[&[Flag::bool("pause", "Pause container during commit")
        .short('p')
        .default_value("true")]],
    interspersed: false,
    action: Some("commit"),
    ..Command::BLANK
};

const LOGIN: Row = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry",
    args: Arity::AtMost(1),
    flags: &[&[Flag::string("username", "Username").short('u')]],
    action: Some("login"),
    ..Command::BLANK
};

const SECRET: Row = Command {
    name: "__secret",
    about: "Not for people",
    args: Arity::Any,
    interspersed: false,
    hidden: true,
    action: Some("secret"),
    ..Command::BLANK
};
