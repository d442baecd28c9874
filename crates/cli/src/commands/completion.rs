//! `mica completion`, and what its scripts call back.

use engine::{Engine, EngineError, ListContainers};

use crate::args::{Complete, Completion, Shell, complete, completion_script};
use crate::context::Context;
use crate::failure::Outcome;
use crate::tree::ROOT;

pub(crate) fn bash(context: &Context) -> Outcome {
    print(context, Shell::Bash)
}

pub(crate) fn zsh(context: &Context) -> Outcome {
    print(context, Shell::Zsh)
}

pub(crate) fn fish(context: &Context) -> Outcome {
    print(context, Shell::Fish)
}

pub(crate) fn powershell(context: &Context) -> Outcome {
    print(context, Shell::PowerShell)
}

fn print(context: &Context, shell: Shell) -> Outcome {
    let script = completion_script(shell, crate::PROGRAM);
    context.ui.print(&match context.matches().flag("no-descriptions") {
        true => script.replace(" __complete ", " __completeNoDesc "),
        false => script,
    });
    Ok(0)
}

/// Answers what may come next. A store that cannot be opened has no names to offer.
pub(crate) fn callback(context: &Context) -> Outcome {
    context.ui.print(&answer(context).to_string());
    Ok(0)
}

/// The same without what the words mean.
pub(crate) fn terse_callback(context: &Context) -> Outcome {
    let mut answer = answer(context);
    answer.candidates.iter_mut().for_each(|candidate| candidate.about = "");
    context.ui.print(&answer.to_string());
    Ok(0)
}

fn answer(context: &Context) -> Completion {
    let names = |what: Complete| match what {
        Complete::Nothing | Complete::Files | Complete::Folders | Complete::Words(_) => Vec::new(),
        // Pressing a key makes no store.
        _ if !context.settings().is_ok_and(|settings| Engine::is_made(&settings)) => Vec::new(),
        what => context.engine().and_then(|engine| Ok(known(&engine, what)?)).unwrap_or_default(),
    };
    complete(&ROOT, context.names(), &names)
}

/// The names of things of a kind.
fn known(engine: &Engine, what: Complete) -> Result<Vec<String>, EngineError> {
    let containers = |all: bool| -> Result<Vec<String>, EngineError> {
        let found = engine.list_containers(&ListContainers { all, ..Default::default() })?;
        Ok(found.into_iter().map(|row| row.summary.name).collect())
    };
    Ok(match what {
        Complete::Images => {
            let list = engine.list(&Default::default())?;
            list.rows().filter_map(|row| row.name.map(|name| name.familiar().to_owned())).collect()
        }
        Complete::Containers => containers(true)?,
        Complete::Running => containers(false)?,
        Complete::Volumes => engine.volumes()?.into_iter().map(|volume| volume.name).collect(),
        Complete::Networks => {
            let found = engine.list_networks(&Default::default())?;
            found.into_iter().map(|network| network.name).collect()
        }
        _ => Vec::new(),
    })
}
