//! `build`, under all its names, and what else `builder` and `buildx` hold.

use super::Cmd;
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

/// What `build` takes: docker's flags, of buildx and of the builder before it.
const BUILD_FLAGS: &[Flag] = &[
    Flag::list("add-host", "Add a custom host-to-IP mapping (format: \"host:ip\")"),
    Flag::new(
        Kind::Strings,
        "allow",
        "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\")",
    ),
    Flag::list("annotation", "Add annotation to the image"),
    Flag::list("attest", "Attestation parameters (format: \"type=sbom,generator=image\")"),
    Flag::list("build-arg", "Set build-time variables"),
    Flag::list("build-context", "Additional build contexts (e.g., name=path)"),
    Flag::string("builder", "Override the configured builder instance"),
    Flag::list(
        "cache-from",
        "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")",
    )
    .value("strings"),
    Flag::list(
        "cache-to",
        "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")",
    ),
    CALL,
    Flag::string(
        "cgroup-parent",
        "Set the parent cgroup for the \"RUN\" instructions during build",
    ),
    CHECK,
    Flag::bool("compress", "Compress the build context using gzip"),
    Flag::int("cpu-period", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    Flag::int("cpu-quota", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::string("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::string("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    DEBUG,
    Flag::bool("disable-content-trust", "Skip image verification").default_value("true"),
    Flag::bool("explain", "Say of each step that is done why it was not cached"),
    Flag::string("fail-on-miss", "Fail if a step is not cached: any, or one of this stage")
        .no_value("any"),
    Flag::string("file", "Name of the Dockerfile (default: \"PATH/Dockerfile\")")
        .short('f')
        .complete(Complete::Files),
    Flag::bool("fix", "With --check: put right in the Dockerfile what needs no thinking"),
    Flag::bool("force-rm", "Always remove intermediate containers"),
    Flag::string("iidfile", "Write the image ID to a file").complete(Complete::Files),
    Flag::string("isolation", "Container isolation technology"),
    Flag::list("label", "Set metadata for an image"),
    Flag::bool("load", "Shorthand for \"--output=type=docker\""),
    Flag::new(Kind::Size, "memory", "Memory limit").short('m'),
    Flag::new(
        Kind::SwapSize,
        "memory-swap",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    Flag::string("metadata-file", "Write build result metadata to a file")
        .complete(Complete::Files),
    Flag::string("network", "Set the networking mode for the \"RUN\" instructions during build")
        .default_value("default"),
    Flag::bool("no-cache", "Do not use cache when building the image"),
    Flag::list("no-cache-filter", "Do not cache specified stages"),
    Flag::list("output", "Output destination (format: \"type=local,dest=path\")").short('o'),
    Flag::string("output-on-failure", "Write what a failed step wrote into this folder")
        .complete(Complete::Folders),
    Flag::list("platform", "Set target platform for build").value("string"),
    Flag::list("policy", "Policy configuration (format: \"filename=path,strict\")"),
    PROGRESS,
    Flag::string("provenance", "Shorthand for \"--attest=type=provenance\"").no_value("true"),
    Flag::bool("pull", "Always attempt to pull all referenced images"),
    Flag::bool("push", "Shorthand for \"--output=type=registry\""),
    Flag::bool("quiet", "Suppress the build output and print image ID on success").short('q'),
    Flag::list("resource", "Limits of RUN instructions (e.g., \"memory=512m\")"),
    Flag::bool("rm", "Remove intermediate containers after a successful build")
        .default_value("true"),
    Flag::string("sbom", "Shorthand for \"--attest=type=sbom\"").no_value("true"),
    Flag::list(
        "secret",
        "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")",
    ),
    Flag::new(Kind::Strings, "security-opt", "Security options"),
    Flag::string(
        "shell-at",
        "Open a shell at a step of the last build instead: its number, a part of its title, or @fail; \"before:\" in front for what it found",
    ),
    Flag::new(Kind::Size, "shm-size", "Shared memory size for build containers"),
    Flag::bool("squash", "Squash newly built layers into a single new layer"),
    Flag::list(
        "ssh",
        "SSH agent socket or keys to expose to the build (format: \"default|<id>[=<socket>|<key>[,<key>]]\")",
    ),
    Flag::list("tag", "Name and optionally a tag (format: \"name:tag\")").short('t'),
    Flag::string("target", "Set the target build stage to build"),
    Flag::list("ulimit", "Ulimit options").value("ulimit"),
    Flag::bool("verify", "Build twice without cache, and fail if the results differ"),
];

const CALL: Flag =
    Flag::string("call", "Set method for evaluating build (\"check\", \"outline\", \"targets\")")
        .default_value("build")
        .complete(Complete::Words(&["build", "check", "outline", "targets"]));
const DEBUG: Flag = Flag::bool("debug", "Enable debug logging").short('D');
const CHECK: Flag = Flag::bool("check", "Shorthand for \"--call=check\"");

const PROGRESS: Flag = Flag::string(
    "progress",
    "Set type of progress output (\"auto\", \"quiet\", \"plain\", \"tty\", \"rawjson\")",
)
.default_value("auto")
.complete(Complete::Words(&["auto", "quiet", "plain", "tty", "rawjson"]));

const DO_BUILD: Cmd = Command {
    name: "build",
    also: &["image build", "build", "builder build"],
    usage: "[OPTIONS] PATH | URL | -",
    about: "Start a build",
    examples: "  mica build -t app:1.0 .\n  mica build -t registry.example/app:1.0 --push .\n  mica build -o type=oci,dest=app.oci,compression=zstd .\n  mica build --target bin -o ./bin .\n  mica build --platform linux/amd64,linux/arm64 -t registry.example/app:1.0 --push .\n  mica build --cache-from type=local,src=cache --cache-to type=local,dest=cache,mode=max .\n  mica build -t app https://github.com/user/app.git#v1.0:docker\n  mica build --provenance=mode=max -t registry.example/app:1.0 --push .\n  mica build --explain --progress plain .\n  mica build --shell-at @fail .\n  mica build --verify .\n  mica build --check .\n  mica build --check --fix .\n  mica build --call=outline,format=json --target app .",
    args: Arity::Exact(1),
    sub: &[&BUILD_HISTORY],
    flags: &[BUILD_FLAGS],
    complete: &[Complete::Folders],
    action: Some(run::build::run),
    ..Command::BLANK
};
pub(super) static BUILD: Cmd = Command { common: true, ..DO_BUILD };
pub(super) static IMAGE_BUILD: Cmd = DO_BUILD;
static BUILDER_BUILD: Cmd = DO_BUILD;
static BUILDX_BUILD: Cmd = Command { aliases: &["b"], ..DO_BUILD };

/// Runs one step of a build, asked by a socket in the place of standard input.
pub(super) static ONCE: Cmd = Command {
    name: engine::ONCE_COMMAND,
    about: "Run a step of a build",
    hidden: true,
    action: Some(run::build::once),
    ..Command::BLANK
};

pub(super) static BUILDER: Cmd = Command {
    name: "builder",
    usage: "COMMAND",
    about: "Manage builds",
    sub: &[&BUILDER_BUILD, &BUILDER_DU, &BUILDER_HISTORY, &MOUNTS, &BUILDER_PRUNE],
    ..Command::BLANK
};

pub(super) static BUILDX: Cmd = Command {
    name: "buildx",
    usage: "COMMAND",
    about: "Docker Buildx",
    sub: &[
        &BAKE,
        &BUILDX_BUILD,
        &BUILDX_DU,
        &BUILDX_HISTORY,
        &super::remote::IMAGETOOLS,
        &BUILDX_INSPECT,
        &BUILDX_LS,
        &BUILDX_PRUNE,
        &BUILDX_USE,
        &BUILDX_VERSION,
    ],
    ..Command::BLANK
};

static BUILDX_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] [NAME]",
    about: "Inspect current builder instance",
    examples: "  mica buildx inspect --bootstrap",
    args: Arity::AtMost(1),
    flags: &[&[Flag::bool("bootstrap", "Ensure builder has booted before inspecting")]],
    action: Some(run::buildx::inspect),
    ..Command::BLANK
};

