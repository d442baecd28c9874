//! `volume` and what is below it.

use super::{Cmd, FILTER, FORCE, FORMAT_DOCUMENT, FORMAT_ROWS};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

pub(super) static VOLUME: Cmd = Command {
    name: "volume",
    usage: "COMMAND",
    about: "Manage volumes",
    sub: &[&CLONE, &CREATE, &EXPORT, &IMPORT, &INSPECT, &LS, &PRUNE, &RM],
    ..Command::BLANK
};

static CREATE: Cmd = Command {
    name: "create",
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    examples: "  mica volume create cache\n  mica volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch",
    args: Arity::AtMost(1),
    flags: &[&[
        Flag::string("driver", "Specify volume driver name").short('d').default_value("local"),
        Flag::list("label", "Set metadata for a volume"),
        Flag::string("name", "Specify volume name").hidden(),
        Flag::list("opt", "Set driver specific options")
            .short('o')
            .value("map")
            .default_value("map[]"),
    ]],
    action: Some(run::volume::create),
    ..Command::BLANK
};

static INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Display detailed information on one or more volumes",
    examples: "  mica volume inspect --format '{{.Mountpoint}}' cache",
    args: Arity::AtLeast(1),
    complete: &[Complete::Volumes],
    flags: &[&[FORMAT_DOCUMENT]],
    action: Some(run::volume::inspect),
    ..Command::BLANK
};

static LS: Cmd = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    examples: "  mica volume ls\n  mica volume ls -q --filter dangling=true",
    args: Arity::None,
    flags: &[&[
        Flag { about: "Provide filter values (e.g. \"dangling=true\")", ..FILTER },
        FORMAT_ROWS,
        Flag::bool("quiet", "Only display volume names").short('q'),
    ]],
    action: Some(run::volume::list),
    ..Command::BLANK
};

static PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused local volumes",
    examples: "  mica volume prune\n  mica volume prune -a -f",
    args: Arity::None,
    flags: &[&[
        Flag::bool("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        Flag::list("filter", "Provide filter values (e.g. \"label=<label>\")").value("filter"),
        FORCE,
    ]],
    action: Some(run::volume::prune),
    ..Command::BLANK
};

static RM: Cmd = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes",
    long: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    examples: "  mica volume rm cache",
    args: Arity::AtLeast(1),
    complete: &[Complete::Volumes],
    flags: &[&[Flag::bool("force", "Force the removal of one or more volumes").short('f')]],
    action: Some(run::volume::remove),
    ..Command::BLANK
};

static CLONE: Cmd = Command {
    name: "clone",
    usage: "VOLUME NEW_VOLUME",
    about: "Create a volume with the files and labels of another one",
    examples: "  mica volume clone data data-before-upgrade",
    args: Arity::Exact(2),
    complete: &[Complete::Volumes, Complete::Nothing],
    action: Some(run::volume_files::clone),
    ..Command::BLANK
};

static EXPORT: Cmd = Command {
    name: "export",
    usage: "[OPTIONS] VOLUME",
    about: "Export a volume's files as a tar archive",
    examples: "  mica volume export -o data.tar data\n  mica volume export data | ssh host mica volume import data -",
    args: Arity::Exact(1),
    complete: &[Complete::Volumes],
    flags: &[&[Flag::string("output", "Write to a file, instead of STDOUT")
        .short('o')
        .complete(Complete::Files)]],
    action: Some(run::volume_files::export),
    ..Command::BLANK
};

static IMPORT: Cmd = Command {
    name: "import",
    usage: "VOLUME file|-",
    about: "Unpack a tar archive into a volume",
    examples: "  mica volume create data && mica volume import data data.tar",
    args: Arity::Exact(2),
    complete: &[Complete::Nothing, Complete::Files],
    action: Some(run::volume_files::import),
    ..Command::BLANK
};
