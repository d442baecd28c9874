//! The client against registries that do everything wrong, and against a real one.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod auth;
mod hostile;
mod mirrors;
mod parts;
mod proxies;
mod real;
mod server;
