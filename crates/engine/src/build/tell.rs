//! Steps as those who watch see them: numbered as they begin, each begun and ended once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use spec::ContainerId;

use super::watch::{BuildWatch, News, PlannedLine};
use crate::error::Result;

/// Numbers steps, and says what they belong to.
pub(super) struct Teller<'a> {
    pub(super) watch: &'a dyn BuildWatch,
    begun: Arc<AtomicUsize>,
    /// The target and the platform that they are for, where there are several.
    whose: String,
}

/// A step that has begun.
pub(super) struct Telling<'a> {
    watch: &'a dyn BuildWatch,
    pub(super) number: usize,
    pub(super) since: Instant,
}

impl<'a> Teller<'a> {
    pub(super) fn new(watch: &'a dyn BuildWatch) -> Teller<'a> {
        Teller { watch, begun: Arc::default(), whose: String::new() }
    }

    /// One for a part of the work, whose steps are numbered among all.
    pub(super) fn of(&self, whose: &str) -> Teller<'a> {
        let whose = [self.whose.as_str(), whose].join(" ").trim().to_owned();
        Teller { watch: self.watch, begun: self.begun.clone(), whose }
    }

    /// The same, told to somebody else.
    pub(super) fn watched_by<'b>(&self, watch: &'b dyn BuildWatch) -> Teller<'b> {
        Teller { watch, begun: self.begun.clone(), whose: self.whose.clone() }
    }

    /// A step begins.
    pub(super) fn begin(&self, title: &str) -> Telling<'a> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.watch.tell(News::Began { number, title: &self.entitled(title) });
        Telling { watch: self.watch, number, since: Instant::now() }
    }

    /// A title with whose it is.
    pub(super) fn entitled(&self, title: &str) -> String {
        match (self.whose.as_str(), title.strip_prefix('[')) {
            ("", _) => title.to_owned(),
            (whose, Some(rest)) => format!("[{whose} {rest}"),
            (whose, None) => format!("[{whose}] {title}"),
        }
    }

    /// What will be carried out.
    pub(super) fn planned(&self, lines: &[PlannedLine]) {
        self.watch.planned(lines);
    }

    /// Something the user should know.
    pub(super) fn warn(&self, text: &str) {
        self.watch.tell(News::Warning { text });
    }
}

impl Teller<'_> {
    /// What a check found.
    pub(super) fn finding(&self, text: &str, more: &str) {
        self.watch.tell(News::Finding { text, more });
    }
}

impl Telling<'_> {
    /// A part of it is done.
    pub(super) fn note(&self, text: &str) {
        self.watch.tell(News::Note { number: self.number, text });
    }

    /// Its command runs in this container.
    pub(super) fn runs(&self, container: &ContainerId) {
        self.watch.runs(self.number, container);
    }

    /// Its command printed something.
    pub(super) fn output(&self, bytes: &[u8]) {
        let after = self.since.elapsed();
        self.watch.tell(News::Output { number: self.number, after, bytes });
    }

    /// Why it has to be done.
    pub(super) fn why(&self, reasons: &[String]) {
        self.watch.tell(News::Why { number: self.number, reasons });
    }

    /// It need not be done.
    pub(super) fn cached(&self) {
        self.watch.tell(News::Cached { number: self.number });
    }

    /// It has ended.
    pub(super) fn end<T>(self, outcome: Result<T>) -> Result<T> {
        match &outcome {
            Ok(_) => {
                let took = self.since.elapsed();
                self.watch.tell(News::Done { number: self.number, took });
            }
            Err(error) => {
                let why = error.to_string();
                self.watch.tell(News::Failed { number: self.number, why: &why });
            }
        }
        outcome
    }
}
