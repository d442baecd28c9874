//! The Docker Engine API: the engine's verbs over HTTP, for docker's own client and everything that
//! is built on it.
//!
//! One table of `routes` says what there is, from which version on, and who answers. Who answers is
//! a plain function that blocks; connections alone are asynchronous, in `server` and `wire`. Nothing is kept
//! between two requests: all that is true lies in the store, where other processes change it too.

mod answer;
mod app;
mod buildkit;
mod call;
mod carried;
mod clients;
mod error;
mod escaping;
mod filters;
mod gate;
mod gates;
mod handlers;
mod pidfile;
mod progress;
mod query;
mod refusal;
mod reply;
mod routes;
mod server;
mod socket;
mod tls;
mod version;
mod wire;

pub use app::{Next, Settings, Speech, Watch};
pub use error::ApiError;
pub use server::serve;
pub use socket::Listen;
pub use tls::Tls;
