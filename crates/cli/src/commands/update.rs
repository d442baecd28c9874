//! `mica update`.

use engine::UpdateContainer;

use super::create::limits;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    if !matches.any_given() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let restart = match matches.string("restart").filter(|text| !text.is_empty()) {
        Some(text) => {
            let wrong = |error: spec::RestartError| Failure::new(error.to_string());
            Some(text.parse().map_err(wrong)?)
        }
        None => None,
    };
    let request = UpdateContainer { resources: limits(matches), restart };
    let engine = context.engine()?;
    let mut code = 0;
    for name in context.names() {
        let updated =
            engine.containers().find(name).and_then(|id| engine.update_container(&id, &request));
        match updated {
            Ok(warnings) => {
                context.ui.line(name);
                warnings.iter().for_each(|text| context.ui.warn(&format!("WARNING: {text}")));
            }
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}
