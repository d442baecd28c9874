//! BuildKit's side of the door: its services, for clients that speak gRPC to a builder.
//!
//! What a client asks for is built by the engine, as any build; here are only the client's words
//! and what is asked of the client in turn.

mod asked;
mod boards;
mod build;
mod caches;
mod carry;
mod client;
mod containers;
mod control;
mod gateway;
mod inputs;
mod llb;
mod look;
pub(crate) mod messages;
mod processes;
mod progress;
mod receive;
mod send;
pub(crate) mod sessions;
mod stores;
mod uploads;
mod usage;
mod ways;

pub(crate) use asked::Asked;
pub(crate) use build::UPLOAD_REQUEST;
pub(crate) use control::BuildKit;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use boards::Boards;
use containers::Containers;
use gateway::Bridges;
use sessions::Sessions;
use uploads::Uploads;

use crate::wire::Calls;

/// Requests of BuildKit's clients that are being answered. Nothing of them is kept.
#[derive(Default)]
pub(crate) struct Open {
    pub(crate) sessions: Sessions,
    pub(crate) uploads: Uploads,
    pub(crate) calls: Calls,
    boards: Boards,
    /// Builds that are steered by their clients.
    bridges: Bridges,
    /// Containers that their clients asked for.
    containers: Containers,
    /// Builds of docker's API, by what clients call them, with what ends them.
    pub(crate) stops: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

#[cfg(test)]
mod tests;
