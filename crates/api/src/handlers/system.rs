//! The engine about itself.

use crate::call::Call;
use crate::gates;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Whether anybody is here. Nothing is opened for that.
pub(crate) fn ping(_: Call) -> Result<Reply, Refusal> {
    let reply = Reply::bytes("text/plain; charset=utf-8", b"OK".to_vec());
    Ok(reply
        .with("builder-version", "2")
        .with("swarm", "inactive")
        .with("cache-control", "no-cache, no-store, must-revalidate")
        .with("pragma", "no-cache"))
}

pub(crate) fn version(_: Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(&engine::version_document()))
}

pub(crate) fn info(call: Call) -> Result<Reply, Refusal> {
    let engine = call.engine()?;
    Ok(Reply::json(&call.fitted(engine.info()?.document(), gates::INFO)))
}
