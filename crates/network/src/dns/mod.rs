//! Names in networks: containers ask 127.0.0.11, and what is no container's name is asked of the
//! host's name servers.

mod names;
mod server;
mod stream;
mod wire;

pub use names::Links;
pub use server::{ADDRESS, Server, ServerSettings, Upstream};
