//! Containers: what they are asked to be, what is kept of them, what is done with them.

mod bundle;
mod create;
mod exec;
mod fill;
mod host;
mod merge;
mod mounts;
mod name;
mod network;
mod record;
mod start;
mod watch;

pub use create::{CreateContainer, Created, Pull};
pub use exec::ExecProcess;
pub use record::{ContainerRecord, Containers};
pub use start::{ContainerLog, Starting, WATCH_COMMAND, inherited_connection};