static BUILDX_LS: Cmd = Command {
    name: "ls",
    usage: "[OPTIONS]",
    about: "List builder instances",
    examples: "  mica buildx ls",
    flags: &[&[
        Flag::string("format", "Format the output").default_value("table"),
        Flag::bool("no-trunc", "Don't truncate output"),
    ]],
    action: Some(run::buildx::list),
    ..Command::BLANK
};

static BUILDX_USE: Cmd = Command {
    name: "use",
    usage: "[OPTIONS] NAME",
    about: "Set the current builder instance",
    examples: "  mica buildx use default",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("default", "Set builder as default for current context"),
        Flag::bool("global", "Builder persists context changes"),
    ]],
    action: Some(run::buildx::choose),
    ..Command::BLANK
};

static BUILDX_VERSION: Cmd = Command {
    name: "version",
    about: "Show buildx version information",
    examples: "  mica buildx version",
    action: Some(run::buildx::version),
    ..Command::BLANK
};

static BAKE: Cmd = Command {
    name: "bake",
    aliases: &["f"],
    usage: "[OPTIONS] [URL] [TARGET...]",
    about: "Build from a file",
    examples: "  mica buildx bake\n  mica buildx bake https://github.com/user/app.git#v1.0 app\n  mica buildx bake --push app\n  mica buildx bake --print\n  mica buildx bake -f docker-bake.hcl --set '*.platform=linux/arm64' --print app\n  mica buildx bake --list=variables",
    args: Arity::Any,
    flags: &[&[
        Flag::list("allow", "Allow build to access specified resources"),
        Flag::string("builder", "Override the configured builder instance"),
        CALL,
        CHECK,
        DEBUG,
        Flag::list("file", "Build definition file").short('f').complete(Complete::Files),
        Flag::string("list", "List targets or variables")
            .complete(Complete::Words(&["targets", "variables"])),
        Flag::bool("load", "Shorthand for \"--set=*.output=type=docker\""),
        Flag::string("metadata-file", "Write build result metadata to a file")
            .complete(Complete::Files),
        Flag::bool("no-cache", "Do not use cache when building the image"),
        Flag::bool("print", "Print the options without building"),
        PROGRESS,
        Flag::string("provenance", "Shorthand for \"--set=*.attest=type=provenance\"")
            .no_value("true"),
        Flag::bool("pull", "Always attempt to pull all referenced images"),
        Flag::bool("push", "Shorthand for \"--set=*.output=type=registry\""),
        Flag::string("sbom", "Shorthand for \"--set=*.attest=type=sbom\"").no_value("true"),
        Flag::list("set", "Override target value (e.g., \"targetpattern.key=value\")"),
        Flag::list("var", "Set a variable value (e.g., \"name=value\")"),
    ]],
    action: Some(run::bake::run),
    ..Command::BLANK
};

