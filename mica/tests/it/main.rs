//! Tests of the real binary, each in a root of its own.

mod cli;
mod compat;
mod faults;
mod fuzzed;
mod house;
mod support;
