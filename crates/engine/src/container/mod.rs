//! Containers: what they are asked to be, what is kept of them, what is done with them.

mod bundle;
mod create;
mod host;
mod merge;
mod mounts;
mod name;
mod record;

pub use create::{CreateContainer, Created, Pull};
pub use record::{ContainerRecord, Containers};
