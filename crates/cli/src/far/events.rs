//! `events` elsewhere.

use std::io::{BufRead, BufReader};

use client::Request;
use spec::Timestamp;

use super::containers::filters;
use super::logs::moment;
use crate::commands::events::{check_format, show, time};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let now = Timestamp::now();
    let (since, until) = (time(context, "since", now)?, time(context, "until", now)?);
    check_format(context)?;
    let request = Request::get("/events")
        .given("since", since.map(moment).as_deref())
        .given("until", until.map(moment).as_deref())
        .given("filters", filters(context.matches().list("filter"))?.as_deref());
    let mut from = BufReader::new(context.far()?.send(request)?.body);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from.read_until(b'\n', &mut line);
        read.map_err(|error| Failure::new(format!("error: the engine broke off: {error}")))?;
        if line.is_empty() {
            return Ok(0);
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let event = serde_json::from_slice(&line).map_err(|error| {
            Failure::new(format!("error: cannot understand what the engine says: {error}"))
        })?;
        show(context, &event)?;
    }
}
