//! How an object store is reached: the crate says what is asked, and `ureq` asks it, as it does for
//! registries. Its futures are ready when they are made: the house blocks.

use std::future::{Future, ready};
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, Error};
use ureq::http::header::{CONTENT_LENGTH, DATE};
use ureq::http::{Method, Uri};
use ureq::{BodyReader, SendBody};

use crate::direct::Direct;

/// What is read of an answer at once.
const PIECE_BYTES: usize = 256 << 10;

/// Requests to an object store.
#[derive(Clone)]
pub(super) struct Http {
    direct: Arc<Direct>,
    clock: Arc<Clock>,
    /// Whether hosts that are not this machine may be asked without TLS.
    plain: bool,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Http")
    }
}

impl Http {
    pub(super) fn new(direct: Arc<Direct>, clock: Arc<Clock>) -> Http {
        Http { direct, clock, plain: false }
    }

    fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        self.check(&parts.uri)?;
        let agent = self.direct.agent(&parts.uri).map_err(told)?;
        let has_body = matches!(parts.method, Method::PUT | Method::POST);
        if has_body && !parts.headers.contains_key(CONTENT_LENGTH) {
            parts.headers.insert(CONTENT_LENGTH, body.content_length().into());
        }
        let response = match has_body {
            true => {
                let mut pieces = Pieces::of(body)?;
                let body = SendBody::from_reader(&mut pieces);
                agent.run(ureq::http::Request::from_parts(parts, body))
            }
            false => agent.run(ureq::http::Request::from_parts(parts, ())),
        };
        let (parts, body) = response.map_err(failed)?.into_parts();
        if let Some(date) = parts.headers.get(DATE).and_then(|date| date.to_str().ok()) {
            self.clock.set(date);
        }
        let body = Incoming(Mutex::new(body.into_reader()));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }

    /// What is signed can be read on its way without TLS: only who says so gets that.
    fn check(&self, uri: &Uri) -> Result<(), HttpError> {
        let host = uri.host().unwrap_or_default();
        let is_here = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        match self.plain || is_here || uri.scheme_str() == Some("https") {
            true => Ok(()),
            false => Err(told("the object store has no TLS, and `allow_http` is not set")),
        }
    }
}

impl HttpConnector for Http {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient, Error> {
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp);
        Ok(HttpClient::new(Http { plain: plain.as_deref() == Some("true"), ..self.clone() }))
    }
}

impl HttpService for Http {
    fn call<'service, 'call>(
        &'service self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'service: 'call,
        Self: 'call,
    {
        Box::pin(ready(self.exchange(request)))
    }
}

/// The pieces of a request's body, read one after the other.
struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    piece: Bytes,
}

impl Pieces {
    fn of(
        mut body: impl Body<Data = Bytes, Error = HttpError> + Unpin,
    ) -> Result<Pieces, HttpError> {
        let mut pieces = Vec::new();
        // All of it is in memory: there is nothing to wait for.
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            pieces.extend(frame?.into_data());
        }
        Ok(Pieces { pieces: pieces.into_iter(), piece: Bytes::new() })
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// An answer's body, read when the crate asks for more.
struct Incoming(Mutex<BodyReader<'static>>);

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let reader = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut piece = vec![0; PIECE_BYTES];
        Poll::Ready(match reader.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))),
        })
    }
}

/// Errors without addresses: those may be signed, and whoever has one may use it.
fn failed(error: ureq::Error) -> HttpError {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            HttpError::new(HttpErrorKind::Connect, error)
        }
        ureq::Error::Io(error) => HttpError::new(HttpErrorKind::Interrupted, error),
        ureq::Error::HostNotFound => HttpError::new(HttpErrorKind::Connect, error),
        ureq::Error::Timeout(_) => HttpError::new(HttpErrorKind::Timeout, error),
        ureq::Error::Protocol(_) => HttpError::new(HttpErrorKind::Interrupted, error),
        ureq::Error::BadUri(_) => told("an address is malformed"),
        error => HttpError::new(HttpErrorKind::Unknown, error),
    }
}

fn told(why: impl ToString) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, io::Error::other(why.to_string()))
}

/// What time it is at the store, as its answers say: servers whose clocks differ see the same ages.
#[derive(Default)]
pub(super) struct Clock {
    /// How far the store is ahead of this machine.
    ahead_millis: AtomicI64,
}

impl Clock {
    fn set(&self, date: &str) {
        let Some(there) = crate::http::http_date(date) else { return };
        let there = i64::try_from(there).unwrap_or_default() * 1000;
        self.ahead_millis.store(there - here_millis(), Ordering::Relaxed);
    }

    /// How long ago a time of the store's was. What seems to come is now.
    pub(super) fn since(&self, millis: i64) -> Duration {
        let now = here_millis() + self.ahead_millis.load(Ordering::Relaxed);
        Duration::from_millis(u64::try_from(now - millis).unwrap_or_default())
    }
}

fn here_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or_default()
}
