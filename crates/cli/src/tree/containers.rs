//! Containers: their group, and what is done with those that need not run.

use super::{
    Cmd, FILTER, FORCE, FORMAT_DOCUMENT, FORMAT_ROWS, NO_TRUNC, create, name_and_value, running,
    usage,
};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

pub(super) static CONTAINER: Cmd = Command {
    name: "container",
    usage: "COMMAND",
    about: "Manage containers",
    sub: &[
        &running::CONTAINER_ATTACH,
        &CONTAINER_BUNDLE,
        &CONTAINER_COMMIT,
        &CONTAINER_CP,
        &CONTAINER_CREATE,
        &CONTAINER_DIFF,
        &running::CONTAINER_EXEC,
        &CONTAINER_EXPORT,
        &CONTAINER_INSPECT,
        &running::CONTAINER_KILL,
        &running::CONTAINER_LOGS,
        &CONTAINER_LS,
        &running::CONTAINER_PAUSE,
        &CONTAINER_PORT,
        &CONTAINER_PRUNE,
        &CONTAINER_RENAME,
        &running::CONTAINER_RESTART,
        &CONTAINER_RM,
        &running::CONTAINER_RUN,
        &running::CONTAINER_START,
        &usage::CONTAINER_STATS,
        &running::CONTAINER_STOP,
        &usage::CONTAINER_TOP,
        &running::CONTAINER_UNPAUSE,
        &usage::CONTAINER_UPDATE,
        &running::CONTAINER_WAIT,
    ],
    ..Command::BLANK
};

