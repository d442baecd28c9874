//! Sessions: connections that clients open so that we can ask them for what is theirs.
//!
//! A client asks for a build and opens its session in whatever order; whoever builds waits a little
//! for it. A session is there as long as its connection, and nothing of it is kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::wire::{Caller, Code, Status};

/// How long a build waits for its session.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether a session that is to end is still of use.
const ASKING: Duration = Duration::from_millis(50);
/// What a client says of its session, in headers or in a call's metadata.
const ID: &str = "x-docker-expose-session-uuid";
const SHARED_KEY: &str = "x-docker-expose-session-sharedkey";
const METHODS: &str = "x-docker-expose-session-grpc-method";

/// A client that can be asked.
pub(crate) struct Session {
    pub(crate) caller: Caller,
    /// The same for sessions that send the same folders.
    pub(super) shared_key: String,
    /// What it answers, as `/service/method`; empty if it does not say.
    methods: BTreeSet<String>,
}

impl Session {
    /// Whether it says that it answers a method.
    pub(super) fn offers(&self, method: &str) -> bool {
        self.methods.contains(method)
    }

    /// Whether it answers a method.
    pub(super) fn answers(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

/// What a client says of its session.
pub(crate) struct Facts {
    id: String,
    shared_key: String,
    methods: BTreeSet<String>,
}

impl Facts {
    /// Reads them.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Facts, Status> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text(ID).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Status::invalid("a session without an id"))?.to_owned();
        let methods = headers.get_all(METHODS).iter().filter_map(|value| value.to_str().ok());
        let methods = methods.map(str::to_owned).collect();
        Ok(Facts { id, shared_key: text(SHARED_KEY).unwrap_or_default().to_owned(), methods })
    }
}

/// The sessions that are open.
#[derive(Default)]
pub(crate) struct Sessions {
    all: Mutex<HashMap<String, Arc<Session>>>,
    changed: Condvar,
}

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of this id, which may be about to open.
    pub(crate) fn wait(&self, id: &str) -> Result<Arc<Session>, Status> {
        let begin = Instant::now();
        let mut all = self.all();
        loop {
            if let Some(session) = all.get(id).filter(|session| !session.caller.is_gone()) {
                return Ok(session.clone());
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            if left.is_zero() {
                let words = format!("no active session for {id}: context deadline exceeded");
                return Err(Status::new(Code::Unavailable, words));
            }
            let waited = self.changed.wait_timeout(all, left);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps a session as long as its connection; when `end` changes, as long as builds use it.
    pub(crate) async fn hold<S>(
        &self,
        facts: Facts,
        stream: S,
        mut end: watch::Receiver<bool>,
    ) -> Result<(), Status>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Facts { id, shared_key, methods } = facts;
        let (caller, alive) = Caller::connect(stream).await?;
        let session = Arc::new(Session { caller, shared_key, methods });
        {
            let mut all = self.all();
            if all.get(&id).is_some_and(|other| !other.caller.is_gone()) {
                return Err(Status::new(
                    Code::AlreadyExists,
                    format!("session {id} is open already"),
                ));
            }
            all.insert(id.clone(), session.clone());
        }
        self.changed.notify_all();
        let unused = async {
            // Nobody who would say so any more is the end, too.
            let _ = end.changed().await;
            // One is here, and one among all.
            while Arc::strong_count(&session) > 2 {
                tokio::time::sleep(ASKING).await;
            }
        };
        tokio::select! {
            () = alive => {}
            () = unused => {}
        }
        let mut all = self.all();
        if all.get(&id).is_some_and(|own| Arc::ptr_eq(own, &session)) {
            all.remove(&id);
        }
        Ok(())
    }
}
