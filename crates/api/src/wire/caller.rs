//! Connections on which we call the other side.

use std::time::Duration;

use h2::client::{ResponseFuture, SendRequest};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::exchange::{self, Exchange};
use super::status::{Code, Status};

/// What may be under way to us, of a call and of all calls.
const WINDOW_BYTES: u32 = 1 << 20;
const WINDOWS_BYTES: u32 = 4 << 20;
/// How long the other side may take until it speaks.
const GREETING: Duration = Duration::from_secs(10);

/// Somebody whom we call.
#[derive(Clone)]
pub(crate) struct Caller {
    send: SendRequest<Bytes>,
    runtime: Handle,
    gone: watch::Receiver<bool>,
}

impl Caller {
    /// Begins to speak on a connection. What comes with it ends when the connection does.
    pub(crate) async fn connect<S>(
        stream: S,
    ) -> Result<(Caller, impl Future<Output = ()> + Send + 'static), Status>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOWS_BYTES)
            .handshake(stream);
        let silent = |why: String| Status::new(Code::Unavailable, why);
        let greeted = tokio::time::timeout(GREETING, builder).await;
        let greeted = greeted.map_err(|_| silent("the other side says nothing".to_owned()))?;
        let (send, connection) = greeted.map_err(|error| silent(error.to_string()))?;
        let (leave, gone) = watch::channel(false);
        let caller = Caller { send, runtime: Handle::current(), gone };
        let alive = async move {
            let _ = connection.await;
            let _ = leave.send(true);
        };
        Ok((caller, alive))
    }

    /// Whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Begins a call.
    pub(crate) fn call(
        &self,
        path: &str,
        metadata: &[(&'static str, String)],
    ) -> Result<Exchange, Status> {
        let uri = format!("http://localhost{path}");
        let mut request = Request::builder().method(Method::POST).uri(uri).body(());
        let request = request.as_mut().map_err(|error| Status::internal(error.to_string()))?;
        let headers = request.headers_mut();
        exchange::head(headers);
        headers.insert("te", HeaderValue::from_static("trailers"));
        for (name, value) in metadata {
            let value = HeaderValue::try_from(value)
                .map_err(|_| Status::internal(format!("{name} cannot be told: {value:?}")))?;
            headers.append(HeaderName::from_static(name), value);
        }
        let request = std::mem::replace(request, Request::new(()));
        let mut send = self.send.clone();
        let gone = |error: h2::Error| Status::new(Code::Unavailable, error.to_string());
        let begun = self.runtime.block_on(async {
            std::future::poll_fn(|context| send.poll_ready(context)).await?;
            send.send_request(request, false)
        });
        let (answer, stream) = begun.map_err(gone)?;
        let (exchange, ends) = Exchange::new();
        self.runtime.spawn(take_answer(answer, ends.arriving));
        self.runtime.spawn(exchange::send_out(stream, ends.leaving, ends.gone, None));
        Ok(exchange)
    }

    /// Asks one question that has one answer.
    pub(crate) fn ask<A: Message + Default>(
        &self,
        path: &str,
        question: &impl Message,
    ) -> Result<A, Status> {
        let Exchange { mut incoming, outgoing } = self.call(path, &[])?;
        // One who does not listen may have answered all the same: that it does not know the method.
        let _ = outgoing.send(question);
        drop(outgoing);
        let answer = incoming.one()?;
        // How it ended counts too.
        match incoming.receive::<A>()? {
            None => Ok(answer),
            Some(_) => Err(Status::internal("two answers to one question")),
        }
    }
}

async fn take_answer(answer: ResponseFuture, arriving: mpsc::Sender<Result<Bytes, Status>>) {
    let gone = |error: h2::Error| Status::new(Code::Unavailable, error.to_string());
    let head = tokio::select! {
        head = answer => head.map_err(gone),
        () = arriving.closed() => return,
    };
    let failed = match head {
        Err(status) => Some(Err(status)),
        Ok(head) if head.status() != StatusCode::OK => {
            Some(Err(Status::internal(format!("answered with status {}", head.status()))))
        }
        Ok(head) => match Status::read(head.headers()) {
            // An answer of trailers alone.
            Some(ended) => Some(ended),
            None => return exchange::take_in(head.into_body(), arriving, true).await,
        },
    };
    if let Some(Err(status)) = failed {
        let _ = arriving.send(Err(status)).await;
    }
}
