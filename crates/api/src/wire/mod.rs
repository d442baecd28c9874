//! gRPC: messages in streams of HTTP/2, for BuildKit's clients.
//!
//! As with the API itself, connections are asynchronous and whoever answers or asks blocks: what
//! goes between the two are channels of a few messages. A connection serves calls (`server`), or we
//! call the other side on it (`caller`), as BuildKit does on the sessions that its clients open.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

mod caller;
mod exchange;
mod server;
mod status;

pub(crate) use caller::Caller;
pub(crate) use exchange::{Exchange, Incoming, Outgoing};
pub(crate) use server::{Calls, Service, serve};
pub(crate) use status::{Code, Detail, Status, escape};

/// A connection of any kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// What is done on a connection that speaks HTTP/2, until it ends or is to end.
pub(crate) type Conversation = Box<
    dyn FnOnce(Box<dyn Duplex>, watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>>
        + Send,
>;

#[cfg(test)]
mod tests;
