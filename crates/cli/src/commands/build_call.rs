//! `mica build --check` and `--call`: questions about a build instead of the build.

use std::collections::BTreeMap;
use std::io;

use engine::{BuildInputs, Call, Definition, Engine, Format};
use spec::Platform;

use super::build::flags::named_contexts;
use super::build::surroundings;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// What is asked in place of a build, if anything is.
pub(super) fn asked(context: &Context) -> Result<Option<(Call, Format)>, Failure> {
    let matches = context.matches();
    let call = matches.string("call").unwrap_or_default();
    let call = Call::parse(call).map_err(|error| Failure::new(format!("error: {error}")))?;
    match (matches.flag("check"), call) {
        (true, None) => Ok(Some((Call::Check, Format::Text))),
        (true, Some((Call::Check, format))) => Ok(Some((Call::Check, format))),
        (true, Some(_)) => Err(Failure::new("error: --check and --call ask different questions")),
        (false, None) if matches.has("fix") && matches.flag("fix") => {
            Err(Failure::new("error: --fix needs --check").hint("mica build --check --fix ."))
        }
        (false, call) => Ok(call),
    }
}

pub(super) fn run(context: &Context, call: (Call, Format)) -> Outcome {
    let matches = context.matches();
    let file = matches.string("file").filter(|file| !file.is_empty());
    let mut definition = Definition::read(&context.names()[0], file, &mut io::stdin().lock())?;
    definition.contexts = named_contexts(matches)?.into_keys().collect();
    let inputs = inputs(context)?;
    // A question makes no store where there is none.
    let settings = context.settings()?;
    let engine = Engine::is_made(&settings).then(|| context.engine()).transpose()?;
    if matches.has("fix") && matches.flag("fix") {
        for fixed in definition.fix(&inputs, engine.as_ref())? {
            let (name, line) = (&definition.name, fixed.span.first);
            context
                .ui
                .warn(&format!("fixed {name}:{line}: {}: {}", fixed.rule.name, fixed.message));
        }
    }
    let answer = definition.call(call, &inputs, engine.as_ref())?;
    context.ui.print(&answer.text);
    Ok(u8::from(!answer.succeeded))
}

/// What the flags give to a build.
fn inputs(context: &Context) -> Result<BuildInputs, Failure> {
    let matches = context.matches();
    let host = Platform::host();
    let platforms = surroundings::platforms(context);
    let platform = platforms.first().and_then(|list| list.split(',').next());
    let target_platform = match platform.filter(|text| !text.is_empty() && *text != "local") {
        Some(text) => Platform::parse(text).map_err(|error| Failure::new(error.to_string()))?,
        None => host.clone(),
    };
    let target = matches.string("target").filter(|name| !name.is_empty()).map(str::to_owned);
    let arguments = build_arguments(context, matches.list("build-arg"));
    Ok(BuildInputs { arguments, target_platform, build_platform: host, target })
}

/// `--build-arg`; one without a value has that of the environment, and is not given without one.
pub(crate) fn build_arguments(context: &Context, given: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => context.variable(text).map(|value| (text.clone(), value.to_owned())),
    };
    given.iter().filter_map(pair).collect()
}
