//! A monitor in a process of its own, with plain processes in place of containers.

#![allow(clippy::unwrap_used)]

mod client;
mod life;
mod output;
mod stand;
