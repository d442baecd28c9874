//! Long work told as docker's stream of JSON: one object a line.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use engine::{Item, Progress};
use serde_json::{Value, json};
use spec::human_size;

use crate::refusal::Refusal;
use crate::reply::Sink;

/// How often something that goes on is told of.
const PAUSE: Duration = Duration::from_millis(100);

/// A stream of progress. Several threads may tell of theirs.
pub(crate) struct JsonProgress<'a> {
    sink: Mutex<&'a mut Sink>,
    /// Nothing is told but what is said by name.
    quiet: bool,
    /// The client has gone: bytes that are still on their way are nobody's.
    gone: AtomicBool,
}

impl<'a> JsonProgress<'a> {
    pub(crate) fn new(sink: &'a mut Sink, quiet: bool) -> JsonProgress<'a> {
        JsonProgress { sink: Mutex::new(sink), quiet, gone: AtomicBool::new(false) }
    }

    /// Tells an object. A client that has gone is found out where bytes are moved, which stops.
    pub(crate) fn tell(&self, object: &Value) {
        let told: io::Result<()> = self.sink().line(object);
        if told.is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the client has gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.look();
        self.gone.load(Ordering::Relaxed)
    }

    /// Looks whether the client is still there.
    fn look(&self) {
        if self.sink().is_gone_within(Duration::ZERO) {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    fn sink(&self) -> MutexGuard<'_, &'a mut Sink> {
        self.sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends the stream with how the work ended: an error that comes after something was told is told
    /// too, since it is too late for a status.
    pub(crate) fn end(&self, worked: Result<(), Refusal>) -> Result<(), Refusal> {
        match worked {
            Err(refusal) if self.sink().has_begun() => {
                let Refusal { message, .. } = refusal;
                let code = json!({ "message": message });
                self.tell(&json!({ "errorDetail": code, "error": message }));
                Ok(())
            }
            other => other,
        }
    }
}

impl Progress for JsonProgress<'_> {
    fn begin(&self, name: &str, doing: &str, bytes: Option<u64>) -> Box<dyn Item + '_> {
        Box::new(Bar {
            progress: self,
            name: name.to_owned(),
            doing: doing.to_owned(),
            done: 0,
            total: bytes.filter(|bytes| *bytes > 0),
            told: Instant::now(),
        })
    }

    fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        let named = text.split_once(": ").filter(|(name, _)| !name.contains(' '));
        self.tell(&match named.filter(|(name, _)| *name != "Warning") {
            Some((id, status)) if status.starts_with("Pulling from") => {
                json!({ "status": status, "id": id })
            }
            Some((id, status)) => json!({ "status": status, "progressDetail": {}, "id": id }),
            None => json!({ "status": text }),
        });
    }
}

struct Bar<'a, 's> {
    progress: &'a JsonProgress<'s>,
    name: String,
    doing: String,
    done: u64,
    total: Option<u64>,
    told: Instant,
}

impl Item for Bar<'_, '_> {
    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.told.elapsed() < PAUSE {
            return;
        }
        self.told = Instant::now();
        self.progress.look();
        if self.progress.quiet {
            return;
        }
        let mut detail = json!({ "current": self.done });
        if let Some(total) = self.total {
            detail["total"] = json!(total);
        }
        self.progress.tell(&json!({
            "status": self.doing,
            "progressDetail": detail,
            "progress": drawn(self.done, self.total),
            "id": self.name,
        }));
    }

    fn is_wanted(&self) -> bool {
        !self.progress.gone.load(Ordering::Relaxed)
    }

    fn done(&mut self) {
        if self.doing == "Downloading" && !self.progress.quiet {
            let words = "Download complete";
            let name = &self.name;
            self.progress.tell(&json!({ "status": words, "progressDetail": {}, "id": name }));
        }
    }
}

/// Docker's bar of fifty places.
fn drawn(done: u64, total: Option<u64>) -> String {
    let current = human_size(done as f64);
    let Some(total) = total else { return current };
    let half = (done.min(total) as f64 / total as f64 * 50.0) as usize;
    let bar = format!("[{}>{}]", "=".repeat(half), " ".repeat(50 - half));
    format!("{bar} {current:>8}/{}", human_size(total as f64))
}