const DU: Cmd = Command {
    name: "du",
    usage: "[OPTIONS]",
    about: "Disk usage",
    examples: "  mica builder du\n  mica builder du --format json --filter type=exec.cachemount",
    flags: &[&[
        Flag::string("builder", "Override the configured builder instance"),
        Flag::list("filter", "Provide filter values").value("filter"),
        Flag::string("format", "Format the output"),
        Flag::bool("verbose", "Shorthand for \"--format=pretty\""),
    ]],
    action: Some(run::builder_du::run),
    ..Command::BLANK
};
static BUILDER_DU: Cmd = DU;
static BUILDX_DU: Cmd = DU;

const PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove build cache",
    examples: "  mica builder prune\n  mica builder prune -a -f --filter until=24h\n  mica builder prune -f --max-used-space 10GB",
    flags: &[&[
        Flag::bool("all", "Also what images have").short('a'),
        Flag::list("filter", "Provide filter values (e.g., \"until=24h\")").value("filter"),
        Flag::bool("force", "Do not prompt for confirmation").short('f'),
        Flag::new(Kind::Size, "keep-storage", "Amount of disk space to keep for cache").hidden(),
        Flag::new(
            Kind::Size,
            "max-used-space",
            "Maximum amount of disk space allowed to keep for cache",
        ),
        Flag::new(Kind::Size, "min-free-space", "Target amount of free disk space after pruning"),
        Flag::new(
            Kind::Size,
            "reserved-space",
            "Amount of disk space always allowed to keep for cache",
        ),
    ]],
    action: Some(run::builder::prune),
    ..Command::BLANK
};
static BUILDER_PRUNE: Cmd = PRUNE;
static BUILDX_PRUNE: Cmd = PRUNE;

static MOUNTS: Cmd = Command {
    name: "mounts",
    usage: "COMMAND",
    about: "Manage cache mounts: what RUN --mount=type=cache keeps",
    sub: &[&MOUNTS_EXPORT, &MOUNTS_LS, &MOUNTS_RM, &MOUNTS_SEED],
    ..Command::BLANK
};

