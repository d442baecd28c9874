//! The program and its store as a whole.

use super::{
    Cmd, DRIVERS, FILTER, FORCE, FORMAT_DOCUMENT, FORMAT_JSON, FORMAT_ROWS, name_and_value,
};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

pub(super) static SYSTEM: Cmd = Command {
    name: "system",
    usage: "COMMAND",
    about: "Manage Docker",
    sub: &[
        &BOOT,
        &CHECK,
        &DF,
        &DIAL,
        &SYSTEM_EVENTS,
        &SYSTEM_INFO,
        &MIGRATE,
        &SYSTEM_PRUNE,
        &SYNC,
        &SYSTEM_UNMOUNT,
    ],
    ..Command::BLANK
};

pub(super) static INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on Docker objects",
    examples: "  mica inspect app:1.0\n  mica inspect --type image --format '{{.Architecture}}' app:1.0",
    args: Arity::AtLeast(1),
    flags: &[&[
        FORMAT_DOCUMENT,
        Flag::bool("size", "Display total file sizes if the type is container").short('s'),
        Flag::string("type", "Only inspect objects of the given type"),
    ]],
    complete: &[Complete::Images],
    action: Some(run::inspect::any),
    ..Command::BLANK
};

pub(super) static VERSION: Cmd = Command {
    name: "version",
    usage: "[OPTIONS]",
    about: "Show the Docker version information",
    examples: "  mica version\n  mica version --format '{{.Client.Version}}'",
    common: true,
    args: Arity::None,
    flags: &[&[FORMAT_DOCUMENT]],
    action: Some(run::version::run),
    ..Command::BLANK
};

const DO_INFO: Cmd = Command {
    name: "info",
    also: &["system info", "info"],
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    examples: "  mica info\n  mica info --format '{{.Driver}} in {{.DockerRootDir}}'",
    args: Arity::None,
    flags: &[&[FORMAT_DOCUMENT]],
    action: Some(run::info::run),
    ..Command::BLANK
};
pub(super) static INFO: Cmd = Command { common: true, ..DO_INFO };
static SYSTEM_INFO: Cmd = DO_INFO;

const DO_EVENTS: Cmd = Command {
    name: "events",
    also: &["system events", "events"],
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    examples: "  mica events --since 1h --until 0s\n  mica events --filter type=image --format '{{.Action}} {{.Actor.ID}}'",
    args: Arity::None,
    flags: &[&[
        FILTER,
        FORMAT_JSON,
        Flag::string("since", "Show all events created since timestamp"),
        Flag::string("until", "Stream events until this timestamp"),
    ]],
    action: Some(run::events::run),
    ..Command::BLANK
};
pub(super) static EVENTS: Cmd = DO_EVENTS;
static SYSTEM_EVENTS: Cmd = DO_EVENTS;

static DIAL: Cmd = Command {
    name: "dial-stdio",
    about: "Proxy the stdio stream to the engine's socket",
    examples: "  mica system dial-stdio",
    hidden: true,
    args: Arity::None,
    action: Some(run::dial::run),
    ..Command::BLANK
};

static DF: Cmd = Command {
    name: "df",
    usage: "[OPTIONS]",
    about: "Show docker disk usage",
    examples: "  mica system df\n  mica system df -v",
    args: Arity::None,
    flags: &[&[
        FORMAT_ROWS,
        Flag::bool("verbose", "Show detailed information on space usage").short('v'),
    ]],
    action: Some(run::df::run),
    ..Command::BLANK
};

static SYSTEM_PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused data",
    examples: "  mica system prune\n  mica system prune -a --volumes -f",
    args: Arity::None,
    flags: &[&[
        Flag::bool("all", "Remove all unused images not just dangling ones").short('a'),
        Flag::list("filter", "Provide filter values (e.g. \"label=<key>=<value>\")")
            .value("filter")
            .check(name_and_value),
        FORCE,
        FORMAT_JSON,
        Flag::bool("volumes", "Prune anonymous volumes"),
        Flag::bool("compressed", "Also remove the compressed form of layers that are kept plain"),
    ]],
    action: Some(run::prune::system),
    ..Command::BLANK
};

static CHECK: Cmd = Command {
    name: "check",
    usage: "[OPTIONS]",
    about: "Verify every digest, record, layer and link, and name each fault",
    examples: "  mica system check\n  mica system check --repair",
    args: Arity::None,
    flags: &[&[FORMAT_JSON, Flag::bool("repair", "Mend what can be mended from what is there")]],
    action: Some(run::check::run),
    ..Command::BLANK
};

static MIGRATE: Cmd = Command {
    name: "migrate",
    usage: "[OPTIONS] --to DRIVER",
    about: "Keep all layers with another storage driver, without loading them again",
    examples: "  mica system migrate --to overlay",
    args: Arity::None,
    flags: &[&[
        FORMAT_JSON,
        Flag::bool("quiet", "Show no progress").short('q'),
        Flag::string("to", "The driver: erofs, overlay, btrfs or vfs")
            .value("DRIVER")
            .complete(Complete::Words(DRIVERS)),
    ]],
    action: Some(run::migrate::run),
    ..Command::BLANK
};

static BOOT: Cmd = Command {
    name: "boot",
    usage: "[OPTIONS]",
    about: "Start the containers that a reboot ended, as their restart policies ask",
    examples: "  mica system boot",
    args: Arity::None,
    flags: &[&[FORMAT_JSON]],
    action: Some(run::boot::run),
    ..Command::BLANK
};

static SYNC: Cmd = Command {
    name: "sync",
    usage: "[OPTIONS]",
    about: "Make durable what was written lazily, before a planned power cut",
    examples: "  mica system sync && poweroff",
    args: Arity::None,
    flags: &[&[FORMAT_JSON]],
    action: Some(run::check::sync),
    ..Command::BLANK
};

static SYSTEM_UNMOUNT: Cmd = Command {
    name: "unmount",
    usage: "[OPTIONS]",
    about: "Release all that is mounted, before the data root is deleted or its disk unmounted",
    examples: "  mica stop $(mica ps -q) && mica system unmount",
    args: Arity::None,
    flags: &[&[FORMAT_JSON]],
    action: Some(run::check::unmount),
    ..Command::BLANK
};
