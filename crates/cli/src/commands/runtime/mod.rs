//! `mica runtime`: the command line that containerd, CRI-O and podman speak to a runtime.

mod change;
mod make;
mod tree;

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use runtime::RuntimeError;
use runtime::oci::Containers;
use serde_json::json;
use spec::Timestamp;

use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) use tree::{PROGRAM, ROOT, is_runtime};

/// The containers that `--root` means.
fn containers(context: &Context) -> Result<Containers, Failure> {
    check(context)?;
    let given = context.globals().string("root").map(PathBuf::from);
    let own = context.variable("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root());
    let base = PathBuf::from(own.unwrap_or("/run"));
    Ok(Containers::below(given.unwrap_or_else(|| base.join("mica/runtime"))))
}

/// The container's name.
fn id(context: &Context) -> &str {
    context.names().first().map_or("", String::as_str)
}

/// The socket that is told when a program is ready, where a service's manager waits for that.
fn notified(context: &Context) -> Option<PathBuf> {
    context.variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Starts this program again from a file that no container can write to.
fn take_shelter(context: &Context) -> Result<(), Failure> {
    let string = |text: String| CString::new(text).map_err(|error| Failure::new(error.to_string()));
    let words = std::env::args().map(string).collect::<Result<Vec<_>, _>>()?;
    let pairs = context.environment().iter().map(|(name, value)| string(format!("{name}={value}")));
    let environment = pairs.collect::<Result<Vec<_>, _>>()?;
    runtime::shelter::enter(&words, &environment).map_err(|error| fail(context, &error))
}

/// Says what failed where callers look for it.
fn fail(context: &Context, error: &RuntimeError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    let failure = refuse(context, &text);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A failure in these words. As other runtimes do: with `--log` they go there as a line of a log,
/// and plainly to standard error; without it the line goes to standard error.
fn refuse(context: &Context, text: &str) -> Failure {
    match log(context, "error", text) {
        Some(line) => Failure::new(line),
        None => Failure::new(text),
    }
}

/// Standard error is the container's too, so there warnings are shown to those alone who ask.
fn warn(context: &Context, warnings: &[runtime::Warning]) {
    warnings.iter().for_each(|warning| warn_of(context, &warning.to_string()));
}

fn warn_of(context: &Context, words: &str) {
    let line = log(context, "warning", words);
    if let Some(line) = line.filter(|_| context.globals().flag("debug")) {
        context.ui.warn(&line);
    }
}

/// Writes a line into the log; gives it back where there is no log.
fn log(context: &Context, level: &str, text: &str) -> Option<String> {
    let now = Timestamp::from_unix(Timestamp::now().unix_seconds(), 0).to_string();
    let line = match context.globals().string("log-format") {
        Some("json") => json!({"level": level, "msg": text, "time": now}).to_string(),
        _ => format!("time={now:?} level={level} msg={text:?}"),
    };
    let Some(path) = context.globals().string("log") else { return Some(line) };
    // A log that cannot be written to must not keep a container from being made.
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
    None
}

/// What a call gave, or its failure told where callers look for it.
fn told<T>(context: &Context, result: runtime::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| fail(context, &error))
}

fn exit_code(exit: runtime::launch::Exit) -> Outcome {
    Ok(u8::try_from(exit.code()).unwrap_or(255))
}

/// Refuses what this runtime is asked for with all its commands and does not do.
fn check(context: &Context) -> Result<(), Failure> {
    let globals = context.globals();
    if globals.flag("debug") {
        let words = format!("{PROGRAM} {}, process {}", engine::VERSION, std::process::id());
        log(context, "debug", &words).into_iter().for_each(|line| context.ui.warn(&line));
    }
    match globals.string("log-format") {
        None | Some("" | "text" | "json") => Ok(()),
        Some(other) => Err(refuse(context, &format!("unknown log-format {other:?}"))),
    }
}

/// Whether what an ordinary user may not do with cgroups is passed over.
fn is_rootless(context: &Context) -> Result<bool, Failure> {
    match context.globals().string("rootless") {
        None | Some("" | "auto") => Ok(runtime::oci::is_rootless()),
        Some(word @ ("true" | "false")) => Ok(word == "true"),
        Some(other) => {
            Err(refuse(context, &format!("--rootless is auto, true or false, not {other:?}")))
        }
    }
}
