//! Containers: what they are asked to be, what is kept of them, what is done with them.

mod alive;
mod bundle;
mod commit;
mod copy;
mod create;
mod exec;
mod export;
mod extract;
mod fill;
mod filter;
mod host;
mod inspect;
mod list;
mod merge;
mod mounts;
mod name;
mod network;
mod record;
mod remove;
mod start;
mod watch;

pub use alive::Alive;
pub use commit::CommitContainer;
pub use copy::{CopyEnd, CopyFiles};
pub use create::{CreateContainer, Created};
pub use exec::ExecProcess;
pub use export::change_letter;
pub use filter::ContainerFilter;
pub use list::{ContainerRow, ListContainers, Summary, SummaryConfig, SummaryHost, status_words};
pub use record::{ContainerRecord, Containers};
pub use remove::{PruneContainers, RemoveContainer};
pub use start::{ContainerLog, Starting, WATCH_COMMAND, inherited_connection};
