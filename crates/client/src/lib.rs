//! Docker's API from the other side: another engine, mica's or docker's, asked over a socket, TCP,
//! TLS or ssh.
//!
//! A [`Client`] asks and reads answers; what becomes a stream of its own (`attach`, `exec`) is taken
//! over as a socket, whatever lies between. Nothing here knows what the answers mean.

mod body;
mod client;
mod endpoint;
mod error;
mod frames;
mod tls;

pub use body::Body;
pub use client::{Client, NEWEST, Payload, Request, Response, TakenOver};
pub use endpoint::{Endpoint, SshHost};
pub use error::{ClientError, Result};
pub use frames::{Frames, Source};
pub use tls::TlsFiles;
