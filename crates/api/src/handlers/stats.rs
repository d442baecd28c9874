//! What a container uses, again and again.

use std::time::Duration;

use crate::call::Call;
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Between two samples.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn stats(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let query = &call.query;
    let streams = query.flag_or("stream", true);
    let once = query.flag("one-shot") && call.since(brought::ONE_SHOT);
    if streams && once {
        return Err(Refusal::bad("cannot have stream=true and one-shot=true"));
    }
    Ok(Reply::stream("application/json", move |sink| {
        let mut before = None;
        if !streams && !once {
            before = Some(engine.container_sample(&id)?);
            if sink.is_gone_within(PAUSE) {
                return Ok(());
            }
        }
        loop {
            let sample = engine.container_sample(&id)?;
            sink.line(&sample.document(before.as_ref()))?;
            before = Some(sample);
            if !streams || sink.is_gone_within(PAUSE) {
                return Ok(());
            }
        }
    }))
}
