//! HTTP/1.1 for a server that blocks: one thread a connection, and files go out within the kernel.
//!
//! Nothing here knows what a registry is: a [`Service`] answers requests. Asynchronous servers hide
//! the socket, and with it `sendfile`; see docs/decisions/0040-the-hub-blocks.md.

mod body;
mod connection;
mod date;
mod head;
mod response;
mod server;
mod stream;
mod tls;

pub(crate) use body::Body;
pub(crate) use head::{Head, Method};
pub(crate) use response::{Payload, Response};
pub(crate) use server::{Limits, Server};
pub use tls::{Certificate, CertificateError};

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A request: its head, and a body that is read from the connection when somebody reads it.
pub(crate) struct Request<'a> {
    /// Method, path and headers.
    pub(crate) head: &'a Head,
    /// What follows the head.
    pub(crate) body: Body<'a>,
}

/// What a request came to, for whoever counts and logs.
pub(crate) struct Exchange<'a> {
    pub(crate) head: &'a Head,
    pub(crate) peer: SocketAddr,
    /// What was answered.
    pub(crate) status: u16,
    /// The bytes of the request's body that were read.
    pub(crate) received_bytes: u64,
    /// The bytes of the answer's body that were sent.
    pub(crate) sent_bytes: u64,
    /// From the end of the request's head to the end of the answer.
    pub(crate) took: Duration,
    /// Why the answer did not go out whole.
    pub(crate) cut: Option<&'a io::Error>,
    /// Who asked, where that was found out.
    pub(crate) user: Option<&'a str>,
}

/// Whoever answers requests, on many threads at once.
pub(crate) trait Service: Send + Sync {
    /// Answers a request.
    fn answer(&self, request: &mut Request<'_>) -> Response;

    /// The answer to a head that cannot be read.
    fn unreadable(&self, status: u16) -> Response;

    /// Hears of each request when it is over.
    fn over(&self, exchange: &Exchange<'_>);

    /// Hears how many connections there are whenever that changes.
    fn connections(&self, open: usize);
}
