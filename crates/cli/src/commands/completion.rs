//! `mica completion`, and what its scripts call back.

use crate::args::{Complete, Shell, complete, completion_script};
use crate::context::Context;
use crate::failure::Outcome;
use crate::tree::ROOT;

pub(crate) fn bash(context: &Context) -> Outcome {
    context.ui.print(&completion_script(Shell::Bash, crate::PROGRAM));
    Ok(0)
}

pub(crate) fn zsh(context: &Context) -> Outcome {
    context.ui.print(&completion_script(Shell::Zsh, crate::PROGRAM));
    Ok(0)
}

pub(crate) fn fish(context: &Context) -> Outcome {
    context.ui.print(&completion_script(Shell::Fish, crate::PROGRAM));
    Ok(0)
}

/// Answers what may come next. A store that cannot be opened has no names to offer.
pub(crate) fn callback(context: &Context) -> Outcome {
    let names = |what: Complete| match what {
        Complete::Images => image_names(context),
        _ => Vec::new(),
    };
    context.ui.print(&complete(&ROOT, context.names(), &names).to_string());
    Ok(0)
}

fn image_names(context: &Context) -> Vec<String> {
    let list = context.engine().ok().and_then(|engine| engine.list(&Default::default()).ok());
    let rows = list.unwrap_or_default().into_iter();
    rows.filter_map(|row| row.name.map(|name| name.familiar())).collect()
}
