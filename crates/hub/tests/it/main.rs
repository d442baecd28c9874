//! The registry as clients see it, and beside docker's at the same questions.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod conformance;
mod faults;
mod garbage;
mod objects;
mod server;
