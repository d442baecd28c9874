//! Who answers: one file for each thing that can be asked about.

pub(crate) mod attach;
pub(crate) mod build;
pub(crate) mod buildkit;
mod client;
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

use serde_json::{Value, json};

/// A document with docker's name for the driver that lays folders over each other: clients ask for it
/// by that name, and look for it.
pub(crate) fn with_dockers_driver(mut document: Value) -> Value {
    for place in ["/Driver", "/GraphDriver/Name"] {
        let name = document.pointer_mut(place).filter(|name| **name == "overlay");
        name.into_iter().for_each(|name| *name = json!("overlay2"));
    }
    document
}
