//! `run`, `start` and `attach` elsewhere.

use std::io::Read;

use client::{Client, ClientError, Request, Response};
use runtime::keys::DetachKeys;
use serde_json::Value;
use sys::terminal::Size;

use super::create::{look, make};
use super::streams::{Ending, Ready, Shown, show};
use crate::commands::foreground::{ENGINE, Wanted, check_tty, keys, left};
use crate::commands::run::{Asked, asked};
use crate::commands::start::not_started;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let Asked { request, detach, wanted, keys } = asked(context)?;
    let removes = request.host.auto_remove;
    let id = make(context, request).map_err(Failure::code_of_run)?;
    if detach {
        begin(context.far()?, &id)?;
        context.ui.line(&id);
        return Ok(0);
    }
    if wanted.is_silent() {
        context.ui.line(&id);
    }
    let condition = if removes { "removed" } else { "next-exit" };
    Ok(foreground(context, &id, (wanted, keys), condition, true)?.unwrap_or(0))
}

/// Shows a container until it ends, starting it first if it is to be started. Who waits for its end
/// waits before it begins. Gives no code for one that was left.
fn foreground(
    context: &Context,
    id: &str,
    (wanted, keys): (Wanted, DetachKeys),
    condition: &str,
    starts: bool,
) -> Result<Option<u8>, Failure> {
    let client = context.far()?;
    // The engine is told the keys in the user's own words.
    let said_keys = context.matches().string("detach-keys").filter(|keys| !keys.is_empty());
    let ready = Ready::take(wanted.stdin, wanted.tty, wanted.forwards)?;
    let attach = Request::post(format!("/containers/{id}/attach"))
        .flag("stream", true)
        .flag("stdin", wanted.stdin)
        .flag("stdout", wanted.stdout)
        .flag("stderr", wanted.stderr)
        .given("detachKeys", said_keys);
    let taken = client.take_over(attach).map_err(engines)?;
    let wait = Request::post(format!("/containers/{id}/wait")).with("condition", condition);
    let end = client.send(wait).map_err(engines)?;
    if starts {
        begin(client, id)?;
    }
    let resize = |Size { rows, columns }: Size| {
        // A container that is not there yet, or no more, needs no size.
        let _ = client.tell(
            Request::post(format!("/containers/{id}/resize"))
                .with("h", rows.to_string())
                .with("w", columns.to_string()),
        );
    };
    ready.size().into_iter().for_each(resize);
    let signal = |number: i32| {
        let kill = Request::post(format!("/containers/{id}/kill"));
        let _ = client.tell(kill.with("signal", number.to_string()));
    };
    let shown =
        Shown { stdin: wanted.stdin, tty: wanted.tty, keys, resize: &resize, signal: &signal };
    let ending = show(taken, &ready, &shown)?;
    // The terminal is given back before anything more is said.
    drop(ready);
    match ending {
        Ending::Over => exit_code(end).map(Some),
        Ending::Detached => Ok(None),
        Ending::Interrupted(signal) => Ok(Some(128 + signal as u8)),
    }
}

/// The code that a container ended with, or why it is not known.
fn exit_code(mut end: Response) -> Outcome {
    let mut bytes = Vec::new();
    let read = end.body.read_to_end(&mut bytes);
    read.map_err(|error| {
        Failure::new(format!("error waiting for container: {error}")).code(ENGINE)
    })?;
    let end: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    match end["Error"]["Message"].as_str().filter(|words| !words.is_empty()) {
        Some(words) => Err(Failure::new(words).code(ENGINE)),
        None => Ok(end["StatusCode"].as_i64().unwrap_or(i64::from(ENGINE)) as u8),
    }
}

fn begin(client: &Client, id: &str) -> Result<(), Failure> {
    client.tell(Request::post(format!("/containers/{id}/start"))).map_err(started)
}

/// A failure of the engine's.
fn engines(error: ClientError) -> Failure {
    Failure::from(error).code(ENGINE)
}

/// Why a container could not be started.
fn started(error: ClientError) -> Failure {
    match error.status() {
        Some(_) => Failure::from(error).code_of_run(),
        None => engines(error),
    }
}

pub(super) fn start(context: &Context) -> Outcome {
    let matches = context.matches();
    if matches.given("checkpoint") {
        return Err(Failure::new("checkpoints are not supported: start without --checkpoint"));
    }
    let client = context.far()?;
    if !matches.flag("attach") && !matches.flag("interactive") {
        let failed = super::life::failed_of(context, "container", |name| begin(client, name));
        return not_started(&failed);
    }
    let [name] = context.names() else {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    };
    let found = look(client, name)?;
    let stdin = matches.flag("interactive") && found["Config"]["OpenStdin"] == true;
    let wanted = wanted(context, &found, stdin, matches.flag("attach"))?;
    let removes = found["HostConfig"]["AutoRemove"] == true;
    let condition = if removes { "removed" } else { "next-exit" };
    let runs = found["State"]["Running"] == true;
    Ok(foreground(context, id(&found), wanted, condition, !runs)?.unwrap_or(0))
}

pub(super) fn attach(context: &Context) -> Outcome {
    let matches = context.matches();
    let client = context.far()?;
    let found = look(client, &context.names()[0])?;
    let is = |name: &str| found["State"][name] == true;
    let refusal = match () {
        () if !is("Running") => "You cannot attach to a stopped container, start it first",
        () if is("Paused") => "You cannot attach to a paused container, unpause it first",
        () if is("Restarting") => {
            "You cannot attach to a restarting container, wait until it is running"
        }
        () => "",
    };
    if !refusal.is_empty() {
        return Err(Failure::new(refusal));
    }
    let stdin = !matches.flag("no-stdin") && found["Config"]["OpenStdin"] == true;
    let wanted = wanted(context, &found, stdin, matches.flag("sig-proxy"))?;
    foreground(context, id(&found), wanted, "next-exit", false)?.ok_or_else(left)
}

fn id(found: &Value) -> &str {
    found["Id"].as_str().unwrap_or_default()
}

/// What is shown of a container that is there already.
fn wanted(
    context: &Context,
    found: &Value,
    stdin: bool,
    signals: bool,
) -> Result<(Wanted, DetachKeys), Failure> {
    let tty = found["Config"]["Tty"] == true;
    check_tty(stdin, tty)?;
    let keys = keys(context.matches().string("detach-keys"))?;
    let forwards = signals && !tty;
    Ok((Wanted { stdin, stdout: true, stderr: true, tty, forwards }, keys))
}
