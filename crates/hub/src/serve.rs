//! A registry from its settings: opened, served, stopped.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use spec::Timestamp;

use crate::access::Access;
use crate::collect::Garbage;
use crate::error::{HubError, Result};
use crate::http::{Certificate, Exchange, Limits, Request, Response, Server, Service};
use crate::hub::{Answers, Hub, Mode};
use crate::metrics::{Label, Metrics};
use crate::problem::{Code, in_one_line};
use crate::route::Route;
use crate::shelf::{Shelf, Window};
use crate::storage::Place;
use crate::upstream::Upstream;

/// What a registry is to be.
pub struct Settings {
    /// Where it listens: `host:port`.
    pub listen: String,
    /// Where it keeps what it is given.
    pub root: Place,
    /// Somebody else's images, which are shown instead; nothing is kept then.
    pub shelf: Option<Box<dyn Shelf>>,
    /// What clients may do.
    pub mode: Mode,
    /// Who may do what.
    pub access: Access,
    /// Whom clients trust; without it, nothing is encrypted.
    pub certificate: Option<Certificate>,
    /// How often garbage is collected, and what is.
    pub collect: Option<(Duration, Garbage)>,
    /// The registry that has what is not here. With it, clients can only read.
    pub upstream: Option<Upstream>,
    /// Where requests are logged, one JSON document a line.
    pub log: Option<Box<dyn Write + Send>>,
}

impl Settings {
    /// A registry of one's own: everybody who reaches it may do everything.
    pub fn new(listen: String, root: impl Into<Place>) -> Settings {
        Settings {
            listen,
            root: root.into(),
            shelf: None,
            mode: Mode::Writable,
            access: Access::default(),
            certificate: None,
            collect: None,
            upstream: None,
            log: None,
        }
    }
}

/// Called once, when the registry answers, with where it does.
pub type Ready<'a> = dyn FnOnce(SocketAddr) + 'a;

/// Serves until `until` can be read, then lets those finish who are being served.
pub fn serve(settings: Settings, until: BorrowedFd<'_>, ready: Box<Ready<'_>>) -> Result<()> {
    let Settings { listen, root, shelf, mode, access, certificate, collect, upstream, log } =
        settings;
    let metrics = Arc::<Metrics>::default();
    let (answers, hub): (Arc<dyn Answers>, Option<Arc<Hub>>) = match shelf {
        Some(shelf) => (Arc::new(Window { shelf, access, metrics: metrics.clone() }), None),
        None => {
            let storage = root.open()?;
            let hub = Arc::new(Hub::new(storage, access, mode, upstream, metrics.clone()));
            (hub.clone(), Some(hub))
        }
    };
    let bound = TcpListener::bind(&listen);
    let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) =
        bound.map_err(|source| HubError::Listen { address: listen, source })?;
    let service = Arc::new(Door { answers, metrics, log: log.map(Mutex::new) });
    let failed = |source| HubError::Accept { source };
    let server =
        Server::new(listener, service.clone(), certificate, Limits::default()).map_err(failed)?;
    ready(address);
    std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        if let (Some(hub), Some((every, garbage))) = (hub, collect) {
            scope.spawn(move || service.collect(&hub, every, &garbage, &stopped));
        }
        let served = server.run(until).map_err(failed);
        // Ends the collector's wait.
        drop(stop);
        served
    })
}

/// The registry as HTTP sees it.
struct Door {
    answers: Arc<dyn Answers>,
    metrics: Arc<Metrics>,
    log: Option<Mutex<Box<dyn Write + Send>>>,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    peer: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    method: &'static str,
    path: &'a str,
    status: u16,
    received_bytes: u64,
    sent_bytes: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Door {
    /// Logs must not stop the registry: what cannot be written is lost.
    fn log(&self, line: &impl Serialize) {
        let Some(log) = &self.log else { return };
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.write_all(&text).and_then(|()| log.flush());
    }

    /// Collects garbage now and then, until there is nobody left to send on the other end.
    fn collect(&self, hub: &Hub, every: Duration, garbage: &Garbage, stopped: &mpsc::Receiver<()>) {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            match hub.collect(garbage) {
                Ok(collected) => self.metrics.collection(&collected),
                // One is enough.
                Err(HubError::Collecting) => {}
                Err(error) => {
                    let (time, error) = (Timestamp::now(), in_one_line(&error));
                    self.log(&Trouble { time, method: "COLLECT", path: "/", error });
                }
            }
        }
    }
}

/// The header by which docker's clients know a registry.
const API_VERSION: &str = "Docker-Distribution-Api-Version";

/// An error inside, for the log alone.
#[derive(Serialize)]
struct Trouble<'a> {
    time: Timestamp,
    method: &'static str,
    path: &'a str,
    error: String,
}

impl Service for Door {
    fn answer(&self, request: &mut Request<'_>) -> Response {
        let head = request.head;
        let route = Route::parse(&head.path);
        let response = self.answers.answer(request, &route).unwrap_or_else(|problem| {
            if let Some(error) = &problem.inside {
                let (time, method) = (Timestamp::now(), head.method.as_str());
                self.log(&Trouble { time, method, path: &head.path, error: in_one_line(error) });
            }
            problem.response()
        });
        match head.path.starts_with("/v2") {
            true => response.header(API_VERSION, "registry/2.0"),
            false => response,
        }
        .header("X-Content-Type-Options", "nosniff")
    }

    /// Nobody knows whether it was about the API: it is told what clients of the API read.
    fn unreadable(&self, status: u16) -> Response {
        let problem = Code::Unsupported.because("the request cannot be understood");
        let response = problem.status(status).response();
        response.header(API_VERSION, "registry/2.0").header("X-Content-Type-Options", "nosniff")
    }

    fn over(&self, exchange: &Exchange<'_>) {
        let route = Route::parse(&exchange.head.path);
        let route = route.as_ref().map_or("none", Route::kind);
        let label = Label { method: exchange.head.method.as_str(), route, status: exchange.status };
        let Exchange { received_bytes, sent_bytes, took, .. } = *exchange;
        self.metrics.request(label, received_bytes, sent_bytes, took);
        self.log(&Line {
            time: Timestamp::now(),
            peer: exchange.peer,
            user: exchange.user,
            method: exchange.head.method.as_str(),
            path: &exchange.head.path,
            status: exchange.status,
            received_bytes: exchange.received_bytes,
            sent_bytes: exchange.sent_bytes,
            seconds: exchange.took.as_secs_f64(),
            agent: exchange.head.header("user-agent"),
            error: exchange.cut.map(ToString::to_string),
        });
    }

    fn connections(&self, open: usize) {
        self.metrics.connections(open);
    }
}
