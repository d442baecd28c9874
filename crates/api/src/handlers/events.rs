//! What happens, as it happens.

use std::io::Write;
use std::time::Duration;

use engine::{EventConditions, event_document};
use spec::Timestamp;

use super::containers::time;
use crate::call::Call;
use crate::filters::Filters;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// How often is looked for what is new.
const PAUSE: Duration = Duration::from_millis(50);
/// What begins a document where a client can tell documents apart by it.
const SEPARATOR: &[u8] = b"\x1e";

pub(crate) fn events(call: Call) -> Result<Reply, Refusal> {
    let now = Timestamp::now();
    let moment = |name: &str| call.query.given(name).map(time).transpose();
    let (since, until) = (moment("since")?, moment("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Refusal::bad(format!(
            "`since` time ({since}) cannot be after `until` time ({until})"
        )));
    }
    let lines = Filters::of(&call.query)?.lines();
    let conditions = EventConditions::parse(lines.iter().map(String::as_str))?;
    // Without a beginning, only what happens from now on is of interest.
    let mut events = call.engine()?.events(since.or(Some(now)), until)?;
    let separated = call.header("accept").contains("application/json-seq");
    let kind = if separated { "application/json-seq" } else { "application/json" };
    Ok(Reply::stream(kind, move |sink| {
        sink.begin();
        loop {
            match events.next_ready()? {
                Some(event) if conditions.hold(&event) => {
                    if separated {
                        sink.write_all(SEPARATOR)?;
                    }
                    sink.line(&event_document(&event))?;
                }
                Some(_) => {}
                None if until.is_some_and(|until| Timestamp::now() > until) => return Ok(()),
                None if sink.is_gone_within(PAUSE) => return Ok(()),
                None => {}
            }
        }
    }))
}
