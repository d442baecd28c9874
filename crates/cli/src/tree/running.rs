//! Commands about containers that run: each both `mica X` and `mica container X`.

use super::Cmd;
use super::create::{CREATE, RUN as RUN_FLAGS};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

const DETACH_KEYS: Flag =
    Flag::string("detach-keys", "Override the key sequence for detaching a container");
const SIGNAL: Flag = Flag::string("signal", "Signal to send to the container").short('s');
const TIMEOUT: Flag =
    Flag::int("timeout", "Seconds to wait before killing the container").short('t');
const TIME: Flag =
    Flag::int("time", "Seconds to wait before killing the container").same_as("timeout");

const DO_RUN: Cmd = Command {
    name: "run",
    also: &["container run", "run"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    examples: "  mica run --rm -it debian:12 bash\n  mica run -d --name web -p 8080:80 --restart unless-stopped app:1.0",
    args: Arity::AtLeast(1),
    flags: &[CREATE, RUN_FLAGS],
    interspersed: false,
    complete: &[Complete::Images],
    action: Some(run::run::run),
    ..Command::BLANK
};
pub(super) static RUN: Cmd = Command { common: true, ..DO_RUN };
pub(super) static CONTAINER_RUN: Cmd = DO_RUN;

const DO_START: Cmd = Command {
    name: "start",
    also: &["container start", "start"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    examples: "  mica start web\n  mica start -ai shell",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::bool("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
        Flag::string("checkpoint", "Restore from this checkpoint").hidden(),
        Flag::string("checkpoint-dir", "Use a custom checkpoint storage directory").hidden(),
        DETACH_KEYS,
        Flag::bool("interactive", "Attach container's STDIN").short('i'),
    ]],
    action: Some(run::start::start),
    ..Command::BLANK
};
pub(super) static START: Cmd = DO_START;
pub(super) static CONTAINER_START: Cmd = DO_START;

const DO_STOP: Cmd = Command {
    name: "stop",
    also: &["container stop", "stop"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    examples: "  mica stop web\n  mica stop -t 30 web db",
    args: Arity::AtLeast(1),
    flags: &[&[SIGNAL, TIME, TIMEOUT]],
    action: Some(run::start::stop),
    ..Command::BLANK
};
pub(super) static STOP: Cmd = DO_STOP;
pub(super) static CONTAINER_STOP: Cmd = DO_STOP;

const DO_RESTART: Cmd = Command {
    name: "restart",
    also: &["container restart", "restart"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    examples: "  mica restart web",
    args: Arity::AtLeast(1),
    flags: &[&[SIGNAL, TIME, TIMEOUT]],
    action: Some(run::start::restart),
    ..Command::BLANK
};
pub(super) static RESTART: Cmd = DO_RESTART;
pub(super) static CONTAINER_RESTART: Cmd = DO_RESTART;

const DO_KILL: Cmd = Command {
    name: "kill",
    also: &["container kill", "kill"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill one or more running containers",
    examples: "  mica kill web\n  mica kill -s HUP web",
    args: Arity::AtLeast(1),
    flags: &[&[SIGNAL]],
    action: Some(run::start::kill),
    ..Command::BLANK
};
pub(super) static KILL: Cmd = DO_KILL;
pub(super) static CONTAINER_KILL: Cmd = DO_KILL;

const DO_PAUSE: Cmd = Command {
    name: "pause",
    also: &["container pause", "pause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Pause all processes within one or more containers",
    examples: "  mica pause web",
    args: Arity::AtLeast(1),
    action: Some(run::start::pause),
    ..Command::BLANK
};
pub(super) static PAUSE: Cmd = DO_PAUSE;
pub(super) static CONTAINER_PAUSE: Cmd = DO_PAUSE;

const DO_UNPAUSE: Cmd = Command {
    name: "unpause",
    also: &["container unpause", "unpause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Unpause all processes within one or more containers",
    examples: "  mica unpause web",
    args: Arity::AtLeast(1),
    action: Some(run::start::unpause),
    ..Command::BLANK
};
pub(super) static UNPAUSE: Cmd = DO_UNPAUSE;
pub(super) static CONTAINER_UNPAUSE: Cmd = DO_UNPAUSE;

const DO_WAIT: Cmd = Command {
    name: "wait",
    also: &["container wait", "wait"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Block until one or more containers stop, then print their exit codes",
    examples: "  mica wait job && echo done",
    args: Arity::AtLeast(1),
    action: Some(run::start::wait),
    ..Command::BLANK
};
pub(super) static WAIT: Cmd = DO_WAIT;
pub(super) static CONTAINER_WAIT: Cmd = DO_WAIT;

const DO_ATTACH: Cmd = Command {
    name: "attach",
    also: &["container attach", "attach"],
    usage: "[OPTIONS] CONTAINER",
    about: "Attach local standard input, output, and error streams to a running container",
    examples: "  mica attach shell\n  mica attach --no-stdin web",
    args: Arity::Exact(1),
    flags: &[&[
        DETACH_KEYS,
        Flag::bool("no-stdin", "Do not attach STDIN"),
        Flag::bool("sig-proxy", "Proxy all received signals to the process").default_value("true"),
    ]],
    action: Some(run::start::attach),
    ..Command::BLANK
};
pub(super) static ATTACH: Cmd = DO_ATTACH;
pub(super) static CONTAINER_ATTACH: Cmd = DO_ATTACH;

const DO_EXEC: Cmd = Command {
    name: "exec",
    also: &["container exec", "exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    examples: "  mica exec -it web sh\n  mica exec -u nobody -w /srv web ls",
    args: Arity::AtLeast(2),
    interspersed: false,
    flags: &[&[
        Flag::bool("detach", "Detached mode: run command in the background").short('d'),
        DETACH_KEYS,
        Flag::list("env", "Set environment variables").short('e'),
        Flag::list("env-file", "Read in a file of environment variables").complete(Complete::Files),
        Flag::bool("interactive", "Keep STDIN open even if not attached").short('i'),
        Flag::bool("privileged", "Give extended privileges to the command"),
        Flag::bool("tty", "Allocate a pseudo-TTY").short('t'),
        Flag::string("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
        Flag::string("workdir", "Working directory inside the container").short('w'),
    ]],
    action: Some(run::exec::run),
    ..Command::BLANK
};
pub(super) static EXEC: Cmd = Command { common: true, ..DO_EXEC };
pub(super) static CONTAINER_EXEC: Cmd = DO_EXEC;

const DO_LOGS: Cmd = Command {
    name: "logs",
    also: &["container logs", "logs"],
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    examples: "  mica logs -f --tail 100 web\n  mica logs --since 10m web",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("details", "Show extra details provided to logs"),
        Flag::bool("follow", "Follow log output").short('f'),
        Flag::string(
            "since",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        Flag::string("tail", "Number of lines to show from the end of the logs")
            .short('n')
            .default_value("all"),
        Flag::bool("timestamps", "Show timestamps").short('t'),
        Flag::string(
            "until",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ]],
    action: Some(run::logs::run),
    ..Command::BLANK
};
pub(super) static LOGS: Cmd = DO_LOGS;
pub(super) static CONTAINER_LOGS: Cmd = DO_LOGS;

/// What a container's monitor is started as.
pub(super) static WATCH: Cmd = Command {
    name: engine::WATCH_COMMAND,
    usage: "ID [told]",
    about: "Watch a container",
    hidden: true,
    args: Arity::Range(1, 2),
    action: Some(run::start::watch),
    ..Command::BLANK
};
