//! `pull`, `push`, `login`, `logout`, `search` and `registry`.

use super::{Cmd, NO_TRUNC, name_and_value};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

const DO_PULL: Cmd = Command {
    name: "pull",
    also: &["image pull", "pull"],
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    examples: "  mica pull debian:12\n  mica pull --platform linux/arm64 localhost:5000/app",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("all-tags", "Download all tagged images in the repository").short('a'),
        Flag::bool("disable-content-trust", "Skip image verification").default_value("true"),
        Flag::string("platform", "Set platform if server is multi-platform capable"),
        Flag::bool("quiet", "Suppress verbose output").short('q'),
    ]],
    complete: &[Complete::Images],
    action: Some(run::pull::run),
    ..Command::BLANK
};
pub(super) static PULL: Cmd = Command { common: true, ..DO_PULL };
pub(super) static IMAGE_PULL: Cmd = DO_PULL;

const DO_PUSH: Cmd = Command {
    name: "push",
    also: &["image push", "push"],
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    examples: "  mica tag app localhost:5000/app:1.0\n  mica push localhost:5000/app:1.0",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("all-tags", "Push all tags of an image to the repository").short('a'),
        Flag::string(
            "compression-format",
            "How new layers are compressed: gzip, zstd, zstd:chunked or uncompressed",
        ),
        Flag::string("compression-level", "How hard they are compressed").value("LEVEL"),
        Flag::bool("disable-content-trust", "Skip image signing").default_value("true"),
        Flag::bool("force-compression", "Compress layers anew that came compressed otherwise"),
        super::remote::BUNDLE,
        Flag::string(
            "platform",
            "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
        Flag::bool("quiet", "Suppress verbose output").short('q'),
        Flag::string("sign-key", "Sign what was pushed with this private key (PEM)")
            .complete(Complete::Files),
    ]],
    complete: &[Complete::Images],
    action: Some(run::push::run),
    ..Command::BLANK
};
pub(super) static PUSH: Cmd = Command { common: true, ..DO_PUSH };
pub(super) static IMAGE_PUSH: Cmd = DO_PUSH;

pub(super) static LOGIN: Cmd = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry",
    long: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    common: true,
    examples: "  mica login localhost:5000\n  mica login -u me --password-stdin quay.io < token",
    args: Arity::AtMost(1),
    flags: &[&[
        Flag::string("password", "Password or Personal Access Token (PAT)").short('p'),
        Flag::bool("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
        Flag::string("username", "Username").short('u'),
    ]],
    action: Some(run::login::login),
    ..Command::BLANK
};

pub(super) static LOGOUT: Cmd = Command {
    name: "logout",
    usage: "[SERVER]",
    about: "Log out from a registry",
    long: "Log out from a registry.\nIf no server is specified, Docker Hub is meant.",
    examples: "  mica logout localhost:5000",
    common: true,
    args: Arity::AtMost(1),
    action: Some(run::login::logout),
    ..Command::BLANK
};

pub(super) static SEARCH: Cmd = Command {
    name: "search",
    usage: "[OPTIONS] TERM",
    about: "Search Docker Hub for images",
    common: true,
    examples: "  mica search debian\n  mica search --filter is-official=true debian",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::list("filter", "Filter output based on conditions provided")
            .short('f')
            .value("filter")
            .check(name_and_value),
        Flag::string("format", "Pretty-print search using a Go template"),
        Flag::int("limit", "Max number of search results"),
        NO_TRUNC,
    ]],
    action: Some(run::search::run),
    ..Command::BLANK
};

pub(super) static REGISTRY: Cmd = Command {
    name: "registry",
    usage: "COMMAND",
    about: "Be a registry",
    sub: &[&GC, &SERVE],
    ..Command::BLANK
};

const ROOT: Flag = Flag::string(
    "root",
    "Folder or object store (s3://, gs://, az://) to keep everything in;\nby default beside the data root",
)
.complete(Complete::Folders);
const STORAGE_OPTION: Flag =
    Flag::list("storage-option", "Option of the object store, no secret one: endpoint, region")
        .value("name=value")
        .check(name_and_value);

static GC: Cmd = Command {
    name: "gc",
    usage: "[OPTIONS]",
    about: "Delete what no repository needs, also while the registry is served",
    examples: "  mica registry gc --untagged --grace 1h",
    args: Arity::None,
    flags: &[&[
        Flag::new(Kind::Duration, "grace", "Keep what is younger").default_value("24h"),
        ROOT,
        STORAGE_OPTION,
        Flag::bool("untagged", "Delete manifests too that no tag leads to"),
    ]],
    action: Some(run::registry::gc),
    ..Command::BLANK
};

static SERVE: Cmd = Command {
    name: "serve",
    usage: "[OPTIONS]",
    about: "Serve images to others until SIGTERM or SIGINT",
    examples: "  mica registry serve\n  mica registry serve --listen 0.0.0.0:443 --root /srv/registry\n  mica registry serve --root s3://images/registry --storage-option region=eu-central-1\n  mica registry serve --cache-of docker.io --root /srv/hub-cache\n  mica registry serve --store",
    args: Arity::None,
    flags: &[&[
        Flag::new(Kind::Duration, "cache-fresh", "Believe so long what a tag stands for there")
            .default_value("5m"),
        Flag::string("cache-of", "Registry to fetch from, once, what is not here")
            .value("HOST[/PATH]"),
        Flag::new(Kind::Duration, "collect-every", "Delete garbage so often; 0 is never")
            .default_value("24h"),
        Flag::string("htpasswd", "File of users and bcrypt hashes, as \"htpasswd -B\" writes it")
            .complete(Complete::Files),
        Flag::string("listen", "Address to listen on").default_value("127.0.0.1:5000"),
        Flag::string("log", "File to log requests to; \"-\" is standard output, \"none\" none")
            .default_value("-")
            .complete(Complete::Files),
        Flag::bool("no-delete", "Refuse to delete manifests and blobs"),
        Flag::bool("read-only", "Refuse whatever would change something"),
        ROOT,
        Flag::string("rules", "File of rules: who may do what in which repositories (TOML)")
            .complete(Complete::Files),
        STORAGE_OPTION,
        Flag::bool("store", "Show the images that are here, for reading, and keep nothing"),
        Flag::string("tls-cert", "Certificate (PEM), with those it hangs on")
            .complete(Complete::Files),
        Flag::string("tls-key", "The certificate's key (PEM)").complete(Complete::Files),
        Flag::string("token-issuer", "Who must have issued tokens"),
        Flag::string("token-keys", "Public keys or certificates that tokens are signed with (PEM)")
            .complete(Complete::Files),
        Flag::string("token-realm", "URL where clients ask for tokens"),
        Flag::string("token-service", "What this registry is called in tokens"),
    ]],
    action: Some(run::registry::serve),
    ..Command::BLANK
};
