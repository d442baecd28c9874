//! `mica runtime`: the command line that containerd, CRI-O and podman speak to a runtime.

mod change;
mod make;
mod tree;

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use runtime::oci::Containers;
use runtime::{Kind, RuntimeError};
use serde_json::json;

use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) use tree::{PROGRAM, ROOT};

/// The containers that `--root` means.
fn containers(context: &Context) -> Containers {
    let given = context.globals().string("root").map(PathBuf::from);
    let own = context.variable("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root());
    let base = PathBuf::from(own.unwrap_or("/run"));
    Containers::below(given.unwrap_or_else(|| base.join("mica/runtime")))
}

/// The container's name.
fn id(context: &Context) -> &str {
    context.names().first().map_or("", String::as_str)
}

/// Starts this program again from a file that no container can write to.
fn take_shelter(context: &Context) -> Result<(), Failure> {
    let string = |text: String| CString::new(text).map_err(|error| Failure::new(error.to_string()));
    let words = std::env::args().map(string).collect::<Result<Vec<_>, _>>()?;
    let pairs = context.environment().iter().map(|(name, value)| string(format!("{name}={value}")));
    let environment = pairs.collect::<Result<Vec<_>, _>>()?;
    runtime::shelter::enter(&words, &environment).map_err(|error| fail(context, &error))
}

/// Says in `--log` what failed, for callers that read it there, and on standard error.
fn fail(context: &Context, error: &RuntimeError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    log(context, "error", &text);
    let code = match error.kind() {
        Kind::CommandNotFound => 127,
        Kind::CommandNotRunnable => 126,
        _ => 1,
    };
    let failure = Failure::new(format!("error: {text}")).code(code);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn warn(context: &Context, warnings: &[runtime::Warning]) {
    for warning in warnings {
        log(context, "warning", &warning.to_string());
        if context.globals().flag("debug") {
            context.ui.warn(&format!("warning: {warning}"));
        }
    }
}

fn log(context: &Context, level: &str, text: &str) {
    let Some(path) = context.globals().string("log") else { return };
    let line = match context.globals().string("log-format") {
        Some("json") => {
            json!({"level": level, "msg": text, "time": spec::Timestamp::now().to_string()})
                .to_string()
        }
        _ => format!("level={level} msg={text:?}"),
    };
    // A log that cannot be written to must not keep a container from being made.
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
}

/// What a call gave, or its failure told where callers look for it.
fn told<T>(context: &Context, result: runtime::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| fail(context, &error))
}

fn exit_code(exit: runtime::launch::Exit) -> Outcome {
    Ok(u8::try_from(exit.code()).unwrap_or(255))
}
