//! `mica build`.

use super::build_call;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    match build_call::asked(context)? {
        Some(call) => build_call::run(context, call),
        None => Err(Failure::new("error: this version of mica cannot build images")
            .hint("--check, --call=outline and --call=targets work")),
    }
}