const DO_CREATE: Cmd = Command {
    name: "create",
    also: &["container create", "create"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    examples: "  mica create --name web -p 8080:80 -v data:/srv app:1.0\n  mica start -a web",
    args: Arity::AtLeast(1),
    flags: &[create::CREATE],
    interspersed: false,
    complete: &[Complete::Images],
    action: Some(run::create::run),
    ..Command::BLANK
};
pub(super) static CREATE: Cmd = DO_CREATE;
static CONTAINER_CREATE: Cmd = DO_CREATE;

const LIST: Cmd = Command {
    also: &["container ls", "container list", "container ps", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    examples: "  mica ps -a\n  mica ps --filter status=exited --format '{{.Names}} {{.Status}}'",
    args: Arity::None,
    flags: &[&[
        Flag::bool("all", "Show all containers (default shows just running)").short('a'),
        FILTER,
        FORMAT_ROWS,
        Flag::int("last", "Show n last created containers (includes all states)")
            .short('n')
            .default_value("-1"),
        Flag::bool("latest", "Show the latest created container (includes all states)").short('l'),
        NO_TRUNC,
        Flag::bool("quiet", "Only display container IDs").short('q'),
        Flag::bool("size", "Display total file sizes").short('s'),
    ]],
    action: Some(run::containers::list),
    ..Command::BLANK
};
pub(super) static PS: Cmd = Command { name: "ps", common: true, ..LIST };
static CONTAINER_LS: Cmd = Command { name: "ls", aliases: &["list", "ps"], ..LIST };

const REMOVE: Cmd = Command {
    name: "rm",
    also: &["container rm", "container remove", "rm"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    examples: "  mica rm web\n  mica rm -f -v $(mica ps -aq)",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::bool("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
        Flag::bool("link", "Remove the specified link").short('l'),
        Flag::bool("volumes", "Remove anonymous volumes associated with the container").short('v'),
    ]],
    complete: &[Complete::Containers],
    action: Some(run::container::remove),
    ..Command::BLANK
};
pub(super) static RM: Cmd = REMOVE;
static CONTAINER_RM: Cmd = Command { aliases: &["remove"], ..REMOVE };

const DO_RENAME: Cmd = Command {
    name: "rename",
    also: &["container rename", "rename"],
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    examples: "  mica rename web web-old",
    args: Arity::Exact(2),
    complete: &[Complete::Containers, Complete::Nothing],
    action: Some(run::container::rename),
    ..Command::BLANK
};
pub(super) static RENAME: Cmd = DO_RENAME;
static CONTAINER_RENAME: Cmd = DO_RENAME;

const DO_PORT: Cmd = Command {
    name: "port",
    also: &["container port", "port"],
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List port mappings or a specific mapping for the container",
    examples: "  mica port web\n  mica port web 80/tcp",
    args: Arity::Range(1, 2),
    complete: &[Complete::Running, Complete::Nothing],
    action: Some(run::container::port),
    ..Command::BLANK
};
pub(super) static PORT: Cmd = DO_PORT;
static CONTAINER_PORT: Cmd = DO_PORT;

static CONTAINER_BUNDLE: Cmd = Command {
    name: "bundle",
    usage: "[OPTIONS] CONTAINER|IMAGE DIR",
    about: "Write a bundle that any OCI runtime can run",
    long: "Write a container, or an image as a container without options, as a bundle that any OCI\nruntime can run: config.json and the files. A name of both means the container.",
    examples: "  mica container bundle web /srv/web && runc run -b /srv/web web\n  mica container bundle --mount debian:12 bundle && crun run -b bundle test",
    args: Arity::Exact(2),
    flags: &[&[Flag::bool("mount", "Mount the files of an image instead of copying them")]],
    complete: &[Complete::Containers, Complete::Folders],
    action: Some(run::container::bundle),
    ..Command::BLANK
};

static CONTAINER_PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    examples: "  mica container prune -f --filter until=24h",
    args: Arity::None,
    flags: &[&[
        Flag::list("filter", "Provide filter values (e.g. \"until=<timestamp>\")")
            .value("filter")
            .check(name_and_value),
        FORCE,
    ]],
    action: Some(run::container::prune),
    ..Command::BLANK
};

const DO_DIFF: Cmd = Command {
    name: "diff",
    also: &["container diff", "diff"],
    usage: "CONTAINER",
    about: "Inspect changes to files or directories on a container's filesystem",
    examples: "  mica diff web",
    args: Arity::Exact(1),
    complete: &[Complete::Containers],
    action: Some(run::commit::diff),
    ..Command::BLANK
};
pub(super) static DIFF: Cmd = DO_DIFF;
static CONTAINER_DIFF: Cmd = DO_DIFF;

const DO_COMMIT: Cmd = Command {
    name: "commit",
    also: &["container commit", "commit"],
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Create a new image from a container's changes",
    examples: "  mica commit -m 'with the fix' -c 'CMD [\"serve\"]' web app:2.0",
    args: Arity::Range(1, 2),
    flags: &[&[
        Flag::string("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")")
            .short('a'),
        Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
        Flag::string("message", "Commit message").short('m'),
        Flag::bool("pause", "Pause container during commit").short('p').default_value("true"),
    ]],
    complete: &[Complete::Containers, Complete::Images],
    action: Some(run::commit::run),
    ..Command::BLANK
};
pub(super) static COMMIT: Cmd = DO_COMMIT;
static CONTAINER_COMMIT: Cmd = DO_COMMIT;

const DO_EXPORT: Cmd = Command {
    name: "export",
    also: &["container export", "export"],
    usage: "[OPTIONS] CONTAINER",
    about: "Export a container's filesystem as a tar archive",
    examples: "  mica export -o web.tar web\n  mica export web | tar -tv",
    args: Arity::Exact(1),
    flags: &[&[Flag::string("output", "Write to a file, instead of STDOUT")
        .short('o')
        .complete(Complete::Files)]],
    complete: &[Complete::Containers],
    action: Some(run::commit::export),
    ..Command::BLANK
};
pub(super) static EXPORT: Cmd = DO_EXPORT;
static CONTAINER_EXPORT: Cmd = DO_EXPORT;

static CONTAINER_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Display detailed information on one or more containers",
    examples: "  mica container inspect --format '{{.State.Status}}' web",
    args: Arity::AtLeast(1),
    flags: &[&[FORMAT_DOCUMENT, Flag::bool("size", "Display total file sizes").short('s')]],
    complete: &[Complete::Containers],
    action: Some(run::inspect::container),
    ..Command::BLANK
};

const DO_CP: Cmd = Command {
    name: "cp",
    also: &["container cp", "cp"],
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files/folders between a container and the local filesystem",
    long: "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
    examples: "  mica cp web:/etc/motd .\n  mica cp site/. web:/srv\n  mica cp web:/etc/motd other:/etc\n  mica cp image:debian:12:/etc/os-release .",
    args: Arity::Exact(2),
    flags: &[&[
        Flag::bool("archive", "Archive mode (copy all uid/gid information)").short('a'),
        Flag::bool("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
        Flag::bool(
            "quiet",
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        )
        .short('q'),
    ]],
    complete: &[Complete::ContainerPath, Complete::ContainerPath],
    action: Some(run::cp::run),
    ..Command::BLANK
};
pub(super) static CP: Cmd = DO_CP;
static CONTAINER_CP: Cmd = DO_CP;
