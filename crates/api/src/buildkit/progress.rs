//! A build's news as BuildKit's clients are told them: vertexes, what is said of them, what they
//! print.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{BuildWatch, News};
use spec::Digest;

use super::messages::Moment;
use super::messages::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};
use crate::wire::Status;

/// So much of what a step prints is told; BuildKit's own limit.
const LOG_BYTES: usize = 2 << 20;
/// How often something that goes on is told of.
const PAUSE: Duration = Duration::from_millis(100);
/// So many builds that have ended can still be asked about.
const ENDED: usize = 16;

/// Somebody who watches a build and tells others.
pub(super) struct Watch<'a> {
    build: String,
    told: Mutex<BTreeMap<usize, Telling>>,
    /// Who is told.
    tell: &'a (dyn Fn(StatusResponse) + Sync),
    /// Whether nobody wants the result any more.
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

/// A step that has begun.
struct Telling {
    vertex: Vertex,
    printed: usize,
}

/// Something that is done here and not by the engine.
pub(super) struct Doing<'a> {
    watch: &'a Watch<'a>,
    vertex: String,
    told: Instant,
}

impl Doing<'_> {
    /// So many bytes have come until now.
    pub(super) fn transferred(&mut self, bytes: u64) {
        if self.told.elapsed() < PAUSE {
            return;
        }
        self.told = Instant::now();
        let status = VertexStatus {
            id: "transferring".to_owned(),
            vertex: self.vertex.clone(),
            name: "transferring".to_owned(),
            current: i64::try_from(bytes).unwrap_or(i64::MAX),
            timestamp: Some(Moment::now()),
            started: Some(Moment::now()),
            ..VertexStatus::default()
        };
        (self.watch.tell)(StatusResponse { statuses: vec![status], ..StatusResponse::default() });
    }
}

impl<'a> Watch<'a> {
    /// Somebody who watches the build of a name.
    pub(super) fn new(
        build: &str,
        tell: &'a (dyn Fn(StatusResponse) + Sync),
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Watch<'a> {
        Watch { build: build.to_owned(), told: Mutex::default(), tell, is_stopped }
    }

    /// Tells of something that is done here and not by the engine.
    pub(super) fn step<T>(
        &self,
        title: &str,
        work: impl FnOnce(&mut Doing<'_>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let name = format!("{} {title}", self.build);
        let mut vertex = Vertex {
            digest: Digest::of(name.as_bytes()).to_string(),
            name: title.to_owned(),
            started: Some(Moment::now()),
            ..Vertex::default()
        };
        let tell = |vertex: &Vertex| {
            let vertexes = vec![vertex.clone()];
            (self.tell)(StatusResponse { vertexes, ..StatusResponse::default() });
        };
        tell(&vertex);
        let mut doing = Doing { watch: self, vertex: vertex.digest.clone(), told: Instant::now() };
        let done = work(&mut doing);
        vertex.completed = Some(Moment::now());
        if let Err(status) = &done {
            vertex.error.clone_from(&status.message);
        }
        tell(&vertex);
        done
    }

    /// Whether nobody wants the result any more.
    pub(super) fn stopped(&self) -> bool {
        (self.is_stopped)()
    }

    fn vertex(&self, number: usize) -> String {
        Digest::of(format!("{} {number}", self.build).as_bytes()).to_string()
    }

    fn response(&self, news: News<'_>) -> Option<StatusResponse> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut response = StatusResponse::default();
        match news {
            News::Began { number, title } => {
                let vertex = Vertex {
                    digest: self.vertex(number),
                    name: title.to_owned(),
                    started: Some(Moment::now()),
                    ..Vertex::default()
                };
                response.vertexes.push(vertex.clone());
                told.insert(number, Telling { vertex, printed: 0 });
            }
            News::Note { number, text } => {
                let telling = told.get_mut(&number)?;
                // That it is done is told by when it was completed.
                let text = text.strip_suffix(" done").unwrap_or(text);
                response.statuses.push(VertexStatus {
                    id: text.to_owned(),
                    vertex: telling.vertex.digest.clone(),
                    name: text.to_owned(),
                    timestamp: Some(Moment::now()),
                    started: Some(Moment::now()),
                    completed: Some(Moment::now()),
                    ..VertexStatus::default()
                });
            }
            News::Output { number, bytes, .. } => {
                let telling = told.get_mut(&number)?;
                let before = telling.printed;
                telling.printed += bytes.len();
                let room = LOG_BYTES.saturating_sub(before).min(bytes.len());
                let mut message = bytes[..room].to_vec();
                if room < bytes.len() && before <= LOG_BYTES {
                    message.extend_from_slice(b"\n[output clipped, log limit 2MiB reached]\n");
                    telling.printed = telling.printed.max(LOG_BYTES + 1);
                }
                if message.is_empty() {
                    return None;
                }
                response.logs.push(VertexLog {
                    vertex: telling.vertex.digest.clone(),
                    timestamp: Some(Moment::now()),
                    stream: 1,
                    message,
                });
            }
            News::Cached { number } => {
                let telling = told.get_mut(&number)?;
                telling.vertex.cached = true;
                telling.vertex.completed = Some(Moment::now());
                response.vertexes.push(telling.vertex.clone());
            }
            News::Done { number, .. } => {
                let telling = told.get_mut(&number)?;
                telling.vertex.completed = Some(Moment::now());
                response.vertexes.push(telling.vertex.clone());
            }
            News::Failed { number, why } => {
                let telling = told.get_mut(&number)?;
                telling.vertex.completed = Some(Moment::now());
                why.clone_into(&mut telling.vertex.error);
                response.vertexes.push(telling.vertex.clone());
            }
            News::Warning { text } => response.warnings.push(VertexWarning {
                vertex: self.vertex(told.keys().next_back().copied().unwrap_or_default()),
                level: 1,
                short: text.as_bytes().to_vec(),
            }),
            News::Why { .. } => return None,
        }
        Some(response)
    }
}

impl BuildWatch for Watch<'_> {
    fn tell(&self, news: News<'_>) {
        if let Some(response) = self.response(news) {
            (self.tell)(response);
        }
    }

