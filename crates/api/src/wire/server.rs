//! Connections on which calls are answered.

use std::sync::Arc;

use h2::RecvStream;
use h2::server::SendResponse;
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::exchange::{self, Exchange};
use super::status::{Code, Status};

/// As many calls of one client are answered at once.
const CALLS_EACH: u32 = 128;
/// And of all clients; each has a thread.
const CALLS: usize = 1024;
/// What may be under way to us, of a call and of all calls of a client.
const WINDOW_BYTES: u32 = 256 << 10;
const WINDOWS_BYTES: u32 = 1 << 20;
/// No head of a call is longer.
const MAX_HEAD_BYTES: u32 = 256 << 10;

/// Whoever answers calls; each on a thread of its own.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one. `path` is the service and the method.
    fn call(&self, path: &str, metadata: HeaderMap, exchange: Exchange) -> Result<(), Status>;
}

/// The calls that are being answered.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Semaphore>);

impl Default for Calls {
    fn default() -> Calls {
        Calls(Arc::new(Semaphore::new(CALLS)))
    }
}

/// Answers calls until the other side leaves, or `end` changes and all were answered.
pub(crate) async fn serve<S>(
    stream: S,
    service: Arc<dyn Service>,
    calls: Calls,
    mut end: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let builder = h2::server::Builder::new()
        .max_concurrent_streams(CALLS_EACH)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOWS_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .handshake(stream);
    let Ok(mut connection) = builder.await else { return };
    let mut ending = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => begin(request, respond, &service, &calls),
                // What went wrong with a client's connection is the client's to know.
                Some(Err(_)) | None => return,
            },
            _ = end.changed(), if !ending => {
                ending = true;
                connection.graceful_shutdown();
            }
        }
    }
}

fn begin(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    service: &Arc<dyn Service>,
    calls: &Calls,
) {
    let is_call = request.method() == Method::POST
        && request.headers().get("content-type").is_some_and(|kind| {
            kind.to_str().is_ok_and(|kind| kind.starts_with("application/grpc"))
        });
    if !is_call {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let _ = respond.send_response(response, true);
        return;
    }
    let mut response = Response::new(());
    exchange::head(response.headers_mut());
    let Ok(place) = calls.0.clone().try_acquire_owned() else {
        let full = Status::new(Code::ResourceExhausted, "too many calls are being answered");
        // An answer of trailers alone.
        response.headers_mut().extend(Status::trailers(&Err(full)));
        let _ = respond.send_response(response, true);
        return;
    };
    // One that has gone already wants no answer.
    let Ok(stream) = respond.send_response(response, false) else { return };
    let (head, body) = request.into_parts();
    let (exchange, ends) = Exchange::new();
    let (ended, outcome) = oneshot::channel();
    tokio::spawn(exchange::take_in(body, ends.arriving, false));
    tokio::spawn(exchange::send_out(stream, ends.leaving, ends.gone, Some(outcome)));
    let service = service.clone();
    let path = head.uri.path().to_owned();
    let work = move |place: OwnedSemaphorePermit| {
        let _ = ended.send(service.call(&path, head.headers, exchange));
        drop(place);
    };
    // Not one of the threads that requests of HTTP have: calls stay open much longer.
    let _ = std::thread::Builder::new().name("call".to_owned()).spawn(move || work(place));
}
