//! Containers as processes: namespaces, cgroups, `init`, and the OCI runtime command line.
//!
//! Knows bundles ([`spec::bundle`]) and nothing of images, registries or networks. First a plan is
//! made ([`Plan`], pure), then it is carried out: [`launch::create`] copies this process into new
//! namespaces, and the copy makes itself the container's first process. So whoever calls has one
//! thread, which [`sys::clone`] checks.

pub mod cgroup;
mod channel;
mod error;
pub mod exec;
mod hooks;
mod init;
pub mod launch;
pub mod oci;
mod path;
mod plan;
mod reaper;
pub mod seccomp;
pub mod shelter;
mod stdio;
mod users;

pub use error::{Failure, Kind, Result, RuntimeError};
pub use plan::capability;
pub use plan::{Facts, Plan, Warning};
pub use stdio::{Stdio, WindowSize};
