//! Containers and processes made.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::launch::Manner;
use runtime::oci::{CreateOptions, ExecOptions, add_capabilities};
use spec::bundle::{Process, User};

use super::{containers, exit_code, id, is_rootless, refuse, take_shelter, told, warn};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn create(context: &Context) -> Outcome {
    take_shelter(context)?;
    let warnings = told(context, containers(context)?.create(id(context), &options(context)?))?;
    warn(context, &warnings);
    Ok(0)
}

pub(super) fn run(context: &Context) -> Outcome {
    take_shelter(context)?;
    let matches = context.matches();
    let options = CreateOptions {
        detach: matches.flag("detach"),
        keep: matches.flag("keep"),
        ..options(context)?
    };
    let (exit, warnings) = told(context, containers(context)?.run(id(context), &options))?;
    warn(context, &warnings);
    exit_code(exit)
}

fn options(context: &Context) -> Result<CreateOptions, Failure> {
    let matches = context.matches();
    let path = |name| matches.string(name).map(PathBuf::from);
    Ok(CreateOptions {
        bundle: path("bundle").unwrap_or_else(|| PathBuf::from(".")),
        console_socket: path("console-socket"),
        pidfd_socket: path("pidfd-socket"),
        pid_file: path("pid-file"),
        preserve: preserve(context),
        detach: false,
        keep: false,
        manner: Manner {
            without_pivot: matches.flag("no-pivot"),
            without_keyring: matches.flag("no-new-keyring"),
        },
        without_cgroup: is_rootless(context)?,
        systemd: context.globals().flag("systemd-cgroup"),
    })
}

/// Descriptors for socket activation come first, then those that the caller names.
fn preserve(context: &Context) -> u32 {
    let given = context.matches().uint("preserve-fds").unwrap_or(0);
    let listening = context.variable("LISTEN_FDS").and_then(|count| count.parse::<u64>().ok());
    u32::try_from(given.saturating_add(listening.unwrap_or(0))).unwrap_or(u32::MAX)
}

/// What failed here is not what failed inside: other runtimes say so by this exit code.
const NOT_RUN: u8 = 255;

pub(super) fn exec(context: &Context) -> Outcome {
    run_one_more(context).map_err(|failure| failure.code(NOT_RUN))
}

fn run_one_more(context: &Context) -> Outcome {
    take_shelter(context)?;
    let matches = context.matches();
    let path = |name| matches.string(name).map(PathBuf::from);
    let options = ExecOptions {
        process: match path("process") {
            Some(file) => read_process(context, &file)?,
            None => process(context)?,
        },
        console_socket: path("console-socket"),
        pidfd_socket: path("pidfd-socket"),
        groups: matches.list("cgroup").to_vec(),
        pid_file: path("pid-file"),
        preserve: preserve(context),
        detach: matches.flag("detach"),
        ignore_paused: matches.flag("ignore-paused"),
    };
    let (exit, warnings) = told(context, containers(context)?.exec(id(context), &options))?;
    warn(context, &warnings);
    exit_code(exit)
}

fn read_process(context: &Context, file: &Path) -> Result<Process, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        refuse(context, &format!("cannot read {}: {error}", file.display()))
    };
    let text = fs::read(file).map_err(|error| failed(&error))?;
    serde_json::from_slice(&text).map_err(|error| failed(&error))
}

fn process(context: &Context) -> Result<Process, Failure> {
    let matches = context.matches();
    let text = |name| matches.string(name).unwrap_or_default().to_owned();
    let state = told(context, containers(context)?.spec(id(context)))?;
    let first = state.process.unwrap_or_default();
    let mut process = Process {
        terminal: matches.flag("tty"),
        args: context.names().get(1..).unwrap_or_default().to_vec(),
        env: [first.env, matches.list("env").to_vec()].concat(),
        cwd: text("cwd"),
        no_new_privileges: matches.flag("no-new-privs"),
        apparmor_profile: text("apparmor"),
        selinux_label: text("process-label"),
        user: match matches.string("user") {
            Some(user) => parse_user(context, user)?,
            None => first.user,
        },
        capabilities: first.capabilities,
        ..Process::default()
    };
    for group in matches.list("additional-gids") {
        process.user.additional_gids.push(number(context, group)?);
    }
    add_capabilities(&mut process, matches.list("cap"));
    if process.args.is_empty() {
        return Err(refuse(context, "no command was given"));
    }
    Ok(process)
}

/// `UID[:GID]`.
fn parse_user(context: &Context, text: &str) -> Result<User, Failure> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    Ok(User { uid: number(context, uid)?, gid: number(context, gid)?, ..User::default() })
}

fn number(context: &Context, text: &str) -> Result<u32, Failure> {
    let wrong = |_| refuse(context, &format!("{text} is no number of a user or group"));
    text.parse().map_err(wrong)
}
