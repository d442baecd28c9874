//! `inspect` elsewhere.

use client::{Client, Request};
use serde_json::Value;

use super::images::platform_document;
use crate::commands::inspect::{kind, show};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

fn ask(client: &Client, path: String, sizes: bool) -> Result<Option<Value>, Failure> {
    match client.call(Request::get(path).flag("size", sizes)) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where things of a kind are, in the order in which a name is looked for.
const KINDS: [(&str, &str, &str); 4] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
];

pub(super) fn any(context: &Context) -> Outcome {
    let (client, matches) = (context.far()?, context.matches());
    let (kind, sizes) = (kind(context)?, matches.flag("size"));
    let wanted: Vec<_> = KINDS.iter().filter(|(own, ..)| kind.is_empty() || *own == kind).collect();
    show(context, if kind.is_empty() { "container" } else { kind }, &|name| {
        for (own, before, after) in &wanted {
            let sizes = sizes && *own == "container";
            if let Some(found) = ask(client, format!("{before}{name}{after}"), sizes)? {
                return Ok(found);
            }
        }
        Err(Failure::new(match kind {
            "" => format!("Error: No such object: {name}"),
            kind => format!("Error response from daemon: No such {kind}: {name}"),
        }))
    })
}

/// Those of one kind: where they are, and what else is asked.
fn one(
    context: &Context,
    place: usize,
    ask: impl Fn(Request<'static>) -> Request<'static>,
) -> Outcome {
    let (client, (kind, before, after)) = (context.far()?, KINDS[place]);
    show(context, kind, &|name| {
        Ok(client.call(ask(Request::get(format!("{before}{name}{after}"))))?)
    })
}

pub(super) fn container(context: &Context) -> Outcome {
    one(context, 0, |request| request.flag("size", context.matches().flag("size")))
}

pub(super) fn image(context: &Context) -> Outcome {
    let platform = context.matches().string("platform").filter(|text| !text.is_empty());
    let platform = platform_document(platform)?;
    one(context, 1, |request| request.given("platform", platform.as_deref()))
}

pub(super) fn network(context: &Context) -> Outcome {
    one(context, 2, |request| request.flag("verbose", context.matches().flag("verbose")))
}

pub(super) fn volume(context: &Context) -> Outcome {
    one(context, 3, |request| request)
}
