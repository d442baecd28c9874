//! The lines that docker's engine prints: scripts wait for some of them.

use serde_json::json;
use spec::Timestamp;

use crate::ui::Ui;

/// Where lines go, and how they are written.
pub(super) struct Log<'a> {
    pub(super) ui: &'a Ui,
    pub(super) json: bool,
    pub(super) debug: bool,
}

impl Log<'_> {
    /// What everybody sees.
    pub(super) fn info(&self, words: &str) {
        self.line("info", words);
    }

    /// What may be wrong.
    pub(super) fn warn(&self, words: &str) {
        self.line("warning", words);
    }

    /// What those see who ask for everything.
    pub(super) fn debug(&self, words: &str) {
        if self.debug {
            self.line("debug", words);
        }
    }

    fn line(&self, level: &str, words: &str) {
        let time = Timestamp::now().to_string();
        self.ui.warn(&match self.json {
            true => json!({ "level": level, "msg": words, "time": time }).to_string(),
            false => format!("time={time:?} level={level} msg={words:?}"),
        });
    }
}
