//! `mica system boot`.

use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let mut code = 0;
    for booted in context.engine()?.boot()? {
        match booted.started {
            Ok(()) => context.ui.line(&booted.name),
            Err(error) => {
                context.ui.warn(&format!("cannot start {}:", booted.name));
                code = Failure::from(error).tell(&context.ui);
            }
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}
