//! `mica tag`.

use crate::context::Context;
use crate::failure::Outcome;

pub(crate) fn run(context: &Context) -> Outcome {
    let names = context.names();
    context.engine()?.tag(&names[0], &names[1])?;
    Ok(0)
}
