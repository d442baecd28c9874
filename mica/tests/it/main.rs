//! Tests of the real binary, each in a root of its own.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod api;
mod build;
mod cli;
mod compat;
mod containers;
mod faults;
mod fuzzed;
mod house;
mod rootless;
mod runtime;
mod support;
