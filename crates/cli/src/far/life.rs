//! What is done to containers elsewhere, one after the other: each is named when it is done.

use client::{Client, Request};
use serde_json::Value;

use crate::commands::container;
use crate::commands::inspect::check_name;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// Does something to each thing of a kind that is named and prints its name, or what went wrong.
pub(super) fn each(
    context: &Context,
    kind: &str,
    act: impl Fn(&str) -> Result<(), Failure>,
) -> Outcome {
    if failed_of(context, kind, act).is_empty() { Ok(0) } else { Err(Failure::silent(1)) }
}

/// The same, and says of which it went wrong.
pub(super) fn failed_of<'a>(
    context: &'a Context,
    kind: &str,
    act: impl Fn(&str) -> Result<(), Failure>,
) -> Vec<&'a str> {
    let mut failed = Vec::new();
    for name in context.names() {
        match check_name(kind, name).and_then(|()| act(name)) {
            Ok(()) => context.ui.line(name),
            Err(failure) => {
                failure.tell(&context.ui);
                failed.push(name.as_str());
            }
        }
    }
    failed
}

fn post(
    context: &Context,
    what: &str,
    ask: impl Fn(Request<'static>) -> Request<'static>,
) -> Outcome {
    let client: &Client = context.far()?;
    each(context, "container", |name| {
        Ok(client.tell(ask(Request::post(format!("/containers/{name}/{what}"))))?)
    })
}

/// How one is asked to end.
fn ending(context: &Context, request: Request<'static>) -> Request<'static> {
    let matches = context.matches();
    let timeout = matches.int("timeout").map(|seconds| seconds.to_string());
    request
        .given("t", timeout.as_deref())
        .given("signal", matches.string("signal").filter(|signal| !signal.is_empty()))
}

pub(super) fn stop(context: &Context) -> Outcome {
    post(context, "stop", |request| ending(context, request))
}

pub(super) fn restart(context: &Context) -> Outcome {
    post(context, "restart", |request| ending(context, request))
}

pub(super) fn kill(context: &Context) -> Outcome {
    let signal = context.matches().string("signal").filter(|signal| !signal.is_empty());
    post(context, "kill", |request| request.with("signal", signal.unwrap_or("KILL")))
}

pub(super) fn pause(context: &Context) -> Outcome {
    post(context, "pause", |request| request)
}

pub(super) fn unpause(context: &Context) -> Outcome {
    post(context, "unpause", |request| request)
}

pub(super) fn remove(context: &Context) -> Outcome {
    let (matches, client) = (context.matches(), context.far()?);
    let (force, mut code) = (matches.flag("force"), 0);
    for name in context.names() {
        let request = Request::delete(format!("/containers/{}", name.trim_start_matches('/')))
            .flag("force", force)
            .flag("v", matches.flag("volumes"))
            .flag("link", matches.flag("link"));
        let removed = check_name("container", name).map(|()| client.tell(request));
        match removed {
            Ok(Ok(())) => context.ui.line(name),
            // What is not there need not be removed, but a name may have been mistyped.
            Ok(Err(error)) if force && error.is_missing() => {
                Failure::from(error).tell(&context.ui);
            }
            Ok(Err(error)) => code = Failure::from(error).tell(&context.ui),
            Err(failure) => code = failure.tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

pub(super) fn rename(context: &Context) -> Outcome {
    container::rename_with(context, |old, new| {
        let request = Request::post(format!("/containers/{old}/rename")).with("name", new);
        Ok(context.far()?.tell(request)?)
    })
}

pub(super) fn wait(context: &Context) -> Outcome {
    let (client, mut failed) = (context.far()?, false);
    for name in context.names() {
        match client.call::<Value>(Request::post(format!("/containers/{name}/wait"))) {
            Ok(end) => context.ui.line(&end["StatusCode"].to_string()),
            Err(error) => {
                Failure::from(error).tell(&context.ui);
                failed = true;
            }
        }
    }
    if failed { Err(Failure::silent(1)) } else { Ok(0) }
}
