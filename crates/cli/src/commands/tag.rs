//! `mica tag`.

use serde_json::json;

use super::formatted;
use crate::context::Context;
use crate::failure::Outcome;

pub(crate) fn run(context: &Context) -> Outcome {
    let names = context.names();
    let (id, name) = context.engine()?.tag(&names[0], &names[1])?;
    formatted(context, [json!({ "ID": id.to_string(), "Name": name.familiar() })])?;
    Ok(0)
}
