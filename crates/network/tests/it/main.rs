//! Networks, as rooms above use them: real packets between namespaces that each test makes.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod cost;
mod crowd;
mod definitions;
mod gateways;
mod host;
mod leftovers;
mod links;
mod names;
mod packets;
mod published;
mod user;
