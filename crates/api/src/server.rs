//! Connections: with `clients`, `carried` and `wire`, the one place in the house that is asynchronous.
//!
//! A request's head is read here and its route found; whoever answers runs on a thread of its own
//! and blocks. What a request carries comes to it, and what it writes goes back, through channels of
//! a few parts, so that nobody's slowness fills memory. A connection that is to speak something else
//! than HTTP is taken away from hyper and handed over with what the client has sent already.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, Cursor};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use sys::event::{Interest, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Outgoing, Takeover, Taker, whole, work};
use crate::app::{App, Next, Settings, Speech, Watch};
use crate::buildkit::BuildKit;
use crate::carried::carried;
use crate::clients::{Accept, Proving, Stream};
use crate::error::ApiError;
use crate::escaping::Escaping;
use crate::pidfile::PidFile;
use crate::reply::{Reply, Socket};
use crate::routes;
use crate::socket::{self, Listener, Opened};
use crate::tls::Tls;
use crate::wire;

/// As many clients are served at once; others wait to be let in.
const MAX_CONNECTIONS: usize = 2048;
/// Each connection has at most one thread that blocks for it.
const MAX_THREADS: usize = MAX_CONNECTIONS + 16;
/// A head must be here so soon after the connection has become free for it.
const HEAD_PATIENCE: Duration = Duration::from_secs(300);
/// How long somebody who takes a connection over waits for the client to have read the head.
const READING: Duration = Duration::from_secs(1);
/// No head is longer, as with Go's servers: builds have their arguments in the address.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Nor has it more lines. Room for all of them is taken for each head.
const MAX_HEADERS: usize = 1024;
/// How often the ends of monitors are taken.
const REAPING: Duration = Duration::from_secs(1);
/// After an error of accepting, as when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `watch` says that it is over, which is asked whenever `signals` can be read.
pub fn serve(
    mut settings: Settings,
    signals: BorrowedFd<'_>,
    watch: &dyn Watch,
) -> Result<(), ApiError> {
    let tls = settings.tls.as_ref().map(Tls::read).transpose()?;
    let tls = tls.map(|mut config| {
        if settings.speech == Speech::BuildKit {
            // Its clients want to hear that before they say anything.
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        TlsAcceptor::from(Arc::new(config))
    });
    let _pid_file = settings.pid_file.take().map(PidFile::write).transpose()?;
    let mut opened = socket::open(&mut settings)?;
    let signals = signals.try_clone_to_owned().map_err(ApiError::Serve)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MAX_THREADS)
        .enable_all()
        .build()
        .map_err(ApiError::Serve)?;
    let app = Arc::new(App::new(&settings));
    let serving = Serving { app, tls, grace: settings.grace, watch };
    let served = runtime.block_on(serving.listen(&mut opened, signals));
    // Whoever still works works for nobody.
    runtime.shutdown_background();
    served.map_err(ApiError::Serve)
}

/// What a server needs besides its places.
struct Serving<'a> {
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    grace: Duration,
    watch: &'a dyn Watch,
}

impl Serving<'_> {
    async fn listen(self, opened: &mut Opened, signals: OwnedFd) -> io::Result<()> {
        let (ending, end) = watch::channel(false);
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        for listener in std::mem::take(&mut opened.listeners) {
            self.let_in(listener, end.clone(), room.clone())?;
        }
        let reaping = self.app.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REAPING).await;
                reaping.gate.reap();
            }
        });
        opened.names.iter().for_each(|name| self.watch.ready(name));
        let signals = Arc::new(signals);
        loop {
            let signals = signals.clone();
            let asked = move || poll([(Some(signals.as_fd()), Interest::READ)], None);
            spawn_blocking(asked).await??;
            match self.watch.signalled() {
                Next::Stay => {}
                Next::Change(settings) => self.app.change(*settings),
                Next::End => break,
            }
        }
        let _ = ending.send(true);
        let everybody = room.acquire_many(MAX_CONNECTIONS as u32);
        let _ = tokio::time::timeout(self.grace, everybody).await;
        Ok(())
    }

    fn let_in(
        &self,
        listener: Listener,
        end: watch::Receiver<bool>,
        room: Arc<Semaphore>,
    ) -> io::Result<()> {
        let app = self.app.clone();
        match (listener, &self.tls) {
            (Listener::Unix(listener), _) => {
                let listener = UnixListener::from_std(listener)?;
                tokio::spawn(accept(listener, app, end, room));
            }
            (Listener::Tcp(listener), Some(tls)) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::spawn(accept(Proving { listener, tls: tls.clone() }, app, end, room));
            }
            (Listener::Tcp(listener), None) => {
                tokio::spawn(accept(TcpListener::from_std(listener)?, app, end, room));
            }
        }
        Ok(())
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

/// Answers a client's requests until it leaves, or its connection is taken over.
async fn converse<S: Stream>(app: Arc<App>, stream: S, mut end: watch::Receiver<bool>) {
    if app.speech == Speech::BuildKit {
        let services = Arc::new(BuildKit::new(app.clone(), end.clone()));
        return wire::serve(stream, services, app.buildkit.calls.clone(), end).await;
    }
    let (take, mut taken) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let answered: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(answer(app.clone(), request, take.clone()));
        answered
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Escaping::new(stream)), service);
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
    let (mut stream, unread) = parts.io.into_inner().into_parts();
    let early = [&parts.read_buf[..], &unread].concat();
    if stream.write_all(&takeover.head).await.is_err() {
        return;
    }
    let work = match takeover.by {
        Taker::Worker(work) => work,
        Taker::Talker(conversation) => {
            let early = Cursor::new(early);
            let (reader, writer) = tokio::io::split(stream);
            let stream = tokio::io::join(early.chain(reader), writer);
            return conversation(Box::new(stream), end).await;
        }
    };
    let Ok(fd) = stream.into_fd() else { return };
    let socket = Socket { fd, early };
    let worked = spawn_blocking(move || {
        await_reader(&socket);
        work(socket);
    });
    let _ = worked.await;
}

/// Waits until a client has read the head. Some read it with a buffer that they leave behind when
/// they take the connection: what comes with the head is lost to them.
fn await_reader(socket: &Socket) {
    let begin = Instant::now();
    while begin.elapsed() < READING && sys::socket::unread(&socket.fd).is_ok_and(|count| count > 0)
    {
        std::thread::sleep(Duration::from_micros(100));
    }
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
