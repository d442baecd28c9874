//! `mica run`.

use engine::{CreateContainer, EngineError, RemoveContainer};
use runtime::keys::DetachKeys;

use super::create::{make, request};
use super::foreground::{self, ENGINE, Wanted, check_tty, keys, show_start};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let Asked { request, detach, wanted, keys } = asked(context)?;
    let removes = request.host.auto_remove;
    let engine = context.engine()?;
    let fresh = make(context, &engine, request).map_err(Failure::code_of_run)?;
    let id = fresh.id();
    let outcome = match detach {
        true => engine.start_fresh(fresh).map_err(started).map(|()| {
            context.ui.line(&id.to_string());
            0
        }),
        false => {
            if wanted.is_silent() {
                context.ui.line(&id.to_string());
            }
            let starting = engine.begin_fresh(fresh, Some(wanted.request()));
            let starting = starting.map_err(|error| Failure::from(error).code_of_run())?;
            show_start(starting, &engine.container_run_folder(&id), wanted, keys)
        }
    };
    if outcome.is_err() && removes {
        // The first failure is the one to tell. A container that runs goes on: its monitor removes it.
        let request = RemoveContainer { force: false, volumes: true };
        let _ = engine.remove_container(&id, request, &engine);
    }
    outcome
}

/// What `run` is asked for.
pub(crate) struct Asked {
    pub(crate) request: CreateContainer,
    pub(crate) detach: bool,
    pub(crate) wanted: Wanted,
    pub(crate) keys: DetachKeys,
}

/// Reads what `run` is asked for.
pub(crate) fn asked(context: &Context) -> Result<Asked, Failure> {
    let matches = context.matches();
    let request = request(matches, context.environment());
    let mut request = request.map_err(|failure| failure.code(ENGINE))?;
    let detach = matches.flag("detach");
    if detach {
        if !matches.list("attach").is_empty() {
            let words = "conflicting options: cannot specify both --attach and --detach";
            return Err(Failure::new(words));
        }
        let config = &mut request.config;
        (config.attach_stdin, config.attach_stdout, config.attach_stderr) = (false, false, false);
        config.stdin_once = false;
    } else {
        check_tty(request.config.attach_stdin, request.config.tty)?;
    }
    let keys = keys(matches.string("detach-keys")).map_err(|failure| failure.code(ENGINE))?;
    let config = &request.config;
    let wanted = Wanted {
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        tty: config.tty,
        forwards: matches.flag("sig-proxy") && !config.tty,
    };
    Ok(Asked { request, detach, wanted, keys })
}

/// Why a container could not be started.
pub(super) fn started(error: EngineError) -> Failure {
    match error {
        EngineError::Monitor { failure, .. } => foreground::failed(*failure),
        other => Failure::from(other).code_of_run(),
    }
}
