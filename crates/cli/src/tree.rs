//! The tree of commands: docker's, and what is beyond it.

mod build;
mod containers;
mod create;
mod networks;
mod registry;
mod running;
mod usage;
mod volumes;

use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;
use crate::context::Action;

type Cmd = Command<Action>;

/// What `--format` takes where rows are printed.
const FORMAT_ROWS: Flag = Flag::string(
    "format",
    "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.",
);
/// What `--format` takes where one document is printed.
const FORMAT_DOCUMENT: Flag = Flag::string(
    "format",
    "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.",
)
.short('f');
const FORMAT_JSON: Flag = Flag::string(
    "format",
    "Format output: 'json' prints JSON, anything else is a Go template over it",
);
const FILTER: Flag = Flag::list("filter", "Filter output based on conditions provided")
    .short('f')
    .value("filter")
    .check(name_and_value);
const FORCE: Flag = Flag::bool("force", "Do not prompt for confirmation").short('f');
const QUIET_IDS: Flag = Flag::bool("quiet", "Only show image IDs").short('q');
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
    Flag::string("data-root", "Folder that everything is kept in").complete(Complete::Folders),
    Flag::bool("debug", "Enable debug mode").short('D'),
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
    Flag::bool("version", "Print version information and quit").short('v'),
];

/// `mica`.
pub(crate) static ROOT: Cmd = Command {
    name: "mica",
    usage: "[OPTIONS] COMMAND",
    about: "Container images in one program, without a daemon",
    flags: &[GLOBALS],
    sub: &[
        &build::BUILD,
        &registry::PULL,
        &registry::PUSH,
        &IMAGES,
        &registry::LOGIN,
        &registry::LOGOUT,
        &registry::SEARCH,
        &VERSION,
        &INFO,
        &build::BUILDER,
        &build::BUILDX,
        &CONTAINER,
        &IMAGE,
        &MANIFEST,
        &SYSTEM,
        &networks::NETWORK,
        &registry::REGISTRY,
        &volumes::VOLUME,
        &COMPLETION,
        &CREATE,
        &containers::COMMIT,
        &containers::CP,
        &containers::DIFF,
        &containers::EXPORT,
        &containers::PORT,
        &containers::PS,
        &containers::RENAME,
        &containers::RM,
        &EVENTS,
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
        &HISTORY,
        &IMPORT,
        &INSPECT,
        &LOAD,
        &RMI,
        &SAVE,
        &TAG,
        &COMPLETE,
        &COMPLETE_TERSELY,
    ],
    ..Command::BLANK
};

