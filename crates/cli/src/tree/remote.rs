//! Images that are elsewhere: `manifest`, `buildx imagetools`, `remote`, `image sync`.

use super::{Cmd, FORMAT_DOCUMENT, FORMAT_JSON};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

const INSECURE: Flag = Flag::bool("insecure", "Allow communication with an insecure registry");

const INSECURE_POLICY: Flag =
    Flag::bool("insecure-policy", "Copy also what the policy does not let in");

pub(super) const BUNDLE: Flag = Flag::bool(
    "new-bundle-format",
    "Sign with a sigstore bundle that refers to the image, as cosign 3 does",
);

pub(super) static MANIFEST: Cmd = Command {
    name: "manifest",
    usage: "COMMAND",
    about: "Manage Docker image manifests and manifest lists",
    sub: &[&ANNOTATE, &CREATE, &INSPECT, &PUSH, &RM],
    ..Command::BLANK
};

static CREATE: Cmd = Command {
    name: "create",
    usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
    about: "Create a local manifest list for annotating and pushing to a registry",
    examples: "  mica manifest create localhost:5000/app:1 localhost:5000/app:1-amd64 localhost:5000/app:1-arm64\n  mica manifest push localhost:5000/app:1",
    args: Arity::AtLeast(2),
    flags: &[&[Flag::bool("amend", "Amend an existing manifest list").short('a'), INSECURE]],
    complete: &[Complete::Images],
    action: Some(run::manifest::create),
    ..Command::BLANK
};

static ANNOTATE: Cmd = Command {
    name: "annotate",
    usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
    about: "Add additional information to a local image manifest",
    examples: "  mica manifest annotate --arch arm --variant v7 localhost:5000/app:1 localhost:5000/app:1-arm",
    args: Arity::Exact(2),
    flags: &[&[
        Flag::string("arch", "Set architecture"),
        Flag::string("os", "Set operating system"),
        Flag::new(Kind::Strings, "os-features", "Set operating system feature"),
        Flag::string("os-version", "Set operating system version"),
        Flag::string("variant", "Set architecture variant"),
    ]],
    complete: &[Complete::Images],
    action: Some(run::manifest::annotate),
    ..Command::BLANK
};

static INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    about: "Display an image manifest, or manifest list",
    examples: "  mica manifest inspect debian:12\n  mica manifest inspect --local app:1.0",
    args: Arity::Range(1, 2),
    flags: &[&[
        INSECURE,
        Flag::bool("local", "Of an image that is here, without asking its registry"),
        Flag::bool("verbose", "Output additional info including layers and platform").short('v'),
    ]],
    complete: &[Complete::Images],
    action: Some(run::manifest::inspect),
    ..Command::BLANK
};

static PUSH: Cmd = Command {
    name: "push",
    usage: "[OPTIONS] MANIFEST_LIST",
    about: "Push a manifest list to a repository",
    examples: "  mica manifest push --purge localhost:5000/app:1",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("insecure", "Allow push to an insecure registry"),
        Flag::bool("purge", "Remove the local manifest list after push").short('p'),
    ]],
    action: Some(run::manifest::push),
    ..Command::BLANK
};

static RM: Cmd = Command {
    name: "rm",
    usage: "MANIFEST_LIST [MANIFEST_LIST...]",
    about: "Delete one or more manifest lists from local storage",
    examples: "  mica manifest rm localhost:5000/app:1",
    args: Arity::AtLeast(1),
    action: Some(run::manifest::rm),
    ..Command::BLANK
};

pub(super) static IMAGETOOLS: Cmd = Command {
    name: "imagetools",
    usage: "COMMAND",
    about: "Commands to work on images in registry",
    sub: &[&TOOLS_CREATE, &TOOLS_INSPECT],
    ..Command::BLANK
};

const BUILDER: Flag = Flag::string("builder", "Override the configured builder instance");

static TOOLS_CREATE: Cmd = Command {
    name: "create",
    usage: "[OPTIONS] [SOURCE...]",
    about: "Create a new image based on source images",
    examples: "  mica buildx imagetools create -t quay.io/me/app:1 quay.io/me/app:1-amd64 quay.io/me/app:1-arm64\n  mica buildx imagetools create --append -t quay.io/me/app:1 quay.io/me/app:1-s390x",
    args: Arity::Any,
    flags: &[&[
        Flag::list("annotation", "Add annotation to the image"),
        Flag::bool("append", "Append to existing manifest"),
        BUILDER,
        Flag::bool("dry-run", "Show final image instead of pushing"),
        Flag::list("file", "Read source descriptor from file").short('f').complete(Complete::Files),
        Flag::string("metadata-file", "Write create result metadata to a file")
            .complete(Complete::Files),
        Flag::list("platform", "Filter specified platforms of target image").short('p'),
        Flag::bool(
            "prefer-index",
            "When only a single source is specified, prefer outputting an image index or manifest list instead of performing a carbon copy",
        )
        .default_value("true"),
        Flag::string(
            "progress",
            "Set type of progress output (\"auto\", \"none\", \"plain\", \"rawjson\", \"tty\")",
        )
        .default_value("auto"),
        Flag::list("tag", "Set reference for new image").short('t'),
    ]],
    action: Some(run::imagetools::create),
    ..Command::BLANK
};

static TOOLS_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME",
    about: "Show details of an image in the registry",
    examples: "  mica buildx imagetools inspect debian:12\n  mica buildx imagetools inspect --format '{{json .Manifest}}' debian:12",
    args: Arity::Exact(1),
    flags: &[&[
        BUILDER,
        Flag::string("format", "Format the output using the given Go template"),
        Flag::bool("raw", "Show original, unformatted JSON manifest"),
    ]],
    action: Some(run::imagetools::inspect),
    ..Command::BLANK
};

