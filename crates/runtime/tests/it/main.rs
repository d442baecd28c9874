//! A monitor in a process of its own, with plain processes in place of containers.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod client;
mod life;
mod output;
mod plan;
mod stand;
