//! What builds remember.

use std::time::Duration;

use engine::PruneCache;
use serde_json::{Value, json};

use crate::call::Call;
use crate::filters::Filters;
use crate::refusal::Refusal;
use crate::reply::Reply;

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filters = Filters::of(&call.query)?;
    filters.check(&["unused-for", "until"])?;
    let mut until = None;
    for text in filters.values("until").iter().chain(filters.values("unused-for")) {
        let wrong = |why: String| Refusal::bad(format!("invalid filter 'until={text}': {why}"));
        let nanos = spec::parse_go_duration(text).map_err(|error| wrong(error.to_string()))?;
        let nanos = u64::try_from(nanos).map_err(|error| wrong(error.to_string()))?;
        until = Some(Duration::from_nanos(nanos));
    }
    let keep = ["max-used-space", "reserved-space", "keep-storage"];
    let mut keep_bytes = None;
    for name in keep {
        keep_bytes = keep_bytes.or(call.query.number::<u64>(name)?.filter(|bytes| *bytes > 0));
    }
    let request = PruneCache { all: call.query.flag("all"), until, keep_bytes };
    let (gone, freed) = call.engine()?.prune_cache(&request)?;
    let ids: Vec<&String> = gone.iter().map(|row| &row.id).collect();
    let ids = if ids.is_empty() { Value::Null } else { json!(ids) };
    Ok(Reply::json(&json!({ "CachesDeleted": ids, "SpaceReclaimed": freed })))
}