static MOUNTS_EXPORT: Cmd = Command {
    name: "export",
    usage: "[OPTIONS] ID",
    about: "Write the files of a cache mount as a tar",
    examples: "  mica builder mounts export -o cargo.tar /usr/local/cargo/registry",
    args: Arity::Exact(1),
    flags: &[&[Flag::string("output", "Output file path").short('o').complete(Complete::Files)]],
    action: Some(run::cache_mounts::export),
    ..Command::BLANK
};

static MOUNTS_LS: Cmd = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List cache mounts",
    examples: "  mica builder mounts ls\n  mica builder mounts ls --format json",
    flags: &[&[Flag::string("format", "Format the output").default_value("table")]],
    action: Some(run::cache_mounts::list),
    ..Command::BLANK
};

static MOUNTS_RM: Cmd = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "ID...",
    about: "Remove cache mounts",
    examples: "  mica builder mounts rm /root/.cache",
    args: Arity::AtLeast(1),
    action: Some(run::cache_mounts::remove),
    ..Command::BLANK
};

static MOUNTS_SEED: Cmd = Command {
    name: "seed",
    usage: "[OPTIONS] ID TAR|-",
    about: "Begin a cache mount with the files of a tar",
    examples: "  mica builder mounts seed /usr/local/cargo/registry cargo.tar",
    args: Arity::Exact(2),
    flags: &[&[Flag::bool("force", "Replace what it has").short('f')]],
    action: Some(run::cache_mounts::seed),
    ..Command::BLANK
};

const HISTORY: Cmd = Command {
    name: "history",
    also: &["build history", "builder history", "buildx history"],
    usage: "COMMAND",
    about: "Commands to work on build records",
    sub: &[&HISTORY_EXPORT, &HISTORY_INSPECT, &HISTORY_LOGS, &HISTORY_LS, &HISTORY_RM],
    ..Command::BLANK
};
static BUILD_HISTORY: Cmd = HISTORY;
static BUILDER_HISTORY: Cmd = HISTORY;
static BUILDX_HISTORY: Cmd = HISTORY;

static HISTORY_EXPORT: Cmd = Command {
    name: "export",
    usage: "[OPTIONS] [BUILD]",
    about: "Write a build's record and what it told as a tar",
    examples: "  mica buildx history export -o build.tar",
    args: Arity::AtMost(1),
    flags: &[&[Flag::string("output", "Output file path").short('o').complete(Complete::Files)]],
    action: Some(run::build_history::export),
    ..Command::BLANK
};

static HISTORY_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] [BUILD]",
    about: "Inspect a build record",
    examples: "  mica buildx history inspect\n  mica buildx history inspect ^1\n  mica buildx history inspect --format '{{.outcome}}'",
    args: Arity::AtMost(1),
    flags: &[&[Flag::string("format", "Format the output (\"pretty\", \"json\" or a template)")
        .default_value("pretty")]],
    action: Some(run::build_history::inspect),
    ..Command::BLANK
};

static HISTORY_LOGS: Cmd = Command {
    name: "logs",
    usage: "[OPTIONS] [BUILD]",
    about: "Print the logs of a build record",
    examples: "  mica buildx history logs\n  mica buildx history logs --progress rawjson ^1",
    args: Arity::AtMost(1),
    flags: &[&[Flag::string(
        "progress",
        "Set type of progress output (\"plain\", \"rawjson\", \"tty\")",
    )
    .default_value("plain")
    .complete(Complete::Words(&["plain", "rawjson", "tty"]))]],
    action: Some(run::build_history::logs),
    ..Command::BLANK
};

static HISTORY_LS: Cmd = Command {
    name: "ls",
    usage: "[OPTIONS]",
    about: "List build records",
    examples: "  mica buildx history ls\n  mica buildx history ls --filter status=error --format json",
    flags: &[&[
        Flag::list("filter", "Provide filter values (e.g., \"status=error\")").value("filter"),
        Flag::string("format", "Format the output").default_value("table"),
        Flag::bool("no-trunc", "Don't truncate output"),
    ]],
    action: Some(run::build_history::list),
    ..Command::BLANK
};

static HISTORY_RM: Cmd = Command {
    name: "rm",
    usage: "[OPTIONS] [BUILD...]",
    about: "Remove build records",
    examples: "  mica buildx history rm ^0\n  mica buildx history rm --all",
    args: Arity::Any,
    flags: &[&[Flag::bool("all", "Remove all build records")]],
    action: Some(run::build_history::remove),
    ..Command::BLANK
};
