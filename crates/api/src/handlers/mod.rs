//! Who answers: one file for each thing that can be asked about.

pub(crate) mod attach;
pub(crate) mod build;
pub(crate) mod buildkit;
pub(crate) mod client;
pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod images;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod stats;
pub(crate) mod swarm;
pub(crate) mod system;
pub(crate) mod transfer;
pub(crate) mod usage;
pub(crate) mod volumes;
pub(crate) mod wait;
mod websocket;
