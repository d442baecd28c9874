//! `mica update`.

use engine::UpdateContainer;

use super::create::{limits, restart_policy};
use crate::args::Matches;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let request = request(context.matches())?;
    let engine = context.engine()?;
    let mut code = 0;
    for name in context.names() {
        let updated =
            engine.containers().find(name).and_then(|id| engine.update_container(&id, &request));
        match updated {
            Ok(warnings) => tell(context, name, &warnings),
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

/// Says that a container was changed, and what its user should know.
pub(crate) fn tell(context: &Context, name: &str, warnings: &[String]) {
    context.ui.line(name);
    warnings.iter().for_each(|text| context.ui.warn(&format!("WARNING: {text}")));
}

/// What the command line asks for.
pub(crate) fn request(matches: &Matches) -> Result<UpdateContainer, Failure> {
    if !matches.any_given() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let restart = matches.string("restart").filter(|text| !text.is_empty());
    let restart = restart.map(restart_policy).transpose()?;
    Ok(UpdateContainer { resources: limits(matches), restart })
}
