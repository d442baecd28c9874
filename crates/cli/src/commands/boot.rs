//! `mica system boot`.

use engine::Booted;
use serde_json::json;

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let booted = context.engine()?.boot()?;
    let document = |own: &Booted| {
        let error = own.started.as_ref().err().map(ToString::to_string);
        json!({ "Name": own.name, "Started": error.is_none(), "Error": error.unwrap_or_default() })
    };
    let is_told = formatted(context, booted.iter().map(document))?;
    let mut code = 0;
    for Booted { name, started } in booted {
        match started {
            Ok(()) if is_told => {}
            Ok(()) => context.ui.line(&name),
            Err(error) => {
                context.ui.warn(&format!("cannot start {name}:"));
                code = Failure::from(error).tell(&context.ui);
            }
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}
