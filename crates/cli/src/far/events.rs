//! `events` elsewhere.

use client::Request;
use spec::Timestamp;

use super::containers::filters;
use super::said;
use crate::commands::events::{check_format, moment, show, time};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context) -> Outcome {
    let now = Timestamp::now();
    let (since, until) = (time(context, "since", now)?, time(context, "until", now)?);
    check_format(context)?;
    let request = Request::get("/events")
        .given("since", since.map(moment).as_deref())
        .given("until", until.map(moment).as_deref())
        .given("filters", filters(context.matches().list("filter"))?.as_deref());
    said::each(context.far()?.send(request)?.body, |event| show(context, &event))?;
    Ok(0)
}
