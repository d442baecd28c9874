//! A build's news as BuildKit's clients are told them: vertexes, what is said of them, what they
//! print.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{BuildWatch, News};
use spec::Digest;

use super::messages::Moment;
use super::messages::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};
use crate::wire::Status;

/// So much of what a step prints is told; BuildKit's own limit.
const LOG_BYTES: usize = 2 << 20;
/// What is told of the rest; BuildKit's own words.
const CLIPPED: &[u8] = b"\n[output clipped, log limit 2MiB reached]\n";
/// How often something that goes on is told of.
const PAUSE: Duration = Duration::from_millis(100);
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
            News::Note { number, text } => response.statuses.push(told.get(&number)?.note(text)),
            News::Output { number, bytes, .. } => {
                response.logs.push(told.get_mut(&number)?.printed(bytes)?);
            }
            News::Cached { number } => response.vertexes.push(told.get_mut(&number)?.end(|own| {
                own.cached = true;
            })),
            News::Done { number, .. } => response.vertexes.push(told.get_mut(&number)?.end(|_| ())),
            News::Failed { number, why } => response
                .vertexes
                .push(told.get_mut(&number)?.end(|own| why.clone_into(&mut own.error))),
            News::Warning { text } => response.warnings.push(VertexWarning {
                vertex: self.vertex(told.keys().next_back().copied().unwrap_or_default()),
                level: 1,
                short: text.as_bytes().to_vec(),
                ..VertexWarning::default()
            }),
            News::Finding { text, more } => response.warnings.push(VertexWarning {
                // The client shows what belongs to a step that it knows.
                vertex: self.vertex(told.keys().next_back().copied().unwrap_or_default()),
                level: 1,
                short: text.as_bytes().to_vec(),
                detail: more.lines().map(|line| line.as_bytes().to_vec()).collect(),
            }),
            News::Why { .. } => return None,
        }
        Some(response)
    }
}

impl Telling {
    /// A part of it is done.
    fn note(&self, text: &str) -> VertexStatus {
        // That it is done is told by when it was completed.
        let text = text.strip_suffix(" done").unwrap_or(text);
        let now = Some(Moment::now());
        VertexStatus {
            id: text.to_owned(),
            vertex: self.vertex.digest.clone(),
            name: text.to_owned(),
            timestamp: now,
            started: now,
            completed: now,
            ..VertexStatus::default()
        }
    }

    /// It printed something. Nothing where it had printed too much before.
    fn printed(&mut self, bytes: &[u8]) -> Option<VertexLog> {
        if self.printed > LOG_BYTES {
            return None;
        }
        let room = (LOG_BYTES - self.printed).min(bytes.len());
        let mut message = bytes[..room].to_vec();
        self.printed += bytes.len();
        if room < bytes.len() {
            message.extend_from_slice(CLIPPED);
        }
        Some(VertexLog {
            vertex: self.vertex.digest.clone(),
            timestamp: Some(Moment::now()),
            stream: 1,
            message,
        })
    }

    /// It has ended, in some way.
    fn end(&mut self, how: impl FnOnce(&mut Vertex)) -> Vertex {
        how(&mut self.vertex);
        self.vertex.completed = Some(Moment::now());
        self.vertex.clone()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_prints_is_told_up_to_a_limit() {
        let told = Mutex::new(Vec::new());
        let tell = |response: StatusResponse| told.lock().unwrap().extend(response.logs);
        let watch = Watch::new("b", &tell, &|| false);
        watch.tell(News::Began { number: 1, title: "[1/1] RUN yes" });
        let part = vec![b'y'; 300_000];
        for _ in 0..20 {
            watch.tell(News::Output { number: 1, after: Duration::ZERO, bytes: &part });
        }
        let logs = told.into_inner().unwrap();
        let bytes: usize = logs.iter().map(|log| log.message.len()).sum();
        assert_eq!(bytes, LOG_BYTES + CLIPPED.len());
        assert!(logs.last().unwrap().message.ends_with(CLIPPED));
    }
}
