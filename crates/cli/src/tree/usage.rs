//! What containers use, and what they may use.

use super::{Cmd, FORMAT_ROWS};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

const DO_STATS: Cmd = Command {
    name: "stats",
    also: &["container stats", "stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    examples: "  mica stats\n  mica stats --no-stream --format '{{.Name}} {{.MemUsage}}' web",
    args: Arity::Any,
    flags: &[&[
        Flag::bool("all", "Show all containers (default shows just running)").short('a'),
        FORMAT_ROWS,
        Flag::bool("no-stream", "Disable streaming stats and only pull the first result"),
        Flag::bool("no-trunc", "Do not truncate output"),
    ]],
    complete: &[Complete::Running],
    action: Some(run::stats::run),
    ..Command::BLANK
};
pub(super) static STATS: Cmd = DO_STATS;
pub(super) static CONTAINER_STATS: Cmd = DO_STATS;

const DO_TOP: Cmd = Command {
    name: "top",
    also: &["container top", "top"],
    usage: "CONTAINER [ps OPTIONS]",
    about: "Display the running processes of a container",
    examples: "  mica top web\n  mica top web -o pid,rss,args",
    args: Arity::AtLeast(1),
    interspersed: false,
    complete: &[Complete::Running, Complete::Nothing],
    action: Some(run::top::run),
    ..Command::BLANK
};
pub(super) static TOP: Cmd = DO_TOP;
pub(super) static CONTAINER_TOP: Cmd = DO_TOP;

const DO_UPDATE: Cmd = Command {
    name: "update",
    also: &["container update", "update"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Update configuration of one or more containers",
    examples: "  mica update --memory 512m --memory-swap 1g web\n  mica update --restart unless-stopped web db",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::new(
            Kind::Uint16,
            "blkio-weight",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        Flag::int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
        Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
        Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
        Flag::new(Kind::Decimal, "cpus", "Number of CPUs"),
        Flag::string("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        Flag::string("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
        Flag::new(Kind::Size, "memory", "Memory limit").short('m'),
        Flag::new(Kind::Size, "memory-reservation", "Memory soft limit"),
        Flag::new(
            Kind::SwapSize,
            "memory-swap",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        ),
        Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        Flag::string("restart", "Restart policy to apply when a container exits")
            .complete(Complete::Words(&["always", "no", "on-failure", "unless-stopped"])),
    ]],
    complete: &[Complete::Containers],
    action: Some(run::update::run),
    ..Command::BLANK
};
pub(super) static UPDATE: Cmd = DO_UPDATE;
pub(super) static CONTAINER_UPDATE: Cmd = DO_UPDATE;
