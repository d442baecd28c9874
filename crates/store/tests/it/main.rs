//! The store, as rooms above use it.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod drivers;
