//! `mica start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `wait`, `attach`.

use engine::{Engine, EngineError, TOLD, inherited_connection};
use runtime::attach::{Connection, Request, StopRequest, WaitFor};
use runtime::state::Status;
use spec::{ContainerId, parse_signal};

use super::foreground::{Wanted, check_tty, keys, left, show, show_start, watch_until};
use super::run::started;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// Does something to each container that is named and prints its name, or what went wrong.
fn each(
    context: &Context,
    act: impl Fn(&Engine, &str, &ContainerId) -> Result<(), Failure>,
) -> Outcome {
    let failed = failed_of(context, act)?;
    if failed.is_empty() { Ok(0) } else { Err(Failure::silent(1)) }
}

/// The same, and says of which it went wrong.
fn failed_of(
    context: &Context,
    act: impl Fn(&Engine, &str, &ContainerId) -> Result<(), Failure>,
) -> Result<Vec<&str>, Failure> {
    let engine = context.engine()?;
    let mut failed = Vec::new();
    for name in context.names() {
        let done = engine
            .containers()
            .find(name)
            .map_err(Failure::from)
            .and_then(|id| act(&engine, name, &id));
        match done {
            Ok(()) => context.ui.line(name),
            Err(failure) => {
                failure.tell(&context.ui);
                failed.push(name.as_str());
            }
        }
    }
    Ok(failed)
}

pub(crate) fn start(context: &Context) -> Outcome {
    let matches = context.matches();
    let attach = matches.flag("attach") || matches.flag("interactive");
    if matches.given("checkpoint") {
        return Err(Failure::new("checkpoints are not supported: start without --checkpoint"));
    }
    if !attach {
        return not_started(&failed_of(context, |engine, _, id| {
            engine.start_container(id).map_err(started)
        })?);
    }
    let [name] = context.names() else {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    };
    let engine = context.engine()?;
    let id = engine.containers().find(name)?;
    let record = engine.containers().read(&id)?;
    let stdin = matches.flag("interactive") && record.config.open_stdin;
    check_tty(stdin, record.config.tty)?;
    let tty = record.config.tty;
    let forwards = matches.flag("attach") && !tty;
    let wanted = Wanted { stdin, stdout: true, stderr: true, tty, forwards };
    let keys = keys(matches.string("detach-keys"))?;
    let folder = engine.container_run_folder(&id);
    if engine.container_state(&id)?.status.is_alive() {
        return attach_to(&engine, &id, wanted, keys);
    }
    let starting = engine.begin_start(&id, Some(wanted.request())).map_err(started)?;
    show_start(starting, &folder, wanted, keys)
}

/// What is said in the end of the containers that could not be started.
pub(crate) fn not_started(failed: &[&str]) -> Outcome {
    match failed {
        [] => Ok(0),
        names => {
            Err(Failure::new(format!("Error: failed to start containers: {}", names.join(", "))))
        }
    }
}

fn attach_to(
    engine: &Engine,
    id: &ContainerId,
    wanted: Wanted,
    keys: runtime::keys::DetachKeys,
) -> Outcome {
    show(attached_to(engine, id, wanted)?, &engine.container_run_folder(id), wanted, keys)
}

fn attached_to(engine: &Engine, id: &ContainerId, wanted: Wanted) -> Result<Connection, Failure> {
    let mut connection = engine.monitor(id)?;
    let asked = connection.ask(&Request::Attach(wanted.request()));
    asked.map_err(|error| Failure::new(format!("error: {error}")))?;
    let asked = connection.ask(&Request::Wait(WaitFor::NextExit));
    asked.map_err(|error| Failure::new(format!("error: {error}")))?;
    Ok(connection)
}

pub(crate) fn attach(context: &Context) -> Outcome {
    let matches = context.matches();
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let state = engine.container_state(&id)?;
    match state.status {
        Status::Running => {}
        Status::Paused => {
            return Err(Failure::new("You cannot attach to a paused container, unpause it first"));
        }
        Status::Restarting => {
            return Err(Failure::new(
                "You cannot attach to a restarting container, wait until it is running",
            ));
        }
        _ => return Err(Failure::new("You cannot attach to a stopped container, start it first")),
    }
    let record = engine.containers().read(&id)?;
    let tty = record.config.tty;
    let stdin = !matches.flag("no-stdin") && record.config.open_stdin;
    check_tty(stdin, tty)?;
    let forwards = matches.flag("sig-proxy") && !tty;
    let wanted = Wanted { stdin, stdout: true, stderr: true, tty, forwards };
    let keys = keys(matches.string("detach-keys"))?;
    let connection = attached_to(&engine, &id, wanted)?;
    let ending = watch_until(connection, &engine.container_run_folder(&id), wanted, keys)?;
    ending.ok_or_else(left)
}

fn stop_request(context: &Context) -> Result<StopRequest, Failure> {
    let matches = context.matches();
    let signal = matches.string("signal").filter(|signal| !signal.is_empty());
    let signal = signal.map(|text| {
        parse_signal(text).ok_or_else(|| {
            Failure::new(format!("Error response from daemon: invalid signal: {text}"))
        })
    });
    let timeout = matches.int("timeout");
    Ok(StopRequest { signal: signal.transpose()?, timeout, for_good: false })
}

pub(crate) fn stop(context: &Context) -> Outcome {
    let request = stop_request(context)?;
    each(context, |engine, _, id| Ok(engine.stop_container(id, request)?))
}

pub(crate) fn restart(context: &Context) -> Outcome {
    let request = stop_request(context)?;
    each(context, |engine, _, id| engine.restart_container(id, request).map_err(started))
}

pub(crate) fn kill(context: &Context) -> Outcome {
    let text = context.matches().string("signal").filter(|text| !text.is_empty());
    let text = text.unwrap_or("KILL");
    let signal = parse_signal(text).ok_or_else(|| {
        Failure::new(format!("Error response from daemon: invalid signal: {text}"))
    })?;
    each(context, |engine, name, id| {
        engine.kill_container(id, signal).map_err(|error| match error {
            EngineError::NotRunning(_) => Failure::new(format!(
                "Error response from daemon: cannot kill container: {name}: {error}"
            )),
            error => error.into(),
        })
    })
}

pub(crate) fn pause(context: &Context) -> Outcome {
    each(context, |engine, _, id| Ok(engine.freeze_container(id, true)?))
}

pub(crate) fn unpause(context: &Context) -> Outcome {
    each(context, |engine, _, id| Ok(engine.freeze_container(id, false)?))
}

pub(crate) fn wait(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let mut failed = false;
    for name in context.names() {
        let id = engine.containers().find(name);
        match id.and_then(|id| engine.wait_for_container(&id, WaitFor::NotRunning)) {
            Ok(code) => context.ui.line(&code.to_string()),
            Err(error) => {
                Failure::from(error).tell(&context.ui);
                failed = true;
            }
        }
    }
    if failed { Err(Failure::silent(1)) } else { Ok(0) }
}

/// What the monitor of a container does; nobody types it.
pub(crate) fn watch(context: &Context) -> Outcome {
    let name = context.names().first().cloned().unwrap_or_default();
    let id = name.parse::<ContainerId>().map_err(|error| Failure::new(error.to_string()))?;
    let connection = inherited_connection();
    let promised = context.names().get(1).is_some_and(|word| word == TOLD);
    let engine = context.engine()?;
    let code = engine.watch_container(&id, connection, promised)?;
    Ok(code as u8)
}
