//! Jobs for docker's API: what a request costs, and what it adds to the command line.
//!
//! Requests go over one connection to `mica serve`, as those of a program do. There is no peer without
//! docker's daemon; the command line is what a container through the API is held against.

use super::{Contender, containers};
use crate::bench::tools::{Lab, Step};

/// How often each request is made.
const PINGS: &str = "1000";
const LISTS: &str = "20";
const RUNS: &str = "20";

/// Where the server listens.
fn socket(lab: &Lab) -> String {
    lab.path("api.sock")
}

/// Starts it over the store for containers, or does nothing if it runs.
fn serve(lab: &Lab) -> Step {
    let address = format!("unix://{}", socket(lab));
    let served = lab.mica(containers::STORE, &["serve", "-H", &address]);
    let script = "for last; do :; done; path=${last#unix://}; if test -S \"$path\"; then exit 0; fi; \
        setsid \"$@\" > /dev/null 2>&1 & echo $! > \"${last#unix://}.pid\"; \
        for i in $(seq 100); do test -S \"${last#unix://}\" && exit 0; sleep 0.05; done; exit 1";
    served.in_script(script)
}

/// Ends it.
fn end(lab: &Lab) -> Step {
    let line = "kill $(cat \"$1.pid\"); while test -S \"$1\"; do sleep 0.05; done; rm \"$1.pid\"";
    Step::shell(line, &[&socket(lab)]).or_not()
}

fn asked(lab: &Lab, what: &str, times: &str) -> Step {
    lab.ask_api(&[&socket(lab), what, times])
}

pub(super) fn ping(lab: &Lab) -> Vec<Contender> {
    let timed = containers::of_mica(lab, asked(lab, "ping", PINGS));
    vec![timed.before(serve(lab)).last(end(lab))]
}

pub(super) fn list(lab: &Lab) -> Vec<Contender> {
    let timed = containers::of_mica(lab, asked(lab, "list", LISTS));
    let timed = timed.once(containers::make_thousand(lab, "api")).before(serve(lab));
    vec![timed.last(end(lab)).last(containers::remove_mine(lab))]
}

/// `mica` is the API, `command` the command line.
pub(super) fn run(lab: &Lab) -> Vec<Contender> {
    let api = containers::of_mica(lab, asked(lab, "run", RUNS)).before(serve(lab));
    let words = ["run", "--rm", "--network", "none", containers::IMAGE, "true"];
    let line = lab.mica(containers::STORE, &words);
    let line = line.in_script(&format!("for i in $(seq {RUNS}); do \"$@\"; done"));
    let command = Contender { tool: "command", ..containers::of_mica(lab, line) };
    vec![api.last(end(lab)), command]
}
