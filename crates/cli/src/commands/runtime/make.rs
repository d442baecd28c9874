//! Containers and processes made.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::launch::Manner;
use runtime::oci::{CreateOptions, ExecOptions, add_capabilities};
use spec::bundle::{Process, User};

use super::{containers, exit_code, id, is_rootless, notified, refuse, take_shelter, told, warn};
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
    let passed = passed(context)?;
    Ok(CreateOptions {
        bundle: path("bundle").unwrap_or_else(|| PathBuf::from(".")),
        console_socket: path("console-socket"),
        pidfd_socket: path("pidfd-socket"),
        pid_file: path("pid-file"),
        preserve: passed.descriptors,
        variables: passed.variables,
        notify: notified(context),
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

/// What is handed on besides the standard streams: how many descriptors, and what is said of them.
struct Passed {
    descriptors: u32,
    variables: Vec<String>,
}

/// Descriptors for socket activation come first, then those that the caller names. The program is
/// the first process inside, and is told so where they are for this one.
fn passed(context: &Context) -> Result<Passed, Failure> {
    let given = context.matches().uint("preserve-fds").unwrap_or(0);
    let number = |name| context.variable(name).and_then(|text| text.parse::<u64>().ok());
    let own = u64::from(std::process::id());
    let is_meant = context.variable("LISTEN_PID").is_none() || number("LISTEN_PID") == Some(own);
    let listening = number("LISTEN_FDS").filter(|count| is_meant && *count > 0);
    let variables = listening.map(|count| {
        let names = context.variable("LISTEN_FDNAMES");
        let names = names.map(|names| format!("LISTEN_FDNAMES={names}"));
        let told = [format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
        told.into_iter().chain(names).collect()
    });
    let descriptors = given.saturating_add(listening.unwrap_or(0));
    Ok(Passed {
        descriptors: open_descriptors(context, descriptors)?,
        variables: variables.unwrap_or_default(),
    })
}

/// So many descriptors after the standard streams, if all of them are open.
fn open_descriptors(context: &Context, count: u64) -> Result<u32, Failure> {
    let is_open = |number: u64| {
        let number = number.saturating_add(3);
        fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
    };
    match (0..count).find(|number| !is_open(*number)) {
        // Other runtimes' words.
        Some(closed) => {
            let words = format!("unable to stat preserved-fd {closed} (of {count})");
            Err(refuse(context, &words))
        }
        None => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
    }
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
    let mut process = match path("process") {
        Some(file) => read_process(context, &file)?,
        None => process(context)?,
    };
    let passed = passed(context)?;
    process.env.extend(passed.variables);
    let options = ExecOptions {
        process,
        console_socket: path("console-socket"),
        pidfd_socket: path("pidfd-socket"),
        groups: matches.list("cgroup").to_vec(),
        pid_file: path("pid-file"),
        preserve: passed.descriptors,
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
    spec::bundle::read(&text).map_err(|error| failed(&error))
}

/// The container's own process with what is said of this one.
fn process(context: &Context) -> Result<Process, Failure> {
    let matches = context.matches();
    let text = |name, own| matches.string(name).map_or(own, str::to_owned);
    let state = told(context, containers(context)?.spec(id(context)))?;
    let first = state.process.unwrap_or_default();
    let mut process = Process {
        terminal: matches.flag("tty"),
        // It has the size of the terminal that it is shown on.
        console_size: None,
        args: context.names().get(1..).unwrap_or_default().to_vec(),
        env: [first.env, matches.list("env").to_vec()].concat(),
        cwd: text("cwd", first.cwd),
        no_new_privileges: first.no_new_privileges || matches.flag("no-new-privs"),
        apparmor_profile: text("apparmor", first.apparmor_profile),
        selinux_label: text("process-label", first.selinux_label),
        user: match matches.string("user") {
            Some(user) => parse_user(context, user, first.user)?,
            None => first.user,
        },
        ..first
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

/// `UID[:GID]`; all else is as for the container's own process.
fn parse_user(context: &Context, text: &str, first: User) -> Result<User, Failure> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, number(context, gid)?),
        None => (text, first.gid),
    };
    Ok(User { uid: number(context, uid)?, gid, ..first })
}

fn number(context: &Context, text: &str) -> Result<u32, Failure> {
    let wrong = |_| refuse(context, &format!("{text} is no number of a user or group"));
    text.parse().map_err(wrong)
}
