//! `context`: names for engines elsewhere.

use super::{Cmd, FORMAT_DOCUMENT, FORMAT_ROWS};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands::context as run;

const DESCRIPTION: Flag = Flag::string("description", "Description of the context");
const DOCKER: Flag = Flag::string(
    "docker",
    "Where it is: host=HOST[,ca=FILE][,cert=FILE][,key=FILE][,skip-tls-verify=true], or from=CONTEXT",
)
.value("stringToString");

pub(super) static CONTEXT: Cmd = Command {
    name: "context",
    usage: "COMMAND",
    about: "Manage contexts",
    sub: &[&CREATE, &EXPORT, &IMPORT, &INSPECT, &LS, &RM, &SHOW, &UPDATE, &USE],
    ..Command::BLANK
};

static CREATE: Cmd = Command {
    name: "create",
    usage: "[OPTIONS] CONTEXT",
    about: "Create a context",
    examples: "  mica context create lab --docker host=ssh://me@lab\n  mica context create far --docker host=tcp://far:2376,ca=ca.pem,cert=cert.pem,key=key.pem",
    args: Arity::Exact(1),
    flags: &[&[DESCRIPTION, DOCKER, Flag::string("from", "Create context from a named context")]],
    action: Some(run::create),
    ..Command::BLANK
};

static EXPORT: Cmd = Command {
    name: "export",
    usage: "CONTEXT [FILE|-]",
    about: "Export a context to a tar archive FILE or a tar stream on STDOUT",
    examples: "  mica context export lab",
    args: Arity::Range(1, 2),
    action: Some(run::export),
    ..Command::BLANK
};

static IMPORT: Cmd = Command {
    name: "import",
    usage: "CONTEXT FILE|-",
    about: "Import a context from a tar file",
    examples: "  mica context import lab lab.dockercontext",
    args: Arity::Exact(2),
    complete: &[Complete::Nothing, Complete::Files],
    action: Some(run::import),
    ..Command::BLANK
};

static INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Display detailed information on one or more contexts",
    examples: "  mica context inspect --format '{{.Endpoints.docker.Host}}'",
    args: Arity::Any,
    flags: &[&[FORMAT_DOCUMENT]],
    action: Some(run::inspect),
    ..Command::BLANK
};

static LS: Cmd = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List contexts",
    examples: "  mica context ls\n  mica context ls --format '{{.Name}} {{.DockerEndpoint}}'",
    args: Arity::None,
    flags: &[&[FORMAT_ROWS, Flag::bool("quiet", "Only show context names").short('q')]],
    action: Some(run::list),
    ..Command::BLANK
};

static RM: Cmd = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTEXT [CONTEXT...]",
    about: "Remove one or more contexts",
    examples: "  mica context rm lab",
    args: Arity::AtLeast(1),
    flags: &[&[Flag::bool("force", "Force the removal of a context in use").short('f')]],
    action: Some(run::remove),
    ..Command::BLANK
};

static SHOW: Cmd = Command {
    name: "show",
    about: "Print the name of the current context",
    examples: "  mica context show",
    args: Arity::None,
    action: Some(run::show),
    ..Command::BLANK
};

static UPDATE: Cmd = Command {
    name: "update",
    usage: "[OPTIONS] CONTEXT",
    about: "Update a context",
    examples: "  mica context update lab --description 'the machine in the lab'",
    args: Arity::Exact(1),
    flags: &[&[DESCRIPTION, DOCKER]],
    action: Some(run::update),
    ..Command::BLANK
};

static USE: Cmd = Command {
    name: "use",
    usage: "CONTEXT",
    about: "Set the default context",
    examples: "  mica context use lab\n  mica context use default",
    args: Arity::Exact(1),
    action: Some(run::choose),
    ..Command::BLANK
};
