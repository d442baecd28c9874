//! Swarm and plugins: answered as an engine does that is in no swarm and has no plugins.

use serde_json::json;

use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::Reply;

const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// What only a manager of a swarm can do.
pub(crate) fn no_manager() -> Refusal {
    Refusal { status: 503, message: NO_MANAGER.to_owned() }
}

pub(crate) fn managed(_: Call) -> Result<Reply, Refusal> {
    Err(no_manager())
}

/// A swarm cannot be made or joined here.
pub(crate) fn none(_: Call) -> Result<Reply, Refusal> {
    Err(Refusal { status: 503, message: "mica has no swarm mode".to_owned() })
}

pub(crate) fn leave(_: Call) -> Result<Reply, Refusal> {
    Err(Refusal { status: 503, message: "This node is not part of a swarm".to_owned() })
}

pub(crate) fn plugins(_: Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(&json!([])))
}

pub(crate) fn plugin(call: Call) -> Result<Reply, Refusal> {
    let name = call.parameter("name");
    Err(Refusal::missing(format!("plugin \"{name}\" not found")))
}

pub(crate) fn no_plugins(_: Call) -> Result<Reply, Refusal> {
    Err(Refusal::unsupported("mica has no plugins"))
}
