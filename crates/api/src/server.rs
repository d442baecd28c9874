//! Connections: the one place in the house that is asynchronous.
//!
//! A request's head is read here and its route found; whoever answers runs on a thread of its own
//! and blocks. What a request carries comes to it, and what it writes goes back, through channels of
//! a few parts, so that nobody's slowness fills memory. A connection that is to speak something else
//! than HTTP is taken away from hyper and handed over with what the client has sent already.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sys::event::{Interest, poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::app::{App, Settings};
use crate::call::BodyReader;
use crate::error::ApiError;
use crate::refusal::Refusal;
use crate::reply::{Content, HijackWork, Reply, Sink, Socket};
use crate::routes::{self, Asked};
use crate::socket::{self, Listener, Opened};
use crate::tls::Tls;
use crate::version::NEWEST;

/// As many clients are served at once; others wait to be let in.
const MAX_CONNECTIONS: usize = 2048;
/// Each connection has at most one thread that blocks for it.
const MAX_THREADS: usize = MAX_CONNECTIONS + 16;
/// A head must be here so soon after the connection has become free for it.
const HEAD_PATIENCE: Duration = Duration::from_secs(300);
/// A client must have proved so soon who it is.
const GREETING: Duration = Duration::from_secs(10);
/// How long somebody who takes a connection over waits for the client to have read the head.
const READING: Duration = Duration::from_millis(100);
/// No head is longer.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// As many parts of a stream wait to be read or sent.
const PARTS: usize = 4;
/// So much that nobody wants is read, and for so long.
const DRAINED_BYTES: usize = 256 << 10;
const DRAINING: Duration = Duration::from_secs(1);
/// How often the ends of monitors are taken.
const REAPING: Duration = Duration::from_secs(1);
/// After an error of accepting, as when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` can be read; `ready` is called once for each place when it answers.
pub fn serve(
    mut settings: Settings,
    stop: BorrowedFd<'_>,
    ready: &dyn Fn(&str),
) -> Result<(), ApiError> {
    let tls = settings.tls.as_ref().map(Tls::read).transpose()?;
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let mut opened = socket::open(&mut settings)?;
    let stop = stop.try_clone_to_owned().map_err(ApiError::Serve)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MAX_THREADS)
        .enable_all()
        .build()
        .map_err(ApiError::Serve)?;
    if let Some(path) = &settings.pid_file {
        std::fs::write(path, std::process::id().to_string()).map_err(ApiError::Serve)?;
    }
    let app = Arc::new(App::new(settings.engine));
    let served = runtime.block_on(listen(app, &mut opened, tls, stop, settings.grace, ready));
    // Whoever still works works for nobody.
    runtime.shutdown_background();
    if let Some(path) = &settings.pid_file {
        let _ = std::fs::remove_file(path);
    }
    served.map_err(ApiError::Serve)
}

async fn listen(
    app: Arc<App>,
    opened: &mut Opened,
    tls: Option<TlsAcceptor>,
    stop: OwnedFd,
    grace: Duration,
    ready: &dyn Fn(&str),
) -> io::Result<()> {
    let (ending, end) = watch::channel(false);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for listener in std::mem::take(&mut opened.listeners) {
        let (app, end, room) = (app.clone(), end.clone(), room.clone());
        match listener {
            Listener::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                tokio::spawn(accept(listener, app, end, room));
            }
            Listener::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                match &tls {
                    Some(tls) => {
                        let proving = Proving { listener, tls: tls.clone() };
                        tokio::spawn(accept(proving, app, end, room));
                    }
                    None => drop(tokio::spawn(accept(listener, app, end, room))),
                }
            }
        }
    }
    let reaping = app.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REAPING).await;
            reaping.gate.reap();
        }
    });
    opened.names.iter().for_each(|name| ready(name));
    let asked = spawn_blocking(move || poll([(Some(stop.as_fd()), Interest::READ)], None));
    asked.await??;
    let _ = ending.send(true);
    let everybody = room.acquire_many(MAX_CONNECTIONS as u32);
    let _ = tokio::time::timeout(grace, everybody).await;
    Ok(())
}

/// Whatever lets clients in.
trait Accept: Send + Sync + 'static {
    type Client: Send + 'static;
    type Stream: Stream;
    /// The next client.
    fn next(&self) -> impl Future<Output = io::Result<Self::Client>> + Send;
    /// What has to be said before a client may ask for something. Others do not wait for that.
    fn greet(&self, client: Self::Client) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Client = UnixStream;
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }

    async fn greet(&self, client: UnixStream) -> io::Result<UnixStream> {
        Ok(client)
    }
}

