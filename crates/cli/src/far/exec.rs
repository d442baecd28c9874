//! `exec` elsewhere.

use client::Request;
use serde_json::{Value, json};
use sys::terminal::Size;

use super::streams::{Ending, Ready, Shown, show};
use crate::commands::create::variables;
use crate::commands::foreground::{check_tty, keys, left};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let text = |name: &str| matches.string(name).unwrap_or_default();
    let (name, words) = context.names().split_first().expect("its arity says so");
    let (tty, detach) = (matches.flag("tty"), matches.flag("detach"));
    let stdin = matches.flag("interactive") && !detach;
    if !detach {
        check_tty(stdin, tty)?;
    }
    let keys = keys(matches.string("detach-keys"))?;
    let client = context.far()?;
    let made: Value =
        client.call(Request::post(format!("/containers/{name}/exec")).json(json!({
            "AttachStdin": stdin,
            "AttachStdout": !detach,
            "AttachStderr": !detach,
            "Cmd": words,
            "DetachKeys": text("detach-keys"),
            "Env": variables(matches.list("env-file"), matches.list("env"), context.environment())?,
            "Privileged": matches.flag("privileged"),
            "Tty": tty,
            "User": text("user"),
            "WorkingDir": text("workdir"),
        })))?;
    let id = made["Id"].as_str().unwrap_or_default();
    let start = || Request::post(format!("/exec/{id}/start"));
    if detach {
        client.tell(start().json(json!({ "Detach": true, "Tty": tty })))?;
        return Ok(0);
    }
    let ready = Ready::take(stdin, tty, false)?;
    let taken = client.take_over(start().json(json!({ "Detach": false, "Tty": tty })))?;
    let resize = |Size { rows, columns }: Size| {
        // A process that is not there yet, or no more, needs no size.
        let _ = client.tell(
            Request::post(format!("/exec/{id}/resize"))
                .with("h", rows.to_string())
                .with("w", columns.to_string()),
        );
    };
    ready.size().into_iter().for_each(resize);
    let shown = Shown { stdin, tty, keys, resize: &resize, signal: &|_| {} };
    let ending = show(taken, &ready, &shown)?;
    drop(ready);
    match ending {
        Ending::Detached => Err(left()),
        Ending::Interrupted(signal) => Ok(128 + signal as u8),
        Ending::Over => {
            let ended: Value = client.call(Request::get(format!("/exec/{id}/json")))?;
            // One that still runs has closed its streams, and nobody knows its code.
            Ok(ended["ExitCode"].as_i64().unwrap_or(0) as u8)
        }
    }
}
