//! What is compared: the same work, said in each tool's own words.

mod api;
pub(super) mod builds;
pub(super) mod containers;
mod shipping;
mod stored;
mod transfer;

use super::tools::{Lab, Step};

/// One job that several tools can do.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) rounds: usize,
    /// The fixtures that must be there.
    pub(crate) fixtures: &'static [&'static str],
    /// The stores of podman's and skopeo's that the commands name.
    pub(crate) stores: &'static [&'static str],
    pub(crate) contenders: fn(&Lab) -> Vec<Contender>,
}

impl Case {
    /// Whether it takes a registry.
    pub(crate) fn ships(&self) -> bool {
        self.stores == [SHIP]
    }

    /// Whether it builds.
    pub(crate) fn builds(&self) -> bool {
        self.stores == [builds::STORE]
    }

    /// Whether docker's API is asked.
    pub(crate) fn asks_api(&self) -> bool {
        self.name.starts_with("api-")
    }

    /// Whether containers run in it.
    pub(crate) fn runs_containers(&self) -> bool {
        self.stores == [containers::STORE]
    }
}

/// One tool at one job. Only `timed` is measured.
pub(crate) struct Contender {
    pub(crate) tool: &'static str,
    /// Run before the first round; skipped if an earlier case has run the same.
    pub(crate) once: Vec<Step>,
    pub(crate) before: Vec<Step>,
    pub(crate) timed: Step,
    pub(crate) after: Vec<Step>,
    /// Run after the last round.
    pub(crate) last: Vec<Step>,
}

impl Contender {
    fn new(tool: &'static str, timed: Step) -> Contender {
        let (once, before, after, last) = Default::default();
        Contender { tool, once, before, timed, after, last }
    }

    fn once(mut self, step: Step) -> Contender {
        self.once.push(step);
        self
    }

    fn before(mut self, step: Step) -> Contender {
        self.before.push(step);
        self
    }

    fn after(mut self, step: Step) -> Contender {
        self.after.push(step);
        self
    }

    fn last(mut self, step: Step) -> Contender {
        self.last.push(step);
        self
    }
}

/// The store of those that have to do with a registry.
const SHIP: &str = "ship";

/// Rounds of jobs that take seconds, and of those that take milliseconds.
const LONG: usize = 3;
const SHORT: usize = 15;