pub(super) static REMOTE: Cmd = Command {
    name: "remote",
    usage: "COMMAND",
    about: "Look at, copy and remove images in registries without pulling them",
    sub: &[
        &REMOTE_CP,
        &REMOTE_DIGEST,
        &REMOTE_INSPECT,
        &REMOTE_LS,
        &REMOTE_RM,
        &REMOTE_SIGN,
        &REMOTE_VERIFY,
    ],
    ..Command::BLANK
};

const QUIET: Flag = Flag::bool("quiet", "Show no progress").short('q');
const REFERRERS: Flag =
    Flag::bool("referrers", "Also copy signatures and whatever else refers to the images");

static REMOTE_CP: Cmd = Command {
    name: "cp",
    usage: "[OPTIONS] SOURCE DESTINATION",
    about: "Copy an image between registries, bit for bit and with all its platforms",
    examples: "  mica remote cp debian:12 localhost:5000/debian:12\n  mica remote cp --referrers quay.io/me/app:1 oci:folder:app",
    footer: "SOURCE and DESTINATION are names, or oci:FOLDER[:NAME] for a folder with an OCI layout.",
    args: Arity::Exact(2),
    flags: &[&[
        INSECURE,
        INSECURE_POLICY,
        Flag::string("platform", "Only the image for this platform"),
        QUIET,
        REFERRERS,
    ]],
    complete: &[Complete::Images],
    action: Some(run::remote::cp),
    ..Command::BLANK
};

static REMOTE_DIGEST: Cmd = Command {
    name: "digest",
    usage: "[OPTIONS] NAME [NAME...]",
    about: "Print the digest that a name stands for in its registry",
    examples: "  mica remote digest debian:12",
    args: Arity::AtLeast(1),
    flags: &[&[INSECURE]],
    complete: &[Complete::Images],
    action: Some(run::remote::digest),
    ..Command::BLANK
};

static REMOTE_INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME",
    about: "Show what an image in a registry is, without pulling it",
    examples: "  mica remote inspect debian:12\n  mica remote inspect --platform linux/arm64 --format '{{.Architecture}}' debian:12",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("config", "Print the image's configuration as it is"),
        FORMAT_DOCUMENT,
        INSECURE,
        Flag::string("platform", "Which of several images is shown"),
        Flag::bool("raw", "Print the manifest or index as it is"),
    ]],
    complete: &[Complete::Images],
    action: Some(run::remote::inspect),
    ..Command::BLANK
};

static REMOTE_LS: Cmd = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] REPOSITORY | HOST/",
    about: "List the tags of a repository, or the repositories of a registry",
    examples: "  mica remote ls localhost:5000/app\n  mica remote ls localhost:5000/",
    args: Arity::Exact(1),
    flags: &[&[FORMAT_JSON, INSECURE]],
    action: Some(run::remote::ls),
    ..Command::BLANK
};

static REMOTE_RM: Cmd = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] NAME [NAME...]",
    about: "Remove names from their registries, or with a digest whole manifests",
    examples: "  mica remote rm localhost:5000/app:old",
    args: Arity::AtLeast(1),
    flags: &[&[INSECURE]],
    complete: &[Complete::Images],
    action: Some(run::remote::rm),
    ..Command::BLANK
};

static REMOTE_SIGN: Cmd = Command {
    name: "sign",
    usage: "--key FILE NAME [NAME...]",
    about: "Sign images in their registries, as cosign does it with a key",
    examples: "  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem\n  mica remote sign --key key.pem quay.io/me/app:1",
    args: Arity::AtLeast(1),
    flags: &[&[
        INSECURE,
        Flag::string("key", "Private key (PKCS #8, PEM)").short('k').complete(Complete::Files),
        BUNDLE,
    ]],
    complete: &[Complete::Images],
    action: Some(run::remote::sign),
    ..Command::BLANK
};

static REMOTE_VERIFY: Cmd = Command {
    name: "verify",
    usage: "--key FILE NAME [NAME...]",
    about: "Check that images in their registries are signed with a key",
    examples: "  openssl pkey -in key.pem -pubout -out key.pub\n  mica remote verify --key key.pub quay.io/me/app:1",
    args: Arity::AtLeast(1),
    flags: &[&[
        INSECURE,
        Flag::list("key", "Public key (PEM); one of several is enough")
            .short('k')
            .complete(Complete::Files),
    ]],
    complete: &[Complete::Images],
    action: Some(run::remote::verify),
    ..Command::BLANK
};

pub(super) static SYNC: Cmd = Command {
    name: "sync",
    usage: "[OPTIONS] [SOURCE...] DESTINATION",
    about: "Make a registry or a folder have the images of others; only what is missing is moved",
    examples: "  mica image sync quay.io/me/app localhost:5000\n  mica image sync --tags '1.*' debian oci:folder\n  mica image sync --file images.txt localhost:5000/mirror",
    footer: "SOURCE is a name, a repository (all its tags), HOST/ (all its repositories), or oci:FOLDER[:NAME].\nDESTINATION is HOST[/PATH] or oci:FOLDER.",
    args: Arity::AtLeast(1),
    flags: &[&[
        Flag::bool("dry-run", "Only tell what would be copied"),
        Flag::list("file", "File with sources, one a line").short('f').complete(Complete::Files),
        FORMAT_JSON,
        INSECURE,
        INSECURE_POLICY,
        Flag::bool("keep-going", "Go on after an image that cannot be copied").short('k'),
        Flag::string("platform", "Only images for this platform"),
        QUIET,
        REFERRERS,
        Flag::string("tags", "Only tags that fit the pattern").value("pattern"),
    ]],
    action: Some(run::sync::run),
    ..Command::BLANK
};
