//! Containers: what they are asked to be, what is kept of them, what is done with them.

mod alive;
mod bundle;
mod commit;
mod copy;
mod create;
mod export;
mod extract;
mod filter;
mod host;
mod inspect;
mod list;
mod merge;
mod mounts;
mod name;
mod record;
mod remove;

pub use alive::{Alive, Unreached};
pub use commit::CommitContainer;
pub use copy::{CopyEnd, CopyFiles};
pub use create::{CreateContainer, Created, Pull};
pub use export::change_letter;
pub use filter::ContainerFilter;
pub use list::{ContainerRow, ListContainers, Summary, SummaryConfig, SummaryHost, status_words};
pub use record::{ContainerRecord, Containers};
pub use remove::{PruneContainers, RemoveContainer};