    fn is_stopped(&self) -> bool {
        (self.is_stopped)()
    }
}

/// What was told of one build, for whoever asks for it meanwhile or a little later.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    all: Vec<Arc<StatusResponse>>,
    ended: bool,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was told.
    pub(super) fn push(&self, response: StatusResponse) {
        self.state().all.push(Arc::new(response));
        self.changed.notify_all();
    }

    /// It has ended.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// What was told after the first `known`, once there is something or the patience is over;
    /// nothing when no more will come.
    pub(super) fn after(
        &self,
        known: usize,
        patience: Duration,
    ) -> Option<Vec<Arc<StatusResponse>>> {
        let state = self.state();
        let waiting = |state: &mut Told| state.all.len() <= known && !state.ended;
        let waited = self.changed.wait_timeout_while(state, patience, waiting);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match state.all.get(known..).unwrap_or_default() {
            [] if state.ended => None,
            more => Some(more.to_vec()),
        }
    }
}

/// The boards of builds, by what clients call them.
#[derive(Default)]
pub(crate) struct Boards {
    state: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    all: HashMap<String, Arc<Board>>,
    ended: VecDeque<String>,
}

impl Boards {
    fn state(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A board for a build that begins; none if there is one of that name.
    pub(super) fn begin(&self, build: &str) -> Option<Arc<Board>> {
        let mut state = self.state();
        if state.all.contains_key(build) {
            return None;
        }
        let board = Arc::<Board>::default();
        state.all.insert(build.to_owned(), board.clone());
        self.changed.notify_all();
        Some(board)
    }

    /// A build has ended. It can be asked about until some others have ended too.
    pub(super) fn end(&self, build: &str) {
        let mut state = self.state();
        if let Some(board) = state.all.get(build) {
            board.end();
        }
        state.ended.push_back(build.to_owned());
        if state.ended.len() > ENDED
            && let Some(oldest) = state.ended.pop_front()
        {
            state.all.remove(&oldest);
        }
    }

    /// The board of a build that may be about to begin.
    pub(super) fn wait(&self, build: &str, patience: Duration) -> Option<Arc<Board>> {
        let begin = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(board) = state.all.get(build) {
                return Some(board.clone());
            }
            let left = patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
