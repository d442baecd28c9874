//! Containers as processes: namespaces, cgroups, `init`, the monitor, the OCI runtime command line.
//!
//! Knows bundles ([`spec::bundle`]) and nothing of images, registries or networks. First a plan is
//! made ([`Plan`], pure), then it is carried out: [`launch::create`] copies this process into new
//! namespaces, and the copy makes itself the container's first process. So whoever calls has one
//! thread, which [`sys::clone`] checks.
//!
//! A running container of the engine's has one [`monitor`]: a process of its own that holds its
//! streams, writes its [`logs`], answers on a socket, restarts it by its [policy](restart), asks
//! after its [health] and writes its [state] down. [`attach`] is the other end of that socket.

pub mod attach;
pub mod cgroup;
mod channel;
mod error;
pub mod exec;
pub mod external;
pub mod failure;
pub mod health;
mod hooks;
mod init;
pub mod keys;
pub mod launch;
pub mod logs;
pub mod monitor;
pub mod oci;
pub mod once;
mod path;
mod plan;
pub mod reaper;
pub mod restart;
pub mod rootless;
pub mod seccomp;
pub mod shelter;
pub mod state;
mod stdio;
pub mod table;
pub mod users;

pub use error::{Failure, Kind, Result, RuntimeError};
pub use plan::capability;
pub use plan::{Facts, Plan, Warning};
pub use stdio::{Stdio, WindowSize};
