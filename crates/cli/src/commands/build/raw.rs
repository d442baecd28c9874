//! A build as documents, one a line, in the form of BuildKit's own stream.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine::{BuildWatch, News};
use serde_json::{Value, json};
use spec::{Digest, Timestamp};

use super::show::Shown;
use crate::ui::Ui;

/// Documents on standard error.
pub(super) struct Statuses {
    ui: Ui,
    begun: Mutex<Vec<(String, Timestamp)>>,
}

impl Statuses {
    pub(super) fn new(ui: &Ui) -> Statuses {
        Statuses { ui: ui.clone(), begun: Mutex::default() }
    }

    fn step(&self, number: usize) -> (Digest, String, Timestamp) {
        let begun = self.begun.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (title, since) = begun[number - 1].clone();
        (Digest::of(format!("{number} {title}").as_bytes()), title, since)
    }

    fn vertex(&self, number: usize, more: &[(&str, Value)]) -> Value {
        let (digest, name, started) = self.step(number);
        let mut vertex = json!({"digest": digest, "name": name, "started": started});
        for (field, value) in more {
            vertex[*field] = value.clone();
        }
        json!({"vertexes": [vertex]})
    }
}

impl BuildWatch for Statuses {
    fn tell(&self, news: News<'_>) {
        let now = Timestamp::now();
        let document = match news {
            News::Began { number, title } => {
                let mut begun = self.begun.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if begun.len() < number {
                    begun.resize(number, (String::new(), now));
                }
                begun[number - 1] = (title.to_owned(), now);
                drop(begun);
                self.vertex(number, &[])
            }
            News::Note { number, text } => {
                let (vertex, _, started) = self.step(number);
                json!({"statuses": [{
                    "id": text, "vertex": vertex, "current": 0, "timestamp": now,
                    "started": started, "completed": now,
                }]})
            }
            News::Output { number, bytes, .. } => {
                let (vertex, _, _) = self.step(number);
                let data = BASE64_STANDARD.encode(bytes);
                json!({"logs": [{"vertex": vertex, "stream": 1, "data": data, "timestamp": now}]})
            }
            News::Cached { number } => {
                self.vertex(number, &[("completed", json!(now)), ("cached", json!(true))])
            }
            News::Why { number, reasons } => {
                let (vertex, _, _) = self.step(number);
                json!({"reasons": [{"vertex": vertex, "reasons": reasons}]})
            }
            News::Done { number, took } => {
                let (_, _, started) = self.step(number);
                self.vertex(number, &[("completed", json!(later(started, took)))])
            }
            News::Failed { number, why } => {
                self.vertex(number, &[("completed", json!(now)), ("error", json!(why))])
            }
            News::Finding { text, more } => {
                let detail: Vec<_> =
                    more.lines().map(|line| BASE64_STANDARD.encode(line)).collect();
                let short = BASE64_STANDARD.encode(text);
                json!({"warnings": [{"level": 1, "short": short, "detail": detail}]})
            }
            News::Warning { text } => {
                json!({"warnings": [{"level": 1, "short": BASE64_STANDARD.encode(text)}]})
            }
        };
        self.ui.warn(&document.to_string());
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.plus_nanos(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

impl Shown for Statuses {
    fn over(&self) {}
}
