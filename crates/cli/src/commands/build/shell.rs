//! `mica build --shell-at`: a shell in the files of a step of the last build.

use std::io::{self, IsTerminal};

use engine::{BuildMoment, CreateContainer, Engine, RemoveImages};
use runtime::keys::DetachKeys;
use spec::ContainerConfig;

use super::{flags, input};
use crate::commands::foreground::{Wanted, show_start};
use crate::commands::run::started;
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, moment: &str) -> Outcome {
    let file = context.matches().string("file").filter(|file| !file.is_empty());
    let input = input(&context.names()[0], file)?;
    let engine = context.engine()?;
    let record = engine.last_build(&input)?;
    let moment = engine.build_moment(&record, moment)?;
    open(context, &engine, &moment)
}

/// A container in the files, gone with its shell.
fn open(context: &Context, engine: &Engine, moment: &BuildMoment) -> Outcome {
    let tty = io::stdin().is_terminal() && context.ui.is_terminal();
    let config = ContainerConfig {
        image: moment.image.to_string(),
        entrypoint: Some(vec![moment.shell.clone()]),
        tty,
        open_stdin: true,
        stdin_once: true,
        attach_stdin: true,
        attach_stdout: true,
        attach_stderr: true,
        ..ContainerConfig::default()
    };
    let mut host = flags::host(context.matches())?;
    host.auto_remove = true;
    if tty {
        host.console_size = context.ui.window();
        context.ui.warn(&format!("{} in {}", moment.shell, moment.title));
    }
    let platform = Some(moment.platform.clone());
    let request = CreateContainer { platform, config, host, ..CreateContainer::default() };
    let created = engine.create_container(request);
    // From now on the container holds the files, however all of this ends.
    let names = vec![moment.image.to_string()];
    let removed = RemoveImages { names, force: true, ..RemoveImages::default() };
    let removed = engine.remove(&removed).and_then(|all| all.into_iter().collect());
    let id = created?.id;
    removed.map(|_: Vec<_>| ())?;
    let wanted = Wanted { stdin: true, stdout: true, stderr: true, tty, forwards: !tty };
    let shown = engine
        .begin_start(&id, Some(wanted.request()))
        .map_err(started)
        // It is not left running: then its files would stay.
        .and_then(|starting| {
            show_start(starting, &engine.container_run_folder(&id), wanted, DetachKeys::none())
        });
    if shown.is_err() {
        // The first failure is the one to tell.
        let record = engine.containers().read(&id);
        let _ = record.map(|record| engine.discard_container(&record, true));
    }
    shown
}