impl Accept for TcpListener {
    type Client = TcpStream;
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }

    async fn greet(&self, client: TcpStream) -> io::Result<TcpStream> {
        client.set_nodelay(true)?;
        // Whoever has vanished without a word is found out some time.
        rustix::net::sockopt::set_socket_keepalive(&client, true)?;
        Ok(client)
    }
}

/// Lets in those who can prove who they are.
struct Proving {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Accept for Proving {
    type Client = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn next(&self) -> io::Result<TcpStream> {
        self.listener.next().await
    }

    async fn greet(&self, client: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let client = self.listener.greet(client).await?;
        tokio::time::timeout(GREETING, self.tls.accept(client)).await?
    }
}

/// A client's connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket itself, for whoever polls it.
    fn into_fd(self) -> io::Result<OwnedFd>;
}

impl Stream for UnixStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        Ok(self.into_std()?.into())
    }
}

impl Stream for TcpStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        Ok(self.into_std()?.into())
    }
}

impl Stream for TlsStream<TcpStream> {
    /// A socket of our own, between which and the client somebody copies.
    fn into_fd(mut self) -> io::Result<OwnedFd> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut ours = UnixStream::from_std(ours)?;
        tokio::spawn(async move {
            // Whichever side ends it, the other sees that.
            let _ = copy_bidirectional(&mut self, &mut ours).await;
        });
        Ok(theirs.into())
    }
}

async fn accept<A: Accept>(
    listener: A,
    app: Arc<App>,
    mut end: watch::Receiver<bool>,
    room: Arc<Semaphore>,
) {
    let listener = Arc::new(listener);
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        tokio::select! {
            _ = end.changed() => return,
            accepted = listener.next() => match accepted {
                Ok(client) => {
                    let (listener, app, end) = (listener.clone(), app.clone(), end.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = listener.greet(client).await {
                            converse(app, stream, end).await;
                        }
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// A connection that somebody takes over: what is said on it first, and what is done with it.
struct Takeover {
    head: Vec<u8>,
    work: HijackWork,
}

/// Answers a client's requests until it leaves, or its connection is taken over.
async fn converse<S: Stream>(app: Arc<App>, stream: S, mut end: watch::Receiver<bool>) {
    let (take, mut taken) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let answered: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(answer(app.clone(), request, take.clone()));
        answered
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut ending = false;
    let takeover: Takeover = loop {
        tokio::select! {
            Some(takeover) = taken.recv() => break takeover,
            // What went wrong with a client's connection is the client's to know.
            _ = poll_fn(|context| connection.poll_without_shutdown(context)) => return,
            _ = end.changed(), if !ending => {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if stream.write_all(&takeover.head).await.is_err() {
        return;
    }
    let Ok(fd) = stream.into_fd() else { return };
    let socket = Socket { fd, early: parts.read_buf.to_vec() };
    let worked = spawn_blocking(move || {
        await_reader(&socket);
        (takeover.work)(socket);
    });
    let _ = worked.await;
}

/// Waits until a client has read the head. Some read it with a buffer that they leave behind when
/// they take the connection: what comes with the head is lost to them.
fn await_reader(socket: &Socket) {
    let begin = Instant::now();
    while begin.elapsed() < READING && sys::socket::unread(&socket.fd).is_ok_and(|count| count > 0)
    {
        std::thread::sleep(READING / 1000);
    }
}

/// What whoever answers says before it says more.
enum Answer {
    Response(Response<Outgoing>),
    Takeover(Takeover),
}

async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
    take: mpsc::Sender<Takeover>,
) -> Result<Response<Outgoing>, Infallible> {
    let (head, incoming) = request.into_parts();
    let asked = match routes::find(&head.method, head.uri.path()) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(whole(Reply::from(refusal))),
    };
    let body = carried(incoming);
    let (said, answered) = oneshot::channel();
    spawn_blocking(move || work(app, head, asked, body, said));
    match answered.await {
        Ok(Answer::Response(response)) => Ok(response),
        Ok(Answer::Takeover(takeover)) => {
            let _ = take.send(takeover).await;
            // The connection goes on without this.
            pending().await
        }
        // Whoever was to answer has died of a fault of ours.
        Err(_) => Ok(whole(Reply::status(500))),
    }
}

/// What a request carries, part by part, no faster than somebody reads it.
fn carried(mut incoming: Incoming) -> BodyReader {
    if incoming.is_end_stream() {
        return BodyReader::new(None);
    }
    let (parts, read) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        loop {
            let part = tokio::select! {
                part = next_part(&mut incoming) => part,
                () = parts.closed() => return drain(incoming).await,
            };
            let Some(part) = part else { return };
            if parts.send(part).await.is_err() {
                return drain(incoming).await;
            }
        }
    });
    BodyReader::new(Some(read))
}

async fn next_part(incoming: &mut Incoming) -> Option<io::Result<Bytes>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => return Some(Ok(bytes)),
                // Trailers say nothing here.
                Err(_) => continue,
            },
            Err(error) => return Some(Err(io::Error::other(error))),
        }
    }
}

