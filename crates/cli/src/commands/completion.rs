//! `mica completion`, and what its scripts call back.

use engine::Engine;

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
        Complete::Images => image_names(context),
        _ => Vec::new(),
    };
    complete(&ROOT, context.names(), &names)
}

fn image_names(context: &Context) -> Vec<String> {
    // Pressing a key makes no store.
    if !context.settings().is_ok_and(|settings| Engine::is_made(&settings)) {
        return Vec::new();
    }
    let list = context.engine().ok().and_then(|engine| engine.list(&Default::default()).ok());
    let list = list.unwrap_or_default();
    list.rows().filter_map(|row| row.name.map(|name| name.familiar().to_owned())).collect()
}