/// All jobs, in the order of the report.
pub(crate) const CASES: [Case; 43] = [
    Case {
        name: "start",
        about: "start and say the version",
        rounds: 4 * SHORT,
        fixtures: &[],
        stores: &[],
        contenders: stored::start,
    },
    Case {
        name: "load-gzip",
        about: "load the large image, gzip layers (umoci and tar unpack only)",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["load"],
        contenders: transfer::load_gzip,
    },
    Case {
        name: "load-zstd",
        about: "load the large image, zstd layers (tar unpacks only)",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["load"],
        contenders: transfer::load_zstd,
    },
    Case {
        name: "load-plain",
        about: "load the large image, layers not compressed (tar unpacks only)",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["load"],
        contenders: transfer::load_plain,
    },
    Case {
        name: "load-again",
        about: "load the large image when it is there already, gzip layers",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["keep"],
        contenders: transfer::load_again,
    },
    Case {
        name: "save",
        about: "save the large image (tar packs its files)",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["keep"],
        contenders: transfer::save,
    },
    Case {
        name: "import",
        about: "import the large root as an image (tar unpacks it)",
        rounds: LONG,
        fixtures: &["big"],
        stores: &["load"],
        contenders: transfer::import,
    },
    Case {
        name: "index",
        about: "write the index of the large root's tar (mica's own code, without the program)",
        rounds: LONG + 2,
        fixtures: &["big"],
        stores: &[],
        contenders: transfer::index,
    },
    Case {
        name: "rmi",
        about: "remove an image of 60,000 files (tar: `rm -rf` of what it unpacked)",
        rounds: LONG + 2,
        fixtures: &["files"],
        stores: &["load"],
        contenders: stored::rmi,
    },
    Case {
        name: "diff",
        about: "compare two images of 60,000 files, 1,200 of them changed",
        rounds: LONG + 2,
        fixtures: &["files", "changed"],
        stores: &["changed"],
        contenders: stored::diff,
    },
    Case {
        name: "mount",
        about: "mount an image of 120 layers",
        rounds: SHORT,
        fixtures: &["deep"],
        stores: &["deep"],
        contenders: stored::mount,
    },
    Case {
        name: "unmount",
        about: "unmount an image of 120 layers",
        rounds: SHORT,
        fixtures: &["deep"],
        stores: &["deep"],
        contenders: stored::unmount,
    },
    Case {
        name: "images",
        about: "list 1,000 images",
        rounds: SHORT,
        fixtures: &["many"],
        stores: &["many"],
        contenders: stored::images,
    },
    Case {
        name: "inspect",
        about: "inspect one of 1,000 images",
        rounds: SHORT,
        fixtures: &["many"],
        stores: &["many"],
        contenders: stored::inspect,
    },
    Case {
        name: "history",
        about: "show the history of one of 1,000 images",
        rounds: SHORT,
        fixtures: &["many"],
        stores: &["many"],
        contenders: stored::history,
    },
    Case {
        name: "tag",
        about: "give one of 1,000 images another name",
        rounds: SHORT,
        fixtures: &["many"],
        stores: &["many"],
        contenders: stored::tag,
    },
    Case {
        name: "load-many",
        about: "load 1,000 small images",
        rounds: 1,
        fixtures: &["many"],
        stores: &["load"],
        contenders: transfer::load_many,
    },
    Case {
        name: "run",
        about: "run `true` in a container without a network, and remove it (crun and runc: the same bundle)",
        rounds: 2 * SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::run,
    },
    Case {
        name: "run-bridge",
        about: "the same in the default network",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::bridge,
    },
    Case {
        name: "exec",
        about: "run `true` in a container that runs",
        rounds: 2 * SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::exec,
    },
    Case {
        name: "commit",
        about: "make an image of a container that has written 1,000 files",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::commit,
    },
    Case {
        name: "changes",
        about: "list what such a container has changed",
        rounds: 2 * SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::changes,
    },
    Case {
        name: "ps",
        about: "list 1,000 containers",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::list,
    },
    Case {
        name: "parallel",
        about: "start 50 containers at once, and remove them at once",
        rounds: LONG,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: containers::parallel,
    },
    Case {
        name: "pull",
        about: "pull the large image from docker-registry, ready to be run",
        rounds: LONG,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::pull,
    },
    Case {
        name: "pull-hub",
        about: "the same from mica's registry",
        rounds: LONG,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::pull_hub,
    },
    Case {
        name: "push",
        about: "push the large image, whose layers are not compressed yet, to docker-registry",
        rounds: LONG,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::push,
    },
    Case {
        name: "push-again",
        about: "push it once more when nothing has changed",
        rounds: SHORT,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::push_again,
    },
    Case {
        name: "remote-cp",
        about: "copy it to another repository of the same docker-registry",
        rounds: SHORT,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::copy,
    },
    Case {
        name: "serve-manifests",
        about: "give eight clients a manifest 2,500 times each",
        rounds: SHORT,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::serve_manifests,
    },
    Case {
        name: "serve-small",
        about: "give eight clients a small blob 2,500 times each",
        rounds: SHORT,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::serve_small,
    },
    Case {
        name: "serve-layers",
        about: "give eight clients a large blob four times each",
        rounds: SHORT,
        fixtures: &["big"],
        stores: &[SHIP],
        contenders: shipping::serve_layers,
    },
    Case {
        name: "api-ping",
        about: "ask docker's API a thousand times whether it is there",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: api::ping,
    },
    Case {
        name: "api-list",
        about: "list 1,000 containers twenty times by docker's API",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: api::list,
    },
    Case {
        name: "api-run",
        about: "run a container twenty times by docker's API (command: by mica run --rm)",
        rounds: SHORT,
        fixtures: &[],
        stores: &[containers::STORE],
        contenders: api::run,
    },
    Case {
        name: "build-again",
        about: "build a Dockerfile of 12 instructions when nothing has changed",
        rounds: SHORT,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::again,
    },
    Case {
        name: "build-again-10k",
        about: "the same with a context of 10,000 files",
        rounds: SHORT,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::again_ten_thousand,
    },
    Case {
        name: "build-again-100k",
        about: "the same with a context of 100,000 files",
        rounds: LONG,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::again_hundred_thousand,
    },
    Case {
        name: "build-runs",
        about: "build ten RUN echo, each anew",
        rounds: LONG,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::runs,
    },
    Case {
        name: "build-copy",
        about: "COPY 10,000 small files, from nothing",
        rounds: LONG,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::copy,
    },
    Case {
        name: "build-large",
        about: "COPY a file of 1 GiB, from nothing (copy reads, hashes and writes it once)",
        rounds: LONG,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::large,
    },
    Case {
        name: "build-touch",
        about: "build again after one of 10,000 files changed",
        rounds: SHORT,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::touch,
    },
    Case {
        name: "build-stages",
        about: "build four stages that sleep a second each, side by side",
        rounds: LONG,
        fixtures: &[],
        stores: &[builds::STORE],
        contenders: builds::stages,
    },
];