/// Reads a little of what nobody wants: a connection that is closed with something unread is cut
/// off, and with it the answer that the client has not read yet.
async fn drain(mut incoming: Incoming) {
    let mut left = DRAINED_BYTES;
    let all = async {
        while let Some(Ok(bytes)) = next_part(&mut incoming).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, all).await;
}

/// Answers, on a thread that may block.
fn work(
    app: Arc<App>,
    head: hyper::http::request::Parts,
    asked: Asked,
    body: BodyReader,
    said: oneshot::Sender<Answer>,
) {
    let reply = asked.answer(app, head, body).unwrap_or_else(Reply::from);
    match reply.content {
        Content::Hijack(work) => {
            let head = raw_head(reply.status, &reply.headers);
            let _ = said.send(Answer::Takeover(Takeover { head, work }));
        }
        Content::Stream(write) => {
            let Ok((gone, alive)) = io::pipe() else {
                let _ = said.send(Answer::Response(whole(Reply::status(500))));
                return;
            };
            let (parts, sent) = mpsc::channel(PARTS);
            let (failed, failure) = oneshot::channel();
            let body = Outgoing::Parts { sent, failure: Some(failure), _alive: alive };
            let head = Reply { content: Content::Empty, ..reply };
            let begin = move |refusal: Option<Refusal>| {
                let response = match refusal {
                    None => response(head, body),
                    Some(refusal) => whole(refusal.into()),
                };
                // A client that has gone is seen at the next part.
                let _ = said.send(Answer::Response(response));
            };
            let mut sink = Sink::new(Box::new(begin), parts, gone);
            let written = write(&mut sink).and_then(|()| Ok(io::Write::flush(&mut sink)?));
            let cut = written.is_err_and(|refusal| sink.refuse(refusal));
            // Told before the stream ends, which is when the sink is dropped.
            let _ = failed.send(cut);
        }
        Content::Empty | Content::Bytes(_) => {
            let _ = said.send(Answer::Response(whole(reply)));
        }
    }
}

fn whole(reply: Reply) -> Response<Outgoing> {
    let bytes = match reply.content {
        Content::Bytes(bytes) => Bytes::from(bytes),
        _ => Bytes::new(),
    };
    response(Reply { content: Content::Empty, ..reply }, Outgoing::Whole(Some(bytes)))
}

fn response(reply: Reply, body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in own_headers().into_iter().chain(reply.headers) {
        // A value that came from a client and is no header's is left away.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What every answer says of who gives it.
fn own_headers() -> Vec<(&'static str, String)> {
    vec![
        ("api-version", NEWEST.to_string()),
        ("docker-experimental", "false".to_owned()),
        ("ostype", "linux".to_owned()),
        ("server", format!("mica/{} (linux)", engine::VERSION)),
    ]
}

/// The head of an answer after which no HTTP follows.
fn raw_head(status: u16, headers: &[(&'static str, String)]) -> Vec<u8> {
    let words = if status == 101 { "UPGRADED" } else { "OK" };
    let mut head = format!("HTTP/1.1 {status} {words}\r\n");
    for (name, value) in own_headers().iter().chain(headers) {
        head.push_str(&format!("{}: {value}\r\n", titled(name)));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// `content-type` as `Content-Type`: some that read such a head by hand look for that.
fn titled(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// What an answer carries.
enum Outgoing {
    Whole(Option<Bytes>),
    Parts {
        sent: mpsc::Receiver<Bytes>,
        /// Whether the stream ends before its end.
        failure: Option<oneshot::Receiver<bool>>,
        /// Whoever writes has the other end, and sees when this goes.
        _alive: PipeWriter,
    },
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Outgoing::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Outgoing::Parts { sent, failure, .. } => match sent.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(part)) => Poll::Ready(Some(Ok(Frame::data(part)))),
                Poll::Ready(None) => {
                    let told = failure.take().map(|mut failure| failure.try_recv());
                    // One that ended without a word has not ended well either.
                    match told {
                        None | Some(Ok(false)) => Poll::Ready(None),
                        _ => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Outgoing::Whole(bytes) if bytes.as_ref().is_none_or(|b| b.is_empty()))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outgoing::Parts { .. } => SizeHint::default(),
        }
    }
}
