//! Images: docker's commands, as `mica X` and as `mica image X`.

use super::{
    Cmd, FILTER, FORCE, FORMAT_DOCUMENT, FORMAT_JSON, FORMAT_ROWS, NO_TRUNC, build, look,
    name_and_value, registry, remote,
};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

const QUIET_IDS: Flag = Flag::bool("quiet", "Only show image IDs").short('q');

pub(super) static IMAGE: Cmd = Command {
    name: "image",
    usage: "COMMAND",
    about: "Manage images",
    sub: &[
        &build::IMAGE_BUILD,
        &look::DIFF,
        &EXPORT_LAYOUT,
        &look::FILES,
        &IMAGE_HISTORY,
        &IMAGE_IMPORT,
        &IMAGE_INSPECT,
        &IMAGE_LOAD,
        &IMAGE_LS,
        &look::MOUNT,
        &IMAGE_PRUNE,
        &registry::IMAGE_PULL,
        &registry::IMAGE_PUSH,
        &IMAGE_RM,
        &IMAGE_SAVE,
        &remote::SYNC,
        &IMAGE_TAG,
        &look::TREE,
        &look::UNMOUNT,
        &look::WHY,
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
pub(super) static IMAGES: Cmd = Command { name: "images", common: true, ..LS };
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
pub(super) static IMPORT: Cmd = DO_IMPORT;
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
pub(super) static LOAD: Cmd = DO_LOAD;
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
pub(super) static SAVE: Cmd = DO_SAVE;
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
pub(super) static HISTORY: Cmd = DO_HISTORY;
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
            "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
    ]],
    complete: &[Complete::Images],
    action: Some(run::inspect::image),
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
            Kind::Strings,
            "platform",
            "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    complete: &[Complete::Images],
    action: Some(run::rmi::run),
    ..Command::BLANK
};
pub(super) static RMI: Cmd = Command { name: "rmi", ..REMOVE };
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
pub(super) static TAG: Cmd = DO_TAG;
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
