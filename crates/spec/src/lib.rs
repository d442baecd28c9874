//! Names and documents: what images and their parts are called, and how they are written down.
//!
//! The ground of the house. Nothing here opens a file, a socket or a process: bytes and text come
//! in, checked types go out. Each file holds one subject.

pub mod bundle;
mod change;
mod config;
mod container_id;
mod digest;
mod duration;
mod expression;
pub mod go_json;
mod host;
mod ids;
mod json;
mod manifest;
mod media;
mod pattern;
mod platform;
mod port;
mod reference;
mod signal;
mod time;
mod truth;
mod units;
#[cfg(test)]
mod vectors;
mod word;

pub use change::*;
pub use config::*;
pub use container_id::*;
pub use digest::*;
pub use duration::*;
pub use expression::*;
pub use host::*;
pub use ids::*;
pub use manifest::*;
pub use media::*;
pub use pattern::*;
pub use platform::*;
pub use port::*;
pub use reference::*;
pub use signal::*;
pub use time::*;
pub use truth::*;
pub use units::*;
pub use word::*;