static CONTAINER: Cmd = Command {
    name: "container",
    usage: "COMMAND",
    about: "Manage containers",
    sub: &[
        &running::CONTAINER_ATTACH,
        &containers::CONTAINER_COMMIT,
        &containers::CONTAINER_CP,
        &CONTAINER_CREATE,
        &containers::CONTAINER_DIFF,
        &running::CONTAINER_EXEC,
        &containers::CONTAINER_EXPORT,
        &containers::CONTAINER_INSPECT,
        &running::CONTAINER_KILL,
        &running::CONTAINER_LOGS,
        &containers::CONTAINER_LS,
        &running::CONTAINER_PAUSE,
        &containers::CONTAINER_PORT,
        &containers::CONTAINER_PRUNE,
        &containers::CONTAINER_RENAME,
        &running::CONTAINER_RESTART,
        &containers::CONTAINER_RM,
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
static CREATE: Cmd = DO_CREATE;
static CONTAINER_CREATE: Cmd = DO_CREATE;

static IMAGE: Cmd = Command {
    name: "image",
    usage: "COMMAND",
    about: "Manage images",
    sub: &[
        &build::IMAGE_BUILD,
        &DIFF,
        &EXPORT_LAYOUT,
        &FILES,
        &IMAGE_HISTORY,
        &IMAGE_IMPORT,
        &IMAGE_INSPECT,
        &IMAGE_LOAD,
        &IMAGE_LS,
        &MOUNT,
        &IMAGE_PRUNE,
        &registry::IMAGE_PULL,
        &registry::IMAGE_PUSH,
        &IMAGE_RM,
        &IMAGE_SAVE,
        &IMAGE_TAG,
        &TREE,
        &UNMOUNT,
        &WHY,
    ],
    ..Command::BLANK
};

static MANIFEST: Cmd = Command {
    name: "manifest",
    usage: "COMMAND",
    about: "Manage Docker image manifests and manifest lists",
    sub: &[&MANIFEST_INSPECT],
    ..Command::BLANK
};

static SYSTEM: Cmd = Command {
    name: "system",
    usage: "COMMAND",
    about: "Manage Docker",
    sub: &[
        &BOOT,
        &CHECK,
        &DF,
        &SYSTEM_EVENTS,
        &SYSTEM_INFO,
        &MIGRATE,
        &SYSTEM_PRUNE,
        &SYNC,
        &SYSTEM_UNMOUNT,
    ],
    ..Command::BLANK
};

const LS: Cmd = Command {
    also: &["image ls", "image list", "images"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    examples: "  mica images\n  mica images 'debian*' --format '{{.Repository}}:{{.Tag}} {{.Size}}'\n  mica images --filter dangling=true -q",
    args: Arity::AtMost(1),
    flags: &[&[
        Flag::bool("all", "Show all images (default hides intermediate images)").short('a'),
        Flag::bool("digests", "Show digests"),
        FILTER,
        FORMAT_ROWS,
        NO_TRUNC,
        QUIET_IDS,
        Flag::bool("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
    ]],
    complete: &[Complete::Images],
    action: Some(run::images::run),
    ..Command::BLANK
};
static IMAGES: Cmd = Command { name: "images", common: true, ..LS };
static IMAGE_LS: Cmd = Command { name: "ls", aliases: &["list"], ..LS };

const DO_IMPORT: Cmd = Command {
    name: "import",
    also: &["image import", "import"],
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    examples: "  mica import rootfs.tar.xz debian:12\n  tar -C rootfs -c . | mica import -c 'CMD [\"sh\"]' - base",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::list("change", "Apply Dockerfile instruction to the created image")
            .short('c')
            .value("list"),
        FORMAT_JSON,
        Flag::string("message", "Set commit message for imported image").short('m'),
        Flag::string("platform", "Set platform if server is multi-platform capable"),
    ]],
    complete: &[Complete::Files, Complete::Images],
    action: Some(run::import::run),
    ..Command::BLANK
};
static IMPORT: Cmd = DO_IMPORT;
static IMAGE_IMPORT: Cmd = DO_IMPORT;

const DO_LOAD: Cmd = Command {
    name: "load",
    also: &["image load", "load"],
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    examples: "  mica load -i image.tar.gz\n  docker save app | mica load\n  mica load -i oci:layout-folder:1.0\n  mica load -i dir:folder-of-skopeo",
    args: Arity::None,
    flags: &[&[
        FORMAT_JSON,
        Flag::string("input", "Read from tar archive file, instead of STDIN")
            .short('i')
            .complete(Complete::Files),
        Flag::string(
            "platform",
            "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        Flag::bool("quiet", "Suppress the load output").short('q'),
    ]],
    action: Some(run::load::run),
    ..Command::BLANK
};
static LOAD: Cmd = DO_LOAD;
static IMAGE_LOAD: Cmd = DO_LOAD;

const DO_SAVE: Cmd = Command {
    name: "save",
    also: &["image save", "save"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    examples: "  mica save -o app.tar app:1.0\n  mica save app:1.0 base | ssh host mica load\n  mica save -o oci:layout-folder:1.0 app:1.0\n  mica save -o dir:folder-for-skopeo app:1.0",
    args: Arity::AtLeast(1),
    flags: &[&[
        FORMAT_JSON,
        Flag::string("output", "Write to a file, instead of STDOUT")
            .short('o')
            .complete(Complete::Files),
        Flag::string(
            "platform",
            "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    complete: &[Complete::Images],
    action: Some(run::save::run),
    ..Command::BLANK
};
static SAVE: Cmd = DO_SAVE;
static IMAGE_SAVE: Cmd = DO_SAVE;

static EXPORT_LAYOUT: Cmd = Command {
    name: "export-layout",
    usage: "[OPTIONS] IMAGE [IMAGE...] FOLDER",
    about: "Write images into a folder as an OCI layout, for skopeo, umoci and others",
    examples: "  mica image export-layout app:1.0 layout\n  skopeo inspect oci:layout:1.0",
    args: Arity::AtLeast(2),
    flags: &[&[FORMAT_JSON, Flag::string("platform", "Write only the given platform variant")]],
    complete: &[Complete::Images, Complete::Folders],
    action: Some(run::layout::run),
    ..Command::BLANK
};

const DO_HISTORY: Cmd = Command {
    name: "history",
    also: &["image history", "history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the history of an image",
    examples: "  mica history debian:12\n  mica history --no-trunc --format '{{.CreatedBy}}' app:1.0",
    args: Arity::Exact(1),
    flags: &[&[
        FORMAT_ROWS,
        Flag::bool("human", "Print sizes and dates in human readable format")
            .short('H')
            .default_value("true"),
        NO_TRUNC,
        Flag::string(
            "platform",
            "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        QUIET_IDS,
    ]],
    complete: &[Complete::Images],
    action: Some(run::history::run),
    ..Command::BLANK
};
static HISTORY: Cmd = DO_HISTORY;
static IMAGE_HISTORY: Cmd = DO_HISTORY;

static IMAGE_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    examples: "  mica image inspect --format '{{.Id}} {{join .RootFS.Layers \" \"}}' debian:12",
    args: Arity::AtLeast(1),
    flags: &[&[
        FORMAT_DOCUMENT,
        Flag::string(
            "platform",
            "Inspect a specific platform of the multi-platform image. 'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
    ]],
    complete: &[Complete::Images],
    action: Some(run::inspect::image),
    ..Command::BLANK
};
static INSPECT: Cmd = Command {
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

const REMOVE: Cmd = Command {
    also: &["image rm", "image remove", "rmi"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    examples: "  mica rmi app:1.0 app:1.1\n  mica rmi -f $(mica images -q 'test/*')",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::bool("force", "Force removal of the image").short('f'),
        FORMAT_JSON,
        Flag::bool("no-prune", "Do not delete untagged parents"),
        Flag::new(
            crate::args::Kind::Strings,
            "platform",
            "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    complete: &[Complete::Images],
    action: Some(run::rmi::run),
    ..Command::BLANK
};
static RMI: Cmd = Command { name: "rmi", ..REMOVE };
static IMAGE_RM: Cmd = Command { name: "rm", aliases: &["remove"], ..REMOVE };

const DO_TAG: Cmd = Command {
    name: "tag",
    also: &["image tag", "tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    examples: "  mica tag app:1.0 localhost:5000/team/app:1.0",
    args: Arity::Exact(2),
    flags: &[&[FORMAT_JSON]],
    interspersed: false,
    complete: &[Complete::Images],
    action: Some(run::tag::run),
    ..Command::BLANK
};
static TAG: Cmd = DO_TAG;
static IMAGE_TAG: Cmd = DO_TAG;

static IMAGE_PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused images",
    examples: "  mica image prune\n  mica image prune -a -f --filter until=240h",
    args: Arity::None,
    flags: &[&[
        Flag::bool("all", "Remove all unused images, not just dangling ones").short('a'),
        Flag::list("filter", "Provide filter values (e.g. \"until=<timestamp>\")")
            .value("filter")
            .check(name_and_value),
        FORCE,
        FORMAT_JSON,
    ]],
    action: Some(run::prune::images),
    ..Command::BLANK
};

static MOUNT: Cmd = Command {
    name: "mount",
    usage: "[OPTIONS] [IMAGE...]",
    about: "Mount images for reading and print where, or list what is mounted",
    examples: "  ls $(mica image mount debian:12)/etc",
    args: Arity::Any,
    flags: &[&[FORMAT_ROWS]],
    complete: &[Complete::Images],
    action: Some(run::mount::mount),
    ..Command::BLANK
};
static UNMOUNT: Cmd = Command {
    name: "unmount",
    aliases: &["umount"],
    usage: "[OPTIONS] [IMAGE...]",
    about: "Unmount images",
    examples: "  mica image unmount debian:12\n  mica image unmount --all",
    args: Arity::Any,
    flags: &[&[
        Flag::bool("all", "Unmount all of them").short('a'),
        Flag::bool("force", "Unmount even if it was mounted several times").short('f'),
        FORMAT_JSON,
    ]],
    complete: &[Complete::Images],
    action: Some(run::mount::unmount),
    ..Command::BLANK
};

static DIFF: Cmd = Command {
    name: "diff",
    usage: "[OPTIONS] IMAGE IMAGE",
    about: "Show which files and settings differ between two images",
    examples: "  mica image diff app:1.0 app:1.1\n  mica image diff --format json app:1.0 app:1.1",
    args: Arity::Exact(2),
    flags: &[&[FORMAT_JSON]],
    complete: &[Complete::Images],
    action: Some(run::look::diff),
    ..Command::BLANK
};
static WHY: Cmd = Command {
    name: "why",
    usage: "[OPTIONS] IMAGE PATH",
    about: "Show which layer and which instruction brought a file",
    examples: "  mica image why app:1.0 /usr/bin/python3",
    args: Arity::Exact(2),
    flags: &[&[FORMAT_ROWS]],
    complete: &[Complete::Images, Complete::Nothing],
    action: Some(run::look::why),
    ..Command::BLANK
};
static FILES: Cmd = Command {
    name: "files",
    usage: "[OPTIONS] IMAGE [PATH]",
    about: "List the files of an image without mounting it",
    examples: "  mica image files debian:12\n  mica image files --format json app:1.0",
    args: Arity::Range(1, 2),
    flags: &[&[FORMAT_ROWS, Flag::bool("quiet", "Only show paths").short('q')]],
    complete: &[Complete::Images, Complete::Nothing],
    action: Some(run::look::files),
    ..Command::BLANK
};
static TREE: Cmd = Command {
    name: "tree",
    usage: "[OPTIONS]",
    about: "Show which layers images share, with sizes",
    examples: "  mica image tree\n  mica image tree --format json",
    args: Arity::None,
    flags: &[&[FORMAT_JSON]],
    action: Some(run::look::tree),
    ..Command::BLANK
};

static MANIFEST_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    about: "Display an image manifest, or manifest list",
    examples: "  mica manifest inspect debian:12",
    args: Arity::Range(1, 2),
    flags: &[&[
        Flag::bool("insecure", "Allow communication with an insecure registry"),
        Flag::bool("verbose", "Output additional info including layers and platform").short('v'),
    ]],
    complete: &[Complete::Images],
    action: Some(run::manifest::inspect),
    ..Command::BLANK
};

static VERSION: Cmd = Command {
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
    examples: "  mica info\n  mica info --format '{{.Driver}}: {{.DriverReason}}'",
    args: Arity::None,
    flags: &[&[FORMAT_DOCUMENT]],
    action: Some(run::info::run),
    ..Command::BLANK
};
static INFO: Cmd = Command { common: true, ..DO_INFO };
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
static EVENTS: Cmd = DO_EVENTS;
static SYSTEM_EVENTS: Cmd = DO_EVENTS;

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
    usage: "",
    about: "Start the containers that a reboot ended, as their restart policies ask",
    examples: "  mica system boot",
    args: Arity::None,
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
    about: "Release all that is mounted, before the data root is deleted or its disk unmounted",
    examples: "  mica stop $(mica ps -q) && mica system unmount",
    args: Arity::None,
    action: Some(run::check::unmount),
    ..Command::BLANK
};
static COMPLETION: Cmd = Command {
    name: "completion",
    usage: "COMMAND",
    about: "Print the script that completes mica's command line in a shell",
    sub: &[&BASH, &FISH, &ZSH],
    ..Command::BLANK
};
const NO_DESCRIPTIONS: Flag = Flag::bool("no-descriptions", "disable completion descriptions");
static BASH: Cmd = Command {
    name: "bash",
    usage: "[OPTIONS]",
    about: "For bash",
    examples: "  source <(mica completion bash)",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::bash),
    ..Command::BLANK
};
static FISH: Cmd = Command {
    name: "fish",
    usage: "[OPTIONS]",
    about: "For fish",
    examples: "  mica completion fish | source",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::fish),
    ..Command::BLANK
};
static ZSH: Cmd = Command {
    name: "zsh",
    usage: "[OPTIONS]",
    about: "For zsh",
    examples: "  source <(mica completion zsh)",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::zsh),
    ..Command::BLANK
};
static COMPLETE: Cmd = Command {
    name: "__complete",
    usage: "WORDS...",
    about: "Answer a shell that completes a command line",
    hidden: true,
    interspersed: false,
    args: Arity::Any,
    action: Some(run::completion::callback),
    ..Command::BLANK
};
static COMPLETE_TERSELY: Cmd =
    Command { name: "__completeNoDesc", action: Some(run::completion::terse_callback), ..COMPLETE };

#[cfg(test)]
mod tests;
