//! Dockerfiles: what is written, what it means, and what has to be done for a target.
//!
//! Each step is a pure function of the one before: text → [`syntax`] → [`instruction`] → stages
//! with their variables ([`scope`]) → [`graph`]. Then the [`solver`] has the steps done, by
//! whoever knows how. Nothing here opens a file or starts a process.

pub mod align;
pub mod bake;
pub mod call;
pub mod change;
pub mod config;
pub mod environment;
pub mod error;
pub mod graph;
pub mod ignore;
pub mod instruction;
pub mod key;
pub mod lint;
pub mod scan;
pub mod scope;
pub mod shared;
pub mod solver;
pub mod stage;
pub mod syntax;
mod variables;
#[cfg(test)]
#[path = "../../spec/src/vectors.rs"]
mod vectors;
pub mod yaml;

pub use error::{BuildError, Span};
